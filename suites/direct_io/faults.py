# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in the model of the direct read of 2010, one or more for each of its rules."""

from __future__ import annotations

from suites.direct_io.fault import Fault

__all__ = ["FAULTS"]

_REQUEST = (
    Fault(
        "gate-offset",
        "offsets are multiples of 512",
        "rfc_2010.control",
        "if kiocb.offset & 511:",
        "if kiocb.offset & 4095:",
    ),
    Fault(
        "gate-length",
        "lengths are multiples of 512",
        "rfc_2010.control",
        "if iov.iov_len & 511:",
        "if iov.iov_len & 1023:",
    ),
    Fault(
        "gate-empty",
        "the address of an empty vector does not matter",
        "rfc_2010.control",
        "if iov.iov_len and iov.iov_base & 511:",
        "if iov.iov_base & 511:",
    ),
    Fault(
        "ki-left",
        "no more is read than ki_left",
        "rfc_2010.control",
        "    done = min(done, kiocb.ki_left)\n",
        "",
    ),
    Fault(
        "returns-submitted",
        "what failed ends the read",
        "rfc_2010.control",
        "min(diocb.start, diocb.terminate) - diocb.begin",
        "diocb.start - diocb.begin",
    ),
    Fault(
        "returns-no-error",
        "if nothing was read the error is returned",
        "rfc_2010.control",
        "return done or diocb.error",
        "return done",
    ),
    Fault(
        "sleeps-when-done",
        "who waits does not sleep when something is done",
        "rfc_2010.control",
        "(diocb.pending_extcbs and not diocb.done_extcbs)",
        "diocb.pending_extcbs",
    ),
    Fault(
        "reaper-twice",
        "one reaper at a time",
        "rfc_2010.biodone",
        "        diocb.reaping = True\n",
        "",
    ),
    Fault(
        "end-io-forgets-error",
        "an I/O error is noted",
        "rfc_2010.biodone",
        "        extcb.error = error\n",
        "        pass\n",
    ),
)

_SUBMISSION = (
    Fault(
        "lock-unaligned",
        "whole blocks are locked",
        "rfc_2010.read",
        "diocb.lockstart = diocb.start & ~(diocb.blocksize - 1)",
        "diocb.lockstart = diocb.start",
    ),
    Fault(
        "no-relock",
        "a compressed extent is locked as a whole",
        "rfc_2010.read",
        "if _wants_more_locked(diocb, em):",
        "if False:",
    ),
    Fault(
        "eof-of-sector",
        "the file ends where it ends",
        "rfc_2010.read",
        "end = min(end, kernel.i_size)",
        "end = min(end, -(-kernel.i_size // 512) * 512)",
    ),
    Fault(
        "mutex-kept-at-eof",
        "i_mutex is released",
        "rfc_2010.read",
        "        if end <= diocb.start:\n            kernel.mutex_unlock()\n",
        "        if end <= diocb.start:\n",
    ),
    Fault(
        "hole-not-zeroed",
        "holes are zeroes",
        "rfc_2010.hole",
        "        uv.bv_page.data[uv.bv_offset : uv.bv_offset + uv.bv_len] = bytes(uv.bv_len)\n",
        "",
    ),
    Fault(
        "inline-from-start",
        "inline data are read from the offset asked for",
        "rfc_2010.inline",
        "extent_offset = diocb.start - item.file_offset",
        "extent_offset = 0",
    ),
    Fault(
        "compressed-from-start",
        "a compressed extent is inflated from the offset asked for",
        "rfc_2010.extent",
        "out_start=diocb.start - origin",
        "out_start=lem.start - origin",
    ),
    Fault(
        "compressed-keeps-memory",
        "what a compressed extent will fill is skipped",
        "rfc_2010.extent",
        "    btrfs_dio_skip_user_mem(kernel.behaviour, diocb.umc, data_len)\n",
        "",
    ),
    Fault(
        "nothing-before",
        "the first block is read from its start, for its checksum",
        "rfc_2010.extent",
        "part.csum_before = data_start & (diocb.blocksize - 1)",
        "part.csum_before = 0",
    ),
    Fault(
        "nothing-behind",
        "the last block is read to its end, for its checksum",
        "rfc_2010.extent",
        "part.csum_after = diocb.blocksize - part.filetail\n    part.filetail",
        "part.csum_after = 0\n    part.filetail",
    ),
    Fault(
        "no-tail",
        "the end of the file is copied to the byte",
        "rfc_2010.extent",
        "return filetail & 511 if eof else 0",
        "return 0",
    ),
    Fault(
        "tail-at-start",
        "the tail goes behind what was read directly",
        "rfc_2010.extent",
        "    extcb.filetail = part.filetail\n    extcb.beforetail = filelen\n",
        "    extcb.filetail = part.filetail\n",
    ),
    Fault(
        "split-in-block",
        "with checksums, a control block ends with a block",
        "rfc_2010.extent",
        "if not diocb.kernel.source.nodatasum and extcb.iolen & (diocb.blocksize - 1):",
        "if False:",
    ),
    Fault(
        "split-copies-to-start",
        "the end of a split block goes behind what was read directly",
        "rfc_2010.extent",
        "        extcb.beforetail = filelen\n    part.data_len += ",
        "    part.data_len += ",
    ),
)

