# SPDX-License-Identifier: GPL-2.0-or-later
"""What the same reads cost in 2010's design and in mainline: `python -m benchmarks.direct_io_cost`.

By the models: bios and bytes of devices; bytes that the CPU writes to the user's memory (zeroes, inflated,
copied); bytes that go through the page cache, which mainline copies too. Pages of a bio: 128. Prints a table
for docs/direct-io.md.
"""

from __future__ import annotations

from reference.direct_io.mainline import Behaviour, How
from reference.direct_io.rfc_2010 import Behaviour as Behaviour2010
from reference.direct_io.run import run
from reference.direct_io.source import IoVec
from reference.direct_io.synthetic import BLOCK, Case, ChunkSpec, DiskSpec, ExtentSpec, build
from reference.direct_io.synthetic_mainline import reader_of
from reference.ondisk import BlockGroupFlag

__all__ = ["main", "table"]

MEMORY = 0x100000
MIB = 1 << 20
RAID0 = (ChunkSpec(BlockGroupFlag.RAID0, (1, 2, 3, 4)),)
RAID1 = (ChunkSpec(BlockGroupFlag.RAID1, (1, 2)),)
DISKS = (DiskSpec(),) * 4


def _read(*extents: ExtentSpec, length: int, offset: int = 0, chunks: tuple[ChunkSpec, ...] = ()) -> Case:
    return Case(extents, chunks or (ChunkSpec(),), DISKS, offset=offset, iov=(IoVec(MEMORY, length),))


CASES = {
    "1 MiB, plain, single": _read(ExtentSpec("plain", 256), length=MIB),
    "1 MiB, plain, RAID1": _read(ExtentSpec("plain", 256), length=MIB, chunks=RAID1),
    "1 MiB, plain, RAID0 of 4": _read(ExtentSpec("plain", 256), length=MIB, chunks=RAID0),
    "4 KiB, plain": _read(ExtentSpec("plain", 256), length=BLOCK),
    "4 KiB at 512, plain": _read(ExtentSpec("plain", 256), length=BLOCK, offset=512),
    "512 bytes at 512, plain": _read(ExtentSpec("plain", 256), length=512, offset=512),
    "1 MiB of a hole": _read(ExtentSpec("hole", 256), length=MIB),
    "1 MiB, zlib": _read(*(ExtentSpec("zlib", 32, content=n) for n in range(8)), length=MIB),
    "4 KiB of a zlib extent of 128 KiB": _read(ExtentSpec("zlib", 32), length=BLOCK, offset=16 * BLOCK),
    "1 MiB, plain but for a zlib extent in front": _read(
        ExtentSpec("zlib", 1), ExtentSpec("plain", 255), length=MIB
    ),
}
"""The reads, by what they are."""


def _row(name: str, case: Case) -> str:
    done = run(case, Behaviour2010.corrected)
    bios = done.kernel.submitted
    old = f"{len(bios)} | {sum(bio.length for bio in bios):,} | {done.kernel.copied:,}"
    told = {kernel: reader_of(build(case), kernel).read(case.request) for kernel in (_NEW, _OLD)}
    new = told[_NEW]
    buffered = sum(part.end - part.start for part in new.parts if part.how is How.BUFFERED)
    zeroed = sum(part.end - part.start for part in new.parts if part.how is How.HOLE)
    direct = {
        kernel: [part.bio.length for part in one.submitted[: one.submitted_directly]]
        for kernel, one in told.items()
    }
    read = sum(direct[_NEW])
    counts = f"{len(direct[_NEW])} ({len(direct[_OLD])})"
    return f"| {name} | {old} | {counts} | {read:,} | {zeroed:,} | {buffered:,} |"


_NEW, _OLD = Behaviour.linux_6_18, Behaviour.linux_5_10
HEAD = """| read | 2010: bios | read | by the CPU | 6.18 (5.10): bios | read | zeroed | buffered |
|---|---:|---:|---:|---:|---:|---:|---:|"""


def table() -> str:
    """Return the table, in Markdown."""
    return "\n".join([HEAD, *(_row(name, case) for name, case in CASES.items())])


def main() -> None:
    """Print the table."""
    print(table())


if __name__ == "__main__":
    main()
