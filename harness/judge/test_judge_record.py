# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge against simulated kernels: it must agree with an honest one, and with no other."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.bundle import Bundle, BundleWriter, Table
from harness.capture.checkpoints import Checkpoint, save_checkpoints
from harness.capture.records import Kind
from harness.judge.extent_state import Judgement, judge_record
from harness.judge.testing import Operation, SimulatedKernel
from harness.verdicts import Verdict
from reference.extent_state import LINUX_6_18, Behaviour
from reference.extent_state.testing import BEHAVIOURS, FOUND

NAMES = LINUX_6_18.names
LOCKED, DELALLOC, DIRTY, DEFRAG = (NAMES[n] for n in ("LOCKED", "DELALLOC", "DIRTY", "DEFRAG"))
BLOCK = 4096
TREE = 0x1000
WHOLE = 2**64 - 1


def bundle_of(kernel: SimulatedKernel, folder: Path, events: Table | None = None) -> Bundle:
    writer = BundleWriter(folder)
    writer.add_table("events.npz", kernel.events() if events is None else events)
    save_checkpoints(writer, kernel.checkpoints)
    bits = {f"EXTENT_{name}": value for name, value in NAMES.items()}
    features = [f"symbol:{name}" for name in FOUND[kernel.behaviour]]
    return writer.finish({"capture": {"bits": bits, "features": features}})


def judged(kernel: SimulatedKernel, folder: Path, events: Table | None = None) -> Judgement:
    return judge_record(bundle_of(kernel, folder, events))


def verdicts(judgement: Judgement) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in judgement.checks}


def random_task(rng: random.Random, count: int, tree: int = TREE) -> list[Operation]:
    operations = []
    for _ in range(count):
        start = rng.randrange(12) * BLOCK
        end = start + rng.randrange(1, 6) * BLOCK - 1
        kind = rng.choice([Kind.SET, Kind.SET, Kind.CLEAR, Kind.CONVERT])
        if kind == Kind.CONVERT:
            operations.append(Operation(kind, start, end, DIRTY, DELALLOC, tree))
        else:
            bits = rng.choice([LOCKED, DELALLOC, DIRTY, DEFRAG])
            operations.append(Operation(kind, start, end, bits, 0, tree))
    return operations


def random_kernel(
    seed: int,
    preemption: float,
    cached: float = 0.0,
    need_resched: bool = False,
    behaviour: Behaviour = Behaviour.linux_6_18,
) -> SimulatedKernel:
    rng = random.Random(seed)
    kernel = SimulatedKernel(seed, preemption, cached, need_resched, behaviour)
    kernel.run([random_task(rng, 25) for _ in range(3)])
    kernel.checkpoint("middle")
    kernel.run([random_task(rng, 10), random_task(rng, 10, 0x2000)])
    kernel.cached = 0
    kernel.release(TREE)
    kernel.checkpoint("released")
    return kernel


