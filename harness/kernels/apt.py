# SPDX-License-Identifier: GPL-2.0-or-later
"""apt with a configuration of its own: the machine's sites and settings, other suites, other folders.

Nothing of the system's apt is written, neither lists nor caches nor locks; its hooks are not run. See
apt.conf(5).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UserError
from harness.kernels.packages import Package, parse
from harness.kernels.store import full
from harness.kernels.tools import complaint, environment, find, human, run

__all__ = ["Apt"]

CONFIGURATION = """\
Dir::Etc::sourcelist "{work}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "{work}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{work}/cache";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""

# Started by root, apt downloads as the user _apt, who cannot write below root's home; as nothing is installed
# or run, and signatures and digests are checked whoever downloads, it stays root instead.
AS_ROOT = 'APT::Sandbox::User "root";\n'

UNREACHABLE = (
    *(
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Cannot initiate the connection",
    ),
    *("Unable to connect", "Connection failed", "Connection timed out", "onnection refused", "timed out"),
    *("Network is unreachable", "Could not handshake", "Connection reset", "Error reading from server"),
)
UNTRUSTED = (
    "NO_PUBKEY",
    "EXPKEYSIG",
    "BADSIG",
    "signatures were invalid",
    "couldn't be verified",
)
NO_SPACE = ("No space left on device", "enough free space", "Disk quota exceeded")
DAMAGED = ("Hash Sum mismatch", "unexpected size", "Mirror sync in progress")
GONE = ("does not have a Release file", "no longer has a Release file", "404  Not Found")
STEPS = 4
"""How many times a long download says how far it is."""


class Apt:
    """apt at work in a folder of ours."""

    def __init__(self, work: Path, sources: str) -> None:
        self._work = work
        self._configuration = work / "apt.conf"
        for folder in ("lists/partial", "cache/archives/partial", "debs"):
            (work / folder).mkdir(parents=True, exist_ok=True)
        (work / "debian.sources").write_text(sources)
        text = CONFIGURATION.format(work=work) + (AS_ROOT if os.geteuid() == 0 else "")
        self._configuration.write_text(text)

    def update(self) -> None:
        """Read the lists of packages. A suite that the archive no longer has is passed over.

        Raises UserError when the archive cannot be reached or is not signed by whom it should be.
        """
        done = run("apt-get", "-c", self._configuration, "-qq", "update")
        if done.returncode and (not _says(done.stderr, GONE) or _says(done.stderr, UNREACHABLE)):
            raise _error(done.stderr)

    def packages(self, names: Iterable[str]) -> list[Package]:
        """Return the newest version of each of these packages that the lists have."""
        wanted = list(names)
        if not wanted:
            return []
        done = run("apt-cache", "-c", self._configuration, "show", "--no-all-versions", *wanted)
        return parse(done.stdout)

    def names(self, prefix: str) -> list[str]:
        """Return the names of packages that begin so."""
        done = run("apt-cache", "-c", self._configuration, "pkgnames", prefix)
        if done.returncode:
            raise _error(done.stderr)
        return done.stdout.split()

    def download(self, packages: list[Package], progress: Callable[[str], None]) -> list[Path]:
        """Return the files of the packages, going on with what an earlier try has left of them.

        Raises UserError as `update` does, and when a file is not what the signed lists say.
        """
        folder = self._work / "debs"
        places = {package: folder / _file_name(package) for package in packages}
        for path in folder.iterdir():
            if path not in places.values():
                path.unlink()
        total, there = sum(p.size for p in packages), _bytes_in(folder)
        left = f", {human(there)} of it are here" if there else ""
        progress(f"downloading {', '.join(p.name for p in packages)}: {human(total)}{left}")
        wanted = [f"{package.name}={package.version}" for package in packages]
        self._wait(["-qq", "download", *wanted], folder, total, progress)
        lost = next((path for path in places.values() if not path.exists()), None)
        if lost is not None:
            raise UserError(f"apt-get says that it downloaded {lost.name}, but there is no such file")
        return list(places.values())

    def _wait(self, command: list[str], folder: Path, total: int, progress: Callable[[str], None]) -> None:
        with self._started(command, folder) as process:
            told = _step(folder, total)
            while True:
                try:
                    stderr = process.communicate(timeout=1)[1]
                    break
                except subprocess.TimeoutExpired:
                    if _step(folder, total) > told:
                        told = _step(folder, total)
                        progress(f"{human(_bytes_in(folder))} of {human(total)}")
        if process.returncode:
            if _says(stderr, (*DAMAGED, *NO_SPACE)):
                for path in folder.iterdir():
                    path.unlink()
            raise _error(stderr)

    @contextmanager
    def _started(self, command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
        # The lock goes with apt: should we be killed, it goes on without us, and the next one has to wait.
        with (self._work / "download.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            arguments = [find("apt-get"), "-c", str(self._configuration), *command]
            with subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=0,
                pass_fds=[lock.fileno()],
            ) as process:
                try:
                    yield process
                finally:
                    if process.poll() is None:
                        # The group, as it is apt's methods that then give the file in the making the time
                        # stamp of the one in the archive, without which it would be begun anew.
                        os.killpg(process.pid, signal.SIGTERM)


def _file_name(package: Package) -> str:
    return f"{package.name}_{package.version}_{package.architecture}.deb"


def _step(folder: Path, total: int) -> int:
    return _bytes_in(folder) * STEPS // max(total, 1)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _says(stderr: str, signs: Iterable[str]) -> bool:
    return any(sign in stderr for sign in signs)


def _error(stderr: str) -> UserError:
    line = complaint(stderr)
    if _says(stderr, NO_SPACE):
        return full()
    if _says(stderr, DAMAGED):
        return UserError(f"the download was damaged and is thrown away ({line}): fetch again")
    if _says(stderr, UNREACHABLE):
        return UserError(
            f"the Debian archive cannot be reached ({line}): what was downloaded is kept, try again"
        )
    if _says(stderr, UNTRUSTED):
        return UserError(
            f"the archive's signature does not hold ({line}): install debian-archive-keyring anew"
        )
    if _says(stderr, GONE):
        return UserError(f"the archive lists what it does not have ({line}): try again when it is settled")
    return UserError(f"apt-get fails: {line}")
