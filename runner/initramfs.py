# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's memory holds when it starts: the program as /init, modules, and the
configuration that lib/guest.h describes."""
import functools
import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Mapping, Optional, Sequence

from .archive import cache_dir, locked

FOLDERS = (
    "dev",
    "proc",
    "sys",
    "tmp",
    "run",
    "mnt",
    "var",
    "var/tmp",
    "sbin",
    "modules",
    "mkfs",
)


class Cpio:
    """An archive in the form that the kernel unpacks ("newc")."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def folder(self, name: str) -> None:
        """A directory."""
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file."""
        self._add(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """A character device."""
        self._add(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def close(self) -> bytes:
        """The whole archive."""
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(
        self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in fields)
        self._parts += [
            header + raw + bytes(-(len(header) + len(raw)) % 4),
            data,
            bytes(-len(data) % 4),
        ]


def build(
    program: bytes,
    modules: Optional[Path],
    configuration: Sequence[str],
    more: Optional[Mapping[str, bytes]] = None,
) -> bytes:
    """The archive for a guest. `program` is the static executable, `modules` a folder
    as kernels.take_modules makes it, `configuration` the lines of /guest.conf; `more`
    are files by name, zoo.template(X) as mkfs/X."""
    cpio = Cpio()
    for name in FOLDERS:
        cpio.folder(name)
    cpio.device("dev/console", 5, 1)
    cpio.device("dev/null", 1, 3)
    cpio.file("init", program, 0o755)
    cpio.link("sbin/modprobe", "../init")
    cpio.link("sbin/poweroff", "../init")
    for path in sorted(modules.iterdir()) if modules else ():
        cpio.file(f"modules/{path.name}", path.read_bytes())
    cpio.file("guest.conf", "".join(f"{line}\n" for line in configuration).encode())
    for name, data in (more or {}).items():
        cpio.file(name, data, 0o755)
        if name.startswith("mkfs/"):
            cpio.link("sbin/mkfs." + name.removeprefix("mkfs/"), "../init")
    return cpio.close()


@functools.lru_cache(maxsize=4)
def stripped(path: Path) -> bytes:
    """A program without what only a debugger reads, where `strip` is at hand: a guest
    unpacks a third of it. Kept in the cache, by content."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:32]
    kept = cache_dir() / "programs" / digest
    if not kept.exists() and shutil.which("strip"):
        with locked(kept.parent / ".lock"):
            new = kept.with_name(f".{digest}")
            done = subprocess.run(["strip", "-o", str(new), str(path)])
            if done.returncode == 0:
                os.replace(new, kept)
                _keep_few(kept.parent)
    return kept.read_bytes() if kept.exists() else data


def _keep_few(folder: Path, number: int = 8) -> None:
    programs = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for old in sorted(programs, key=lambda path: path.stat().st_mtime)[:-number]:
        old.unlink(missing_ok=True)