def dirty_file(blocks: int = 64) -> SimulatedKernel:
    """One task that locks, dirties and unlocks every other block, then cleans the first half."""
    kernel = SimulatedKernel(preemption=0)
    operations = []
    for block in range(0, blocks, 2):
        start, end = block * BLOCK, (block + 1) * BLOCK - 1
        for kind, bits in ((Kind.SET, LOCKED), (Kind.SET, DELALLOC), (Kind.CLEAR, LOCKED)):
            operations.append(Operation(kind, start, end, bits))
    kernel.run([operations])
    kernel.checkpoint("dirty")
    kernel.run([[Operation(Kind.CLEAR, 0, blocks // 2 * BLOCK - 1, DELALLOC)]])
    kernel.checkpoint("half clean")
    return kernel


@pytest.mark.parametrize("seed", range(25))
def test_an_honest_kernel_passes(tmp_path: Path, seed: int) -> None:
    kernel = random_kernel(seed, preemption=0)
    judgement = judged(kernel, tmp_path / "b")
    del (found := verdicts(judgement))["locks"]
    assert set(found.values()) == {Verdict.PASS}
    assert [check.compared for check in judgement.checks[:2]] == [
        sum(row[10] <= Kind.CONVERT for row in kernel.rows),
        sum(row[10] == Kind.ALLOC for row in kernel.rows),
    ]
    assert judgement.record.outcome.releases == 1
    assert judgement.record.outcome.failed_start


by_behaviour = pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)


@by_behaviour
def test_each_kernel_is_judged_by_its_own_behaviour(tmp_path: Path, behaviour: Behaviour) -> None:
    for seed in range(5):
        judgement = judged(random_kernel(seed, 0, behaviour=behaviour), tmp_path / str(seed))
        assert judgement.record.behaviour == behaviour
        del (found := verdicts(judgement))["locks"]
        assert set(found.values()) == {Verdict.PASS}
        assert judgement.checks[0].detail == f"judged as {behaviour.name}"


@by_behaviour
def test_a_kernel_judged_by_another_behaviour_differs(tmp_path: Path, behaviour: Behaviour) -> None:
    kernels = [random_kernel(seed, 0, behaviour=behaviour) for seed in range(6)]
    # The locks of a 5.10 that asks for nothing else with them are those of a 6.1.
    same = {Behaviour.linux_5_10, Behaviour.linux_6_1}
    for other in BEHAVIOURS:
        found = set()
        for number, kernel in enumerate(kernels):
            bundle = bundle_of(replace(kernel, behaviour=other), tmp_path / other.name / str(number))
            found.add(verdicts(judge_record(bundle, search=False))["operations"])
        alike = other == behaviour or {other, behaviour} == same
        assert (Verdict.FAIL in found) != alike, other.name


def test_another_order_of_contending_operations_is_found(tmp_path: Path) -> None:
    """Tasks preempted between allocation and lock: then the allocations stand in another order."""
    found = [judged(random_kernel(seed, 0.02), tmp_path / str(seed)) for seed in range(40)]
    wrong = [j for j in found if verdicts(j)["operations"] is not Verdict.PASS]
    resolved = sum(j.record.reordering.resolved for j in found)
    assert resolved >= 10
    assert len(wrong) <= 3, "the search has become weaker"


def test_an_operation_can_drop_the_lock_in_its_middle(tmp_path: Path) -> None:
    """A kernel that is always asked to reschedule: what others do then stands in the middle of operations."""
    found = [judged(random_kernel(seed, 0.02, 0, True), tmp_path / str(seed)) for seed in range(40)]
    assert sum(j.record.reordering.resolved for j in found) >= 10
    assert sum(verdicts(j)["operations"] is Verdict.FAIL for j in found) <= 4


def pinning_kernel(seed: int) -> SimulatedKernel:
    """Tasks that set neighbouring blocks, as frees of a transaction do: ranges meet only in merges."""
    rng = random.Random(seed)
    kernel = SimulatedKernel(seed, 0.3)
    tasks: list[list[Operation]] = [[], [], []]
    for block in range(120):
        rng.choice(tasks).append(Operation(Kind.SET, block * BLOCK, (block + 1) * BLOCK - 1, DIRTY))
    kernel.run(tasks)
    kernel.checkpoint("pinned")
    return kernel


def test_operations_that_meet_in_merges_only_can_be_exchanged(tmp_path: Path) -> None:
    found = [judged(pinning_kernel(seed), tmp_path / str(seed)) for seed in range(40)]
    assert sum(j.record.reordering.resolved for j in found) >= 20
    assert {verdicts(j)["operations"] for j in found} == {Verdict.PASS}


def test_who_waits_long_for_the_lock_is_not_tried_at_every_turn(tmp_path: Path) -> None:
    """One is overtaken by two thousand operations, of which a single one makes a difference to it."""
    kernel = SimulatedKernel(preemption=0)
    held, last = (10, LOCKED | DELALLOC), (5000, DELALLOC)
    kernel.run([[Operation(Kind.SET, n * BLOCK, (n + 1) * BLOCK - 1, bits) for n, bits in (held, last)]])
    waiting = kernel.task(7, [Operation(Kind.CLEAR, 10 * BLOCK, 11 * BLOCK - 1, LOCKED)])
    next(waiting), next(waiting)
    elsewhere = [(kind, 100 + n) for n in range(500) for kind in (Kind.SET, Kind.CLEAR)]
    neighbour = (Kind.SET, 9)
    blocks = [*elsewhere, neighbour, *elsewhere]
    kernel.run([[Operation(kind, n * BLOCK, (n + 1) * BLOCK - 1, DELALLOC) for kind, n in blocks]])
    for _ in waiting:
        pass
    kernel.checkpoint("merged")
    judgement = judged(kernel, tmp_path / "b")
    assert verdicts(judgement)["operations"] is Verdict.PASS
    assert judgement.record.reordering.resolved == 1


def test_cached_references_do_not_mislead_the_search(tmp_path: Path) -> None:
    """A state erased by one task is freed by another, even before the first shows that it had the lock."""
    found = [judged(random_kernel(seed, 0.02, 0.3), tmp_path / str(seed)) for seed in range(40)]
    assert sum(j.record.reordering.resolved for j in found) >= 10
    assert sum(verdicts(j)["operations"] is not Verdict.PASS for j in found) <= 4


def test_an_impossible_order_is_not_accepted(tmp_path: Path) -> None:
    """Without contention there is no other order, whatever it would explain."""
    kernel = dirty_file()
    events = kernel.events()
    one, other = np.flatnonzero(events["bits"] == DELALLOC)[[3, 4]]
    for column in ("start", "len"):
        events[column][[one, other]] = events[column][[other, one]]
    judgement = judged(kernel, tmp_path / "b", events)
    assert verdicts(judgement)["operations"] is Verdict.FAIL
    assert judgement.record.reordering.resolved == 0


def shifted(events: Table) -> None:
    victim = np.flatnonzero(events["bits"] == DELALLOC)[5]
    events["start"][victim] += BLOCK


def shortened(events: Table) -> None:
    victim = np.flatnonzero(events["bits"] == DELALLOC)[-1]
    events["len"][victim] -= 2 * BLOCK


def other_bits(events: Table) -> None:
    events["bits"][np.flatnonzero(events["bits"] == DELALLOC)[5]] = DIRTY


def other_kind(events: Table) -> None:
    events["kind"][np.flatnonzero((events["kind"] == Kind.CLEAR) & (events["bits"] == LOCKED))[4]] = Kind.SET


def swapped_frees(events: Table) -> None:
    frees = np.flatnonzero(events["kind"] == Kind.FREE)[[10, 20]]
    events["ptr"][frees] = events["ptr"][frees[::-1]]


@pytest.mark.parametrize("edit", [shifted, shortened, other_bits, other_kind, swapped_frees])
def test_a_record_that_differs_fails(tmp_path: Path, edit: Callable[[Table], None]) -> None:
    kernel = dirty_file()
    events = kernel.events()
    edit(events)
    judgement = judged(kernel, tmp_path / "b", events)
    failed = [check for check in judgement.checks if check.verdict is Verdict.FAIL]
    assert failed
    assert all(check.wrong for check in failed)
    first = failed[0].first_difference
    assert first is not None
    assert first.summary
    assert first.kernel


@pytest.mark.parametrize(
    ("column", "value"), [("ptr", 0xDEAD00), ("start", 4095), ("end", 4096), ("bits", DIRTY)]
)
def test_a_checkpoint_that_differs_fails(tmp_path: Path, column: str, value: int) -> None:
    kernel = dirty_file()
    rows = kernel.checkpoints[0].trees[0].states
    rows[column][7] = value
    judgement = judged(kernel, tmp_path / "b")
    assert verdicts(judgement)["checkpoints"] is Verdict.FAIL
    first = judgement.checks[-1].first_difference
    assert first is not None
    assert "after 7 equal states" in first.summary
    assert verdicts(judgement)["operations"] is Verdict.PASS


def test_a_tree_that_is_gone_must_have_been_empty(tmp_path: Path) -> None:
    kernel = dirty_file()
    checkpoint = kernel.checkpoints[0]
    gone = replace(checkpoint.trees[0], gone=True, states=checkpoint.trees[0].states[:0])
    kernel.checkpoints[0] = replace(checkpoint, trees=(gone,))
    assert verdicts(judged(kernel, tmp_path / "b"))["checkpoints"] is Verdict.FAIL


def test_an_invalid_checkpoint_is_no_evidence(tmp_path: Path) -> None:
    kernel = dirty_file()
    kernel.checkpoints[1] = Checkpoint("noisy", len(kernel.rows), 0, False, "never quiet", ())
    check = judged(kernel, tmp_path / "b").checks[-1]
    assert (check.verdict, check.wrong) == (Verdict.UNDECIDED, 0)
    assert "never quiet" in check.detail


def test_nothing_compared_is_no_pass(tmp_path: Path) -> None:
    kernel = SimulatedKernel()
    events = {name: column[:0] for name, column in dirty_file().events().items()}
    judgement = judged(kernel, tmp_path / "b", events)
    assert set(verdicts(judgement).values()) == {Verdict.UNDECIDED}


def test_a_wrapped_length_is_the_whole_range(tmp_path: Path) -> None:
    kernel = SimulatedKernel()
    kernel.run([[Operation(Kind.SET, 0, BLOCK - 1, DIRTY), Operation(Kind.CLEAR, 0, WHOLE, DIRTY)]])
    kernel.checkpoint("empty")
    assert kernel.rows[3][3] == 0
    judgement = judged(kernel, tmp_path / "b")
    assert verdicts(judgement)["operations"] is Verdict.PASS
    assert verdicts(judgement)["checkpoints"] is Verdict.PASS


def lock_pair() -> SimulatedKernel:
    """One task holds [2, 3] when another asks for [0, 3]: it gets [0, 1], fails, gives back and repeats."""
    kernel = SimulatedKernel(preemption=0)
    kernel.run([[Operation(Kind.SET, 2 * BLOCK, 4 * BLOCK - 1, LOCKED)]])
    wanted = Operation(Kind.SET, 0, 4 * BLOCK - 1, LOCKED)
    kernel.run([[wanted]])
    kernel.run([[Operation(Kind.CLEAR, 2 * BLOCK, 4 * BLOCK - 1, LOCKED)]])
    kernel.run([[wanted]])
    kernel.checkpoint("locked")
    return kernel


def test_a_failed_lock_is_seen_by_what_it_gives_back(tmp_path: Path) -> None:
    kernel = lock_pair()
    judgement = judged(kernel, tmp_path / "b")
    assert set(verdicts(judgement).values()) == {Verdict.PASS}
    assert list(judgement.record.outcome.failed_start.values()) == [2 * BLOCK]


def test_a_lock_that_fails_elsewhere_differs(tmp_path: Path) -> None:
    """The kernel gives back one block only: it must have failed there, where the model finds no lock."""
    kernel = lock_pair()
    events = kernel.events()
    back = np.flatnonzero(events["kind"] == Kind.CLEAR)[0]
    events["len"][back] = BLOCK
    assert verdicts(judged(kernel, tmp_path / "b", events))["locks"] is Verdict.FAIL


def test_a_lock_that_the_model_gets_must_not_be_repeated(tmp_path: Path) -> None:
    """A task repeats a lock that nobody held: the kernel must have refused it."""
    kernel = SimulatedKernel(preemption=0)
    kernel.run([[Operation(Kind.SET, 0, BLOCK - 1, LOCKED)] * 2])
    assert verdicts(judged(kernel, tmp_path / "b"))["locks"] is Verdict.FAIL


def test_a_lock_that_waits_for_a_cpu_holds_nothing_yet(tmp_path: Path) -> None:
    """A task enters a lock and is rescheduled; another locks twice, as its read's end gave back the first."""
    kernel = SimulatedKernel(preemption=0)
    waits = kernel.task(100, [Operation(Kind.SET, 0, 4 * BLOCK - 1, LOCKED)])
    next(waits)
    page = Operation(Kind.SET, BLOCK, 2 * BLOCK - 1, LOCKED)
    reads = kernel.task(101, [page, page, replace(page, kind=Kind.CLEAR)])
    while len(kernel.trees.get(page.tree, ())) == 0:
        next(reads)
    kernel.run([[], [], [replace(page, kind=Kind.CLEAR)]])
    for _ in (*reads, *waits):
        pass
    kernel.checkpoint("locked")
    assert set(verdicts(judged(kernel, tmp_path / "b")).values()) == {Verdict.PASS}


def continued_lock(rest: int, behaviour: Behaviour) -> SimulatedKernel:
    """One task holds [2, 3] when another asks for [0, 3]: it gets [0, 1], waits, and asks for the rest."""
    kernel = SimulatedKernel(preemption=0, behaviour=behaviour)
    kernel.run([[Operation(Kind.SET, 2 * BLOCK, 4 * BLOCK - 1, LOCKED)]])
    wanted = Operation(Kind.SET, 0, 4 * BLOCK - 1, LOCKED)
    waits = kernel.task(100, [wanted])
    for _ in ("entered", "allocated", "refused", "freed"):
        next(waits)
    kernel.run([[], [Operation(Kind.CLEAR, 2 * BLOCK, 4 * BLOCK - 1, LOCKED)]])
    kernel.run([[replace(wanted, start=rest * BLOCK)]])
    kernel.checkpoint("locked")
    return kernel


def test_older_kernels_keep_what_they_locked_and_ask_for_the_rest(tmp_path: Path) -> None:
    for rest, behaviour, expected in (
        (2, Behaviour.linux_5_10, Verdict.PASS),
        (2, Behaviour.linux_6_1, Verdict.FAIL),
        (3, Behaviour.linux_5_10, Verdict.FAIL),
    ):
        judgement = judged(continued_lock(rest, behaviour), tmp_path / f"{rest}-{behaviour.name}")
        assert verdicts(judgement)["locks"] is expected
        assert 2 * BLOCK in judgement.record.outcome.failed_start.values()


def test_a_rest_that_was_not_refused_must_not_be_repeated(tmp_path: Path) -> None:
    """A task that got its lock asks for the end of it once more."""
    kernel = SimulatedKernel(preemption=0, behaviour=Behaviour.linux_5_10)
    kernel.run([[Operation(Kind.SET, first * BLOCK, 4 * BLOCK - 1, LOCKED) for first in (0, 2)]])
    assert verdicts(judged(kernel, tmp_path / "b"))["locks"] is Verdict.FAIL


def test_what_is_set_with_a_lock_is_none_on_older_kernels(tmp_path: Path) -> None:
    for behaviour, compared in ((Behaviour.linux_5_10, 1), (Behaviour.linux_6_1, 2)):
        kernel = SimulatedKernel(preemption=0, behaviour=behaviour)
        kernel.run([[Operation(Kind.SET, 0, BLOCK - 1, bits) for bits in (LOCKED, LOCKED | DIRTY)]])
        kernel.checkpoint("set")
        judgement = judged(kernel, tmp_path / behaviour.name)
        assert next(c.compared for c in judgement.checks if c.name == "locks") == compared
        assert len(judgement.record.outcome.failed_start) == compared - 1


def unlock_too_late(kernel: SimulatedKernel) -> None:
    """The unlock allocated first but got the tree lock last, so the lock was refused once: no state tells."""
    whole = Operation(Kind.SET, 0, BLOCK - 1, LOCKED)
    kernel.run([[Operation(Kind.SET, 0, BLOCK - 1, DIRTY), whole]])
    unlock = kernel.task(1, [Operation(Kind.CLEAR, 0, BLOCK - 1, LOCKED)])
    lock = kernel.task(2, [whole, whole])
    for _ in ("entered", "allocated"):
        next(unlock)
    for _ in ("entered", "allocated", "refused", "freed"):
        next(lock)
    list(unlock)
    list(lock)


def meet_own_lock(kernel: SimulatedKernel, *, given_back: bool) -> None:
    """A task locks a block for a read, and again before the end of the read, another task, unlocks it."""
    start, end = 8 * BLOCK, 9 * BLOCK - 1
    whole = Operation(Kind.SET, start, end, LOCKED)
    kernel.run([[Operation(Kind.SET, start, end, DIRTY)]])
    reader = kernel.task(3, [whole, whole, whole])
    for _ in range(2 * len(("entered", "allocated", "got it, then refused", "freed"))):
        next(reader)
    if given_back:
        list(kernel.task(4, [Operation(Kind.CLEAR, start, end, LOCKED)]))
    list(reader)


def test_an_unlock_that_came_too_late_is_seen_by_the_repetition(tmp_path: Path) -> None:
    kernel = SimulatedKernel(preemption=0)
    unlock_too_late(kernel)
    kernel.checkpoint("locked")
    judgement = judged(kernel, tmp_path / "b")
    assert set(verdicts(judgement).values()) == {Verdict.PASS}
    assert judgement.record.reordering.resolved == 1


def test_a_task_may_wait_for_a_lock_of_its_own(tmp_path: Path) -> None:
    """So it does after a page fault: what ends a read unlocks the page first, the range after it."""
    kernel = SimulatedKernel(preemption=0)
    meet_own_lock(kernel, given_back=True)
    kernel.checkpoint("locked")
    judgement = judged(kernel, tmp_path / "b")
    assert set(verdicts(judgement).values()) == {Verdict.PASS}
    assert len(judgement.record.outcome.failed_start) == 1
    assert judgement.record.reordering.resolved == 0


def test_a_task_may_wait_for_its_own_lock_where_the_order_is_searched(tmp_path: Path) -> None:
    kernel = SimulatedKernel(preemption=0)
    meet_own_lock(kernel, given_back=True)
    unlock_too_late(kernel)
    kernel.checkpoint("locked")
    judgement = judged(kernel, tmp_path / "b")
    assert set(verdicts(judgement).values()) == {Verdict.PASS}
    assert judgement.record.reordering.resolved == 1


def test_a_lock_that_nobody_gives_back_is_not_got_by_repeating(tmp_path: Path) -> None:
    """The last repetition must have succeeded, so the set that the model lets succeed did not."""
    kernel = SimulatedKernel(preemption=0)
    meet_own_lock(kernel, given_back=False)
    assert verdicts(judged(kernel, tmp_path / "b"))["locks"] is Verdict.FAIL


def test_several_allocations_in_one_operation(tmp_path: Path) -> None:
    kernel = SimulatedKernel(preemption=0)
    holes = [Operation(Kind.SET, block * BLOCK, (block + 1) * BLOCK - 1, DIRTY) for block in range(0, 40, 4)]
    kernel.run([[*holes, Operation(Kind.SET, BLOCK // 2, 40 * BLOCK - 1, LOCKED)]])
    kernel.checkpoint("locked")
    judgement = judged(kernel, tmp_path / "b")
    assert set(verdicts(judgement).values()) == {Verdict.PASS}
    assert max(len(states) for states in judgement.record.steps.several.values()) > 10
