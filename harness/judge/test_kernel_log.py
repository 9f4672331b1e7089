# SPDX-License-Identifier: GPL-2.0-or-later
"""Every pattern sees what the kernel really prints, and nothing that it prints on a good day.

Fault lines are written after the format strings in the kernel (file in each comment).
"""

from __future__ import annotations

import pytest

from harness.judge.kernel_log import FAULTS, faults

FAULTY = {
    "oops": [
        # arch/x86/mm/fault.c, arch/x86/kernel/dumpstack.c, traps.c
        "BUG: unable to handle page fault for address: ffffffffc0a1b2c3",
        "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
        "Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "Oops: Oops: 0000 [#1] SMP",
        "general protection fault: 0000 [#1] SMP PTI",
        "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP",
        "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1]",
        "divide error: 0000 [#1] PREEMPT SMP",
        "invalid opcode: 0000 [#2] PREEMPT SMP NOPTI",
        "Internal error: Oops: 0000000096000004 [#1] SMP",
    ],
    "bug": [
        # lib/bug.c, kernel/sched/core.c, mm/page_alloc.c, mm/slub.c, kernel/locking/lockdep.c
        "kernel BUG at fs/btrfs/extent-io-tree.c:367!",
        "Kernel BUG at insert_state+0x120/0x130 [verbose debug info unavailable]",
        "BUG: kernel NULL pointer dereference, address: 0000000000000020",
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585",
        "BUG: Bad page state in process fio  pfn:12345",
        "BUG: scheduling while atomic: fio/1234/0x00000002",
        "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!",
        "BUG kmalloc-64 (Not tainted): Poison overwritten",
        "BUG btrfs_extent_state (Tainted: G        W         ): Objects remaining on __kmem_cache_shutdown()",
        "[ BUG: Invalid wait context ]",
    ],
    "warning": [
        # kernel/panic.c up to 6.18 and from 6.19 on, kernel/locking/lockdep.c, kernel/rcu/update.c
        "WARNING: CPU: 1 PID: 3540 at fs/btrfs/inode.c:2736 btrfs_finish_ordered_io.isra.0+0x4d1/0x8b0",
        "WARNING: CPU: 0 PID: 7 at btrfs_free_extent_map+0x40/0x60",
        "WARNING: fs/btrfs/extent_map.c:77 at btrfs_free_extent_map+0x40/0x60, CPU#1: kworker/u8:2/70",
        "WARNING: possible circular locking dependency detected",
        "WARNING: possible recursive locking detected",
        "WARNING: possible irq lock inversion dependency detected",
        "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        "WARNING: inconsistent lock state",
        "WARNING: bad unlock balance detected!",
        "WARNING: held lock freed!",
        "WARNING: fio/1234 still has locks held!",
        "WARNING: lock held when returning to user space!",
        "WARNING: suspicious RCU usage",
        "INFO: trying to register non-static key.",
    ],
    "panic": [
        "Kernel panic - not syncing: Fatal exception",
        "Kernel panic - not syncing: BTRFS panic (device loop0) in insert_state:367: io tree error",
    ],
    "hung task": [
        # kernel/hung_task.c, before and after it told apart waiting for I/O
        "INFO: task fio:1234 blocked for more than 122 seconds.",
        "INFO: task kworker/u8:2:70 blocked for more than 245 seconds.",
        "INFO: task fio:1234 blocked in I/O wait for more than 122 seconds.",
    ],
    "lockup": [
        # kernel/watchdog.c
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [fio:1234]",
        "watchdog: Watchdog detected hard LOCKUP on cpu 1",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
    ],
    "rcu stall": [
        # kernel/rcu/tree_stall.h, tree_exp.h, tasks.h
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "rcu: INFO: rcu_sched detected stall, but suppressed full report due to a stuck CSD-lock.",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21 jiffies s: 77",
        "INFO: rcu_tasks detected stalls on tasks:",
    ],
    "sanitizer": [
        # mm/kasan/report.c, lib/ubsan.c, kernel/kcsan/report.c, mm/kmsan/report.c, mm/kfence/report.c
        "BUG: KASAN: slab-use-after-free in clear_state_bit+0x1a2/0x3c0",
        "KASAN: null-ptr-deref in range [0x0000000000000008-0x000000000000000f]",
        "UBSAN: array-index-out-of-bounds in fs/btrfs/volumes.c:123:4",
        "BUG: KCSAN: data-race in btrfs_block_rsv_release / btrfs_use_block_rsv",
        "BUG: KMSAN: uninit-value in csum_one_extent_buffer+0x1f0/0x2a0",
        "BUG: KFENCE: use-after-free read in btrfs_put_root+0x30/0x60",
    ],
    "leak": [
        # mm/kmemleak.c, fs/btrfs/extent-io-tree.c, extent_io.c
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "BTRFS: state leak: start 0 end 4095 state 2 in tree 1 refs 1",
        "BTRFS: buffer leak start 30408704 len 16384 refs 1 bflags 5 owner 5",
        "BTRFS error (device loop0): buffer leak start 30408704 len 16384 refs 1 bflags 5 owner 5",
    ],
    "btrfs": [
        # fs/btrfs/messages.c and .h, transaction.h; without a file system the device is left out
        "BTRFS critical (device loop0): corrupt leaf: root=2 block=1029783552 slot=1, unexpected item end",
        "BTRFS critical (device loop0 state EA): panic in insert_state:367: extent io tree error on insert",
        "BTRFS alert (device loop0): no",
        "BTRFS emergency (device loop0): no",
        "BTRFS: error (device loop0 state A) in btrfs_run_delayed_refs:2151: errno=-28 No space left",
        "BTRFS: error (device loop0) in __btrfs_cow_block:1080: errno=-5 IO failure (why)",
        "BTRFS error (device mmcblk0p2) in __btrfs_free_extent:5783: errno=-5 IO failure",
        "BTRFS: Transaction aborted (error -28)",
        "BTRFS error (device loop0 state A): Transaction aborted (error -5)",
        "assertion failed: !list_empty(&em->list), in fs/btrfs/extent_map.c:77",
        "assertion failed: refs == 1 :: 0, in fs/btrfs/disk-io.c:1234",
    ],
}

ORDINARY = """
BTRFS: device fsid 3eff5f60-efb3-4344-b92d-e282ca0fc604 devid 1 transid 6 /dev/loop0 (7:0) scanned by mkfs
BTRFS info (device loop0): first mount of filesystem 3eff5f60-efb3-4344-b92d-e282ca0fc604
BTRFS info (device loop0): using crc32c (crc32c-lib) checksum algorithm
BTRFS info (device loop0): checking UUID tree
BTRFS alert (device loop0): btrfs RAID5/6 is EXPERIMENTAL and has known data-loss bugs
BTRFS info (device loop0): turning on async discard
BTRFS info (device loop0): enabling free space tree
BTRFS info (device loop0): last unmount of filesystem 3eff5f60-efb3-4344-b92d-e282ca0fc604
BTRFS info (device loop0): bdev /dev/loop0 errs: wr 0, rd 0, flush 0, corrupt 1, gen 0
BTRFS info (device loop0): found 12 extents, stage: move data extents
BTRFS info (device loop0): qgroup scan completed (inconsistency flag cleared)
BTRFS info (device loop0 state M): forced readonly
BTRFS warning (device loop0): csum failed root 5 ino 257 off 0 csum 0x8941f998 expected csum 0x0 mirror 1
BTRFS warning (device loop0): checksum error at logical 1372061696 on dev /dev/loop1, physical 34603008
BTRFS warning (device loop0): cannot disable free-space-tree
BTRFS error (device loop0): bdev /dev/loop0 errs: wr 0, rd 0, flush 0, corrupt 1, gen 0
BTRFS error (device loop0): fixed up error at logical 1372061696 on dev /dev/loop1 physical 34603008
BTRFS: error 5 while reading
loop0: detected capacity change from 0 to 8388608
EXT4-fs (vda): mounted filesystem with ordered data mode
I/O error, dev loop1, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2
kmemleak: Automatic memory scanning thread started
kfence: initialized - using 2097152 bytes for 255 objects at 0x0000000000000000
workqueue: btrfs_async_reclaim_data_space hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
watchdog: Delayed init of the lockup detector failed: -19
rcu: Hierarchical RCU implementation.
rcu: INFO: Stall ended before state dump start
INFO: lockdep is turned off.
perf: interrupt took too long (2509 > 2500), lowering kernel.perf_event_max_sample_rate to 79000
process 'fio' launched '/bin/sh' with NULL argv: empty string added
traps: crasher[1234] general protection fault ip:55d0c8a0112d sp:7ffd1c4cd0d0 error:0 in crasher[1000]
crasher[1234]: segfault at 0 ip 000055d0c8a0112d sp 00007ffd1c4cd0d0 error 4 in crasher[55d0c8a01000+1000]
trace: event debugging enabled
""".strip().splitlines()


def logged(text: str) -> str:
    return f"[ 4489.064521] {text}"


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(n, t, id=f"{n}: {t[:50]}") for n, ts in FAULTY.items() for t in ts]
)
def test_a_fault_is_seen_for_what_it_is(name: str, text: str) -> None:
    assert (name, logged(text)) in faults([logged(text)])


def test_every_pattern_has_a_line() -> None:
    assert set(FAULTY) == set(FAULTS)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_lines_are_no_faults(text: str) -> None:
    assert faults([logged(text)]) == []


def test_faults_come_in_the_order_of_the_log() -> None:
    lines = [logged(t) for t in (ORDINARY[0], FAULTY["leak"][0], ORDINARY[1], FAULTY["oops"][2])]
    assert faults(lines) == [("leak", lines[1]), ("oops", lines[3])]


def test_a_line_is_counted_once() -> None:
    lines = [logged(text) for texts in FAULTY.values() for text in texts]
    assert [line for _, line in faults(lines)] == lines
