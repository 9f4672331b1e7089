# SPDX-License-Identifier: GPL-2.0-or-later
"""What probes would record of the model's engine: the same rows as the kernel's, without time and thread."""

from __future__ import annotations

from collections.abc import Callable

from harness.readahead.record import Event, Kind
from reference.readahead import BtrfsDevice, Observer, ReadaControl, ReadaZone

__all__ = ["NO_ADDRESS", "SAID", "ModelProbes", "text"]

NO_ADDRESS = 0
"""Of a control of which the record has not said yet where it is."""

_ZONE = ("start", "end", "locked")
_DEVICE = ("devid", *_ZONE, "next")

SAID: dict[int, tuple[str, ...]] = {
    Kind.ADD_RETURN: ("rc",),
    Kind.DEV_ENTER: _DEVICE,
    Kind.DEV_RETURN: (*_DEVICE, "value"),
    Kind.SUBMIT: ("logical", "mirror"),
    Kind.HOOK_RETURN: ("value",),
    Kind.PICK: _DEVICE,
    Kind.ZONE: ("devid", *_ZONE, "value"),
    Kind.PICK_RETURN: (*_DEVICE, "value"),
    Kind.BLOCK: ("rc", "logical", "value"),
    Kind.BLOCK_RETURN: ("value",),
    Kind.HOOK_WORK: ("logical", "err"),
    Kind.PUT: ("logical",),
}
"""The fields in which a row of the kernel's and one of the model's have to agree; other kinds have none."""


class ModelProbes(Observer):
    """Makes a row of each call that the engine reports, and gives it to `emit`."""

    def __init__(self, emit: Callable[[Event], None], address: Callable[[ReadaControl], int]) -> None:
        self._emit = emit
        self._address = address
        """Where the kernel has a control, or NO_ADDRESS."""

    def entered(self, function: str, *arguments: object) -> None:
        """Make the row of a probe at the function's entry."""
        match function, arguments:
            case "reada_start_machine", ():
                self._emit(Event(0, Kind.START))
            case "reada_start_machine_dev", (BtrfsDevice() as dev,):
                self._emit(_of_device(Kind.DEV_ENTER, dev))
            case "reada_pick_zone", (BtrfsDevice() as dev,):
                self._emit(_of_device(Kind.PICK, dev))
                for _, zone in dev.reada_zones:
                    self._emit(_of_zone(zone))
            case "reada_add_block", (ReadaControl() as rc, int(logical), int(generation)):
                row = Event(0, Kind.BLOCK, logical=logical, rc=self._address(rc), value=generation)
                self._emit(row)
            case "__readahead_hook", (int(logical), int(err)):
                self._emit(Event(0, Kind.HOOK_WORK, logical=logical, err=err))
            case "reada_extent_put", (int(logical),):
                self._emit(Event(0, Kind.PUT, logical=logical))

    def returned(self, function: str, result: int, *arguments: object) -> None:
        """Make the row of a probe at the function's end."""
        match function, arguments:
            case "reada_start_machine_dev", (BtrfsDevice() as dev,):
                self._emit(_of_device(Kind.DEV_RETURN, dev, int(result)))
            case "reada_pick_zone", (BtrfsDevice() as dev,):
                self._emit(_of_device(Kind.PICK_RETURN, dev, int(result)))
            case "reada_add_block", _:
                self._emit(Event(0, Kind.BLOCK_RETURN, value=int(result)))
            case "__readahead_hook", _:
                self._emit(Event(0, Kind.HOOK_WORK_END))

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:  # noqa: ARG002
        """Make the row of the probe that sees a read submitted."""
        self._emit(Event(0, Kind.SUBMIT, logical=logical, mirror=mirror_num))


def text(event: Event) -> str:
    """Return a row as a line: its kind and what it says.

    >>> text(Event(0, Kind.SUBMIT, logical=4096, mirror=2))
    'SUBMIT logical 4096, mirror 2'
    """
    said = SAID.get(event.kind, ("devid", "logical", "err", "rc", "value"))
    parts = (
        f"{name} {getattr(event, name):#x}" if name == "rc" else f"{name} {getattr(event, name)}"
        for name in said
    )
    return f"{Kind(event.kind).name} {', '.join(parts)}"


def _of_device(kind: Kind, dev: BtrfsDevice, value: int = 0) -> Event:
    zone = dev.reada_curr_zone
    start, end, locked = (0, 0, 0) if zone is None else (zone.start, zone.end, zone.locked)
    return Event(
        0, kind, devid=dev.devid, start=start, end=end, locked=locked, next=dev.reada_next, value=value
    )


def _of_zone(zone: ReadaZone) -> Event:
    return Event(
        0,
        Kind.ZONE,
        devid=zone.device.devid,
        start=zone.start,
        end=zone.end,
        locked=zone.locked,
        value=zone.elems,
    )
