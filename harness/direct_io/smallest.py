# SPDX-License-Identifier: GPL-2.0-or-later
"""From a bundle whose reads are not as predicted to the smallest scene that shows it, on this kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.bundle import Bundle
from harness.direct_io.record import load_layout, load_reads
from harness.direct_io.scene import Scene, scene_of
from harness.direct_io.script import script
from harness.direct_io.shrink import shrink
from harness.direct_io.trial import Trial, attempt
from harness.errors import InfrastructureError, UserError
from harness.judge.direct_io import ReaderFactory, judge_reads, mainline_reader
from loopdevs import Workspace

__all__ = ["Shrunk", "Smallest", "Tell", "smallest"]

CHANCES = 3
"""How often what was recorded may come out right, before it is given up."""

Tell = Callable[[str], None]
"""Is told of each smaller scene."""


@dataclass(frozen=True)
class Shrunk:
    """What a user gets of it."""

    summary: str
    """What is wrong, in one line."""
    script: str
    """Repeats it."""


@dataclass
class Smallest:
    """The smallest scene so far."""

    check: str
    """The check that fails."""
    trial: Trial
    tries: int = 0
    """How many scenes were made."""

    def shrunk(self) -> Shrunk:
        """Return what a user gets of it."""
        summary = f"the smallest of {self.tries}: {self.trial.wrong()[self.check]}"
        return Shrunk(summary, script(self.trial, self.check))


def smallest(
    bundle: Bundle,
    workspace: Workspace,
    tries: int,
    tell: Tell = lambda _line: None,
    make: ReaderFactory = mainline_reader,
) -> Smallest:
    """Make the bundle's scene again, ever smaller, so often at most.

    Of what fails it is the first check that has to fail again. UserError if nothing in the bundle is wrong;
    InfrastructureError if it does not go wrong again here.
    """
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    judged = judge_reads(layout, reads, events, make)
    wrong = [check.name for check in judged.checks if check.wrong]
    if not wrong:
        raise UserError(f"{bundle.path}: every read is as predicted, so there is nothing to make smaller")
    scene, first = scene_of(bundle, layout, reads), judged.first_wrong.get(wrong[0])
    search = _Search(workspace, make, wrong[0], tries, tell)
    search.begin(scene)
    shrink(search.best.scene, search.fails, first)
    return Smallest(wrong[0], search.best, search.tries)


@dataclass
class _Search:
    workspace: Workspace
    make: ReaderFactory
    check: str
    most: int
    tell: Tell
    tries: int = 0
    found: list[Trial] = field(default_factory=list)

    @property
    def best(self) -> Trial:
        return self.found[-1]

    def begin(self, scene: Scene) -> None:
        if not any(self.fails(scene) for _ in range(CHANCES)):
            raise InfrastructureError(
                f"made {CHANCES} times again, {self.check} were as predicted: it does not happen every time, "
                "or not on this kernel"
            )

    def fails(self, scene: Scene) -> bool:
        """Whether the same check fails; what comes behind the last try does not."""
        if self.tries >= self.most:
            return False
        self.tries += 1
        trial = attempt(scene, self.workspace, self.make)
        if trial is None or self.check not in trial.wrong():
            return False
        self.found = [trial]
        self.tell(f"{self.tries:4}: {len(scene.steps)} steps, {len(scene.reads)} reads")
        return True
