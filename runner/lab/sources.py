# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel sources for the lab: Debian's linux-source packages, or one's own tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from .. import archive
from ..archive import Archive, ArchiveError, Version, locked

Say = Callable[[str], None]
_PLACE = re.compile(r"linux-source-(\d+\.\d+)_(.+)")


class LabError(Exception):
    """The lab cannot do what was asked; the message says why."""


@dataclass(frozen=True)
class Source:
    """A kernel tree and, when its content is known by a name, that name."""

    path: Path
    version: str
    identity: str | None


def cache_dir() -> Path:
    """Return the directory that holds sources, objects and images."""
    return archive.cache_dir() / "lab"


def find(version: str, tree: Path | None, say: Say) -> Source:
    """Return the source that a person means: a tree, or Debian's of a version.

    What is unpacked already is taken as it is; else what the host has installed;
    else what Debian's archive has.
    """
    if tree is not None:
        return from_tree(tree)
    if not re.fullmatch(r"\d+\.\d+", version):
        raise LabError(f"{version!r} is no version as linux-source has them: 6.12, say")
    kept = sorted(_kept(version), key=lambda source: Version(source.identity or ""))
    if kept:
        return kept[-1]
    return _installed(version, say) or _fetched(version, say)


def from_tree(tree: Path) -> Source:
    """Return the kernel tree of the user's own at ``tree``."""
    tree = tree.resolve()
    if not (tree / "fs/aio.c").is_file():
        raise LabError(f"{tree} is no kernel tree: it has no fs/aio.c")
    if (tree / ".config").exists() or (tree / "include/config").exists():
        raise LabError(f"{tree} was built in place: run `make mrproper` there first")
    return Source(tree, _tree_version(tree), None)


def _kept(version: str) -> Iterator[Source]:
    for path in (cache_dir() / "src").glob(f"linux-source-{version}_*"):
        match = _PLACE.fullmatch(path.name)
        if match:
            yield Source(path, version, match.group(2))


def _installed(version: str, say: Say) -> Source | None:
    tarball = Path(f"/usr/src/linux-source-{version}.tar.xz")
    query = ["dpkg-query", "-W", "-f", "${Version}", f"linux-source-{version}"]
    found = subprocess.run(query, capture_output=True, text=True, check=False)
    if found.returncode or not tarball.is_file():
        return None
    return _unpack(version, found.stdout.strip(), tarball, say)


def _fetched(version: str, say: Say) -> Source:
    try:
        debian = Archive()
        name = f"linux-source-{version}"
        offered = [p for p in debian.packages() if p.name == name]
        if not offered:
            raise LabError(f"Debian has no {name}")
        package = max(offered, key=lambda p: Version(p.version))
        folder = cache_dir() / "src" / f"fetch.{os.getpid()}"
        folder.mkdir(parents=True)
        try:
            say(f"fetching {name} {package.version} ({package.size / 1e6:.0f} MB)")
            deb = debian.download(package, folder)
            subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
            (tarball,) = (folder / "usr/src").glob("*.tar.xz")
            return _unpack(version, package.version, tarball, say)
        finally:
            shutil.rmtree(folder)
    except (ArchiveError, subprocess.CalledProcessError) as error:
        raise LabError(f"linux-source-{version}: {error}") from error


def _unpack(version: str, identity: str, tarball: Path, say: Say) -> Source:
    root = cache_dir() / "src"
    place = root / f"linux-source-{version}_{identity.replace('/', '_')}"
    with locked(root / f"{version}.lock"):
        if not place.is_dir():
            say(f"unpacking {tarball.name}")
            fresh = root / f"unpack.{os.getpid()}"
            fresh.mkdir(parents=True)
            try:
                command = ["tar", "-xf", str(tarball), "-C", str(fresh)]
                subprocess.run(command, check=True)
                (only,) = fresh.iterdir()
                only.rename(place)
            except subprocess.CalledProcessError as error:
                raise LabError(f"{tarball} cannot be unpacked") from error
            finally:
                shutil.rmtree(fresh)
    return Source(place, version, identity)


def _tree_version(tree: Path) -> str:
    text = (tree / "Makefile").read_text(encoding="utf-8")
    found = {
        name: re.search(rf"^{name} = *(\S*)$", text, re.MULTILINE)
        for name in ("VERSION", "PATCHLEVEL")
    }
    return ".".join(match.group(1) if match else "0" for match in found.values())
