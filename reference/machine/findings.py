# SPDX-License-Identifier: GPL-2.0-or-later
"""What a schedule can show to be wrong. Models and machine raise these, the explorer collects them."""

from __future__ import annotations

__all__ = [
    "Bug",
    "DataCorruption",
    "Deadlock",
    "Finding",
    "LeakedReference",
    "LockLeftHeld",
    "LostWakeUp",
    "UseAfterFree",
    "Warned",
]


class Finding(Exception):  # noqa: N818 - what is found is about the modelled code, not about the model
    """Something is wrong with the modelled code; the message names the objects."""

    @property
    def kind(self) -> str:
        """The class's name, as reports show it."""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.kind}: {super().__str__()}"

    @property
    def message(self) -> str:
        """The message without the kind."""
        return super().__str__()


class Deadlock(Finding):
    """Somebody waits for what will never come: nothing can run, or a handler spins on a lock."""


class LostWakeUp(Finding):
    """Nothing can run, and a sleeper has what it waits for: nobody told it."""


class UseAfterFree(Finding):
    """A freed object was used, or freed again."""


class LeakedReference(Finding):
    """An object is left that should have been freed."""


class LockLeftHeld(Finding):
    """A spinlock is held at a task's end or while sleeping, or unlocked by who does not hold it."""


class DataCorruption(Finding):
    """The data are not what they should be. Raised by scenarios and their oracles."""


class Bug(Finding):
    """A BUG_ON of the modelled code, or what the kernel's scheduler would call a bug."""


class Warned(Finding):
    """A WARN_ON of the modelled code."""
