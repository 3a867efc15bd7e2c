# SPDX-License-Identifier: GPL-2.0-or-later
"""Build small kernels for the lab, from Debian's sources or a tree of one's own.

A profile is a fragment in config/ over base.config; every symbol that neither
names is off.  What was built is kept under a key made of all that went in, so
that asking twice costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..archive import locked
from .sources import LabError, Say, Source, cache_dir

CONFIG_DIR = Path(__file__).with_name("config")
PROFILES = {
    "plain": "fast; SLUB and list debugging, hung-task and lockup detection",
    "gcov": "counts lines and branches of fs/aio.c",
    "kasan": "KASAN, lockdep, UBSAN, kmemleak, sleeping in atomic context",
    "kcsan": "data races",
    "fault": "fault injection: slab, pages, user copies, requests, functions",
    "gcov-fault": "both: coverage with the error paths that fault injection reaches",
    "noaio": "CONFIG_AIO off",
}
# The time and place of a build would make equal kernels differ.
_REPEATABLE = (
    "KBUILD_BUILD_TIMESTAMP=2000-01-01",
    "KBUILD_BUILD_USER=lab",
    "KBUILD_BUILD_HOST=aioabi",
    "KBUILD_BUILD_VERSION=1",
)
KEY_FILE = "lab.key"  # in the objects: which image they belong to
_MAKE_FLAGS: dict[str, tuple[str, ...]] = {
    "gcov": ("GCOV_PROFILE_aio.o=y",),
    "gcov-fault": ("GCOV_PROFILE_aio.o=y",),
}


@dataclass(frozen=True)
class Image:
    """A built kernel: what to boot, and the tree that it came from."""

    version: str
    profile: str
    key: str
    kernel: Path
    bzimage: Path
    config: Path
    source: Path
    objects: Path
    seconds: float
    cached: bool


def make_environment() -> dict[str, str]:
    """Return the environment of every compiler run of the lab."""
    environment = {**os.environ, "LC_ALL": "C"}
    environment.setdefault("CCACHE_DIR", str(cache_dir() / "ccache"))
    environment.setdefault("CCACHE_MAXSIZE", "8G")
    environment.setdefault("CCACHE_BASEDIR", str(cache_dir()))
    return environment


def compiler() -> str:
    """Return the compiler command: through ccache where that is installed."""
    return "ccache gcc" if shutil.which("ccache") else "gcc"


def fragment(profile: str) -> str:
    """Return the configuration that ``profile`` asks for, base included."""
    if profile not in PROFILES:
        raise LabError(f"no profile {profile!r}; there are: {', '.join(PROFILES)}")
    names = ("base.config", *(f"{part}.config" for part in profile.split("-")))
    return "".join((CONFIG_DIR / name).read_text(encoding="utf-8") for name in names)


def wanted_symbols(text: str) -> dict[str, str]:
    """Return symbol to value from a configuration; off is ``n``."""
    wanted = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(CONFIG_\w+)=(.*)", line):
            wanted[match.group(1)] = match.group(2)
        elif match := re.fullmatch(r"# (CONFIG_\w+) is not set", line):
            wanted[match.group(1)] = "n"
    return wanted


def missing_symbols(wanted: str, config: str, tree: Path) -> list[str]:
    """Return what ``wanted`` asks for and ``config`` lacks, one text each.

    A symbol that this tree has never heard of is no fault, nor is one that the
    fragment calls optional: kernels differ.
    """
    have = wanted_symbols(config)
    optional = set(re.findall(r"^# optional: (CONFIG_\w+)$", wanted, re.MULTILINE))
    lacking = {
        name: value
        for name, value in wanted_symbols(wanted).items()
        if have.get(name, "n") != value and name not in optional
    }
    if not lacking:
        return []
    known = _known_symbols(tree)
    return [
        f"{name}={value} (it is {have.get(name, 'n')})"
        for name, value in lacking.items()
        if name.removeprefix("CONFIG_") in known
    ]


def _known_symbols(tree: Path) -> set[str]:
    known: set[str] = set()
    for path in tree.rglob("Kconfig*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        known.update(re.findall(r"^\s*(?:menu)?config\s+(\w+)", text, re.MULTILINE))
    return known


class Builder:
    """One object directory: a source configured by a profile."""

    def __init__(self, source: Source, profile: str, jobs: int, say: Say) -> None:
        self.source = source
        self.profile = profile
        self.jobs = jobs
        self.say = say
        self.wanted = fragment(profile)
        name = source.identity or hashlib.sha256(str(source.path).encode()).hexdigest()
        self.objects = cache_dir() / "build" / f"{source.version}-{profile}-{name[:24]}"
        self.flags = _MAKE_FLAGS.get(profile, ())
        self.log = self.objects / "make.log"

    def key(self) -> str:
        """Return a name for all that goes into the kernel."""
        version = subprocess.run(
            ["gcc", "--version"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[0]
        parts = [self.source.identity or "", self.wanted, version, *self.flags]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def make(self, *targets: str, config: Path | None = None) -> None:
        """Run make in the object directory; its output goes to the log."""
        command = [
            *("nice", "-n", "5", "setpriv", "--pdeathsig", "TERM"),
            *("make", "-C", str(self.source.path)),
            *(f"O={self.objects}", f"-j{self.jobs}", f"CC={compiler()}"),
            *(*_REPEATABLE, *self.flags, *targets),
        ]
        environment = make_environment()
        if config:
            environment["KCONFIG_ALLCONFIG"] = str(config)
        with open(self.log, "a", encoding="utf-8") as log:
            making = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                status = making.wait()
            except BaseException:
                # a make that dies alone leaves those behind that it has started
                os.killpg(making.pid, signal.SIGTERM)
                making.wait()
                raise
        if status:
            tail = self.log.read_text(encoding="utf-8").splitlines()[-15:]
            raise LabError("\n".join([f"make failed, see {self.log}", *tail]))

    def configure(self) -> None:
        """Write .config: what the profile names is on, everything else off."""
        self.objects.mkdir(parents=True, exist_ok=True)
        (self.objects / KEY_FILE).unlink(missing_ok=True)
        asked = self.objects / "lab.config"
        config = self.objects / ".config"
        if config.exists() and asked.exists():
            if asked.read_text(encoding="utf-8") == self.wanted:
                return
        asked.write_text(self.wanted, encoding="utf-8")
        self.make("allnoconfig", config=asked)
        lacking = missing_symbols(
            self.wanted, config.read_text(encoding="utf-8"), self.source.path
        )
        if lacking:
            asked.unlink()
            raise LabError(
                f"{self.source.version} {self.profile}: not to be had:\n  "
                + "\n  ".join(lacking)
            )

    def build(self, objects: bool) -> Image:
        """Build, or find built, the kernel; return it.

        With ``objects`` what it was made of must be there, too.
        """
        key = self.key()
        place = cache_dir() / "images" / f"{self.source.version}-{self.profile}-{key}"
        mark = self.objects / KEY_FILE

        def found() -> bool:
            if not self.source.identity or not (place / "image.json").exists():
                return False
            return not objects or (mark.exists() and mark.read_text() == key)

        if found():
            return self.load(place)
        with locked(self.objects.with_suffix(".lock")):
            if found():
                return self.load(place)
            begun = time.monotonic()
            self.configure()
            self.say(f"building {self.source.version} {self.profile}: {self.log}")
            self.make("vmlinux", "bzImage")
            return self._keep(place, key, time.monotonic() - begun)

    def _keep(self, place: Path, key: str, seconds: float) -> Image:
        (self.objects / KEY_FILE).write_text(key, encoding="utf-8")
        fresh = place.with_name(f"{place.name}.{os.getpid()}")
        fresh.mkdir(parents=True)
        subprocess.run(
            ["strip", "-o", fresh / "vmlinux", self.objects / "vmlinux"], check=True
        )
        shutil.copy(self.objects / "arch/x86/boot/bzImage", fresh / "bzImage")
        shutil.copy(self.objects / ".config", fresh / "config")
        facts = {
            "version": self.source.version,
            "profile": self.profile,
            "key": key,
            "source": str(self.source.path),
            "objects": str(self.objects),
            "seconds": round(seconds, 1),
        }
        (fresh / "image.json").write_text(json.dumps(facts, indent=2) + "\n")
        if place.exists():
            shutil.rmtree(place)
        fresh.rename(place)
        return self.load(place, cached=False)

    @staticmethod
    def load(place: Path, cached: bool = True) -> Image:
        """Return the image that is kept in the folder ``place``."""
        facts: dict[str, Any] = json.loads((place / "image.json").read_text())
        return Image(
            version=facts["version"],
            profile=facts["profile"],
            key=facts["key"],
            kernel=place / "vmlinux",
            bzimage=place / "bzImage",
            config=place / "config",
            source=Path(facts["source"]),
            objects=Path(facts["objects"]),
            seconds=facts["seconds"],
            cached=cached,
        )


def build(
    source: Source,
    profile: str = "plain",
    *,
    jobs: int | None = None,
    objects: bool = False,
    say: Say = lambda text: None,
) -> Image:
    """Build ``source`` in ``profile`` and return the image, cached or fresh.

    With ``objects`` it can be linked again, with a changed fs/aio.c.
    """
    count = jobs or len(os.sched_getaffinity(0))
    return Builder(source, profile, count, say).build(objects)


def images() -> list[Image]:
    """Return every image in the cache, the latest last."""
    found = sorted(
        (cache_dir() / "images").glob("*/image.json"), key=lambda p: p.stat().st_mtime
    )
    return [Builder.load(path.parent) for path in found]
