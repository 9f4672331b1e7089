# SPDX-License-Identifier: GPL-2.0-or-later
"""Which branches of the engine a replay went through, under names that say what they are.

Looked at from outside, when the engine reports a call: the model is not changed for it.
"""

from __future__ import annotations

from collections import Counter

from reference.readahead import BtrfsDevice, FsInfo, Observer, ReadaExtent, ReadaZone
from reference.readahead.radix import PAGE_SHIFT

__all__ = ["BRANCHES", "Coverage"]

_PICK = "reada_pick_zone"
_PEERS = "reada_peer_zones_set_lock"
_DEV = "reada_start_machine_dev"
_HOOK = "__readahead_hook"

BRANCHES = (
    f"{_PICK}: no current zone",
    f"{_PICK}: the current zone is left",
    f"{_PICK}: a locked zone with more elements",
    f"{_PICK}: a locked zone without more",
    f"{_PICK}: an unlocked zone with more elements",
    f"{_PICK}: an unlocked zone without more",
    f"{_PICK}: an unlocked zone picked",
    f"{_PICK}: an unlocked zone picked, though a locked one has more",
    f"{_PICK}: only locked zones left, one picked",
    f"{_PICK}: the zone that was left picked again",
    f"{_PICK}: no zone to pick",
    f"{_PEERS}: locked a peer",
    f"{_PEERS}: locked where a device has no such zone",
    f"{_PEERS}: locked, its own zone left alone",
    f"{_PEERS}: unlocked a peer",
    f"{_PEERS}: unlocked where a device has no such zone",
    f"{_PEERS}: unlocked, its own zone left alone",
    f"{_DEV}: goes on in its zone",
    f"{_DEV}: picks its first zone",
    f"{_DEV}: has no first zone to pick",
    f"{_DEV}: picks anew, nothing is behind the pointer",
    f"{_DEV}: picks anew, what is next is behind the zone",
    f"{_DEV}: picks anew, and there is none",
    f"{_DEV}: finds an extent in the new zone",
    f"{_DEV}: finds an extent behind the new zone",
    f"{_DEV}: finds nothing in the new zone",
    f"{_DEV}: the extent is read by another",
    f"{_DEV}: nobody wants the extent any more",
    f"{_DEV}: reads the first copy",
    f"{_DEV}: reads another copy",
    f"{_DEV}: finds the block in memory",
    f"{_DEV}: cannot submit",
    f"{_HOOK}: error",
    f"{_HOOK}: block",
    f"{_HOOK}: several want the block",
    f"{_HOOK}: nobody wants the block",
    f"{_HOOK}: generation differs",
    "reada_add_block: new extent",
    "reada_add_block: extent that is queued already",
    "reada_add_block: cannot be queued",
)
"""All that is counted."""


