# SPDX-License-Identifier: GPL-2.0-or-later
"""`make faults`: every failure at every place, and what came of it.

The cases of cases/fault sweep on this kernel and, where the lab has built one that
can fail allocations (`aioabi lab build --profile fault`), on that; then fio and QEMU
meet the failures of libaiofault.so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional

import click

from . import ROOT
from .faults import PROGRAM, points
from .interrupt import ends_as_interrupt, run_gently
from .lab.build import images as built
from .victims import main as victims

AIOABI = ROOT / "runner" / "aioabi"
CASES = "fault"
_SWEEP = re.compile(r"sweep (\S+?)(?:=(-?\d+))?(?: from \d+)?(?:, hit \d+)?: (.*)")

Record = dict[str, Any]


@dataclass
class Swept:
    """What the sweeps of a run did."""

    hits: Counter[str] = field(default_factory=Counter)  # of a point
    lines: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """Take note of an outcome."""
        if record.get("type") != "outcome":
            return
        self.outcomes[record["outcome"]] += 1
        if record["outcome"] not in ("pass", "skip", "known"):
            self.wrong.append(f"{record['id']}: {record.get('reason', '')}")
        for line in record.get("diagnostics") or ():
            match = _SWEEP.fullmatch(line)
            if match:
                self.hits[match[1]] += int(match[3].split()[0])
                self.lines.append(f"{record['id']:40} {line}")


def records(lines: Iterable[str]) -> Iterator[Record]:
    """Return the records of these lines; what is none is left out."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def sweep_here() -> Swept:
    """Run the cases on this kernel."""
    found = Swept()
    command = [str(PROGRAM), "run", "--format", "records", CASES]
    done = run_gently(command, stdout=subprocess.PIPE)
    for record in records(done.stdout.splitlines()):
        found.take(record)
    if not found.outcomes:
        raise click.ClickException(f"{PROGRAM} ran nothing")
    return found


def sweep_on(kernel: Path) -> Swept:
    """Run the cases in a guest."""
    found = Swept()
    with tempfile.TemporaryDirectory(prefix="aioabi-faults-") as results:
        command = [str(AIOABI), "run", "-q", "--results", results]
        command += ["--kernel", str(kernel), CASES]
        run_gently(command, stdout=subprocess.DEVNULL)
        for path in Path(results).rglob("outcomes.jsonl"):
            for record in records(path.read_text(encoding="utf-8").splitlines()):
                found.take(record)
    if not found.outcomes:
        raise click.ClickException(f"{kernel} ran nothing")
    return found


def report(where: str, found: Swept) -> None:
    """Print points x hits, and the sums."""
    click.echo(f"# {where}")
    for line in sorted(found.lines):
        click.echo(line)
    for outcome in found.wrong:
        click.echo(f"FAIL {outcome}")
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.outcomes.items()))
    click.echo(
        f"{len(found.hits)} of {len(points())} points, {found.hits.total()} hits; "
        f"cases: {counts}"
    )


@click.command()
@click.option(
    "--kernel",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A kernel that can fail allocations (default: the lab's latest).",
)
@click.option("--victims/--no-victims", "tried", default=True, help="fio and QEMU.")
def main(kernel: Optional[Path], tried: bool) -> None:
    """Sweep all failures, and put other people's programs under them.

    Exit status: 0 all went as it must; 1 not; 2 it could not be done.
    """
    kernels = [image.kernel for image in built() if image.profile == "fault"]
    runs = [("this kernel", sweep_here())]
    kernel = kernel or (kernels[-1] if kernels else None)
    if kernel:
        runs.append((str(kernel), sweep_on(kernel)))
    for where, found in runs:
        report(where, found)
    if not kernel:
        click.echo("no kernel that fails allocations: aioabi lab build --profile fault")
    status = 1 if any(found.wrong for _, found in runs) else 0
    if tried:
        click.echo("# fio and QEMU")
        try:
            victims([], standalone_mode=False)
        except SystemExit as end:
            status |= 1 if end.code else 0
    sys.exit(status)


if __name__ == "__main__":
    with ends_as_interrupt():
        main()
