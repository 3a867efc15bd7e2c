# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed between two kernels: found, and told in three formats."""
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from ..contract import Clause, Value, holds
from ..items import BROKE, HELD, Key
from ..store import Item, Run, StoreError
from ..summary import DIFFERENCES, clauses, details
from .sides import Side, nearest, of_baseline, of_run

FORMAT = 1
NAMED = 12  # items that are named one by one
ENTRIES = 40  # cases that are told of in one section of Markdown
LINES = 40  # of diagnostics for one case
# What is left out of a kernel's report, so that its trace is among those lines.
REGISTERS = re.compile(
    r"\s*(Modules linked in|Code|Hardware name|R[A-D]X|R[SDB][PI]|R[01]\d|[C-G]S"
    r"|[CD]R\d|PKRU|EFLAGS|Tainted): "
)

# The sections, in their order: title, and whether each case is shown with all that is
# known of it.
SECTIONS = {
    "regression": ("Regressions", True),
    "fix": ("Fixes", False),
    "other": ("Other changes", True),
    "contract": ("By the contract: clauses that begin or end in between", True),
    "flaky": ("Flaky: both outcomes on one kernel", True),
    "new": ("New: only on the second", True),
    "vanished": ("Vanished: only on the first", False),
}
MOVED = "By the contract: other values than before, and both kernels have theirs"


class Incomparable(Exception):
    """The two sides cannot be compared; the text says why."""


@dataclass(frozen=True)
class Change:
    """One item that is not the same on both sides."""

    what: str  # a key of SECTIONS
    key: Key
    was: Optional[Item]
    now: Optional[Item]

    @property
    def arrow(self) -> str:
        """Both outcomes in words."""
        if self.what == "flaky" or (self.was and self.now):
            return f"{self.was or 'absent'} → {self.now or 'absent'}"
        return str(self.was or self.now)

    @property
    def rank(self) -> int:
        """How bad the worse of the two is."""
        return max(item.outcome.rank for item in (self.was, self.now) if item)

    @property
    def quiet(self) -> bool:
        """Whether its name is all there is to say."""
        return self.what in ("new", "vanished") and self.arrow in ("pass", "skip")

    @property
    def clause(self) -> str:
        """The clause of the item."""
        both = (item.outcome.clause for item in (self.now, self.was) if item)
        return next(filter(None, both), "")


@dataclass(frozen=True)
class Group:
    """The items of one case that changed alike: told of once."""

    changes: tuple[Change, ...]

    @property
    def first(self) -> Change:
        """The one that stands for all."""
        return self.changes[0]

    @property
    def where(self) -> str:
        """Flavours and devices of the items: "libaio, raw on loop, virtio"."""
        devices: dict[str, list[str]] = {}
        for change in self.changes:
            devices.setdefault(change.key.flavour, []).append(change.key.device)
        alike: dict[tuple[str, ...], list[str]] = {}
        for flavour, names in devices.items():
            alike.setdefault(tuple(names), []).append(flavour)
        return "; ".join(
            f"{', '.join(flavours)} on {_list(names)}"
            for names, flavours in alike.items()
        )


@dataclass(frozen=True)
class Moved:
    """A clause of which the contract says another value on the second kernel; the
    cases pass on both."""

    clause: Clause
    was: Value
    now: Value
    cases: tuple[str, ...]

    @property
    def why(self) -> str:
        """From which kernel on, and by which commit."""
        newer = self.now if self.now.since.at else self.was
        commit = f", commit {newer.commit}" if newer.commit else ""
        return f"from {newer.since}{commit}"


