# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines, branches and functions of fs/aio.c the cases reach.

A kernel of the profile gcov counts; the guest sends its counters when the
executor has left. cases/uncovered.toml explains what nothing reaches; the list
may not grow by itself.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from .. import ROOT
from ..guest import GuestExecutor, VmTarget
from ..executor import Order
from ..items import Key, Outcome
from ..options import Options
from ..targets import patience, read_catalogue
from .build import Image
from .csource import Source
from .sources import LabError, Say

PATH = ROOT / "cases" / "uncovered.toml"


@dataclass
class Lines:
    """Counts of one file: by line, and by line and branch."""

    lines: dict[int, int] = field(default_factory=dict)
    branches: dict[tuple[int, int], int] = field(default_factory=dict)

    def __add__(self, other: "Lines") -> "Lines":
        total = Lines(dict(self.lines), dict(self.branches))
        for number, count in other.lines.items():
            total.lines[number] = total.lines.get(number, 0) + count
        for branch, count in other.branches.items():
            total.branches[branch] = total.branches.get(branch, 0) + count
        return total


@dataclass(frozen=True)
class Gap:
    """A line that never ran, or a line one of whose branches was never taken."""

    where: str
    line: int
    text: str
    branch: bool

    @property
    def name(self) -> str:
        """Return what cases/uncovered.toml calls it: it stays when lines move."""
        return f"{self.where}{' branch' if self.branch else ''}: {self.text}"


class Counted:
    """What the counters say of fs/aio.c."""

    def __init__(self, text: str, counts: Lines) -> None:
        self.text = text.splitlines()
        source = Source(text)
        self.counts = counts
        self._owner: dict[int, str] = {}
        self._init: set[str] = {f.name for f in source.functions if f.init}
        for function in source.functions:
            start, end = source.span(function.first, function.body.last + 1)
            for line in range(source.line_of(start), source.line_of(end - 1) + 1):
                self._owner[line] = function.name

    def owner(self, line: int) -> str:
        """Return the function that holds a line; empty for none, or one of __init."""
        name = self._owner.get(line, "")
        return "" if name in self._init else name

    def lines(self) -> dict[int, int]:
        """Return the counts of lines, without what only runs at boot."""
        return {n: c for n, c in sorted(self.counts.lines.items()) if self.owner(n)}

    def branches(self) -> dict[tuple[int, int], int]:
        """Return the counts of branches, without what only runs at boot."""
        found = sorted(self.counts.branches.items())
        return {b: c for b, c in found if self.owner(b[0])}

    def functions(self) -> dict[str, bool]:
        """Return each function, and whether any line of it ran."""
        ran: dict[str, bool] = {}
        for line, count in self.lines().items():
            name = self.owner(line)
            ran[name] = ran.get(name, False) or count > 0
        return ran

    def gaps(self) -> list[Gap]:
        """Return what was not reached, in the order of the file."""
        missed = [(n, False) for n, count in self.lines().items() if not count]
        dead = {n for n, _ in missed}
        missed += [
            (line, True)
            for line in {b[0] for b, count in self.branches().items() if not count}
            if line not in dead
        ]
        return [
            Gap(self.owner(n), n, " ".join(self.text[n - 1].split()), branch)
            for n, branch in sorted(missed)
        ]


def read_gcov(objects: Path, data: bytes, workspace: Path) -> Lines:
    """Return the counts in ``data``, a .gcda of fs/aio.o in ``objects``."""
    shutil.copy(objects / "fs/aio.gcno", workspace / "aio.gcno")
    (workspace / "aio.gcda").write_bytes(data)
    # without this it has counts of lines alone
    branches = ["--branch-probabilities", "--branch-counts"]
    command = ["gcov", "--json-format", *branches, "aio.gcda"]
    done = subprocess.run(
        command, cwd=workspace, capture_output=True, text=True, check=False
    )
    made = workspace / "aio.gcov.json.gz"
    if done.returncode or not made.exists():
        raise LabError(f"gcov: {done.stderr or done.stdout}")
    return parse_gcov(json.loads(gzip.decompress(made.read_bytes())))


def parse_gcov(report: Mapping[str, Any]) -> Lines:
    """Return the counts of fs/aio.c in a report of gcov's, in its JSON form."""
    counts = Lines()
    for file in report["files"]:
        if not file["file"].endswith("fs/aio.c"):
            continue
        for line in file["lines"]:
            number = line["line_number"]
            counts.lines[number] = counts.lines.get(number, 0) + line["count"]
            for at, branch in enumerate(line["branches"]):
                key = (number, at)
                counts.branches[key] = counts.branches.get(key, 0) + branch["count"]
    return counts


