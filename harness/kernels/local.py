# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that lie on this machine: installed, unpacked somewhere, or in the tree they were built in.

Where modprobe can use the modules as they lie, nothing is copied. Else the cache gets a tree with a copy of
the image and links to the modules, and an index of them: a build tree has its modules all over it, and
nothing is to be written into it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError
from harness.kernels.bzimage import image_release
from harness.kernels.kernel import Kernel, modules_folder
from harness.kernels.store import cached, kept, locked, publish, scratch
from harness.kernels.tools import Progress

__all__ = ["digest", "label_of", "local_kernel"]

BZIMAGE = Path("arch/x86/boot/bzImage")
INDEX = re.compile(r"modules\.(dep|alias|symbols|softdep|weakdep|devname|builtin\.bin|builtin\.alias)")
"""What depmod writes."""
NOT_MODULES = {"build", "source", "vmlinuz", "System.map", "config"}


def local_kernel(name: str, path: Path, progress: Progress) -> Kernel:
    """Return the kernel at `path`: an image, or a tree in which one was built.

    Raises UserError when there is none, or its modules are not to be found.
    """
    path = path.absolute()
    tree = path if path.is_dir() else _build_tree_of(path)
    if tree is not None and (tree / ".config").exists():
        return _built(name, tree, progress)
    if path.is_dir():
        raise UserError(f"{path} is no tree in which a kernel was built: name the image (vmlinuz, bzImage)")
    if not path.exists():
        raise UserError(f"there is no kernel {path}")
    return _unpacked(name, path, progress)


def label_of(kind: str, path: Path) -> str:
    """Return the label of a kernel given by its path.

    >>> label_of("path", Path("/boot/vmlinuz-6.1.0 (new)"))
    'path-vmlinuz-6.1.0-new-542cdadc'
    """
    plain = re.sub(r"[^\w.+]+", "-", path.name, flags=re.ASCII).strip("-.")
    return f"{kind}-{plain}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}"


def digest(files: Iterable[Path]) -> str:
    """Return what changes when one of the files does: their paths, sizes and times."""
    found = [(str(path), status.st_size, status.st_mtime_ns) for path in files if (status := path.stat())]
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()


def _unpacked(name: str, image: Path, progress: Progress) -> Kernel:
    release = image_release(image)
    root = next((above for above in image.parents if modules_folder(above, release)), None)
    if root is None:
        raise UserError(
            f"{image} is of {release}, whose modules are nowhere above it: "
            f"put them in {image.parent / 'lib/modules' / release}"
        )
    # Both names of the folder, as modprobe knows but one of them, and which depends on the distribution.
    folders = (root / "lib/modules" / release, root / "usr/lib/modules" / release)
    if all((folder / "modules.dep").exists() for folder in folders):
        configs = (root / "boot" / f"config-{release}", image.with_name("config"))
        return Kernel(
            name,
            label_of("path", image),
            release,
            image,
            root,
            next((c for c in configs if c.exists()), None),
        )
    folder = next(folder for folder in folders if folder.is_dir())
    files = {path.name: path for path in folder.iterdir() if path.name not in NOT_MODULES}
    files = {place: path for place, path in files.items() if not INDEX.match(place)}
    config = next((c for c in (root / "boot" / f"config-{release}", folder / "config") if c.exists()), None)
    return _mapped(name, image, image, files, config, progress)


def _build_tree_of(image: Path) -> Path | None:
    real = image.resolve()
    tree = real.parents[len(BZIMAGE.parts) - 1] if len(real.parents) >= len(BZIMAGE.parts) else None
    return tree if tree is not None and tree / BZIMAGE == real else None


def _built(name: str, tree: Path, progress: Progress) -> Kernel:
    image = tree / BZIMAGE
    if not image.exists():
        raise UserError(f"{tree} has no {BZIMAGE}: build it (make)")
    release, wanted = image_release(image), tree / "include/config/kernel.release"
    if wanted.exists() and wanted.read_text().strip() != release:
        raise UserError(f"{image} is of {release}, its tree of {wanted.read_text().strip()}: build it (make)")
    files = {name: tree / name for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo")}
    files = {place: path for place, path in files.items() if path.exists()}
    files |= _built_modules(tree)
    return _mapped(name, tree, image, files, tree / ".config", progress)


def _built_modules(tree: Path) -> dict[str, Path]:
    order = tree / "modules.order"
    if not order.exists():
        if "\nCONFIG_MODULES=y\n" in (tree / ".config").read_text():
            raise UserError(f"{tree} has no modules.order: build its modules (make)")
        return {}
    # Named with kernel/ in front before Linux 5.3 or so, by the .o files from 6.2 on.
    names = [re.sub(r"\.o$", ".ko", line) for line in order.read_text().split()]
    names = [n if (tree / n).exists() else n.removeprefix("kernel/") for n in names]
    lost = next((name for name in names if not (tree / name).exists()), None)
    if lost is not None:
        raise UserError(f"{tree} has no {lost}: build its modules (make)")
    return {f"kernel/{name.removeprefix('kernel/')}": tree / name for name in names}


def _mapped(
    name: str, path: Path, image: Path, files: dict[str, Path], config: Path | None, progress: Progress
) -> Kernel:
    """Return the kernel of `path` in the cache, whose modules folder has `files` by their places in it."""
    label, release = label_of("path", path), image_release(image)
    origin = digest([image, *_all_files(files.values()), *([config] if config else [])])
    with locked(label, progress):
        entry = cached(label)
        if entry is None or entry.origin != origin:
            progress(f"{name}: indexing the modules of {release}")
            with scratch(label) as tree:
                _lay_out(tree, release, image, files, config)
                entry = publish(tree, str(path), label, origin)
    return kept(entry, name)


def _all_files(paths: Iterable[Path]) -> list[Path]:
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return [file for file in files if file.exists()]  # no links to nowhere


def _lay_out(tree: Path, release: str, image: Path, files: dict[str, Path], config: Path | None) -> None:
    (tree / "boot").mkdir()
    # Copied, so that a guest that boots again gets the same kernel, whatever is built meanwhile.
    shutil.copyfile(image, tree / "boot" / f"vmlinuz-{release}")
    if config is not None:
        shutil.copyfile(config, tree / "boot" / f"config-{release}")
    folder = tree / "lib/modules" / release
    folder.mkdir(parents=True)
    for place, path in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).symlink_to(path)
