# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's archive, read through apt with lists and a cache of our own.

Nothing of the host's apt changes: its configuration (proxies, say) is read, its
sources only to learn which mirror it uses. Every suite is checked against the archive's
keyring, every package against the index that the suite's signature covers.
"""
import fcntl
import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import total_ordering
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HELPER = "/usr/lib/apt/apt-helper"
SUITES = (
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-security",
    "bookworm-backports",
    "trixie",
    "trixie-security",
    "trixie-backports",
    "forky",
    "sid",
    "experimental",
)
WANTED = re.compile(rb"Package: linux-(image|binary|modules|base|source)-[0-9]")
FRESH = 24 * 3600.0  # seconds for which lists are used as they are
FORMAT = 2


class ArchiveError(Exception):
    """The archive cannot be used as asked; the text says why."""


def cache_dir() -> Path:
    """Where whatever can be fetched or made again is kept."""
    root = os.environ.get("AIOABI_CACHE")
    if root:
        return Path(root)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "aioabi"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; it stays, for it may not change under a waiter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@total_ordering
class Version:
    """A version of a Debian package, ordered as dpkg orders them."""

    def __init__(self, text: str):
        self.text = text
        epoch, _, rest = text.rpartition(":")
        upstream, _, revision = rest.rpartition("-")
        self.upstream = upstream or revision
        parts = (upstream, revision) if upstream else (revision, "")
        self._key = (int(epoch or 0), *(self._order(part) for part in parts))

    @staticmethod
    def _order(text: str) -> list[Any]:
        key: list[Any] = []
        for letters, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
            weights = [
                -1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256
                for c in letters
            ]
            # The end of a part (0) comes after ~ and before everything else.
            key += [[*weights, 0], int(digits or 0)]
        return key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self.text)


@dataclass(frozen=True)
class Package:
    """A package as a suite's index has it. One that no index has carries no checksum,
    and no size."""

    name: str
    version: str
    suite: str
    uri: str
    size: int
    sha256: str
    depends: str


class Archive:
    """The suites of Debian that have kernels, through a private apt."""

    def __init__(self, root: Optional[Path] = None, suites: Sequence[str] = SUITES):
        self.root = root or cache_dir() / "apt"
        self.suites = suites
        self.notes: list[str] = []
        self.aliases: dict[str, str] = {}

    def packages(self, refresh: Optional[bool] = None) -> list[Package]:
        """The kernel packages of all suites. `refresh`: fetch the lists anew; None:
        if they are older than a day. Lists that cannot be fetched are an error only
        where there are none from before; `notes` says what could not, and `aliases`
        which suites go by the names of stable, testing and so on."""
        with locked(self.root / "lock"):
            found = self._kept()
            age = time.time() - float(found.get("time", 0))
            if refresh is False and found:
                pass
            elif refresh or not found or not 0 <= age < FRESH:
                try:
                    found = self._update()
                except ArchiveError as error:
                    if not found:
                        raise
                    days = age / 86400
                    self.notes.append(f"{error}; the lists are {days:.1f} days old")
            self.notes += found["notes"]
            self.aliases = found["aliases"]
            return [Package(**package) for package in found["packages"]]

    def download(self, package: Package, folder: Path) -> Path:
        """Fetch a package into `folder`, checked against the signed index."""
        path = folder / f"{package.name}_{package.version.replace(':', '%3a')}.deb"
        part = path.with_name(f".{path.name}.part")
        with locked(self.root / "lock"):
            self._configure()
        vouched = [f"SHA256:{package.sha256}"] if package.sha256 else []
        done = self._run([HELPER, "download-file", package.uri, str(part), *vouched])
        if done.returncode or not part.exists():
            part.unlink(missing_ok=True)
            why = _errors(done) or "it did not arrive"
            if "404" in why:
                why = "the mirror has it no longer (try `aioabi kernels --update`)"
            raise ArchiveError(f"{package.name} {package.version}: {why}")
        if package.size not in (0, part.stat().st_size):
            size = part.stat().st_size
            part.unlink()
            raise ArchiveError(
                f"{package.name}: {size} bytes of {package.size} arrived"
            )
        part.rename(path)
        return path

    def _kept(self) -> dict[str, Any]:
        try:
            found = json.loads((self.root / "packages.json").read_text())
        except (OSError, ValueError):
            return {}
        if found.get("format") != FORMAT or found.get("suites") != list(self.suites):
            return {}
        return dict(found) if found.get("asked") == _asked() else {}

    def _update(self) -> dict[str, Any]:
        self._configure()
        done = self._run(["apt-get", "-q", "update", "--allow-releaseinfo-change"])
        packages: dict[tuple[str, str, str], Package] = {}
        missing = set(self.suites)
        aliases: dict[str, str] = {}
        for suite, alias, site, path in self._indexes():
            missing.discard(suite)
            aliases[alias] = suite
            for package in self._scan(suite, site, path):
                packages[package.name, package.version, suite] = package
        if len(missing) == len(self.suites):
            raise ArchiveError(f"no list could be fetched: {_errors(done)}")
        notes = [f"no list of {suite} could be had" for suite in sorted(missing)]
        found = {
            "format": FORMAT,
            "suites": list(self.suites),
            "asked": _asked(),
            "time": time.time(),
            "notes": notes + ([_errors(done)] if missing else []),
            "aliases": aliases,
            "packages": [asdict(package) for package in packages.values()],
        }
        write_whole(self.root / "packages.json", json.dumps(found).encode())
        return found

    def _configure(self) -> None:
        main, security = mirrors()
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        lines = [
            f"deb [arch=amd64 signed-by={KEYRING}] "
            f"{security if suite.endswith('-security') else main} {suite} main"
            for suite in self.suites
        ]
        (self.root / "sources.list").write_text("\n".join(lines) + "\n")
        (self.root / "apt.conf").write_text(
            f"""
            #clear APT::Update;
            #clear APT::Architectures;
            APT::Architecture "amd64";
            APT::Sandbox::User "{'root' if os.geteuid() == 0 else ''}";
            Acquire::Languages "none";
            Acquire::Retries "3";
            Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
            Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
            Dir::State::lists "{self.root}/lists";
            Dir::State::status "{self.root}/status";
            Dir::Cache "{self.root}/cache";
            Dir::Etc::sourcelist "{self.root}/sources.list";
            Dir::Etc::sourceparts "/dev/null";
            Dir::Log::Terminal "";
            """
        )

    def _run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        first, *rest = command
        return subprocess.run(
            [first, "-c", str(self.root / "apt.conf"), *rest],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        )

    def _indexes(self) -> list[tuple[str, str, str, Path]]:
        """Suite, its other name, address and file of each list that is here."""
        wanted = "$(CREATED_BY)|$(RELEASE)|$(SUITE)|$(SITE)|$(FILENAME)"
        done = self._run(["apt-get", "indextargets", "--format", wanted])
        found = []
        for line in done.stdout.splitlines():
            kind, suite, alias, site, name = line.split("|", 4)
            if kind == "Packages" and suite in self.suites and Path(name).exists():
                found.append((suite, alias, site, Path(name)))
        return found

    def _scan(self, suite: str, site: str, path: Path) -> Iterator[Package]:
        listing = self._run_bytes([HELPER, "cat-file", str(path)])
        for stanza in listing.split(b"\n\n"):
            if not WANTED.match(stanza):
                continue
            fields = dict(
                line.split(": ", 1)
                for line in stanza.decode(errors="replace").splitlines()
                if not line.startswith(" ") and ": " in line
            )
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                suite=suite,
                uri=f"{site.rstrip('/')}/{fields['Filename']}",
                size=int(fields["Size"]),
                sha256=fields["SHA256"],
                depends=fields.get("Depends", ""),
            )

    @staticmethod
    def _run_bytes(command: Sequence[str]) -> bytes:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True
        ).stdout


def _asked() -> list[str]:
    return [
        os.environ.get(name, "").rstrip("/") for name in ("MIRROR", "MIRROR_SECURITY")
    ]


def mirrors() -> tuple[str, str]:
    """The addresses of Debian's archive and of its security archive: $MIRROR and
    $MIRROR_SECURITY, else those that this host's apt uses."""
    main, security = _asked()
    if not (main and security):
        theirs = _host_mirrors()
        main = main or theirs.get("Debian", "")
        security = security or theirs.get("Debian-Security", "")
    if not main:
        raise ArchiveError(
            "this host's apt names no mirror of Debian: set MIRROR=http://…/debian"
        )
    # Where only the archive is known, the security archive is usually its sibling.
    return main, security or re.sub(r"/debian$", "", main) + "/debian-security"


def _host_mirrors() -> dict[str, str]:
    wanted = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(SITE)"
    try:
        listing = subprocess.run(
            ["apt-get", "indextargets", "--format", wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        ).stdout
    except OSError as error:
        raise ArchiveError(f"apt-get: {error.strerror}") from error
    found: dict[str, str] = {}
    for line in listing.splitlines():
        kind, origin, label, site = line.split("|", 3)
        if kind != "Packages":
            continue
        if origin == "Debian":
            found.setdefault(label, site.rstrip("/"))
        elif origin.startswith("$"):  # no list was ever fetched: go by the name
            name = site.rstrip("/").rpartition("/")[2]
            label = {"debian": "Debian", "debian-security": "Debian-Security"}.get(
                name, ""
            )
            found.setdefault(label, site.rstrip("/"))
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is the old one or the new one, and whole."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.rename(path)


def _errors(done: "subprocess.CompletedProcess[str]") -> str:
    said = (done.stderr + "\n" + done.stdout).splitlines()
    lines = [line.strip() for line in said if line.startswith(("E:", "Err:", "W:"))]
    return "; ".join(dict.fromkeys(lines))[:600]
