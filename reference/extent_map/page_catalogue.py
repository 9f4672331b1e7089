# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds each defect of the page half by itself, and shrinks what shows it.

Random operations on one file (page_hunt.py) find those that one task alone runs into, the explorer those that
take two (page_scenes.py). A defect is hunted with all others corrected. Nothing here says how a defect shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.defects import Defect
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.page_file import Completions, Faults, PageCacheFile, Setting
from reference.extent_map.page_hunt import Failure, hunt
from reference.extent_map.page_scenes import DIRECT_SCENES, SCENES, DirectScene, Scene
from reference.fsx import ByteFile, Kind, Mix, Operation, Random, generate, listing, shrink
from reference.machine import Found, explore, render
from reference.machine import shrink as shrink_schedule

__all__ = ["Evidence", "find", "hunt_alone", "random_trial", "search_scenes"]

T = TypeVar("T")
RandomOf = Callable[[int], Random]
"""`random.Random`: a seed's random numbers. Models have none of their own."""

WEIGHTS = {
    Kind.READ: 8,
    Kind.MAP_READ: 3,
    Kind.WRITE: 14,
    Kind.MAP_WRITE: 7,
    Kind.TRUNCATE: 8,
    Kind.FSYNC: 4,
    Kind.INVALIDATE: 6,
    Kind.REMOUNT: 1,
}
COLD = {Kind.READ: 3, Kind.WRITE: 4, Kind.INVALIDATE: 3}
"""Where little stays in the cache."""
MIXES = (
    Mix(weights=WEIGHTS, max_size=12288, max_length=5000),
    Mix(weights=WEIGHTS, max_size=12288, max_length=5120, align=512),
    Mix(weights=COLD, max_size=8192, max_length=4096, align=512),
)
"""Two or three pages: small files make neighbours meet. Half blocks make their edges meet."""
assert set(WEIGHTS) == set(PageCacheFile.KINDS)

OPERATIONS = 40
"""Of one trial."""

NEEDS = {"read_does_not_split_lock": ("set_without_prealloc", "clear_without_prealloc")}
"""Defects of the trees without which one of the pages does no harm: a completion that allocates a state."""

NARROW_LONG = 13
"""Bits of an unsigned long where `index_shifts_in_long` is hunted: it wraps at 8 KiB instead of at 4 GiB."""


WHERE: Mapping[str, int | str] = {
    "read_locks_inverted_range": "read, cut and extend",
    "read_ignores_blocks_past_eof": 4,
    "read_zeroes_after_submitting": "read, append",
    "read_zeroes_by_offset_of_eof": "read, empty and extend",
    "read_rereads_dirty_blocks": 1456,
    "read_does_not_split_lock": 4,
    "read_unlocks_without_check": 24,
    "read_error_keeps_lock": 55,
    "write_locks_up_to_eof": "write back, cut",
    "write_sets_writeback_late": 8,
    "write_sets_writeback_everywhere": 4,
    "write_sets_writeback_by_block": "write back, fsync",
    "write_asks_extent_dirty": 6,
    "write_does_not_allocate": 9,
    "write_writes_blocks_never_read": 4,
    "write_marks_all_uptodate": 4,
    "write_leaves_extent_new": 12,
    "write_swallows_errors": 8,
    "end_io_checks_unlocked": "read on two CPUs",
    "write_error_not_recorded": 76,
    "write_error_drops_data": 23,
    "prepare_block_end_wraps": 6,
    "prepare_looks_at_first_block": 306,
    "prepare_reads_to_page_start": 26,
    "prepare_adds_up_offsets": 26,
    "prepare_locks_whole_page": 4,
    "prepare_returns_0_on_error": 59,
    "prepare_error_keeps_lock": 2,
    "prepare_ignores_read_errors": 74,
    "prepare_marks_uptodate_early": "read, overwrite",
    "prepare_error_leaves_new_blocks": 198,
    "invalidate_splits_block": 13,
    "release_spins": "read, drop its neighbour",
    "release_keeps_mapping": "read, drop its neighbour and cut",
    "release_uses_freed_mapping": "read, drop its neighbour",
    "release_ignores_lost_race": "drop, drop",
    "unlock_range_keeps_references": "lock_range and unlock_range",
    "failed_lock_range_keeps_references": "lock_range without memory",
    "lock_range_ignores_failure": "lock_range without memory for states",
    "index_shifts_in_long": 4,
    "get_extent_takes_holes": 9,
    "get_extent_takes_later": 1,
    "get_extent_marks_request_new": 41,
    "get_extent_retry_is_short": "two look-ups of one block, and a release",
    "get_extent_leaks_on_race": "two look-ups of one block",
    "get_extent_without_memory": 2,
    "partial_invalidate_releases": 13,
    "dirties_as_buffers": 0,
    "truncates_as_buffers": 4,
    "truncate_marks_page_uptodate": 8,
}
"""The seed or the scene that showed a defect when all were looked for. Saves the search, not the finding."""