class Counter:
    """Runs cases on a kernel that counts, and fetches what it counted."""

    def __init__(self, image: Image, options: Mapping[str, Any], say: Say) -> None:
        self._image = image
        self._options = {**options, "kernel": str(image.kernel)}
        self._say = say
        self.catalogue = read_catalogue(Options(options).program)
        self.outcomes: list[Outcome] = []

    @property
    def _file(self) -> str:
        return f"/sys/kernel/debug/gcov{self._image.objects}/fs/aio.gcda"

    def run(self, cases: Iterable[str] | None = None) -> list[bytes]:
        """Run these cases (None: all); return the counters of each guest it took."""
        target = VmTarget(Options(self._options))
        executor = target.executor(patience(self.catalogue.cases))
        assert isinstance(executor, GuestExecutor)
        executor.plan.files = [self._file]
        try:
            run = executor.start()
            wanted = None if cases is None else set(cases)
            keys = [
                key
                for case in self.catalogue.cases
                if wanted is None or case.id in wanted
                for key in case.items(run["flavours"], run["devices"])
            ]
            self._drive(executor, keys)
        finally:
            executor.close()
        if not executor.files:
            raise LabError("the guest did not send its counters")
        return [bytes.fromhex(record["hex"]) for record in executor.files]

    def _drive(self, executor: GuestExecutor, keys: Sequence[Key]) -> None:
        executor.send([Order(number, key) for number, key in enumerate(keys)])
        for batch in executor.batches():
            for record in batch:
                if record.get("type") == "outcome":
                    self.outcomes.append(Outcome.from_record(record))
                elif record.get("fails") or record.get("suspects"):
                    self._say(f"counters are lost: {record['text']}")


def write_pages(image: Image, counters: Sequence[bytes], folder: Path) -> Path:
    """Write lcov's pages for counters into ``folder``; return the first page."""
    branch = ["--rc", "lcov_branch_coverage=1", "-q"]
    with tempfile.TemporaryDirectory(prefix="aioabi-lab-") as scratch:
        infos = []
        for number, data in enumerate(counters):
            place = Path(scratch) / str(number)
            place.mkdir()
            shutil.copy(image.objects / "fs/aio.gcno", place / "aio.gcno")
            (place / "aio.gcda").write_bytes(data)
            infos += ["-a", f"{place}.info"]
            base = ["--base-directory", str(image.objects)]
            _lcov([*branch, "-c", "-d", str(place), *base, "-o", f"{place}.info"])
        everything, only = f"{scratch}/all.info", f"{scratch}/aio.info"
        _lcov([*branch, *infos, "-o", everything])
        _lcov([*branch, "-e", everything, "*/fs/aio.c", "-o", only])
        _run(["genhtml", *branch, "-o", str(folder), only])
    return folder / "index.html"


def _lcov(arguments: Sequence[str]) -> None:
    _run(["lcov", *arguments])


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError(f"no {command[0]}: apt-get install lcov") from error
    if done.returncode:
        raise LabError(f"{command[0]}: {done.stderr}")


def explanations(path: Path = PATH) -> dict[str, str]:
    """Return why gaps are there, by name; LabError when the file is not in order.

    A table for each reason: `why`, and `gaps`, a list of names.
    """
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{path}: {error}") from error
    found: dict[str, str] = {}
    for name, table in tables.items():
        if set(table) != {"why", "gaps"}:
            raise LabError(f"{path}: [{name}] needs `why` and `gaps`, no more")
        for gap in table["gaps"]:
            if gap in found:
                raise LabError(f"{path}: {gap!r} is explained twice")
            found[gap] = table["why"]
    return found


def by_file(counter: Counter, objects: Path, text: str) -> dict[str, dict[str, int]]:
    """Return which functions each case runs, as far as its source file tells.

    The cases of one file share a guest and its counters: a boot for each case
    would take an hour.
    """
    files: dict[str, list[str]] = {}
    for case in counter.catalogue.cases:
        files.setdefault(case.file, []).append(case.id)
    found: dict[str, dict[str, int]] = {}
    for cases in files.values():
        counted = Counted(text, total(counter.run(cases), objects))
        hits: dict[str, int] = {}
        for line, count in counted.lines().items():
            if count:
                hits[counted.owner(line)] = hits.get(counted.owner(line), 0) + 1
        found |= {case: hits for case in cases}
    return found


def total(counters: Sequence[bytes], objects: Path) -> Lines:
    """Return the sum of the counters of several guests."""
    counts = Lines()
    for data in counters:
        with tempfile.TemporaryDirectory(prefix="aioabi-lab-") as scratch:
            counts += read_gcov(objects, data, Path(scratch))
    return counts
