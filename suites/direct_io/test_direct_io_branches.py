# SPDX-License-Identifier: GPL-2.0-or-later
"""Every branch of the model of 2010 is taken both ways by cases that a judge looked at."""

from __future__ import annotations

import importlib
from pathlib import Path

import reference.direct_io.mapping
import reference.direct_io.rfc_2010
from reference.direct_io import test_dio_rules as rules
from reference.direct_io.rfc_2010 import Behaviour
from reference.direct_io.run import judge
from reference.direct_io.testing import Branches, case_of
from suites.direct_io import defects

BY_HAND = (
    rules.test_a_compressed_extent_must_fit_in_a_control_block,
    rules.test_a_checksum_leaf_that_cannot_be_read,
    rules.test_a_tail_that_a_device_refuses,
    rules.test_inline_data_without_memory_for_them,
    rules.test_behind_inline_data_the_file_is_zeroes_and_as_posted_an_error,
    rules.test_a_copy_that_cannot_be_read_again_is_passed_over,
    rules.test_a_failed_bio_of_less_than_a_block_and_as_posted_it_never_ends,
    rules.test_a_missing_copy_is_passed_over_and_as_posted_an_oops,
    rules.test_a_stream_that_its_extent_cuts_off,
    rules.test_a_user_page_that_was_released_too_often,
    rules.test_a_bio_has_room_for_so_many_vectors,
    rules.test_what_was_given_back_can_be_given_back_with_more,
    rules.test_memory_behind_the_request_is_never_asked_for,
    rules.test_alignment_is_asked_of_each_vector_but_the_end_of_the_last,
)
"""What few random cases come to, and guards that nothing in the patch sets off."""


def test_every_branch_is_taken() -> None:
    folder = Path(str(reference.direct_io.rfc_2010.__file__)).parent
    names = (path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    modules = [importlib.import_module(f"reference.direct_io.rfc_2010.{name}") for name in names]
    branches = Branches([*modules, reference.direct_io.mapping])
    assert len(branches.missing) > 200
    with branches.watched():
        for number in range(300):
            judge(case_of(number), Behaviour.corrected)
        for defect, case, _ in defects.recorded():
            judge(case, Behaviour.corrected)
            judge(case, Behaviour.corrected.having(*defects.NEEDS.get(defect.name, ()), defect.name))
        for count in range(1, 14):
            for kind in ("plain", "zlib", "inline-zlib"):
                rules.test_any_allocation_may_fail(kind, count)
            rules.test_any_allocation_of_a_split_may_fail(count)
        for found, error in ((None, -33), (-5, -5)):
            rules.test_an_inline_item_that_is_gone(found, error)
        for test in BY_HAND:
            test()
    assert not branches.missing, ", ".join(sorted(branches.missing))