_BIOS = (
    Fault(
        "no-limit",
        "a control block has so many bios",
        "rfc_2010.stripes",
        "len(extcb.order) == kernel.limits.max_stripe_segments",
        "len(extcb.order) == 1 << 30",
    ),
    Fault(
        "one-mirror-aligned",
        "another copy is read where one's device cannot",
        "rfc_2010.stripes",
        "range(btrfs_map_num_copies(chunk) + 1)",
        "range(1)",
    ),
    Fault(
        "any-length",
        "a device reads whole sectors of its own",
        "rfc_2010.stripes",
        "            or dev_left & iomask\n",
        "",
    ),
    Fault(
        "next-bio-same-place",
        "the next bio of a stripe begins where the last ended",
        "rfc_2010.stripes",
        "        diodev.physical += uv.bv_len\n",
        "",
    ),
    Fault(
        "stripe-not-cut",
        "a read ends with its stripe",
        "mapping",
        "left = min(left, chunk.stripe_len - stripe_offset)",
        "left = min(left, 2 * chunk.stripe_len - stripe_offset)",
    ),
    Fault(
        "raid10-columns",
        "raid10 goes from pair to pair",
        "mapping",
        "first = column * chunk.sub_stripes",
        "first = column",
    ),
    Fault(
        "always-first-copy",
        "the reader's pid chooses the copy",
        "mapping",
        "optimal = first + pid % num",
        "optimal = first",
    ),
)

_MEMORY = (
    Fault(
        "page-shared",
        "who uses a part of a page takes a reference",
        "rfc_2010.user_memory",
        "        get_page(page)\n",
        "        pass\n",
    ),
    Fault(
        "page-of-next",
        "a page is done when its end is reached",
        "rfc_2010.user_memory",
        "if not umc.iov_len or uv.bv_offset + uv.bv_len == PAGE_SIZE:\n        umc.next_user_page += 1",
        "if not umc.iov_len or uv.bv_len == PAGE_SIZE:\n        umc.next_user_page += 1",
    ),
    Fault(
        "pins-and-goes-on",
        "pages pinned anew are used from the first on",
        "rfc_2010.user_memory",
        "        umc.user_pages_left = len(pages)\n        umc.next_user_page = 0\n",
        "        umc.user_pages_left = len(pages)\n        umc.next_user_page = min(1, len(pages) - 1)\n",
    ),
    Fault(
        "one-empty-vector",
        "empty vectors are passed over",
        "rfc_2010.user_memory",
        "    while not umc.iov_len:\n",
        "    if not umc.iov_len:\n",
    ),
    Fault(
        "put-forgets-base",
        "what a bio does not take is read with the next",
        "rfc_2010.user_memory",
        "    umc.iov_base -= uv.bv_len\n    umc.iov_len += uv.bv_len\n",
        "    umc.iov_len += uv.bv_len\n",
    ),
    Fault(
        "written-not-dirty",
        "pages written to are dirty",
        "rfc_2010.user_memory",
        "        page.dirty = True\n",
        "        pass\n",
    ),
    Fault(
        "read-not-dirty",
        "pages read to are dirty",
        "rfc_2010.complete",
        "                page.dirty = True\n",
        "                pass\n",
    ),
    Fault(
        "skips-one-vector",
        "skipping goes from vector to vector",
        "rfc_2010.user_memory",
        "        skip_len -= length\n",
        "        skip_len = 0\n",
    ),
)

