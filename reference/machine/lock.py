# SPDX-License-Identifier: GPL-2.0-or-later
"""A spinning lock for readers and writers (`rwlock_t`), with interrupts off while it is held."""

from __future__ import annotations

from reference.machine.current import Context, current, note
from reference.machine.findings import LockLeftHeld
from reference.machine.steps import Blocked, Steps

__all__ = ["RwLock"]


class RwLock:
    """`rwlock_t`: one writer or any number of readers, who spin.

    Taking it is a stop: all that others do before it is taken can happen there. What holds it must not stop,
    except to take another spinlock. So it is uncontended unless locks nest, or a bug leaves it held.

    >>> from reference.machine import RwLock, run_alone
    >>> lock = RwLock("tree->lock")
    >>> run_alone(lock.write_lock_irq())
    Traceback (most recent call last):
        ...
    reference.machine.findings.LockLeftHeld: LockLeftHeld: task ends with write_lock_irq(tree->lock) held
    """

    __slots__ = ("_to_read", "_to_write", "name", "readers", "writer")

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer: Context | None = None
        self.readers: list[Context] = []
        self._to_read = Blocked(self._readable, f"read_lock_irq({name})", spins=True)
        self._to_write = Blocked(self._writable, f"write_lock_irq({name})", spins=True)

    def write_lock_irq(self) -> Steps[None]:
        """Take the lock for writing (include/linux/spinlock.h)."""
        yield self._to_write
        context = current()
        self.writer = context
        context.held.append(self)
        note(f"write_lock_irq({self.name})")

    def write_unlock_irq(self) -> None:
        """Release it; raises LockLeftHeld if `current()` is not the writer."""
        context = current()
        if self.writer is not context:
            raise LockLeftHeld(f"{context.name} write-unlocks {self.name}, which {self.holders()} holds")
        self.writer = None
        context.held.remove(self)
        note(f"write_unlock_irq({self.name})")

    def read_lock_irq(self) -> Steps[None]:
        """Take the lock for reading."""
        yield self._to_read
        context = current()
        self.readers.append(context)
        context.held.append(self)
        note(f"read_lock_irq({self.name})")

    def read_unlock_irq(self) -> None:
        """Release it; raises LockLeftHeld if `current()` is no reader."""
        context = current()
        if context not in self.readers:
            raise LockLeftHeld(f"{context.name} read-unlocks {self.name}, which {self.holders()} holds")
        self.readers.remove(context)
        context.held.remove(self)
        note(f"read_unlock_irq({self.name})")

    def holders(self) -> str:
        """Return the names of those who hold it, or "nobody"."""
        holders = [self.writer] if self.writer else self.readers
        return " and ".join(context.name for context in holders) or "nobody"

    def held_as(self) -> str:
        """Return how it is held, as the call that took it."""
        return f"{'write' if self.writer else 'read'}_lock_irq({self.name})"

    def __fingerprint__(self) -> object:
        """Who holds it."""
        return (self.writer, self.readers)

    def _readable(self) -> bool:
        return self.writer is None

    def _writable(self) -> bool:
        return self.writer is None and not self.readers
