# SPDX-License-Identifier: GPL-2.0-or-later
"""A bcache device on devices of ours: one backing device, one cache set of one cache device."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs import bcache_control as control
from loopdevs.bcache_layout import BcacheLayout
from loopdevs.deadline import Deadline
from loopdevs.devices import make_device
from loopdevs.errors import DeviceTimeoutError, LoopdevsError
from loopdevs.events import is_ready, wait_until
from loopdevs.journal import BcacheEntry, Entry
from loopdevs.ledger import UNDO_DEADLINE_S, Ledger
from loopdevs.loop import uses_direct_io
from loopdevs.mounts import mount_holding
from loopdevs.superblocks import wait_until_free, wipe

__all__ = ["Bcache", "BcacheStats"]

REGISTER_DEADLINE_S = 30.0
WRITEBACK_DEADLINE_S = 120.0
STATS_PERIOD_S = 300 / 22
"""How often the kernel adds what it counted to what it shows (`accounting_delay`, stats.c)."""

NO_CACHE = "no cache"


@dataclass(frozen=True)
class BcacheStats:
    """Counters of one backing device since it was registered or the counters were cleared (`bch_stats`)."""

    cache_hits: int
    cache_misses: int
    cache_bypass_hits: int
    cache_bypass_misses: int
    cache_miss_collisions: int

    @classmethod
    def of(cls, folder: Path) -> BcacheStats:
        """Read a stats folder of sysfs."""
        return cls(**{name: int((folder / name).read_text()) for name in cls.__dataclass_fields__})


class Bcache:
    """A bcache device, attached to its cache; leaving it as a context destroys it."""

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        layout: BcacheLayout,
        backing: Path | None = None,
        cache: Path | None = None,
        *,
        start: bool = True,
    ) -> None:
        """Make all of it, with loop devices in the new folder `name` where no device of ours is given.

        Without `start`, nothing but formatted devices. On failure nothing is left behind.
        """
        self.layout = layout
        self.set_uuid = str(uuid.uuid4())
        self._ledger = ledger
        control.load_bcache()
        first = len(ledger.entries)
        with ledger.rollback():
            if backing is None or cache is None:
                ledger.make_directory(name)
            self.backing = self._member(backing, f"{name}/backing.img", layout.backing_bytes)
            """The backing device; its data begin at `DATA_OFFSET_BYTES`."""
            self.cache = self._member(cache, f"{name}/cache.img", layout.cache_bytes)
            """The cache device."""
            looped = backing is None and cache is None
            self.direct_io = all(map(uses_direct_io, (self.backing, self.cache))) if looped else None
            """Whether both loop devices do direct I/O on their files; None where a device was given."""
            self.below = mount_holding(ledger.directory).type if looped else None
            """Type of the file system that the loop devices' files lie on; None where a device was given."""
            self._format()
            if start:
                self.start()
        self._entries: list[Entry] = list(ledger.entries[first:])

    @property
    def device(self) -> Path:
        """The /dev/bcacheN that stands on our backing device; LoopdevsError when there is none."""
        device = control.bcache_of(self.backing)
        if device is None:
            raise LoopdevsError(f"no bcache device stands on {self.backing}: register it first")
        return device

    @property
    def state(self) -> str:
        """The kernel's word: "no cache", "clean", "dirty" or "inconsistent"."""
        return self._read(control.sysfs_of(self.backing) / "state").strip()

    @property
    def cache_mode(self) -> str:
        """The mode that is in force."""
        return control.chosen(self._read(control.sysfs_of(self.backing) / "cache_mode"))

    @property
    def dirty_bytes(self) -> int:
        """Dirty data in the cache, to four digits.

        While writeback runs the kernel shows what it last computed (writeback_rate_update_seconds, 5 s):
        whether all is written back, `state` says at once.
        """
        return control.parse_size(self._read(control.sysfs_of(self.backing) / "dirty_data"))

    def stats(self) -> BcacheStats:
        """Return the counters as they are shown now: what is younger than 13.6 s may be missing."""
        self._read(control.sysfs_of(self.backing) / "state")
        return BcacheStats.of(control.sysfs_of(self.backing) / "stats_total")

    def settled_stats(self) -> BcacheStats:
        """Return the counters with all that happened before the call; that takes a period of 13.6 s."""
        # sysfs shows no counter that is not collected by this timer.
        time.sleep(STATS_PERIOD_S + 1.0)
        return self.stats()

    def require_cache(self) -> None:
        """LoopdevsError unless the cache is in use: without it all I/O goes to the backing device."""
        state = self.state
        if state not in ("clean", "dirty"):
            raise LoopdevsError(
                f'{self.device} has the state "{state}": it does not use its cache, attach one'
            )

    def start(self) -> None:
        """Show the devices, which the kernel has not seen yet, to it, and attach them to each other."""
        self._show_to_kernel(Deadline(REGISTER_DEADLINE_S))
        self.attach()

    def attach(self, deadline_s: float = REGISTER_DEADLINE_S) -> None:
        """Attach the backing device to the set, with the options of the layout."""
        self._write(control.sysfs_of(self.backing) / "attach", self.set_uuid)
        self._wait(lambda: self.state != NO_CACHE, Deadline(deadline_s), f"attaching {self.backing}")
        self._set_options()
        self.require_cache()

    def detach(self, deadline_s: float = WRITEBACK_DEADLINE_S) -> None:
        """Write back what is dirty and go on without the cache; returns when that is done."""
        self.require_cache()
        self._write(control.sysfs_of(self.backing) / "detach", "1")
        self._wait(lambda: self.state == NO_CACHE, Deadline(deadline_s), f"detaching {self.backing}")

    def flush(self, deadline_s: float = WRITEBACK_DEADLINE_S) -> None:
        """Write back what is dirty, and keep it cached; DeviceTimeoutError when that takes too long."""
        folder = control.sysfs_of(self.backing)
        # Both pace the writeback: 0 means at once, and without pauses.
        paced = {name: self._read(folder / name).strip() for name in ("writeback_delay", "writeback_percent")}
        try:
            for name in paced:
                self._write(folder / name, "0")
            self._write(folder / "writeback_running", "1")
            self._wait(lambda: self.state == "clean", Deadline(deadline_s), f"writing back {self.backing}")
        finally:
            for name, value in paced.items():
                self._write(folder / name, value)

    def stop(self, deadline_s: float = UNDO_DEADLINE_S) -> None:
        """Stop the set and the device: both devices stay as they are, dirty data too, to be looked at."""
        deadline = Deadline(deadline_s)
        devices = (self.cache, self.backing)
        for device in devices:
            control.stop(device, self._ledger.is_ours, deadline)
        for device in devices:
            wait_until_free(device, deadline)

    def register(self, deadline_s: float = REGISTER_DEADLINE_S) -> None:
        """Show both devices to the kernel again; LoopdevsError when the device comes up without its cache.

        Once both are there, the cache has `deadline_s` to be taken into use.
        """
        self._show_to_kernel(Deadline(REGISTER_DEADLINE_S))
        # What udev registers, it may not have finished.
        wait_until(lambda: self.state != NO_CACHE, Deadline(deadline_s))
        self.require_cache()
        self._set_options()

    def destroy(self) -> None:
        """Stop the set and the device, wipe and remove what is under them; again does nothing."""
        self._ledger.undo(self._entries)
        # The devices may be in another use by the next time, and undoing wipes them.
        self._entries = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def _member(self, given: Path | None, name: str, size: int) -> Path:
        """Return a loop device, or the given device of ours, blank and recorded as one for bcache."""
        if given is None:
            device = make_device(self._ledger, name, size)[1]
        else:
            device, name = given, self._ledger.member(given)
            wipe(device, Deadline(UNDO_DEADLINE_S))
        self._ledger.record(BcacheEntry(name))
        return device

    def _format(self) -> None:
        block = ["--block", str(self.layout.block_bytes)]
        writeback = ["--writeback"] if self.layout.cache_mode == "writeback" else []
        # Two calls: formatted together, the two find each other before anybody asked.
        self._ledger.run_tool("make-bcache", ["--bdev", *block, *writeback, self.backing])
        bucket = ["--bucket", str(self.layout.bucket_bytes)]
        self._ledger.run_tool(
            "make-bcache", ["--cache", *block, *bucket, "--cset-uuid", self.set_uuid, self.cache]
        )

    def _show_to_kernel(self, deadline: Deadline) -> None:
        control.register(self.cache)
        control.register(self.backing)
        self._wait(
            lambda: control.cache_set_of(self.cache) == self._set, deadline, f"registering {self.cache}"
        )
        self._wait(self._is_ready, deadline, f"registering {self.backing}")

    def _is_ready(self) -> bool:
        device = control.bcache_of(self.backing)
        return device is not None and is_ready(device)

    @property
    def _set(self) -> Path:
        return control.SETS / self.set_uuid

    def _set_options(self) -> None:
        folder = control.sysfs_of(self.backing)
        self._write(folder / "cache_mode", self.layout.cache_mode)
        self._write(folder / "sequential_cutoff", str(self.layout.sequential_cutoff))
        self._write(folder / "writeback_percent", str(self.layout.writeback_percent))
        self._write(control.sysfs_of(self.cache) / "cache_replacement_policy", self.layout.replacement)
        # Otherwise a busy cache is bypassed, and what is cached depends on the machine's speed.
        for direction in ("read", "write"):
            self._write(self._set / f"congested_{direction}_threshold_us", "0")

    def _wait(self, condition: Callable[[], bool], deadline: Deadline, what: str) -> None:
        if not wait_until(condition, deadline):
            raise DeviceTimeoutError(
                f"bcache did not end {what} within {deadline.seconds:g} s: see the kernel log"
            )

    def _read(self, file: Path) -> str:
        try:
            return file.read_text()
        except OSError as error:
            raise LoopdevsError(f"{self.backing} is not in bcache ({file}: {error.strerror})") from None

    def _write(self, file: Path, value: str) -> None:
        try:
            file.write_text(value)
        except OSError as error:
            raise LoopdevsError(f"bcache refuses {value} for {file}: {error.strerror}") from None
