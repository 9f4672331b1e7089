# SPDX-License-Identifier: GPL-2.0-or-later
"""What the patch of 2010 says of itself: that direct reads are complete."""

from __future__ import annotations

from suites.claims.claim import Claim, Found
from suites.claims.direct_io_costs import MOST_REQUESTS, costs
from suites.claims.direct_io_design import CASES, by_design
from suites.claims.direct_io_recorded import by_kernel, recorded
from suites.claims.direct_io_speed import measured
from suites.claims.measure import Workbench

__all__ = ["FULL_READ"]


def _full_read(bench: Workbench) -> Found:
    bundles = bench.of_suite("direct_io")
    facts, design = by_design()
    records, failing = recorded(bundles)
    tables, plots = measured(bundles)
    if not records:
        return Found(tuple(facts), (design, *tables), tuple(plots))
    same, compared = costs(records)
    kernels = by_kernel(records, failing)
    return Found((*facts, same), (design, kernels, *compared, *tables), tuple(plots))


FULL_READ = Claim(
    id="direct-io/full-read",
    quotation="Btrfs: Full direct I/O and AIO read implementation.",
    author="jim owens",
    date="2010-01-19",
    source="Subject of the patch that adds fs/btrfs/dio.c, RFC 1/3 on linux-btrfs, line 1",
    takes="Reads of each kind of extent, synchronous and asynchronous, of which it is known whether they "
    "went past the page cache.",
    method="The models of the patch, as posted and with its defects corrected, read generated files; a "
    "read has to return all of its bytes, right ones, which the patch can do only directly. Then "
    "the design is made to read the files of recorded bundles by the requests recorded, and has to "
    "return what mainline's model does. Beside that: what recorded kernels did, from their records "
    "alone; what the same requests cost by the models; direct against buffered reads, measured.",
    real="What recorded kernels did; files and requests of the bundles; all that is measured by fio.",
    simulated="The patch, which was never merged: both of its models, and the costs. Nothing measured is "
    "of it.",
    constants=(
        (
            "generated cases",
            f"{CASES:,}, without those that read nothing or are misaligned",
        ),
        ("requests of each bundle", f"the first {MOST_REQUESTS:,}"),
        ("bios of 2010", "128 pages or 512 KiB"),
    ),
    rule="For each kind of extent, as designed and as posted: reproduced if every read is direct, complete"
    " and right. Reproduced for the recorded requests if none returns anything else. Partly where "
    "these differ.",
    measure=_full_read,
    deviations=(
        "2.6.33 had no lzo, no zstd, no RAID5 and RAID6, and neither has the patch.",
        "The patch reads in sectors of 512 bytes and refuses what is not (EINVAL); mainline reads that "
        "through the page cache.",
        "No kernel with the patch is to be had: what it would have measured cannot be measured.",
    ),
)