@dataclass(frozen=True)
class Evidence:
    """A defect that was found."""

    defect: Defect
    finding: str
    """What is wrong, in one line."""
    reproducer: tuple[str, ...]
    """Lines: the surroundings and the operations, or the schedule."""


def find(defect: Defect, random_of: RandomOf, trials: int = 4000) -> Evidence | None:
    """Return what shows `defect`, shrunk; None if neither the scenes nor `trials` random trials show it.

    Looks first where it was found before (WHERE).
    """
    where = WHERE.get(defect.name)
    if isinstance(where, int):
        found = hunt_alone(defect, random_of, range(where, where + 1))
    else:
        found = search_scenes(defect, where)
    return found or hunt_alone(defect, random_of, range(trials)) or search_scenes(defect)


def hunt_alone(defect: Defect, random_of: RandomOf, seeds: Iterable[int]) -> Evidence | None:
    """Hunt `defect` with one task, once for each of `seeds`."""
    pages = PageBehaviour.corrected.having(defect.name)
    trees = Behaviour.corrected_rbtree.having(*NEEDS.get(defect.name, ()))
    bits = NARROW_LONG if defect.name == "index_shifts_in_long" else 64
    for seed in seeds:
        setting, failure = random_trial(random_of(seed), trees, pages, bits)
        if failure is not None:
            return _shrunk(defect, setting, failure)
    return None


def random_trial(
    rng: Random, trees: Behaviour, pages: PageBehaviour, bits_per_long: int = 64
) -> tuple[Setting, Failure | None]:
    """Execute random operations in a random setting; return it and what went wrong, or None."""
    setting = Setting(
        trees,
        pages,
        block_size=_one_of(rng, (1024, 1024, 2048, 4096)),
        blocks=_one_of(rng, (64, 64, 64, 10, 6, 4)),
        completions=_one_of(rng, tuple(Completions)),
        faults=_faults(rng),
        bits_per_long=bits_per_long,
    )
    return setting, hunt(setting, tuple(_operations(rng)))


def search_scenes(defect: Defect, name: str | None = None, max_states: int = 1500) -> Evidence | None:
    """Look for `defect` in the scene `name`, or in one after the other; up to `max_states` states each."""
    pages = PageBehaviour.corrected.having(defect.name)
    for scene in (*DIRECT_SCENES, *SCENES):
        if name not in (None, scene.name):
            continue
        scenario = scene.scenario(Behaviour.corrected_rbtree, pages)
        found = explore(scenario, max_states=max_states).found
        if found:
            best = shrink_schedule(scenario, min(found, key=_cost))
            return Evidence(defect, str(best.finding), _told(scene, render(scenario, best)))
    return None


def _operations(rng: Random) -> Iterator[Operation]:
    model = ByteFile()
    operations = generate(_one_of(rng, MIXES), rng, model)
    for _ in range(OPERATIONS):
        operation = next(operations)
        model.execute(operation)
        yield operation


def _faults(rng: Random) -> Faults:
    number = 1 + int(rng.random() ** 2 * 20)
    kinds = (
        Faults(),
        Faults(read=number),
        Faults(write=number),
        Faults(lookup=number),
        Faults(mapping=number),
    )
    return _one_of(rng, kinds)


def _shrunk(defect: Defect, setting: Setting, failure: Failure) -> Evidence:
    def same(operations: object) -> bool:
        assert isinstance(operations, list)
        other = hunt(setting, operations)
        return other is not None and other.kind == failure.kind

    operations = shrink(failure.operations, lambda operations: same(list(operations)), tries=400)
    again = hunt(setting, operations)
    assert again is not None
    return Evidence(defect, str(again), (_surroundings(setting), *listing(operations)))


def _surroundings(setting: Setting) -> str:
    faults = setting.faults
    words = [f"blocks of {setting.block_size} bytes", f"bios done {setting.completions}"]
    if setting.blocks < 20:
        words.append(f"a disk of {setting.blocks} blocks")
    for what, number in (
        ("read", faults.read),
        ("write", faults.write),
        ("look-up of a block", faults.lookup),
        ("extent_map", faults.mapping),
    ):
        if number:
            words.append(f"{what} number {number} fails")
    return ", ".join(words)


def _told(scene: Scene | DirectScene, schedule: str) -> tuple[str, ...]:
    lines = [f"scene: {scene.name}"]
    if isinstance(scene, Scene):
        lines += [f"before: {operation}" for operation in scene.before]
        for name, operations in zip("ABC", scene.tasks, strict=False):
            lines.append(f"{name}: {', '.join(map(str, operations))}")
    return (*lines, *schedule.splitlines()[1:])


def _one_of(rng: Random, choices: tuple[T, ...]) -> T:
    return choices[int(rng.random() * len(choices))]


def _cost(found: Found) -> tuple[int, int]:
    return found.cost