class Diff:
    """The difference of two sides."""

    def __init__(self, a: Side, b: Side):
        self.a, self.b = a, b
        _check(a, b)
        both = {
            key: (a.items.get(key), b.items.get(key))
            for key in sorted({*a.items, *b.items})
        }
        self.changes = [
            Change(what, key, was, now)
            for key, (was, now) in both.items()
            if (what := self._kind(was, now))
        ]
        self.same = len(both) - len(self.changes)

    def _kind(self, was: Optional[Item], now: Optional[Item]) -> str:
        what = _kind(was, now)
        if what != "other" or not was or not now:
            return what
        # Skipped on the kernel that its clause is not about.
        skip, ran = sorted((was, now), key=lambda item: item.outcome.outcome != "skip")
        if skip.outcome.outcome != "skip" or ran.outcome.outcome not in HELD:
            return what
        clause = clauses().get(now.outcome.clause or was.outcome.clause)
        if not clause:
            return what
        about = [
            holds(clause.since, clause.until, side.kernel) for side in (self.a, self.b)
        ]
        return "contract" if about[0] != about[1] else what

    @property
    def counts(self) -> dict[str, int]:
        """How many items are in each section."""
        found = Counter(change.what for change in self.changes)
        return {what: found[what] for what in SECTIONS}

    @cached_property
    def moved(self) -> list[Moved]:
        """What the contract says of the two kernels that is not the same, where both
        keep it."""
        cases: dict[str, dict[str, None]] = {}
        for key in sorted(self.a.items.keys() & self.b.items.keys()):
            was, now = self.a.items[key], self.b.items[key]
            if was.outcome.outcome == now.outcome.outcome == "pass":
                name = now.outcome.clause or was.outcome.clause
                cases.setdefault(name, {})[key.id] = None
        found = []
        for name, names in cases.items():
            clause = clauses().get(name)
            both = [_value(clause, side.kernel) for side in (self.a, self.b)]
            before, after = both
            if clause and before and after and before.value != after.value:
                found.append(Moved(clause, before, after, tuple(names)))
        return found

    @property
    def status(self) -> int:
        """The exit status: 1 if and only if something regressed."""
        return 1 if self.counts["regression"] else 0

    def groups(self, what: str) -> list[Group]:
        """A section: changes by case, and by what they changed from and to."""
        found: dict[tuple[str, str], list[Change]] = {}
        for change in self.changes:
            if change.what == what:
                found.setdefault((change.key.id, change.arrow), []).append(change)
        groups = [Group(tuple(changes)) for changes in found.values()]
        return sorted(groups, key=lambda group: -group.first.rank)

    def notes(self) -> list[str]:
        """What a reader should know before he believes it."""
        found = []
        for name, what in (("suite", "suites"), ("target", "targets")):
            was, now = self.a.facts(name), self.b.facts(name)
            if was and now and was != now:
                both = f"{', '.join(was)} and {', '.join(now)}"
                found.append(f"the {what} are not the same: {both}")
        for side in (self.a, self.b):
            cut = [run.id for run in side.runs if not run.facts.get("complete")]
            if cut:
                found.append(f"incomplete: {', '.join(cut[:3])} ({side.name})")
        a, b = self.a.devices, self.b.devices
        for which, only in (("first", a - b), ("second", b - a)):
            if only:
                found.append(f"devices of the {which} only: {', '.join(sorted(only))}")
        return found

    def total(self) -> str:
        """The counts in one line."""
        words = {
            "regression": ("regression", "regressions"),
            "fix": ("fix", "fixes"),
            "other": ("other change", "other changes"),
            "contract": ("by the contract", "by the contract"),
            "flaky": ("flaky", "flaky"),
            "new": ("new", "new"),
            "vanished": ("vanished", "vanished"),
        }
        parts = [
            f"{n} {words[what][n != 1]}"
            for what, n in self.counts.items()
            if n or what in ("regression", "fix")
        ]
        if self.moved:
            values = "value" if len(self.moved) == 1 else "values"
            parts.append(f"{len(self.moved)} other {values} by the contract")
        return f"{', '.join(parts)}; {self.same} items the same"

    def promise(self, change: Change) -> str:
        """The clause of a change, with the kernels that it is about; "" for none."""
        clause = clauses().get(change.clause)
        if not clause:
            return f"clause {change.clause}" if change.clause else ""
        about = f" ({clause.kernels})" if clause.kernels else ""
        return f"clause {clause.id}{about}: {clause.promise}"

    def shown(self, change: Change) -> list[str]:
        """What a person is told of a change: the clause first, then as much as he can
        do with of what the failing side said."""
        if change.what == "contract":
            return [self.promise(change)]
        lines = [line for line in self.details(change) if not REGISTERS.match(line)]
        told = any(line.strip().startswith("clause ") for line in lines[:-1])
        if lines and lines[-1].startswith("clause "):
            lines.pop()
        if len(lines) > LINES:
            lines = [*lines[:LINES], f"({len(lines) - LINES} lines more)"]
        promise = "" if told else self.promise(change)
        return [promise, *lines] if promise else lines

    def details(self, change: Change) -> list[str]:
        """All that is known of the side that is worse, which is the failing one."""
        was, now = change.was, change.now
        side, item = self.b, now
        if item is None or (was and was.outcome.rank > item.outcome.rank):
            side, item = self.a, was
        if item is None or item.outcome.outcome in HELD:
            return []
        outcome = side.full(item)
        if not outcome.clause:  # a baseline has none
            outcome = replace(outcome, clause=change.clause)
        return details(outcome)

    def again(self, change: Change) -> str:
        """The command that shows it again on the second kernel."""
        options = self.b.again(change.now) if change.now else []
        return shlex.join(["runner/aioabi", "run", *options, str(change.key)])


