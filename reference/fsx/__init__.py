# SPDX-License-Identifier: GPL-2.0-or-later
"""Random operations on one file, what the file must then hold, and the smallest sequence that goes wrong.

See docs/fsx.md.
"""

from __future__ import annotations

from reference.fsx.check import FileUnderTest, Mismatch, check
from reference.fsx.file import ByteFile
from reference.fsx.generate import Mix, Random, generate
from reference.fsx.operation import Answer, Kind, Operation, listing, pattern
from reference.fsx.shrink import shrink

__all__ = [
    "Answer",
    "ByteFile",
    "FileUnderTest",
    "Kind",
    "Mismatch",
    "Mix",
    "Operation",
    "Random",
    "check",
    "generate",
    "listing",
    "pattern",
    "shrink",
]
