# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutation testing of fs/aio.c: every mutant is built, booted and met by the suite.

What came of it is kept line by line as it comes; a campaign that is broken off
goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from ..archive import locked
from ..items import Key
from .bench import KILLED, SURVIVED, UNBOOTABLE, Baseline, Bench, Trial
from .relink import Linker
from .sources import LabError, Say, cache_dir

Record = dict[str, Any]


class Specimen(Protocol):
    """A way to break fs/aio.c: a mutant, or an old bug."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def where(self) -> str:
        """The function that is broken."""

    @property
    def digest(self) -> str:
        """A hash of what it makes: another one, another specimen."""

    def apply(self, text: str) -> str:
        """Return the file `text`, broken."""


FOUND_OUT = (KILLED, UNBOOTABLE)
NARROW = ("compat32", "time64")  # flavours of 32-bit programs


class Results:
    """The trials of one kernel's mutants, in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def latest(self) -> dict[str, Record]:
        """Return the last trial of each mutant, by the mutant's id."""
        found: dict[str, Record] = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # cut short when it was being written
                found[record["mutant"]] = record
        return found

    def add(self, record: Record) -> None:
        """Keep a trial: when this returns it is on the disk."""
        line = json.dumps(record) + "\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as out:
                out.write(line)
                out.flush()
                os.fdatasync(out.fileno())


class Order:
    """In which order a mutant meets the items: the likeliest to notice first.

    Likely is what noticed other mutants of the same function, then what runs
    that function when it is known, then what noticed any; among equals the
    quickest. What only 32-bit programs call is for them, the rest is not.
    """

    def __init__(
        self,
        baseline: Baseline,
        covered: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self._times = baseline.passed
        self._covered = covered or {}
        self._kills: dict[str, Counter[str]] = defaultdict(Counter)
        self._all: Counter[str] = Counter()
        self._lock = threading.Lock()

    def learn(self, where: str, by: Key) -> None:
        """An item noticed a mutant of this function."""
        with self._lock:
            self._kills[where][by.id] += 1
            self._all[by.id] += 1

    def keys(self, where: str, first: Sequence[str] = ()) -> list[Key]:
        """Return the items in the order for a mutant of this function.

        The cases ``first`` come before all others.
        """
        with self._lock:
            here, everywhere = Counter(self._kills[where]), Counter(self._all)

        def rank(key: Key) -> tuple[float, ...]:
            runs = self._covered.get(key.id, {}).get(where, 0)
            return (
                0 if key.id in first else 1,
                -here[key.id],
                (key.flavour in NARROW) != where.startswith("compat"),
                0 if runs else 1,
                -min(everywhere[key.id], 3),
                self._times[key],
            )

        return sorted(self._times, key=rank)


class Campaign:
    """Tries mutants against the suite."""

    def __init__(
        self,
        linker: Linker,
        bench: Bench,
        results: Results,
        order: Order,
        suite: str,
        say: Say,
        likely: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._likely = likely or {}
        self._linker = linker
        self._bench = bench
        self._results = results
        self._order = order
        self._suite = suite
        self._say = say

    def missing(self, mutants: Sequence[Specimen], again: bool) -> list[Specimen]:
        """Return those that are still to be tried.

        A kill counts as long as its case exists; a survivor is tried again when
        the suite is another one.
        """
        if again:
            return list(mutants)
        known = self._results.latest()
        cases = self._bench.cases
        left: list[Specimen] = []
        for mutant in mutants:
            record = known.get(mutant.id)
            if record is None or record["digest"] != mutant.digest:
                left.append(mutant)
            elif record["verdict"] == KILLED:
                by = record["by"][0]
                if by in cases:
                    self._order.learn(mutant.where, Key(*record["by"]))
                elif by != "guest":
                    left.append(mutant)
            elif record["verdict"] != UNBOOTABLE and record["suite"] != self._suite:
                left.append(mutant)
            elif record["verdict"] not in (*FOUND_OUT, SURVIVED):
                left.append(mutant)
        return left

    def run(self, mutants: Sequence[Specimen], machines: int) -> None:
        """Try these, ``machines`` side by side, and keep what comes."""
        begun, done = time.monotonic(), 0
        with tempfile.TemporaryDirectory(prefix="aioabi-lab-") as scratch:
            place = Path(scratch)
            with ThreadPoolExecutor(machines) as pool:
                waiting = {pool.submit(self._try, m, place): m for m in mutants}
                try:
                    for future in as_completed(waiting):
                        mutant, record = waiting[future], future.result()
                        done += 1
                        left = (time.monotonic() - begun) / done * (len(mutants) - done)
                        self._say(
                            f"[{done}/{len(mutants)}, {left / 60:.0f} min left] "
                            f"{mutant.id}: {describe(record)}"
                        )
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    self._bench.stop()
                    raise

    def _try(self, mutant: Specimen, scratch: Path) -> Record:
        place = scratch / mutant.id
        begun = time.monotonic()
        compiled = self._linker.compile(
            mutant.apply(self._linker.original), place / "aio.o"
        )
        if compiled.path is None:
            raise LabError(f"{mutant.id} does not compile any more")
        kernel = self._linker.link(compiled.path, place / "vmlinux")
        built = time.monotonic() - begun
        try:
            trial = self._bench.trial(
                kernel, self._order.keys(mutant.where, self._likely.get(mutant.id, ()))
            )
        finally:
            shutil.rmtree(place)
        if trial.verdict == KILLED and trial.by:
            self._order.learn(mutant.where, trial.by)
        record = {
            "mutant": mutant.id,
            "digest": mutant.digest,
            "suite": self._suite,
            "time": time.time(),
            "build": round(built, 2),
            **as_record(trial),
        }
        self._results.add(record)
        return record


def as_record(trial: Trial) -> Record:
    """Return a trial in the form in which it is kept."""
    record = asdict(trial)
    for name in ("boot", "seconds"):
        record[name] = round(record[name], 2)
    return record


def describe(record: Record) -> str:
    """Return what a trial came to, in one line."""
    if record["verdict"] == KILLED:
        by = Key(*record["by"])
        return f"killed by {by} in {record['seconds']:.1f} s: {record['reason']}"
    if record["verdict"] == SURVIVED:
        return f"SURVIVED {record['ran']} items in {record['seconds']:.0f} s"
    return f"{record['verdict']}: {record['reason']}"


def suite_digest(program: Path) -> str:
    """Return a name for the suite as it is built, for 32 bits, too."""
    digest = hashlib.sha256(program.read_bytes())
    narrow = program.with_name(f"{program.name}32")
    if narrow.exists():
        digest.update(narrow.read_bytes())
    return digest.hexdigest()[:16]


def baseline(bench: Bench, kernel: Path, name: str, suite: str, say: Say) -> Baseline:
    """Return what the unbroken kernel says of this suite, from the cache or anew.

    ``kernel`` must be made the way the mutants are, so that nothing but the
    change differs.
    """
    path = cache_dir() / "baselines" / f"{name}-{suite}.json"
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            say("running the suite on the unbroken kernel")
            found = bench.baseline(kernel)
            data: dict[str, list[Any]] = {
                "passed": [[*key, seconds] for key, seconds in found.passed.items()],
                "others": [[*key, why] for key, why in found.others.items()],
            }
            path.write_text(json.dumps(data), encoding="utf-8")
        data = json.loads(path.read_text(encoding="utf-8"))
    return Baseline(
        {Key(*row[:3]): row[3] for row in data["passed"]},
        {Key(*row[:3]): row[3] for row in data["others"]},
    )
