# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations on one file of the modelled stack, in which one thing may fail, held against a file of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar

from reference.bugs.reproducer import Catch, Random, Shown, shown
from reference.bugs.version import Version
from reference.extent_map.page_file import OUTAGE, Completions, Faults, PageCacheFile, Setting
from reference.extent_map.page_hunt import hunt as try_operations
from reference.fsx import ByteFile, Kind, Mix, Operation, generate, shrink
from reference.machine import Finding

__all__ = ["Operations", "hunt", "operation_of", "random_operations"]

T = TypeVar("T")

OPERATIONS = 40
"""Of one trial."""
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
COLD = {Kind.READ: 3, Kind.WRITE: 3, Kind.INVALIDATE: 4}
"""Where little stays in the cache."""
MIXES = (
    Mix(weights=WEIGHTS, max_size=12288, max_length=5000),
    Mix(weights=WEIGHTS, max_size=12288, max_length=5120, align=512),
    Mix(weights=COLD, max_size=8192, max_length=4096, align=512),
    Mix(weights=COLD, max_size=4096, max_length=4096, align=512),
)
"""Up to three pages: small files make neighbours meet. Half blocks make their edges meet."""
SHRINKING = 600
"""How many shorter or simpler sequences are tried."""
LONGS = (64, 64, 64, 64, 64, 13)
"""Bits of an unsigned long; with 13, page->index << PAGE_CACHE_SHIFT wraps at 8 KiB instead of at 4 GiB."""
PLAIN = Setting()


@dataclass(frozen=True)
class Operations:
    """Operations on an empty file, and its surroundings; the version in `setting` does not matter."""

    setting: Setting
    operations: tuple[Operation, ...]
    way: Final = "operations"

    def replay(self, version: Version) -> Shown | None:
        """Execute it on `version` and return what that shows, or None."""
        failure = try_operations(_on(self.setting, version), self.operations)
        return shown(failure.finding) if failure else None

    def adapted(self, version: Version, kind: str) -> Catch | None:
        """Return what shows a finding of this kind on another version, by the same operations; or None."""
        found = self.replay(version)
        return Catch(self, found) if found is not None and found.kind == kind else None

    def lines(self, _version: Version) -> list[str]:
        """Return the surroundings and the operations."""
        return [f"({_surroundings(self.setting)})", *map(str, self.operations)]

    def trace(self, version: Version) -> list[str]:
        """Return the operations, and what each answers."""
        file, lines = PageCacheFile(_on(self.setting, version)), self.lines(version)[:1]
        for operation in (*self.operations, Operation(Kind.REMOUNT)):
            lines.append(str(operation))
            try:
                answer = file.execute(operation)
            except (Finding, AssertionError) as error:
                return [*lines, f"    *** {shown(error)}"]
            lines.append(f"    {_told(answer)}; {_content(file)}")
        found = self.replay(version)
        return [*lines, f"    *** {found}"] if found else lines

    def data(self) -> dict[str, Any]:
        """Return it as plain values."""
        setting = asdict(self.setting)
        del setting["trees"], setting["pages"]
        operations = [operation._asdict() for operation in self.operations]
        return {"setting": setting, "operations": operations}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Operations:
        """Make it from what `data` returned."""
        setting = data["setting"]
        completions, faults = Completions(setting["completions"]), Faults(**setting["faults"])
        return cls(
            Setting(**{**setting, "completions": completions, "faults": faults}),
            tuple(map(operation_of, data["operations"])),
        )


def operation_of(data: dict[str, Any]) -> Operation:
    """Make an operation from its fields."""
    return Operation(**{**data, "kind": Kind(data["kind"])})


def hunt(version: Version, rng: Random, without: Version | None = None, trials: int = 1000) -> Catch | None:
    """Try random operations in random surroundings; return the first that show something, shrunk.

    What shows something on the version `without` as well does not count.
    """
    for _ in range(trials):
        setting = _random_setting(rng)
        failure = try_operations(_on(setting, version), random_operations(rng))
        if failure is None:
            continue
        shows = _Shows(version, without, shown(failure.finding).kind)
        if shows(found := Operations(setting, failure.operations)):
            return _shrunk(found, shows)
    return None


class _Shows(NamedTuple):
    """Whether operations show something of a kind, and only on `version`."""

    version: Version
    without: Version | None
    kind: str

    def __call__(self, candidate: Operations) -> bool:
        other = candidate.replay(self.version)
        if other is None or other.kind != self.kind:
            return False
        return self.without is None or candidate.replay(self.without) is None


def random_operations(rng: Random) -> list[Operation]:
    """Return operations of which each fits the size that the file has by then."""
    return list(_operations(rng))


