# SPDX-License-Identifier: GPL-2.0-or-later
"""A worked example of the engine, by numbers.

Blocks 0 to 15 and 16 to 31 are two block groups that devices 1 and 2 mirror; blocks 32 to 47 are one on
device 3. The root is block 40, its six leaves in order of keys are 20, 5, 18, 2, 4 and 30. All numbers are of
blocks.

>>> from reference.readahead import Behaviour, Readahead
>>> from reference.readahead.testing import NODESIZE, Blocks
>>> source = Blocks([(1, 2), (1, 2), (3,)], blocks_per_group=16)
>>> root = source.grow(leaves=6, fanout=6, places=[20, 5, 18, 2, 4, 30, 40])
>>> readahead = Readahead(source, devids=[1, 2, 3], behaviour=Behaviour.seed_2011)
>>> def blocks(zone): return f"{zone.start // NODESIZE}-{zone.end // NODESIZE}"
>>> def show():
...     for device in readahead.fs_info.fs_devices:
...         zone = device.reada_curr_zone
...         next = f"in {blocks(zone)}, next {device.reada_next // NODESIZE}" if zone else "nowhere"
...         zones = [f"{blocks(z)} has {z.elems}{' locked' * z.locked}" for _, z in device.reada_zones]
...         print(f"{device} {next}: {', '.join(zones) or 'no zones'}")
...     print("reading", [(read.devid, read.logical // NODESIZE) for read in readahead.pending])

Adding queues the root, and device 3 reads it:

>>> control = readahead.add(root)
>>> show()
device 1 nowhere: no zones
device 2 nowhere: no zones
device 3 in 32-47, next 41: 32-47 has 1
reading [(3, 40)]

Once it is read, its hook queues the leaves, three in each group, in zones of devices 1 and 2. Device 1 picks
the first of two zones that have as many elements; that locks device 2's zone of the same group, so device 2
picks the other. They take turns, each upwards from where its zone begins. When all of a
zone are under way and its device is asked again, it picks anew: its own zone still has elements.

>>> readahead.complete(root.bytenr)
>>> show()
device 1 in 0-15, next 3: 0-15 has 3, 16-31 has 3 locked
device 2 in 16-31, next 19: 0-15 has 3 locked, 16-31 has 3
device 3 nowhere: no zones
reading [(1, 2), (2, 18), (1, 4), (2, 20), (1, 5), (2, 30)]

So both pointers are one behind the first block of their zones: each zone was picked again from its start,
what is there was found to be under way, and with no device finding anything the worker ended.

When device 1 has read all of its zone, that zone is gone. It turns to the other group, locked or not:

>>> for block in (2, 4, 5):
...     readahead.complete(block * NODESIZE)
>>> show()
device 1 in 16-31, next 19: 16-31 has 3 locked
device 2 in 16-31, next 19: 16-31 has 3 locked
device 3 nowhere: no zones
reading [(2, 18), (2, 20), (2, 30)]

Two devices now stand in one group, each locked by the other. With more to be read there, they would take
every other block. What is left completes, and nothing remains:

>>> readahead.wait(control)
>>> show()
device 1 nowhere: no zones
device 2 nowhere: no zones
device 3 nowhere: no zones
reading []

The walk reads the same blocks, in order of keys and one at a time:

>>> from reference.readahead import walk
>>> [node.bytenr // NODESIZE for node in walk(source, root.bytenr)]
[40, 20, 5, 18, 2, 4, 30]
"""

from __future__ import annotations

__all__ = ()
