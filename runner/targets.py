# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets: what runs the cases. This machine, or a virtual one."""
import gzip
import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from .executor import Executor, ExecutorError, HostExecutor
from .items import Case
from .options import Options


@dataclass(frozen=True)
class Catalogue:
    """What the executor's program can run."""

    cases: tuple[Case, ...]
    flavours: tuple[str, ...]
    suite: str = ""


@dataclass(frozen=True)
class Facts:
    """What a run keeps of its target, beside what the `run` record says: the
    kernel's configuration, and more for run.json."""

    config: Optional[bytes] = None
    more: Mapping[str, Any] = field(default_factory=dict)


class Target(ABC):
    """Something that cases can be run on. `name` joins runs that may be compared."""

    name: str

    def __init__(self, options: Options):
        self.options = options

    def catalogue(self) -> Catalogue:
        """What can be run; ExecutorError when the program does not say."""
        return read_catalogue(self.options.program)

    @abstractmethod
    def executor(self, patience: float) -> Executor:
        """A new executor for one run, not started; `patience` in seconds."""

    @abstractmethod
    def facts(self, run: Mapping[str, Any]) -> Facts:
        """What is to be known of the target; `run` is its executor's `run` record."""


class HostTarget(Target):
    """This machine's running kernel."""

    name = "host"

    def executor(self, patience: float) -> Executor:
        options = self.options
        command = [str(options.program), "serve", *options.argv(executor_only=True)]
        return HostExecutor(command, options.get("repeat") or 1, patience)

    def facts(self, run: Mapping[str, Any]) -> Facts:
        queues = {
            device.get("name", ""): queue_properties(device.get("path", ""))
            for device in run.get("devices") or ()
        }
        more = {"build_id": build_id(), "host": os.uname().nodename, "queues": queues}
        return Facts(kernel_config(os.uname().release), more)


def from_options(options: Options) -> Target:
    """The target that the options name."""
    if options.get("kernel"):
        from .guest import VmTarget  # which needs what stands here

        return VmTarget(options)
    return HostTarget(options)


def read_catalogue(program: Path) -> Catalogue:
    """What a program of cases says that it can run."""
    if not program.exists():
        raise ExecutorError(f"{program} is not there: build it with `make`")
    try:
        listing = subprocess.run(
            [str(program), "list", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        if listing.returncode:
            raise ValueError(listing.stderr.decode(errors="replace").strip())
        listed = json.loads(listing.stdout)
        return Catalogue(
            tuple(Case.from_json(case) for case in listed["cases"]),
            tuple(listed["flavours"]),
            listed.get("suite") or "",
        )
    except OSError as error:
        raise ExecutorError(f"{program}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, subprocess.TimeoutExpired) as error:
        raise ExecutorError(f"{program} does not list its cases: {error}") from error


def kernel_config(release: str) -> Optional[bytes]:
    """The running kernel's configuration, where it can be read."""
    for path in ("/proc/config.gz", f"/boot/config-{release}"):
        try:
            data = Path(path).read_bytes()
            return gzip.decompress(data) if path.endswith(".gz") else data
        except OSError:
            continue
    return None


def build_id(notes: Path = Path("/sys/kernel/notes")) -> str:
    """The running kernel's build id, in hexadecimal; empty where it has none."""
    try:
        data = notes.read_bytes()
    except OSError:
        return ""
    while len(data) >= 12:
        name_size, size, kind = (
            int.from_bytes(data[i : i + 4], sys.byteorder) for i in (0, 4, 8)
        )
        start = 12 + (name_size + 3 & ~3)
        if kind == 3 and data[12 : 12 + name_size] == b"GNU\0":
            return data[start : start + size].hex()
        data = data[start + (size + 3 & ~3) :]
    return ""


def queue_properties(path: str) -> dict[str, str]:
    """The queue's properties of the block device at this path; else none."""
    try:
        number = os.stat(path).st_rdev
    except OSError:
        return {}
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    properties = {}
    for folder in (device / "queue", device / ".." / "queue"):
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            try:
                properties[entry.name] = entry.read_text().strip()
            except OSError:
                continue
        break
    return properties


def patience(cases: Sequence[Case]) -> float:
    """For how many seconds an executor of these cases may be silent, on a machine that
    needs no longer time limits. It watches the cases' own limits: this is only for
    one that fails to, and so it is generous."""
    return 60 + 4 * max((case.time_limit for case in cases), default=0.0)
