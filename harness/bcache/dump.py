# SPDX-License-Identifier: GPL-2.0-or-later
"""A checked cache device as JSON: everything that was read, nothing that was not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from harness.bcache.check import CheckedCache
from harness.bcache.journal import Entry
from harness.bcache.node import Node
from reference.bcache.bkey import Bkey, ptr_dev, ptr_gen, ptr_offset
from reference.bcache.ondisk import UuidEntry
from reference.bcache.superblock import CacheSb

__all__ = ["FORMAT", "dumped", "key_json", "superblock_json"]

FORMAT = 1
"""Of the JSON; counts up when something in it changes its meaning."""


def dumped(checked: CheckedCache) -> dict[str, Any]:
    """Return the whole device; all offsets and sizes in sectors of 512 bytes."""
    journal, buckets, tree = checked.journal, checked.buckets, checked.tree
    return {
        "format": FORMAT,
        "superblock": superblock_json(checked.sb),
        "journal": [_entry_json(entry) for entry in journal.entries] if journal else [],
        "gens": list(buckets.gens) if buckets else [],
        "uses": {str(bucket): use.value for bucket, use in sorted(buckets.uses.items())} if buckets else {},
        "uuids": [_uuid_json(slot, e) for slot, e in enumerate(checked.uuids) if any(e.uuid)],
        "nodes": [_node_json(node) for node in tree.nodes] if tree else [],
        "extents": [key_json(k) for k in checked.live],
        "findings": [finding.to_json() for finding in checked.findings],
    }


def superblock_json(sb: CacheSb) -> dict[str, Any]:
    """Return what a superblock says, in plain words."""
    return {
        "version": sb.version,
        "uuid": str(UUID(bytes=sb.uuid)),
        "set_uuid": str(UUID(bytes=sb.set_uuid)),
        "label": _text(sb.label),
        "flags": sb.flags,
        "sync": sb.sync,
        "seq": sb.seq,
        "features": {
            "compat": sb.feature_compat,
            "ro_compat": sb.feature_ro_compat,
            "incompat": sb.feature_incompat,
        },
        "nbuckets": sb.nbuckets,
        "bucket_size": sb.bucket_size,
        "block_size": sb.block_size,
        "nr_in_set": sb.nr_in_set,
        "nr_this_dev": sb.nr_this_dev,
        "first_bucket": sb.first_bucket,
        "journal_buckets": list(sb.d),
        "last_mount": sb.last_mount,
    }


def key_json(k: Bkey) -> dict[str, Any]:
    """Return a key; `start` is its first sector on the backing device `inode`."""
    return {
        "inode": k.inode,
        "start": k.start,
        "size": k.size,
        "dirty": k.dirty,
        "ptrs": [{"dev": ptr_dev(p), "sector": ptr_offset(p), "gen": ptr_gen(p)} for p in k.ptr],
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    jset = entry.jset
    return {
        "bucket": entry.place.bucket,
        "block": entry.place.block,
        "seq": jset.seq,
        "last_seq": jset.last_seq,
        "version": jset.version,
        "btree_root": key_json(jset.btree_root),
        "btree_level": jset.btree_level,
        "uuid_bucket": key_json(jset.uuid_bucket),
        "prio_buckets": list(jset.prio_bucket),
        "words": len(jset.words),
    }


def _uuid_json(slot: int, entry: UuidEntry) -> dict[str, Any]:
    return {
        "device": slot,
        "uuid": str(UUID(bytes=entry.uuid)),
        "label": _text(entry.label),
        "flash_only": entry.flash_only,
        "sectors": entry.sectors,
        "invalidated": entry.invalidated,
    }


def _node_json(node: Node) -> dict[str, Any]:
    return {
        "bucket": node.bucket,
        "level": node.level,
        "key": key_json(node.key),
        "whole": node.whole,
        "bsets": [
            {
                "block": bset.block,
                "seq": bset.header.seq,
                "version": bset.header.version,
                "words": bset.header.keys,
                "keys": [key_json(k) for k in bset.keys],
            }
            for bset in node.bsets
        ],
    }


def _text(label: bytes) -> str:
    return label.split(b"\0")[0].decode("utf-8", "backslashreplace")