def _value(clause: Optional[Clause], kernel: tuple[int, int, int]) -> Optional[Value]:
    values = clause.values if clause else ()
    found = (value for value in values if holds(value.since, value.until, kernel))
    return next(found, None)


def _check(a: Side, b: Side) -> None:
    if a.arch != b.arch:
        raise Incomparable(
            f"{a.name} is of {a.arch or 'no known architecture'}, "
            f"{b.name} of {b.arch or 'none'}"
        )
    for side in (a, b):
        if not side.items:
            raise Incomparable(f"{side.name} ({side.origin}) has no outcomes")
    if not a.items.keys() & b.items.keys():
        hint = ""
        if not a.devices & b.devices:
            hint = (
                f": one has {', '.join(sorted(a.devices))}, the other "
                f"{', '.join(sorted(b.devices))}. Devices are compared by name: run "
                "with --device NAME=PATH"
            )
        raise Incomparable(f"{a.name} and {b.name} have no item in common{hint}")


def _kind(was: Optional[Item], now: Optional[Item]) -> str:
    if (was and was.flaky) or (now and now.flaky):
        return "flaky"
    if not was or not now:
        return "new" if now else "vanished"
    before, after = was.outcome, now.outcome
    if (before.outcome, before.kind) == (after.outcome, after.kind):
        return ""
    if before.outcome in HELD and after.outcome == "fail":
        return "regression"
    if before.outcome in BROKE and after.outcome in HELD:
        return "fix"
    return "other"


# --- as text ---


def to_text(diff: Diff) -> list[tuple[str, str]]:
    """Lines for a terminal, each with a style of rich's."""
    lines = [
        (f"{mark}  {side.name}  {_about(side)}", "")
        for mark, side in (("-", diff.a), ("+", diff.b))
    ]
    lines += [(f"note: {text}", "yellow") for text in diff.notes()]
    colours = {"regression": "bold red", "fix": "green"}
    for what, (title, full) in SECTIONS.items():
        groups = diff.groups(what)
        if not groups:
            continue
        lines += [("", ""), (f"{title} ({diff.counts[what]})", "bold")]
        quiet, loud = _split(groups)
        lines += [(f"  {word}: {names}", "") for word, names in quiet.items()]
        for group in loud:
            text = f"  {group.first.key.id}  {group.first.arrow}"
            lines.append((text, colours.get(what, "")))
            lines.append((f"      {group.where}", ""))
            if full:
                shown = diff.shown(group.first)
                lines += [(f"      {line}", "dim") for line in shown]
            if what in ("regression", "other", "flaky"):
                lines.append((f"      again: {diff.again(group.first)}", ""))
    if diff.moved:
        lines += [("", ""), (f"{MOVED} ({len(diff.moved)})", "bold")]
    for moved in diff.moved:
        lines += [
            (f"  {moved.clause.id}  {moved.was.value} → {moved.now.value}", ""),
            (f"      {moved.why}: {moved.clause.promise}", "dim"),
            (f"      in {_list(moved.cases)}", "dim"),
        ]
    return [*lines, ("", ""), (diff.total(), "bold")]


def _split(groups: Sequence[Group]) -> tuple[dict[str, str], list[Group]]:
    """The names of those groups of which there is no more to say, by their outcome,
    and the others."""
    names: dict[str, list[str]] = {}
    for group in groups:
        if group.first.quiet:
            names.setdefault(group.first.arrow, []).append(group.first.key.id)
    loud = [group for group in groups if not group.first.quiet]
    return {word: _list(found) for word, found in sorted(names.items())}, loud


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _about(side: Side) -> str:
    parts = [side.version, side.arch, ", ".join(side.facts("target")), side.origin]
    if suites := side.facts("suite"):
        parts.append(f"suite {', '.join(suites)}")
    return " · ".join(filter(None, parts))


# --- as Markdown ---


