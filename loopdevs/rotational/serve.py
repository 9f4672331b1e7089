# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that is a disk: started by `loopdevs.rotational.server`, one for each.

It ends with whoever started it, and at nothing else: its input is a pipe, at whose end it ends. SIGUSR1 makes
it answer everything at once from then on, SIGUSR2 in its time again. It says by files in which state it is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from loopdevs.rotational.clock import go_before_others
from loopdevs.rotational.failing import FailingBlocks
from loopdevs.rotational.hurry import HURRY, KEEP_TIME
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.libfuse import fuse_missing
from loopdevs.rotational.names import FAILING, HURRIED, IMAGE, POINT, READY, SERVED, SOCKET
from loopdevs.rotational.served import recorder
from loopdevs.rotational.spindle import Spindle
from loopdevs.rotational.store import Store

__all__ = ["main"]


def main() -> None:
    """Serve the disk that the arguments describe, in the folder that is the working directory."""
    front, source, told = sys.argv[1:]
    # Before there are threads, so that none of them takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [HURRY, KEEP_TIME])
    go_before_others()
    # libfuse leaves the working directory.
    folder = Path.cwd()
    layout = RotationalLayout.from_json(json.loads(told))
    spindle = Spindle(layout.make, layout.scale, recorder(folder / SERVED))
    threading.Thread(target=_end_with_owner, daemon=True).start()
    threading.Thread(target=_obey, args=(spindle, folder), daemon=True).start()
    store = Store(folder / IMAGE, FailingBlocks(folder / FAILING))
    ready = partial((folder / READY).touch, 0o600)
    if front == "nbd":
        from loopdevs.rotational.nbd import listen

        listen(folder / SOCKET, store, spindle, ready)
    else:
        if reason := fuse_missing():
            sys.exit(reason)
        from loopdevs.rotational.fuse import serve

        serve(folder / POINT, source, store, spindle, ready)


def _end_with_owner() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def _obey(spindle: Spindle, folder: Path) -> None:
    while True:
        if signal.sigwait([HURRY, KEEP_TIME]) == HURRY:
            spindle.hurry()
            (folder / HURRIED).touch(0o600)
        else:
            spindle.keep_time()
            (folder / HURRIED).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
