# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases are worth: `aioabi-cases run --sabotage`, judged.

A case that passes under every break of the calls that it makes is toothless; a
break that makes no case fail is unnoticed. Both are allowed only to those that
cases/teeth.toml explains.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .interrupt import ends_as_interrupt, run_gently

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = ROOT / "cases" / "teeth.toml"
PROGRAM = ROOT / "build" / "aioabi-cases"

Record = dict[str, Any]


class TeethError(Exception):
    """Why nothing can be said."""


@dataclass
class Explained:
    """Names, or patterns of names, each with the reason."""

    cases: Mapping[str, str] = field(default_factory=dict)
    breaks: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Verdict:
    """What came of a run."""

    judged: list[Record] = field(default_factory=list)
    unjudged: list[Record] = field(default_factory=list)
    toothless: list[Record] = field(default_factory=list)
    breaks: list[Record] = field(default_factory=list)
    unnoticed: list[Record] = field(default_factory=list)
    failing: list[Record] = field(default_factory=list)
    weak: list[Record] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether there is nothing to be explained."""
        return not (self.toothless or self.unnoticed or self.failing or self.unknown)


def load(path: Path) -> Explained:
    """Read the file of explanations; each must be a sentence."""
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TeethError(f"{path}: {error}") from error
    for table, entries in data.items():
        if table not in ("cases", "breaks", "left_out") or not isinstance(
            entries, dict
        ):
            raise TeethError(f"{path}: what is [{table}]?")
        for name, why in entries.items():
            if not isinstance(why, str) or len(why.split()) < 3:
                raise TeethError(f"{path}: {name} is not explained")
    tables = ("cases", "breaks", "left_out")
    return Explained(*(data.get(table, {}) for table in tables))


def matching(name: str, explained: Mapping[str, str]) -> str | None:
    """The entry that explains this name, or None."""
    for pattern in explained:
        if fnmatch.fnmatchcase(name, pattern):
            return pattern
    return None


def judge(records: Iterable[Record], explained: Explained, whole: bool) -> Verdict:
    """Sort what `run --sabotage` said; whole: of all cases, not of a selection."""
    verdict = Verdict()
    seen: set[str] = set()
    useful: set[str] = set()
    for record in records:
        if record["type"] == "teeth":
            name, has_teeth = record["id"], "kind" in record
            entry = matching(name, explained.cases)
            if not record["judged"]:
                verdict.unjudged.append(record)
                if not record["why"].startswith(("skip", "slow")):
                    verdict.failing.append(record)
            else:
                verdict.judged.append(record)
                if not has_teeth and entry is None:
                    verdict.toothless.append(record)
                if has_teeth and record["kind"] != "expectation" and entry is None:
                    verdict.weak.append(record)
        elif record["type"] == "break":
            name, has_teeth = record["name"], "by" in record
            entry = matching(name, explained.breaks)
            verdict.breaks.append(record)
            if whole and not has_teeth and entry is None:
                verdict.unnoticed.append(record)
        else:
            continue
        if entry is not None:
            seen.add(entry)
            if not has_teeth or record.get("kind") != "expectation":
                useful.add(entry)
    entries = [*explained.cases, *explained.breaks]
    if whole:
        verdict.unknown = [entry for entry in entries if entry not in seen]
        verdict.stale = [entry for entry in entries if entry in seen - useful]
    return verdict


def render(verdict: Verdict, verbose: bool = False) -> list[str]:
    """The verdict in lines for a person."""
    lines = []
    if verbose:
        for record in verdict.judged:
            if "kind" in record:
                told = f"{record['break']}: {record['kind']}: {record['reason']}"
                lines.append(f"{record['id']}: {told}")
        for record in verdict.breaks:
            if "by" in record:
                lines.append(f"break {record['name']}: {record['by']}")
        for record in verdict.unjudged:
            lines.append(f"not judged: {record['id']}: {record['why']}")
    for record in verdict.weak:
        told = f"{record['kind']} under {record['break']}"
        lines.append(f"notices only by a {told}: {record['id']}")
    for entry in verdict.stale:
        lines.append(f"explained without need: {entry}")
    for entry in verdict.unknown:
        lines.append(f"explained, and does not exist: {entry}")
    for record in verdict.failing:
        lines.append(f"fails unbroken: {record['id']}: {record['why']}")
    for record in verdict.toothless:
        lines.append(f"toothless: {record['id']} passes {record['tried']} breaks")
    for record in verdict.unnoticed:
        lines.append(f"unnoticed: {record['name']}: {record['what']}")
    lines.append(
        f"{len(verdict.judged)} cases, {len(verdict.toothless)} toothless; "
        f"{len(verdict.breaks)} breaks, {len(verdict.unnoticed)} unnoticed; "
        f"{len(verdict.unjudged)} cases not judged"
    )
    return lines


def gauge(program: Path, patterns: Sequence[str]) -> list[Record]:
    """Run the program under sabotage; give what it says of cases and breaks."""
    command = [str(program), "run", "--sabotage", "--format", "records", *patterns]
    done = run_gently(command, stdout=subprocess.PIPE)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if not any(record["type"] == "break" for record in records):
        raise TeethError(f"{program} ended with status {done.returncode}")
    return records


def kinder(first: Sequence[Record], second: Iterable[Record]) -> list[Record]:
    """Return what was said first, but for what was said better the second time.

    A busy machine cuts short what it takes for a hang: that a case fails unbroken,
    has no teeth, or that a break is unnoticed, counts when it is said twice.
    """
    better = {}
    for record in second:
        if record["type"] == "teeth" and (
            "kind" in record or record.get("why", "").startswith(("skip", "slow"))
        ):
            better[record["id"]] = record
        elif record["type"] == "break" and "by" in record:
            better[record["name"]] = record
    return [
        better.get(record.get("id") or record.get("name"), record)
        if record["type"] == "teeth" or not record.get("by")
        else record
        for record in first
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Status: 0 nothing to explain, 1 something, 2 no result."""
    parser = argparse.ArgumentParser(prog="runner.teeth", description=__doc__)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--explained", type=Path, default=EXPLAINED)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("patterns", nargs="*", help="cases; default: all")
    options = parser.parse_args(arguments)
    try:
        explained = load(options.explained)
        left_out = [f"!{pattern}" for pattern in explained.left_out]
        records = gauge(options.program, options.patterns or left_out)
        verdict = judge(records, explained, not options.patterns)
        doubtful = [r["id"] for r in (*verdict.toothless, *verdict.failing)]
        if doubtful:
            print(f"once more: {' '.join(doubtful)}", file=sys.stderr)
            records = kinder(records, gauge(options.program, doubtful))
        if verdict.unnoticed:
            print("once more, for breaks that are unnoticed", file=sys.stderr)
            patterns = options.patterns or left_out
            records = kinder(records, gauge(options.program, patterns))
        verdict = judge(records, explained, not options.patterns)
    except (TeethError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(render(verdict, options.verbose)))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    with ends_as_interrupt():
        sys.exit(main())
