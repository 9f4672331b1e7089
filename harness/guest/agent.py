# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside a guest: takes requests from the line to the host, and records cases.

Started by the guest's boot script (`harness.guest.start`). It ends, and the guest with it, when the host
hangs up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from harness.bundle import Bundle
from harness.capture.choice import capture_preparer
from harness.cases import find_case
from harness.errors import InfrastructureError, UserError
from harness.guest.agreed import GUEST_WORK, MODULES, PORT_NAME
from harness.record.interruption import interruptions_held
from harness.record.record import RecordPlan, record_case
from loopdevs import Workspace
from loopdevs.modules import try_to_load

__all__ = ["main"]

WORK = Path(GUEST_WORK, "iodiff")
_OUTPUT_BYTES = 1 << 16

Answer = dict[str, Any]
Ask = Callable[[Any], None]
"""Has the host do something, and waits until it is done."""


def main(word: str) -> None:
    """Serve until the host hangs up."""
    with _port().open("r+b", buffering=0) as line, interruptions_held(), Workspace.create(WORK) as workspace:

        def say(message: Answer) -> None:
            line.write(json.dumps({"word": word, **message}).encode() + b"\n")

        # The boot script began it: modprobe waits for a module that is being loaded.
        try_to_load(MODULES)

        def ask(what: Any) -> None:
            say({"asks": what})
            line.readline()

        say({"hello": _greeting()})
        for request in _requests(line):
            say(_answer(request, workspace, ask))


def _port() -> Path:
    for port in Path("/sys/class/virtio-ports").iterdir():
        if (port / "name").read_text().strip() == PORT_NAME:
            return Path("/dev") / port.name
    raise InfrastructureError(f"the guest has no serial port named {PORT_NAME}")


def _requests(line: BinaryIO) -> Any:
    # Not the file's own iteration: that reads ahead, and waits for more than was sent.
    while request := line.readline():
        yield json.loads(request)


def _greeting() -> Answer:
    system = os.uname()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return {"release": system.release, "version": system.version, "uptime_s": uptime}


def _answer(request: dict[str, Any], workspace: Workspace, ask: Ask) -> Answer:
    serve: Callable[[dict[str, Any], Workspace, Ask], Answer] = _SERVICES[request.pop("request")]
    try:
        return {"done": serve(request, workspace, ask)}
    except UserError as error:
        return {"failed": "environment", "reason": str(error)}
    except InfrastructureError as error:
        return {"failed": "infrastructure", "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": "bug", "reason": f"{type(error).__name__}: {error}"}


def _record(request: dict[str, Any], workspace: Workspace, ask: Ask) -> Answer:
    case = find_case(request["case"])
    plan = RecordPlan(
        case=replace(case, deadline_s=case.deadline_s * request["slowness"]),
        seed=request["seed"],
        run_id=request["run_id"],
        folder=Path(request["folder"]),
        kernel=request["kernel"],
        config=Path(request["config"]) if request["config"] else None,
        tools=request["tools"],
        drives=request["drives"],
        tell_disks=ask if request["rotational"] else None,
    )
    bundle = record_case(plan, workspace, capture_preparer(case.capture or request["capture"], workspace))
    return {"digest": bundle.manifest["digest"]}


def _run(request: dict[str, Any], _workspace: Workspace, _ask: Ask) -> Answer:
    """Run any command of the guest's; for tests and probes."""
    done = subprocess.run(
        request["command"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=request["timeout_s"],
        check=False,
    )
    return {"code": done.returncode, "output": done.stdout[-_OUTPUT_BYTES:].decode(errors="replace")}


def _shrink(request: dict[str, Any], workspace: Workspace, ask: Ask) -> Answer:
    """Make what a bundle shows smaller."""
    # No guest that only records needs this, and emulated ones are slow to import it.
    from harness.direct_io.smallest import smallest

    return asdict(smallest(Bundle.open(Path(request["bundle"])), workspace, request["tries"], ask).shrunk())


_SERVICES = {"record": _record, "run": _run, "shrink": _shrink}


if __name__ == "__main__":
    main(sys.argv[1])