_COMPLETION = (
    Fault(
        "csum-ignored",
        "checksums are compared",
        "rfc_2010.csum",
        "if csum != fs_csum:",
        "if False:",
    ),
    Fault(
        "csum-of-nodatasum",
        "without checksums none is compared",
        "rfc_2010.complete",
        "if not err2 and not diocb.kernel.source.nodatasum:",
        "if not err2:",
    ),
    Fault(
        "retry-from-second",
        "all copies are tried",
        "rfc_2010.csum",
        "    extcb.retry_mirror = 0\n",
        "    extcb.retry_mirror = 1\n",
    ),
    Fault(
        "retry-to-last-but-one",
        "the last copy is tried",
        "rfc_2010.retry",
        "if extcb.retry_mirror > btrfs_map_num_copies(chunk):",
        "if extcb.retry_mirror >= btrfs_map_num_copies(chunk):",
    ),
    Fault(
        "retry-believed",
        "what was read again is compared too",
        "rfc_2010.retry",
        "if extcb.retry_csum is not None and _checksum(extcb, extcb.retry_bio) != extcb.retry_csum:",
        "if False:",
    ),
    Fault(
        "retry-not-back",
        "a bad block is gone back to",
        "rfc_2010.csum",
        "    btrfs_dio_put_next_in(extcb, left + extcb.diocb.blocksize)\n",
        "",
    ),
    Fault(
        "frag-lost",
        "a vector is gone on with where it was left",
        "rfc_2010.order",
        "        vec.bv_offset += vec.bv_len - extcb.bo_frag\n",
        "",
    ),
    Fault(
        "scan-forgets-good",
        "good bios count on the way to a bad one",
        "rfc_2010.retry",
        "        extcb.retry_start += extcb.retry_len\n        extcb.bo_now += 1\n",
        "        extcb.bo_now += 1\n",
    ),
    Fault(
        "mirror-goes-on",
        "each block begins with the first copy",
        "rfc_2010.retry",
        "    extcb.retry_start += done\n    extcb.retry_mirror = 0\n",
        "    extcb.retry_start += done\n",
    ),
    Fault(
        "partial-unchecked",
        "what is good before an unreadable block is compared",
        "rfc_2010.retry",
        "    extcb.iolen = good\n",
        "    extcb.iolen = 0\n",
    ),
    Fault(
        "partial-lost",
        "without checksums what is good before an unreadable block counts",
        "rfc_2010.retry",
        "        extcb.filestart += good\n",
        "        pass\n",
    ),
    Fault(
        "short-is-whole",
        "an unreadable block ends the read",
        "rfc_2010.complete",
        "        extcb.error = extcb.shortread\n",
        "        pass\n",
    ),
    Fault(
        "terminate-at-last",
        "the first of several errors ends the read",
        "rfc_2010.complete",
        "diocb.terminate = min(diocb.terminate, extcb.filestart)",
        "diocb.terminate = extcb.filestart",
    ),
    Fault(
        "retry-uncounted",
        "what is read again is waited for",
        "rfc_2010.retry",
        "    diocb.pending_extcbs += 1\n",
        "",
    ),
    Fault(
        "inflate-short",
        "a compressed extent that is too short is an error",
        "rfc_2010.complete",
        "if icb.out_len != length and not extcb.error:",
        "if False:",
    ),
    Fault(
        "extent-stays-locked",
        "what is completed is unlocked",
        "rfc_2010.complete",
        "    kernel.io_tree.unlock_extent(extcb.lockstart, extcb.lockend)\n",
        "",
    ),
)

FAULTS = (*_REQUEST, *_SUBMISSION, *_BIOS, *_MEMORY, *_COMPLETION)
"""All of them."""
