# SPDX-License-Identifier: GPL-2.0-or-later
"""The direct read that was posted on 19 January 2010 ("Full direct I/O and AIO read implementation").

fs/btrfs/dio.c of the patch, function by function: see docs/direct-io.md.
"""

from __future__ import annotations

from reference.direct_io.rfc_2010.behaviour import DEFECTS, Behaviour
from reference.direct_io.rfc_2010.control import EIOCBQUEUED, btrfs_direct_IO
from reference.direct_io.rfc_2010.defects import Defect
from reference.direct_io.rfc_2010.invariants import check_always, check_end
from reference.direct_io.rfc_2010.kernel import Faults, Kernel, SubmittedBio
from reference.direct_io.rfc_2010.memory import PAGE_SIZE, UNTOUCHED, UserMemory
from reference.direct_io.rfc_2010.structs import Limits

__all__ = [
    "DEFECTS",
    "EIOCBQUEUED",
    "PAGE_SIZE",
    "UNTOUCHED",
    "Behaviour",
    "Defect",
    "Faults",
    "Kernel",
    "Limits",
    "SubmittedBio",
    "UserMemory",
    "btrfs_direct_IO",
    "check_always",
    "check_end",
]