def to_markdown(diff: Diff) -> str:
    """A page to be pasted into a mail or a merge request. What the kernels said stands
    in it as code, and cannot break out of it."""
    out = [
        f"## aioabi: {_code(diff.a.name)} → {_code(diff.b.name)}",
        "",
        f"**{diff.total()}.**",
        "",
        *(f"- {_code(side.name)}: {_md(_about(side))}" for side in (diff.a, diff.b)),
        *(f"- Note: {_md(text)}" for text in diff.notes()),
    ]
    for what, (title, full) in SECTIONS.items():
        groups = diff.groups(what)
        if not groups:
            continue
        out += ["", f"### {title} ({diff.counts[what]})", ""]
        quiet, loud = _split(groups)
        out += [f"- {word}: {_md(names)}" for word, names in quiet.items()]
        for group in loud[:ENTRIES]:
            out += _md_group(diff, what, group, full)
        if len(loud) > ENTRIES:
            out.append(f"- and {len(loud) - ENTRIES} more cases")
    if diff.moved:
        out += ["", f"### {MOVED} ({len(diff.moved)})", ""]
    for moved in diff.moved:
        values = f"{_code(moved.was.value)} → {_code(moved.now.value)}"
        about = _md(f"{moved.why}: {moved.clause.promise}")
        out.append(f"- {_code(moved.clause.id)}: {values}, {about}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


def _md_group(diff: Diff, what: str, group: Group, full: bool) -> list[str]:
    first = group.first
    out = [f"- {_code(first.key.id)}: {_md(first.arrow)}, {_md(group.where)}"]
    lines = [line for line in diff.shown(first) if line.strip()] if full else []
    if lines and lines[0].startswith("clause "):
        out[0] += "."
        out.append(f"  {_md('C' + lines.pop(0)[1:])}")
    if lines:
        # Indented code ends at the first line that is not indented: each one is.
        out += ["", *(f"      {line}" for line in lines)]
    if what in ("regression", "other", "flaky"):
        out += ["", f"  Again: {_code(diff.again(first))}"]
    return [*out, ""] if len(out) > 2 else out


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>&#|~])", r"\\\1", text)


def _code(text: str) -> str:
    ticks = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (ticks + 1)
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


# --- as JSON ---


def to_json(diff: Diff) -> str:
    """All of it for a program."""
    report = {
        "format": FORMAT,
        "a": _side(diff.a),
        "b": _side(diff.b),
        "status": diff.status,
        "same": diff.same,
        "counts": diff.counts,
        "notes": diff.notes(),
        "moved": [
            {
                "clause": moved.clause.id,
                "was": moved.was.value,
                "now": moved.now.value,
                "why": moved.why,
                "cases": moved.cases,
            }
            for moved in diff.moved
        ],
        "changes": [
            {
                "what": change.what,
                **change.key._asdict(),
                "clause": change.clause,
                "was": _item(change.was),
                "now": _item(change.now),
                "details": diff.details(change),
                "again": diff.again(change),
            }
            for change in diff.changes
        ],
    }
    return json.dumps(report, indent=1) + "\n"


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "release": side.release,
        "version": side.version,
        "arch": side.arch,
        "suites": side.facts("suite"),
        "targets": side.facts("target"),
        "runs": [run.id for run in side.runs],
        "baseline": str(side.baseline) if side.baseline else None,
        "items": len(side.items),
    }


def _item(item: Optional[Item]) -> Optional[Mapping[str, Any]]:
    if item is None:
        return None
    outcome = item.outcome
    return {
        "outcome": outcome.outcome,
        "kind": outcome.kind,
        "reason": outcome.reason,
        "run": item.run,
        "seen": dict(item.seen),
    }


# --- at the end of a run ---


def against_baseline(folder: Path, run: Run) -> list[str]:
    """How a run differs from the baseline of its kernel, or of the nearest older one,
    as a section of text; nothing where there is none. What only one of them has is
    left out: a run is often a selection."""
    side = of_run(run)
    try:
        base = nearest(folder, side.release, side.version, side.arch)
    except StoreError as error:
        return [f"The baselines cannot be read: {error}", ""]
    if not base or not side.items.keys() & base.items.keys():
        return []
    diff = Diff(of_baseline(base), side)
    lines: list[str] = []
    for what in ("regression", "fix", "other", "flaky"):
        for group in diff.groups(what):
            if group.first.was and group.first.now:
                label = "" if what == "other" else f"{what}: "
                text = f"{label}{group.first.key.id}  {group.first.arrow}"
                lines.append(f"  {text}  {group.where}")
    if len(lines) > DIFFERENCES:
        lines[DIFFERENCES:] = [f"  and {len(lines) - DIFFERENCES} more: aioabi diff"]
    title = f"the baseline of {base.release}"
    if base.release != side.release:
        title += ", the nearest older one,"
    if not lines:
        return [f"As {title} has it, in {diff.same} items", ""]
    return [f"Not as {title} has it:", *lines, ""]
