# SPDX-License-Identifier: GPL-2.0-or-later
"""Baselines: the reviewed outcomes of a released kernel, as text in git.

    results/baselines/<architecture>/<release>.txt

results/README.md says how a file is written. It is sorted, one line a case and
outcome, and names devices as sets, so that a regression is a difference of two lines.
"""
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Collection, Iterable, Mapping, Optional, Sequence

from .. import ROOT
from ..items import OUTCOMES, Key, Outcome, is_flaky
from ..store import Run, StoreError

FIRST = "# aioabi baseline 1"
HEADER = ("release", "version", "arch", "run", "suite", "block", "dir")
WORDS = (*(word for word in OUTCOMES if word not in ("lost", "broken")), "flaky")
NAME = re.compile(r"[\w.+:@-]+")
SIZE_MAX = 16 << 20

Said = tuple[str, str]  # an outcome and its kind


def default_folder() -> Path:
    """Where the baselines are: $AIOABI_BASELINES, else results/baselines."""
    return Path(os.environ.get("AIOABI_BASELINES") or ROOT / "results" / "baselines")


@dataclass(frozen=True)
class Baseline:
    """What is expected of one release on one architecture. `sets` names the devices
    that lines may speak of as `block` and `dir`."""

    release: str
    arch: str
    items: Mapping[Key, Said]
    version: str = ""
    run: str = ""
    suite: str = ""
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    path: Optional[Path] = None

    @classmethod
    def load(cls, path: Path) -> "Baseline":
        """The baseline in a file; StoreError says what is wrong with it."""
        try:
            if path.stat().st_size > SIZE_MAX:
                raise StoreError(f"{path}: too large for a baseline")
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: {error}") from error
        if lines[:1] != [FIRST]:
            raise StoreError(f"{path}: does not begin with {FIRST!r}")
        head: dict[str, str] = {}
        items: dict[Key, Said] = {}
        for number, line in enumerate(lines[1:], 2):
            if line.startswith("# "):
                name, _, value = line[2:].partition(": ")
                head[name] = value
            elif line.strip():
                try:
                    _read_line(line, head, items)
                except ValueError as error:
                    raise StoreError(f"{path}:{number}: {error}") from error
        if not head.get("release") or not head.get("arch"):
            raise StoreError(f"{path}: names no release and architecture")
        sets = {name: tuple(head.get(name, "").split()) for name in ("block", "dir")}
        fields = {n: head.get(n, "") for n in ("version", "run", "suite")}
        return cls(head["release"], head["arch"], items, **fields, sets=sets, path=path)

    def text(self) -> str:
        """The file."""
        head = {n: getattr(self, n) for n in HEADER if n not in ("block", "dir")}
        head |= {n: " ".join(self.sets.get(n, ())) for n in ("block", "dir")}
        lines = [FIRST, *(f"# {n}: {head[n]}" for n in HEADER if head[n]), ""]
        by_case: dict[tuple[str, str], dict[str, set[str]]] = {}
        for key, (word, kind) in self.items.items():
            said = f"{word}:{kind}" if kind else word
            flavours = by_case.setdefault((key.id, said), {})
            flavours.setdefault(key.flavour, set()).add(key.device)
        order = {word: number for number, word in enumerate(WORDS)}
        for case, said in sorted(
            by_case, key=lambda k: (k[0], order[k[1].partition(":")[0]], k[1])
        ):
            alike: dict[frozenset[str], list[str]] = {}
            for flavour, devices in sorted(by_case[case, said].items()):
                alike.setdefault(frozenset(devices), []).append(flavour)
            for devices_, names in sorted(alike.items(), key=lambda entry: entry[1]):
                where = _devices_text(devices_, self.sets)
                lines.append(f"{case}  {said}  {','.join(names)}  {where}")
        return "\n".join(lines) + "\n"


