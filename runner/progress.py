# SPDX-License-Identifier: GPL-2.0-or-later
"""What is seen of a run while it goes on: lines, and on a terminal a bar."""
import sys
import time
from typing import Mapping, Optional

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from .items import BAD, Key, Outcome

STYLES = {
    "pass": "green",
    "skip": "yellow",
    "known": "yellow",
    "lost": "red",
    "broken": "bold magenta",
    "fixed": "bold red",
    "fail": "bold red",
}
CUT_SHORT = 4  # diagnostics shown at once; the rest stands at the end of the run


class Estimate:
    """How long the rest of a run takes, from what each item took the last time."""

    def __init__(self, seconds: Mapping[Key, float], jobs: int):
        self._known = seconds
        self._jobs = max(1, jobs)
        self._left = 0.0
        self._done = 0.0
        self._unknown = 0
        self._started = time.monotonic()

    def expect(self, key: Key, rounds: int) -> None:
        """This item is to be run, so many times."""
        self._left += self._known.get(key, 0.0) * rounds
        self._unknown += rounds if key not in self._known else 0

    def done(self, key: Key) -> None:
        """One outcome of this item came."""
        self._left -= self._known.get(key, 0.0)
        self._done += self._known.get(key, 0.0)
        self._unknown -= key not in self._known

    def left(self) -> Optional[float]:
        """Seconds, or None while too little is known."""
        if self._unknown > 0 or not self._known:
            return None
        elapsed = time.monotonic() - self._started
        # At first trust --jobs, then what is seen.
        pace = elapsed / self._done if self._done > self._left / 4 else 1 / self._jobs
        return max(0.0, self._left * pace)


class Display:
    """Shows the run, a line for each outcome. `verbosity` is pytest's: 0, less with
    -q, more with -v."""

    def __init__(self, verbosity: int, total: int, estimate: Estimate):
        self.verbosity = verbosity
        self.total = total
        self.count = 0
        self.estimate = estimate
        self.console = Console(
            file=sys.stdout,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=True,
        )

    def start(self, key: Key) -> None:
        """This item begins."""

    def outcome(self, outcome: Outcome) -> None:
        """This is what became of an item."""
        self.count += 1
        self.estimate.done(outcome.key)
        if self.shows(outcome):
            self.console.print(self.line(outcome))
            if outcome.outcome in BAD:
                for text in outcome.diagnostics[:CUT_SHORT]:
                    self.console.print(Text(f"    {text}"))

    def shows(self, outcome: Outcome) -> bool:
        """Whether the outcome gets a line of its own."""
        if outcome.outcome == "lost":
            return self.verbosity > 0  # often hundreds at once: see the summary
        return self.verbosity >= 0 or outcome.outcome in BAD

    def line(self, outcome: Outcome) -> Text:
        """The line of an outcome."""
        width = len(str(self.total))
        line = Text(f"[{self.count:{width}}/{self.total}] ")
        line.append(f"{outcome.outcome:6}", STYLES[outcome.outcome])
        line.append(f" {outcome.seconds:8.3f}s  {outcome.key}")
        if outcome.round > 1:
            line.append(f" round {outcome.round}", "dim")
        if outcome.outcome != "pass":
            line.append(f"  {outcome.headline()}")
        return line

    def note(self, text: str) -> None:
        """Something about the run as a whole."""
        self.console.print(Text(f"note: {text}", "bold"))

    def flush(self) -> None:
        """Everything that came so far can be seen when this returns."""
        sys.stdout.flush()

    def close(self) -> None:
        """The run is over."""
        self.flush()


class Bar(Display):
    """A bar with what is being run and the time left; a line for what is not as it
    should be, or for everything with -v."""

    def __init__(self, verbosity: int, total: int, estimate: Estimate):
        super().__init__(verbosity, total, estimate)
        self._flying: dict[Key, None] = {}
        self._bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn(
                "{task.fields[now]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=self.console,
            transient=True,
            expand=True,
            refresh_per_second=10,
        )
        self._task: TaskID = self._bar.add_task("", total=total, left="", now="")
        self._bar.start()

    def shows(self, outcome: Outcome) -> bool:
        bad = outcome.outcome in BAD and outcome.outcome != "lost"
        return self.verbosity > 0 or bad

    def start(self, key: Key) -> None:
        self._flying[key] = None

    def outcome(self, outcome: Outcome) -> None:
        self._flying.pop(outcome.key, None)
        super().outcome(outcome)

    def flush(self) -> None:
        left = self.estimate.left()
        self._bar.update(
            self._task,
            completed=self.count,
            left="" if left is None else f"{left:.0f} s left",
            now=", ".join(str(key) for key in self._flying),
        )

    def close(self) -> None:
        self._bar.stop()
        super().close()


def display(verbosity: int, total: int, estimate: Estimate) -> Display:
    """The display that fits where standard output goes."""
    terminal = sys.stdout.isatty() and not Console().is_dumb_terminal
    return (Bar if terminal else Display)(verbosity, total, estimate)
