# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign came to: how many were killed, by what, and who lives."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any, Callable, Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..items import Key
from .bench import BROKEN, KILLED, SURVIVED, UNBOOTABLE
from .catalogue import Mutant
from .survivors import Reason

Record = dict[str, Any]


class Report:
    """The trials of some mutants, counted."""

    def __init__(
        self,
        mutants: Sequence[Mutant],
        text: str,
        trials: Mapping[str, Record],
        reasons: Mapping[str, Reason],
    ) -> None:
        self._text = text
        self.mutants = [m for m in mutants if m.id in trials]
        self.untried = len(mutants) - len(self.mutants)
        self._trials = trials
        self._reasons = reasons

    def _with(self, *verdicts: str) -> list[Mutant]:
        return [m for m in self.mutants if self._trials[m.id]["verdict"] in verdicts]

    @property
    def killed(self) -> list[Mutant]:
        """Return the mutants that were found out, at boot or by a case."""
        return self._with(KILLED, UNBOOTABLE)

    @property
    def explained(self) -> list[Mutant]:
        """Return the survivors that have a reason."""
        return [m for m in self._with(SURVIVED) if m.id in self._reasons]

    @property
    def survivors(self) -> list[Mutant]:
        """Return the survivors that nobody has explained."""
        return [m for m in self._with(SURVIVED) if m.id not in self._reasons]

    @property
    def broken(self) -> list[Mutant]:
        """Return the mutants of which the trial says nothing."""
        return self._with(BROKEN)

    def rate(self) -> float:
        """Return the share killed of those that a program can tell."""
        told = len(self.killed) + len(self.survivors)
        return len(self.killed) / told if told else 1.0

    def print(self, console: Console, diffs: bool) -> None:
        """Print the tables, and the survivors (with what changed in each)."""
        for survivor in self.survivors if diffs else []:
            console.rule(f"{survivor.id}, line {survivor.line}", align="left")
            console.print(Text(survivor.diff(self._text)))
        console.print(self._table("function", lambda m: m.where))
        console.print(self._table("operator", lambda m: m.operator))
        console.print(self._killers())
        times = [self._trials[m.id] for m in self._with(KILLED)]
        if times:
            console.print(
                f"A kill takes {median(t['build'] for t in times):.1f} s to build, "
                f"{median(t['boot'] for t in times):.1f} s to boot, "
                f"{median(t['seconds'] - t['boot'] for t in times):.1f} s to notice "
                "(medians)."
            )
        console.print(
            f"{len(self.mutants)} mutants: {len(self.killed)} killed "
            f"({len(self._with(UNBOOTABLE))} of them at boot), "
            f"{len(self.survivors)} survived, {len(self.explained)} survived for a "
            f"reason, {len(self.broken)} not tried to the end, {self.untried} not "
            f"tried. Killed of those that can be told: {self.rate():.1%}."
        )

    def _table(self, title: str, group: Callable[[Mutant], str]) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column(title)
        for name in ("killed", "survived", "explained", "rate"):
            table.add_column(name, justify="right")
        counted = {
            "killed": Counter(map(group, self.killed)),
            "survived": Counter(map(group, self.survivors)),
            "explained": Counter(map(group, self.explained)),
        }
        for name in _in_order(map(group, self.mutants)):
            killed, survived, reasons = (c[name] for c in counted.values())
            told = killed + survived
            rate = f"{killed / told:.0%}" if told else "-"
            table.add_row(name, str(killed), str(survived), str(reasons), rate)
        return table

    def _killers(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("case")
        table.add_column("kills", justify="right")
        kills = Counter(Key(*self._trials[m.id]["by"]).id for m in self._with(KILLED))
        for name, count in kills.most_common(20):
            table.add_row(name, str(count))
        return table


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
