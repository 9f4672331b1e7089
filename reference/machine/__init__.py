# SPDX-License-Identifier: GPL-2.0-or-later
"""A small deterministic kernel in which modelled code runs as steps: see docs/concurrency.md.

A modelled function that can sleep or be preempted is a generator of type `Steps[T]`, called with `yield
from`. It stops at `PREEMPT` (others may run here), where it takes a lock, and where it sleeps. Between two
stops it is atomic, so put a stop before each access to what others can change without holding a lock of
yours. What holds a spinlock does not stop, except to take another: the locked part is best a plain method.

A page lock that tests, then queues, then sleeps, and is not told of what happens in between:

>>> from reference.machine import PREEMPT, WaitQueue, explore, render, shrink
>>> class Page:
...     def __init__(self): self.locked, self.wq = False, WaitQueue("page->wq")
>>> def lock_page(page):
...     while page.locked:
...         yield PREEMPT
...         waiter = page.wq.prepare_to_wait()
...         yield from waiter.schedule(until=lambda: not page.locked)
...     page.locked = True
>>> def unlock_page(page):
...     page.locked = False
...     page.wq.wake_up()
...     yield PREEMPT
>>> def write(page):
...     yield from lock_page(page)
...     yield PREEMPT
...     yield from unlock_page(page)
>>> def scenario(machine):
...     page = Page()
...     machine.task("A", write(page))
...     machine.task("B", write(page))
>>> found = explore(scenario).found
>>> print(render(scenario, shrink(scenario, found[0])))
LostWakeUp: B sleeps in schedule() on page->wq, though what it waits for has come
5 steps, preempted 2 times
<BLANKLINE>
A                                   B
write()
                                    write()
                                      lock_page()
  unlock_page()
  wake_up(page->wq): nobody waits
  ends
                                      prepare_to_wait(page->wq)
                                      waits: schedule() on page->wq

`WaitQueue.wait_event` queues before it tests:

>>> def lock_page(page):
...     yield PREEMPT
...     while page.locked:
...         yield from page.wq.wait_event(lambda: not page.locked)
...     page.locked = True
>>> explore(scenario).found
[]

One task alone:

>>> from reference.machine import BUG_ON, RwLock, Slab, SlabObject, Steps, run_alone
>>> class State(SlabObject):
...     def __init__(self): self.refs = 1
>>> class Tree:
...     def __init__(self):
...         self.lock, self.slab, self.state = RwLock("tree->lock"), Slab("extent_state"), None
>>> def insert_state(tree: Tree) -> Steps[int]:
...     state = State()
...     tree.slab.born(state)
...     yield from tree.lock.write_lock_irq()
...     BUG_ON(tree.state is not None, "err == -EEXIST")
...     tree.state = state
...     tree.lock.write_unlock_irq()
...     yield PREEMPT
...     return 0
>>> tree = Tree()
>>> run_alone(insert_state(tree)), len(tree.slab)
(0, 1)
>>> run_alone(insert_state(tree))
Traceback (most recent call last):
    ...
reference.machine.findings.Bug: Bug: BUG_ON(err == -EEXIST)
"""

from __future__ import annotations

from reference.machine.alone import run_alone
from reference.machine.current import BUG_ON, WARN_ON, current, note
from reference.machine.explore import Exploration, explore
from reference.machine.findings import (
    Bug,
    DataCorruption,
    Deadlock,
    Finding,
    LeakedReference,
    LockLeftHeld,
    LostWakeUp,
    UseAfterFree,
    Warned,
)
from reference.machine.fingerprint import FingerprintError, fingerprint
from reference.machine.interrupts import Interrupt, Interrupts
from reference.machine.lock import RwLock
from reference.machine.machine import Machine, Scenario, Task
from reference.machine.random_runs import random_runs
from reference.machine.render import render
from reference.machine.run import Found, Schedule, replay
from reference.machine.shrink import shrink
from reference.machine.slab import Slab, SlabObject
from reference.machine.steps import PREEMPT, Blocked, Steps, Stop, cond_resched
from reference.machine.wait import Waiter, WaitQueue

__all__ = [
    "BUG_ON",
    "PREEMPT",
    "WARN_ON",
    "Blocked",
    "Bug",
    "DataCorruption",
    "Deadlock",
    "Exploration",
    "Finding",
    "FingerprintError",
    "Found",
    "Interrupt",
    "Interrupts",
    "LeakedReference",
    "LockLeftHeld",
    "LostWakeUp",
    "Machine",
    "RwLock",
    "Scenario",
    "Schedule",
    "Slab",
    "SlabObject",
    "Steps",
    "Stop",
    "Task",
    "UseAfterFree",
    "WaitQueue",
    "Waiter",
    "Warned",
    "cond_resched",
    "current",
    "explore",
    "fingerprint",
    "note",
    "random_runs",
    "render",
    "replay",
    "run_alone",
    "shrink",
]
