# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in the model of mainline's direct read, one or more for each of its rules."""

from __future__ import annotations

from suites.direct_io.fault import Fault

__all__ = ["MAINLINE_FAULTS"]

MAINLINE_FAULTS = (
    Fault(
        "odd-offset-direct",
        "what does not begin with a block is buffered",
        "mainline.predict",
        "aligned = request.offset % BLOCK == 0 and all(",
        "aligned = all(",
    ),
    Fault(
        "odd-memory-direct",
        "what does not go to whole blocks of memory is buffered",
        "mainline.predict",
        "(iov.iov_base | iov.iov_len) % BLOCK == 0",
        "iov.iov_len % BLOCK == 0",
    ),
    Fault(
        "odd-length-direct",
        "what is not whole blocks is buffered",
        "mainline.predict",
        "(iov.iov_base | iov.iov_len) % BLOCK == 0",
        "iov.iov_base % BLOCK == 0",
    ),
    Fault(
        "twins-direct",
        "vectors that begin at one address are buffered",
        "mainline.predict",
        "return aligned and len({iov.iov_base for iov in request.iov}) == len(request.iov)",
        "return aligned",
    ),
    Fault(
        "compressed-direct",
        "compressed extents are buffered",
        "mainline.predict",
        "bool(item.disk_bytenr) and item.compression != Compression.NONE",
        "bool(item.disk_bytenr) and item.compression == Compression.LZO",
    ),
    Fault(
        "prealloc-from-disk",
        "prealloc is zeroes, without a device",
        "mainline.predict",
        "return item.type is ExtentType.PREALLOC or not item.disk_bytenr",
        "return not item.disk_bytenr",
    ),
    Fault(
        "direct-after-buffered",
        "a buffered extent makes all after it buffered",
        "mainline.predict",
        "_needs_page_cache(item):\n            break\n",
        "_needs_page_cache(item):\n            position += BLOCK\n            continue\n",
    ),
    Fault(
        "bios-unlimited",
        "a mapping has a limit",
        "mainline.predict",
        "position + behaviour.read_limit * BLOCK, ",
        "",
    ),
    Fault(
        "ends-at-eof",
        "memory behind the end of the file is zeroed",
        "mainline.predict",
        "while position < end and (behaviour.reads_behind_eof or position < source.i_size):",
        "while position < end and position < source.i_size:",
    ),
    Fault(
        "returns-behind-eof",
        "no more is returned than the file has",
        "mainline.predict",
        "done = min(position, source.i_size)",
        "done = position",
    ),
    Fault(
        "short-direct",
        "a block without good copy fails all that is direct",
        "mainline.predict",
        "            error = -errno.EIO\n",
        "            break\n",
    ),
    Fault(
        "buffered-all-fails",
        "a buffered read is short",
        "mainline.predict",
        "prediction.result = position - offset or data\n",
        "prediction.result = data\n",
    ),
    Fault(
        "mirrors-cut",
        "only striped profiles are cut at stripes",
        "mainline.predict",
        "if not chunk.type & _STRIPED:",
        "if not chunk.type:",
    ),
    Fault(
        "stripes-not-cut",
        "striped profiles are cut at stripes",
        "mainline.predict",
        "if not chunk.type & _STRIPED:",
        "if True:",
    ),
    Fault(
        "errors-counted-as-corrupt",
        "what cannot be read is not counted as corrupt",
        "mainline.predict",
        "if device is not None and device.read(physical, BLOCK) is not None:",
        "if device is not None:",
    ),
    Fault(
        "raid10-first-of-pair",
        "the thread chooses the copy in raid10",
        "mainline.repair",
        "return index % chunk.sub_stripes + 1",
        "return 1",
    ),
    Fault(
        "ring-ends",
        "after the last copy comes the first",
        "mainline.repair",
        "following = failed % copies + 1",
        "following = failed + 1 if failed < copies else first",
    ),
    Fault(
        "ring-too-short",
        "the ring goes to the one before the first",
        "mainline.repair",
        "return None if following == first else following",
        "return None if following % copies + 1 == first else following",
    ),
    Fault(
        "old-from-failed",
        "5.10 tries copies from the first on",
        "mainline.repair",
        "    following = tried + 1\n",
        "    following = failed + 1\n",
    ),
    Fault(
        "old-failed-again",
        "5.10 passes over the copy that has just failed",
        "mainline.repair",
        "        following += 1\n",
        "        pass\n",
    ),
    Fault(
        "repairs-last",
        "all bad copies are repaired",
        "mainline.repair",
        "bad = read.bad_mirrors if behaviour.repairs_all else read.bad_mirrors[-1:]",
        "bad = read.bad_mirrors[-1:]",
    ),
    Fault(
        "old-repairs-all",
        "5.10 repairs what failed last",
        "mainline.repair",
        "bad = read.bad_mirrors if behaviour.repairs_all else read.bad_mirrors[-1:]",
        "bad = read.bad_mirrors",
    ),
    Fault(
        "sums-ignored",
        "checksums are compared",
        "mainline.repair",
        "return data if csum == source.csum_at(logical) else None",
        "return data",
    ),
    Fault(
        "sums-of-nodatasum",
        "without checksums none is compared",
        "mainline.repair",
        "if data is None or source.nodatasum:",
        "if data is None:",
    ),
    Fault(
        "inflated-from-start",
        "a compressed extent is read from its offset",
        "mainline.buffered",
        "plain[item.offset : item.offset + item.num_bytes]",
        "plain[: item.num_bytes]",
    ),
)
"""All of them."""
