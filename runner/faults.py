# SPDX-License-Identifier: GPL-2.0-or-later
"""The failure points (fault/points.def): the table of them, and who knows them.

The list is the program's own; what it prints is read here, so that there is one.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import click
from rich.console import Console
from rich.table import Table

from . import ROOT

# Nothing stands in the place of the kernel, or of what a program asks of it.
TRUE_MECHANISMS = ("limit", "memory", "filter", "signal", "device", "kernel")
PROGRAM = ROOT / "build" / "aioabi-cases"


@dataclass(frozen=True)
class Gives:
    """A value that a point can fail with."""

    value: str  # "EIO", "512"
    number: int
    legal: bool
    clause: str
    proof: str
    why: str  # there can be no proof

    @property
    def kind(self) -> str:
        return "legal" if self.legal else "error"


@dataclass(frozen=True)
class Point:
    """A failure point."""

    name: str
    what: str
    mechanism: str
    needs: tuple[str, ...]
    value: int
    gives: tuple[Gives, ...]

    @property
    def is_true(self) -> bool:
        """Whether the kernel itself fails."""
        return self.mechanism in TRUE_MECHANISMS

    def equal(self, gives: Gives) -> str:
        """Return what shows that a value looks like the true failure."""
        if gives.why:
            return f"none: {gives.why}"
        return "it is true" if self.is_true else gives.proof


def points(program: Path = PROGRAM) -> dict[str, Point]:
    """Return the points by name, as the program of cases has them."""
    try:
        done = subprocess.run(
            [program, "faults"], check=True, stdout=subprocess.PIPE, encoding="utf-8"
        )
    except OSError as error:
        raise click.ClickException(f"{program}: {error.strerror}; make build") from None
    return {
        raw["name"]: Point(
            raw["name"],
            raw["what"],
            raw["mechanism"],
            tuple(raw["needs"]),
            raw["value"],
            tuple(Gives(**gives) for gives in raw["gives"]),
        )
        for raw in json.loads(done.stdout)["points"]
    }


def rows(table: dict[str, Point]) -> list[tuple[str, ...]]:
    """Return the table's rows: a row a value, or a point that has none."""
    found: list[tuple[str, ...]] = []
    for point in table.values():
        head = (point.name, point.what, point.mechanism, " ".join(point.needs))
        for gives in point.gives:
            proved = point.equal(gives)
            found.append((*head, gives.value, gives.kind, gives.clause, proved))
            head = ("", "", "", "")
        if not point.gives:
            found.append((*head, "", "", "", ""))
    return found


HEADINGS = (
    *("point", "what fails", "mechanism", "needs"),
    *("value", "kind", "clause", "proved equal by"),
)


@click.command()
@click.option("--markdown", is_flag=True, help="As a table of Markdown.")
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    default=PROGRAM,
    metavar="FILE",
    help="The executor (default: build/aioabi-cases).",
)
def faults(markdown: bool, program: Optional[Path]) -> None:
    """List the failure points: what fails, how, and what must happen then.

    Kind says whether a correct kernel may do so at any time (legal) or whether it
    is a failure (error).
    """
    found = rows(points(program or PROGRAM))
    if markdown:
        for row in (HEADINGS, ("---",) * len(HEADINGS), *found):
            click.echo(f"| {' | '.join(row)} |")
        return
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in found:
        table.add_row(*row)
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = max(console.width, 200)
    console.print(table)