def _read_line(line: str, head: Mapping[str, str], items: dict[Key, Said]) -> None:
    words = line.split()
    if len(words) < 4:
        raise ValueError("not of the form: CASE OUTCOME FLAVOURS DEVICES")
    case, said, flavours, *devices = words
    word, _, kind = said.partition(":")
    if word not in WORDS:
        raise ValueError(f"no such outcome: {word}")
    found: set[str] = set()
    for name in devices:
        if name in ("block", "dir"):
            found |= set(head.get(name, "").split())
        elif name.startswith("-"):
            found.discard(name[1:])
        else:
            found.add(name)
    for name in (case, *flavours.split(","), *found):
        if not NAME.fullmatch(name):
            raise ValueError(f"not a name: {name!r}")
    for flavour in flavours.split(","):
        for device in found:
            key = Key(case, flavour, device)
            if key in items:
                raise ValueError(f"{key} stands here for the second time")
            items[key] = (word, kind)


def _devices_text(devices: Collection[str], sets: Mapping[str, Sequence[str]]) -> str:
    """Devices in as few words as it takes: `block -nvme tmpfs`."""
    words, left = [], set(devices)
    for name in ("block", "dir"):
        members = set(sets.get(name, ()))
        missing = members - left
        # A set is worth its name where few are missing.
        if len(members) > 1 and len(missing) < len(members & left):
            words += [name, *(f"-{device}" for device in sorted(missing))]
            left -= members
    return " ".join([*words, *sorted(left)])


def baselines(folder: Path) -> list[Baseline]:
    """All baselines, by file name. StoreError for one that cannot be read."""
    return [Baseline.load(path) for path in sorted(folder.glob("*/*.txt"))]


def judged(outcomes: Iterable[Outcome]) -> dict[Key, Said]:
    """What a run's rounds say of each item, as a baseline has it. What was lost or
    broken says nothing of the kernel."""
    rounds: dict[Key, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome in WORDS:
            rounds.setdefault(outcome.key, []).append(outcome)
    found: dict[Key, Said] = {}
    for key, all_ in rounds.items():
        bad = max(all_, key=lambda outcome: outcome.rank)
        if is_flaky(outcome.outcome for outcome in all_):
            found[key] = ("flaky", "")
        else:
            found[key] = (bad.outcome, bad.kind)
    return found


def accept(run: Run, folder: Path, replace: bool = False) -> tuple[Baseline, Baseline]:
    """The baseline that this run makes of its release's, and the one that is there.
    What the run did not run is kept, unless `replace`."""
    facts = run.facts
    arch = str(facts.get("arch") or "unknown")
    release = str(facts.get("release") or run.release)
    if not NAME.fullmatch(release) or not NAME.fullmatch(arch):
        raise StoreError(f"{run.folder}: its release or architecture is no name")
    path = folder / arch / f"{release}.txt"
    old = Baseline(release, arch, {}, path=path)
    if path.exists():
        old = Baseline.load(path)
    now = judged(run.outcomes())
    odd = [name for key in now for name in key if not NAME.fullmatch(name)]
    if odd:
        raise StoreError(f"{run.folder}: cannot be written as a name: {odd[0]!r}")
    if not now:
        raise StoreError(f"the run {run.id} says nothing of the kernel")
    kept = {} if replace else dict(old.items)
    devices = [d for d in facts.get("devices") or () if isinstance(d, dict)]
    sets = {}
    for name in ("block", "dir"):
        new = {str(d.get("name")) for d in devices if d.get("kind") == name}
        new = {device for device in new if NAME.fullmatch(device)}
        sets[name] = tuple(
            sorted(new if replace else new | set(old.sets.get(name, ())))
        )
    new_base = Baseline(
        release,
        arch,
        kept | now,
        version=" ".join(str(facts.get("version") or "").split()),
        run=run.id,
        suite=str(facts.get("suite") or ""),
        sets=sets,
        path=path,
    )
    return new_base, old