def _operations(rng: Random) -> Iterator[Operation]:
    model = ByteFile()
    operations = generate(_one_of(rng, MIXES), rng, model)
    for _ in range(OPERATIONS):
        operation = next(operations)
        model.execute(operation)
        yield operation


def _random_setting(rng: Random) -> Setting:
    number = 1 + int(rng.random() ** 2 * 20)
    failing = (
        Faults(),
        Faults(read=number),
        Faults(read=number),
        Faults(write=number),
        Faults(lookup=number),
        Faults(mapping=number),
    )
    return Setting(
        block_size=_one_of(rng, (1024, 1024, 1024, 2048, 4096)),
        blocks=_one_of(rng, (64, 64, 64, 10, 6, 4)),
        completions=_one_of(rng, tuple(Completions)),
        faults=_one_of(rng, failing),
        bits_per_long=_one_of(rng, LONGS),
    )


def _shrunk(found: Operations, shows: _Shows) -> Catch:
    best = found
    while (smaller := _shorter(Operations(_plainer(best, shows), best.operations), shows)) != best:
        best = smaller
    last = best.replay(shows.version)
    assert last is not None, "operations show something only once"
    return Catch(best, last)


def _plainer(found: Operations, shows: _Shows) -> Setting:
    """Return surroundings that are like the plain ones in as much as what was found allows."""
    setting = found.setting
    candidates: list[dict[str, Any]] = [
        {"faults": PLAIN.faults},
        {"blocks": PLAIN.blocks},
        {"bits_per_long": PLAIN.bits_per_long},
        {"block_size": PLAIN.block_size},
        {"block_size": 2048},
        {"completions": PLAIN.completions},
        {"completions": Completions.IN_ORDER},
        *({"faults": _earlier(setting.faults, number)} for number in range(1, 20)),
    ]
    for change in candidates:
        plainer = replace(setting, **change)
        if _rank(plainer) < _rank(setting) and shows(Operations(plainer, found.operations)):
            setting = plainer
    return setting


def _rank(setting: Setting) -> tuple[object, ...]:
    """Return what is less the plainer the surroundings are."""
    faults = setting.faults
    return (
        bool(faults),
        setting.blocks != PLAIN.blocks,
        setting.bits_per_long != PLAIN.bits_per_long,
        -setting.block_size,
        tuple(Completions).index(setting.completions),
        faults.read + faults.write + faults.lookup + faults.mapping,
    )


def _earlier(faults: Faults, number: int) -> Faults:
    """Return `faults` with the one there is at `number`, if that is earlier."""
    return Faults(**{name: min(value, number) for name, value in asdict(faults).items()})


def _shorter(found: Operations, shows: _Shows) -> Operations:
    """Return fewer and simpler operations; what fails comes earlier if what came before it is left out."""
    settings = [found.setting]

    def fails(operations: Sequence[Operation]) -> bool:
        for setting in _failing_earlier(settings[-1]):
            if shows(Operations(setting, tuple(operations))):
                settings.append(setting)
                return True
        return False

    operations = shrink(found.operations, fails, tries=SHRINKING)
    return Operations(settings[-1], tuple(operations))


def _failing_earlier(setting: Setting) -> Iterator[Setting]:
    """Yield `setting`, and what is like it but for a fault up to a page's worth of bios earlier."""
    yield setting
    number = max(asdict(setting.faults).values())
    for less in range(1, min(number, OUTAGE + 1)):
        yield replace(setting, faults=_earlier(setting.faults, number - less))


def _on(setting: Setting, version: Version) -> Setting:
    return replace(setting, trees=version.trees, pages=version.pages)


def _surroundings(setting: Setting) -> str:
    faults = setting.faults
    words = [f"blocks of {setting.block_size} bytes", f"bios done {setting.completions}"]
    if setting.blocks != PLAIN.blocks:
        words.append(f"a disk of {setting.blocks} blocks")
    if setting.bits_per_long != PLAIN.bits_per_long:
        words.append(f"an unsigned long of {setting.bits_per_long} bits")
    for what, number in (
        ("read from disk", faults.read),
        ("write to disk", faults.write),
        ("look-up of a block", faults.lookup),
        ("allocation of an extent_map", faults.mapping),
    ):
        if number:
            words.append(f"{what} number {number} fails")
    return ", ".join(words)


def _told(answer: bytes | int) -> str:
    if isinstance(answer, int):
        return f"errno {answer}" if answer else "success"
    return f"{len(answer)} bytes"


def _content(file: PageCacheFile) -> str:
    tree = file.mount.tree
    return ", ".join(map(repr, [*tree.states, *tree.maps])) or "the trees are empty"


def _one_of(rng: Random, choices: tuple[T, ...]) -> T:
    return choices[int(rng.random() * len(choices))]
