# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of a run when it is over."""
from collections import Counter
from functools import cache
from typing import Mapping, Optional, Sequence

from .contract import Clause, ContractError, load
from .items import BAD, OUTCOMES, Key, Outcome, worst
from .store import Before

SLOWEST = 5
NAMED = 4
DIFFERENCES = 20
# A time is far off when it is both so many times the last one and so many seconds
# away: side by side with others, a case of a millisecond often takes ten.
FACTOR = 3.0
SECONDS = 0.5


class Summary:
    """The end of a run, as text; `before` is what the last runs said of its items."""

    def __init__(
        self, outcomes: Sequence[Outcome], before: Optional[Mapping[Key, Before]] = None
    ):
        self.rounds = outcomes
        self.items = worst(outcomes)
        self.before = before or {}

    @property
    def counts(self) -> Counter[str]:
        """How many items had each outcome."""
        return Counter(outcome.outcome for outcome in self.items.values())

    def of(self, *outcomes: str) -> list[Outcome]:
        """The items with one of these outcomes, by name."""
        return sorted(
            (o for o in self.items.values() if o.outcome in outcomes),
            key=lambda o: o.key,
        )

    def lines(self) -> list[str]:
        """All sections that have something to say."""
        lines: list[str] = []
        for title, section in (
            ("Lost (never ran)", self.lost()),
            ("Skipped, by the need that was not met", self.skips()),
            ("Known failures", self.known()),
            ("Not the same in every round", self.flaky()),
            ("Slowest", self.slowest()),
            (f"Changed since {self.last_run()}", self.differences()),
        ):
            if section:
                lines += [f"{title}:", *(f"  {line}" for line in section), ""]
        return lines

    def lost(self) -> list[str]:
        """Why items were lost, and which."""
        return _grouped(self.of("lost"))

    def skips(self) -> list[str]:
        """Needs that were not met, and which items they were of."""
        return _grouped(self.of("skip"))

    def known(self) -> list[str]:
        """Failures that the contract records for this kernel."""
        return [f"{o.key}  {o.headline()}" for o in self.of("known")]

    def flaky(self) -> list[str]:
        """Items whose rounds did not all end alike."""
        by_item: dict[Key, Counter[str]] = {}
        for outcome in self.rounds:
            by_item.setdefault(outcome.key, Counter())[outcome.outcome] += 1
        return [
            f"{key}  " + ", ".join(f"{n} {name}" for name, n in counts.most_common())
            for key, counts in sorted(by_item.items())
            if len(counts) > 1
        ]

    def slowest(self) -> list[str]:
        """The items that took longest."""
        ranked = sorted(self.items.values(), key=lambda o: -o.seconds)
        return [f"{o.seconds:8.3f}s  {o.key}" for o in ranked[:SLOWEST] if o.seconds]

    def last_run(self) -> str:
        """The latest of the runs that are compared with."""
        return max((before.run for before in self.before.values()), default="")

    def differences(self) -> list[str]:
        """What is not as it was the last time: outcomes, and times far off."""
        changed, slower = [], []
        for key, now in sorted(self.items.items()):
            last = self.before.get(key)
            if not last or now.outcome == "lost":
                continue
            old = last.outcome
            since = "" if last.run == self.last_run() else f"  (in {last.run})"
            if (old.outcome, old.kind) != (now.outcome, now.kind):
                was, is_ = (
                    " ".join(filter(None, (o.outcome, o.kind))) for o in (old, now)
                )
                changed.append(f"{key}  {was} -> {is_}{since}")
            elif _far_off(old.seconds, now.seconds):
                slower.append(f"{key}  {old.seconds:.3f}s -> {now.seconds:.3f}s{since}")
        lines = changed + slower
        if self.before and (new := len(self.items.keys() - self.before.keys())):
            have = "item that has" if new == 1 else "items that have"
            lines.append(f"{new} {have} not been run here before")
        if len(lines) > DIFFERENCES:
            more = len(lines) - DIFFERENCES
            lines = lines[:DIFFERENCES] + [f"and {more} more"]
        return lines

    def total(self) -> str:
        """The counts in one line, the worst first."""
        counts = self.counts
        parts = [f"{counts[o]} {o}" for o in reversed(OUTCOMES) if counts[o]]
        return ", ".join(parts) or "nothing was run"


@cache
def clauses() -> Mapping[str, Clause]:
    """The clauses by name; none where the catalogue cannot be read."""
    try:
        return load().clauses
    except ContractError:
        return {}


def details(outcome: Outcome, place: str = "", again: str = "") -> list[str]:
    """All that is known of an outcome, for a reader who is to find its cause."""
    lines = [outcome.headline()] if outcome.reason or not outcome.diagnostics else []
    lines += [line for line in outcome.diagnostics if line not in lines]
    for title, text in (
        ("output", outcome.output),
        ("kernel log", outcome.kernel_log),
    ):
        if text:
            lines += [f"{title}:", *(f"    {line}" for line in text)]
    if outcome.clause:
        clause = clauses().get(outcome.clause)
        says = f": {clause.promise}" if clause else ""
        lines.append(f"clause {outcome.clause}{says}")
    if place:
        lines.append(f"case {place}")
    if again and outcome.outcome in BAD:
        lines.append(f"again: {again}")
    return lines


def _far_off(old: float, new: float) -> bool:
    low, high = sorted((old, new))
    return high - low > SECONDS and high > FACTOR * low


def _grouped(outcomes: Sequence[Outcome]) -> list[str]:
    groups: dict[str, list[Key]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.reason or "no reason given", []).append(outcome.key)
    lines = []
    for reason, keys in sorted(groups.items(), key=lambda group: -len(group[1])):
        names = list(dict.fromkeys(key.id for key in keys))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"{len(keys):4} {reason}: {', '.join(names[:NAMED])}{more}")
    return lines
