# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel said of every item, whether one run says it, several, or a baseline:
the two sides of a comparison, and the columns of a report."""
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, Sequence

from ..archive import Version
from ..items import Key, Outcome, worst
from ..store import Index, Item, Run, Store, StoreError
from .baseline import Baseline, baselines

RUN_ID = re.compile(r"\d{8}-")


@dataclass(frozen=True)
class Side:
    """One kernel, by name, and all its items."""

    name: str
    release: str
    version: str
    arch: str
    items: Mapping[Key, Item]
    runs: tuple[Run, ...] = ()
    baseline: Optional[Path] = None

    def facts(self, name: str) -> list[str]:
        """The different values of a fact of its runs, as text."""
        values = (str(run.facts.get(name) or "") for run in self.runs)
        return sorted({value for value in values if value})

    @property
    def kernel(self) -> tuple[int, int, int]:
        """The upstream version in numbers, as the contract has them."""
        upstream = kernel_key(self.release, self.version).upstream
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", upstream)
        a, b, c = found.groups("0") if found else ("0", "0", "0")
        return int(a), int(b), int(c)

    @property
    def origin(self) -> str:
        """Where its items come from."""
        if self.baseline:
            return f"baseline {self.baseline.name}"
        number = (
            f"{len(self.runs)} runs, the last is " if len(self.runs) > 1 else "run "
        )
        return number + self.runs[-1].id

    @property
    def devices(self) -> set[str]:
        """The devices of its items."""
        return {key.device for key in self.items}

    @cached_property
    def _by_run(self) -> dict[str, dict[Key, Outcome]]:
        return {run.id: worst(run.unwell()) for run in self.runs}

    def full(self, item: Item) -> Outcome:
        """An item's outcome with all its diagnostics, where there are any."""
        found = self._by_run.get(item.run, {}).get(item.outcome.key)
        return found or item.outcome

    def again(self, item: Item) -> list[str]:
        """The options with which an item runs again on this kernel."""
        for run in self.runs:
            if run.id == item.run:
                return run_again(run.facts)
        return []


def run_again(facts: Mapping[str, Any]) -> list[str]:
    """The options of `aioabi run` that do a run again."""
    kept = facts.get("again")
    if isinstance(kept, list):
        return [str(word) for word in kept]
    kernel = facts.get("kernel")
    if not isinstance(kernel, dict):
        return []
    return ["--kernel", str(kernel.get("name")).replace("debian ", "debian:")]


def kernel_key(release: str, version: str = "") -> Version:
    """What kernels are sorted by: Debian's version where `version` (uname -v) names
    it, for its release does not tell 6.1.100 from 6.1.190."""
    debian = re.search(r"Debian (\S+)", version)
    text = debian.group(1) if debian else release.replace("-rc", "~rc")
    return Version(re.sub(r"[^A-Za-z0-9.+:~-]", "", text) or "0")


def of_run(run: Run, index: Optional[Index] = None) -> Side:
    """One run as a side. With an index, what it says of runs that should be alike
    shows which items are flaky."""
    facts = run.facts
    rounds: dict[Key, Counter[str]] = {}
    outcomes = run.outcomes()
    for outcome in outcomes:
        rounds.setdefault(outcome.key, Counter())[outcome.outcome] += 1
    for key, seen in index.siblings(run.id) if index else ():
        if key in rounds:
            rounds[key] += seen
    items = {
        key: Item(outcome, run.id, rounds[key])
        for key, outcome in worst(outcomes).items()
    }
    return Side(
        f"run {run.id}",
        run.release,
        str(facts.get("version") or ""),
        str(facts.get("arch") or ""),
        items,
        (run,),
    )


def of_kernel(store: Store, index: Index, rows: Sequence[Mapping[str, Any]]) -> Side:
    """All runs of one build of a kernel (rows of the index) as a side: every item's
    outcome is that of the last run that did not lose it."""
    last = rows[-1]
    items = index.latest(rows)
    used = {item.run for item in items.values()} or {last["run"]}
    runs = tuple(
        Run.load(store.root / row["folder"]) for row in rows if row["run"] in used
    )
    return Side(
        last["release"],
        last["release"],
        last["version"] or "",
        last["arch"] or "",
        items,
        runs,
    )


def of_baseline(base: Baseline) -> Side:
    """A baseline as a side."""
    items = {}
    for key, (word, kind) in base.items.items():
        if word == "flaky":
            items[key] = Item(Outcome(key, "fail"), seen={"pass": 1, "fail": 1})
        else:
            items[key] = Item(Outcome(key, word, kind), seen={word: 1})
    name = f"baseline {base.release}"
    return Side(name, base.release, base.version, base.arch, items, (), base.path)


def named(store: Store, index: Index, folder: Path, name: str) -> Side:
    """The side that a person means: `last`, a run's id or folder, `baseline:RELEASE`
    or a baseline's file, or a kernel's release or the beginning of one (its newest
    build). StoreError when there is no such thing."""
    if name.startswith("baseline:"):
        return of_baseline(_baseline(folder, name.removeprefix("baseline:")))
    path = Path(name)
    if path.suffix == ".txt" and path.is_file():
        return of_baseline(Baseline.load(path))
    if name == "last" or RUN_ID.match(name) or (path / "run.json").is_file():
        run = Run.load(path) if (path / "run.json").is_file() else store.find(name)
        return of_run(run, index)
    rows = [row for row in index.runs() if is_release(name, row["release"])]
    if not rows:
        try:
            return of_baseline(_baseline(folder, name))
        except StoreError:
            raise StoreError(
                f"{name!r} is no run, kernel or baseline that is kept in {store.root}"
            ) from None
    newest = max(rows, key=lambda row: (_order(row), row["run"]))
    build = [row for row in rows if _build(row) == _build(newest)]
    return of_kernel(store, index, build)


def _order(row: Mapping[str, Any]) -> Version:
    return kernel_key(row["release"], row["version"] or "")


def _build(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["release"], row["version"], row["arch"]


def builds(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Rows of the index by the build of the kernel, the oldest kernel first."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(_build(row), []).append(row)
    return sorted(
        found.values(), key=lambda build: (_order(build[-1]), build[0]["run"])
    )


def is_release(name: str, release: str) -> bool:
    """Whether `name` is this release or its beginning: of 6.12.1 it is not 6.1."""
    return release == name or bool(re.match(re.escape(name) + r"(?!\d)", release))


def _baseline(folder: Path, name: str) -> Baseline:
    fitting = [base for base in baselines(folder) if is_release(name, base.release)]
    if not fitting:
        raise StoreError(f"there is no baseline of {name!r} in {folder}")
    return max(fitting, key=lambda base: kernel_key(base.release, base.version))


def nearest(folder: Path, release: str, version: str, arch: str) -> Optional[Baseline]:
    """The baseline of this kernel, or else of the nearest older one."""
    fitting = [base for base in baselines(folder) if base.arch == arch]
    for base in fitting:
        if base.release == release:
            return base
    here = kernel_key(release, version)
    ranked = [(kernel_key(b.release, b.version), b) for b in fitting]
    older = [(key, base) for key, base in ranked if key <= here]
    return max(older, key=lambda ranked: ranked[0])[1] if older else None