class Coverage(Observer):
    """Counts branches. `fs_info` and `at_work` (whether a work goes on, no hook or add) are to be set."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.fs_info: FsInfo | None = None
        self.at_work = False
        self._left: ReadaZone | None = None
        self._picks = 0
        self._submitted = False

    def entered(self, function: str, *arguments: object) -> None:
        """Look at what is about to be decided."""
        match function, arguments:
            case "reada_start_machine_dev", _:
                self._picks, self._submitted = 0, False
            case "reada_pick_zone", (BtrfsDevice() as dev,):
                self._before_pick(dev)
            case "__readahead_hook", (int(logical), int(err)):
                self._hook(logical, err)
            case "reada_extent_put", (int(logical),) if self.at_work and not self._submitted:
                self._not_read(self._extent(logical))
            case "reada_add_block", (_, int(logical), _):
                known = self._extent(logical) is not None
                self._take("reada_add_block", "extent that is queued already" if known else "new extent")

    def returned(self, function: str, result: int, *arguments: object) -> None:
        """Look at what was decided."""
        match function, arguments:
            case "reada_pick_zone", (BtrfsDevice() as dev,):
                self._after_pick(dev, bool(result))
            case "reada_add_block", _ if result:
                self._take("reada_add_block", "cannot be queued")

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:  # noqa: ARG002
        """Take note of a read."""
        if not self._picks:
            self._take(_DEV, "goes on in its zone")
        self._submitted = True
        self._take(_DEV, "reads the first copy" if mirror_num == 1 else "reads another copy")

    def found(self, err: int) -> None:
        """Take note that a read did not get under way: the block is in memory, or there is an error."""
        self._take(_DEV, "cannot submit" if err else "finds the block in memory")

    def _take(self, function: str, what: str) -> None:
        self.taken[f"{function}: {what}"] += 1

    def _extent(self, logical: int) -> ReadaExtent | None:
        assert self.fs_info is not None
        return self.fs_info.reada_tree.lookup(logical >> PAGE_SHIFT)

    def _before_pick(self, dev: BtrfsDevice) -> None:
        self._left = dev.reada_curr_zone
        self._picks += 1
        if self._left is None:
            self._take(_PICK, "no current zone")
            return
        self._take(_PICK, "the current zone is left")
        self._peers(self._left, "unlocked")
        ahead = dev.reada_extents.gang_lookup(dev.reada_next >> PAGE_SHIFT)
        where = "nothing is behind the pointer" if ahead is None else "what is next is behind the zone"
        self._take(_DEV, f"picks anew, {where}")

    def _after_pick(self, dev: BtrfsDevice, picked: bool) -> None:
        self._rounds(dev)
        first = self._left is None
        if not picked:
            self._take(_PICK, "no zone to pick")
            self._take(_DEV, "has no first zone to pick" if first else "picks anew, and there is none")
            return
        zone = dev.reada_curr_zone
        assert zone is not None
        self._choice(dev, zone)
        self._peers(zone, "locked")
        if first:
            self._take(_DEV, "picks its first zone")
            return
        extent = dev.reada_extents.gang_lookup(dev.reada_next >> PAGE_SHIFT)
        if extent is None:
            self._take(_DEV, "finds nothing in the new zone")
        else:
            where = "in" if extent.logical <= zone.end else "behind"
            self._take(_DEV, f"finds an extent {where} the new zone")

    def _rounds(self, dev: BtrfsDevice) -> None:
        """Count the branches of the loop over the zones; the pick itself changes no lock of its device's."""
        most = {True: 0, False: 0}
        for _, zone in dev.reada_zones:
            locked = bool(zone.locked)
            more = zone.elems > most[locked]
            most[locked] = max(most[locked], zone.elems)
            kind = "a locked zone" if locked else "an unlocked zone"
            self._take(_PICK, f"{kind} with more elements" if more else f"{kind} without more")

    def _choice(self, dev: BtrfsDevice, zone: ReadaZone) -> None:
        if zone.locked:
            self._take(_PICK, "only locked zones left, one picked")
        else:
            self._take(_PICK, "an unlocked zone picked")
            if any(other.locked and other.elems > zone.elems for _, other in dev.reada_zones):
                self._take(_PICK, "an unlocked zone picked, though a locked one has more")
        if zone is self._left:
            self._take(_PICK, "the zone that was left picked again")

    def _peers(self, zone: ReadaZone, done: str) -> None:
        for dev in zone.devs:
            peer = dev.reada_zones.lookup(zone.end >> PAGE_SHIFT)
            if peer is None:
                self._take(_PEERS, f"{done} where a device has no such zone")
            elif peer.device is zone.device:
                self._take(_PEERS, f"{done}, its own zone left alone")
            else:
                self._take(_PEERS, f"{done} a peer")

    def _hook(self, logical: int, err: int) -> None:
        extent = self._extent(logical)
        self._take(_HOOK, "error" if err else "block")
        if extent is None or not extent.extctl:
            self._take(_HOOK, "nobody wants the block")
            return
        if len(extent.extctl) > 1:
            self._take(_HOOK, "several want the block")
        assert self.fs_info is not None
        if not err and self._is_stale(extent):
            self._take(_HOOK, "generation differs")

    def _is_stale(self, extent: ReadaExtent) -> bool:
        assert self.fs_info is not None
        node = self.fs_info.source.node(extent.logical)
        return any(wanted.generation != node.generation for wanted in extent.extctl)

    def _not_read(self, extent: ReadaExtent | None) -> None:
        if not self._picks:
            self._take(_DEV, "goes on in its zone")
        if extent is not None and extent.scheduled_for is not None:
            self._take(_DEV, "the extent is read by another")
        else:
            self._take(_DEV, "nobody wants the extent any more")
