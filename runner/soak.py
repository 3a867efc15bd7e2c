# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi soak`: racing cases in ever other orders, for as long as asked."""
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional, Sequence

import click

from .items import Outcome
from .matrix import Failure, Line, run_one
from .options import Options, click_options

# What is won by chance, or lost: the more often it is tried, the better.
RACES = ("race", "*race*", "*against*", "io_destroy.one_of_many_wins")
WELL = ("pass", "skip", "known")
BATCH = 60.0  # seconds that a batch is to take
ROUNDS_MAX = 1000
OURS = ("repeat", "shuffle", "deadline")  # a batch's, not the user's

ABOUT_SOAK = """Run racing cases over and over, for as long as asked.

They run in batches of about a minute, each in an order of its own: the first is made
from the seed, the next from the number after it, and so on. A PATTERN is as for
`aioabi run`; none: all cases that are won or lost by chance. The first batch that is
not well ends it, and its run is kept among the results.

Exit status: as of `aioabi run`.
"""


@click.command("soak", help=ABOUT_SOAK)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    metavar="M",
    help="For how long; the last batch is over soon after.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=1),
    metavar="N",
    help="The first batch's order (default: from the clock).",
)
@click_options
@click.option("--cases", type=click.Path(path_type=Path), hidden=True)
def soak(
    patterns: Sequence[str],
    minutes: float,
    seed: Optional[int],
    cases: Optional[Path],
    **values: Any,
) -> None:
    """Run racing cases; the help text is ABOUT_SOAK."""
    for name in OURS:
        if values.get(name):
            raise Failure(f"--{name} is for `aioabi run`")
    patterns = [*(patterns or RACES), *(("--cases", str(cases)) if cases else ())]
    options = Options(values)
    seed = seed or time.time_ns() % 1_000_000 + 1
    click.echo(f"seed {seed}, {minutes:g} minutes")
    begun = time.monotonic()
    ran, batches, rounds, left = 0, 0, 1, minutes * 60
    while not batches or left > 0:
        with tempfile.TemporaryDirectory(prefix="aioabi-soak-") as folder:
            line = _batch(options, patterns, seed, rounds, folder)
            ran += _tell(line, seed, rounds)
            if line.status:
                _keep(line, options, patterns, seed, rounds)
                sys.exit(1 if line.status == 1 else 2)
        batches, seed = batches + 1, seed + 1
        left = minutes * 60 - (time.monotonic() - begun)
        rounds = _rounds(rounds, line.seconds, left)
    seconds = time.monotonic() - begun
    click.echo(
        f"all well: {batches} batches, {ran} items in {seconds / 60:.1f} minutes"
    )


def _batch(
    options: Options, patterns: Sequence[str], seed: int, rounds: int, folder: str
) -> Line:
    own = {"shuffle": seed, "repeat": rounds, "results": folder}
    return run_one(options.get("kernel") or "", options.replaced(own), patterns)


def _rounds(rounds: int, seconds: float, left: float) -> int:
    """How many rounds of every item a batch has that takes as long as it is to."""
    wanted = max(min(BATCH, left), 1)
    return max(1, min(ROUNDS_MAX, int(rounds * wanted / max(seconds, 0.1))))


def _tell(line: Line, seed: int, rounds: int) -> int:
    """Say how a batch went; gives how many items ran."""
    outcomes = line.run.outcomes() if line.run else []
    ran = sum(outcome.outcome != "skip" for outcome in outcomes)
    ill = sum(outcome.outcome not in WELL for outcome in outcomes)
    click.echo(
        f"seed {seed}: {rounds} rounds, {ran} items in {line.seconds:.0f} s "
        f"({ran / max(line.seconds, 0.1):.1f}/s), "
        + (f"{ill} not well" if ill else "all well" if not line.status else line.ending)
    )
    return ran


def _keep(
    line: Line, options: Options, patterns: Sequence[str], seed: int, rounds: int
) -> None:
    """Tell what is wrong, and keep the run of it."""
    click.echo(line.output)
    outcomes = line.run.outcomes() if line.run else []
    for outcome in outcomes:
        if outcome.outcome not in WELL:
            click.echo(_told(outcome, seed))
    if line.run:
        kept = options.results / line.run.release / line.run.id
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(line.run.folder, kept)
        click.echo(f"kept: {kept}")
    own = options.replaced({"shuffle": seed, "repeat": rounds, "results": None})
    click.echo(f"again: runner/aioabi run {shlex.join([*own.argv(), *patterns])}")


def _told(outcome: Outcome, seed: int) -> str:
    return (
        f"{outcome.outcome:6} {outcome.key}  seed {seed} round {outcome.round}: "
        f"{outcome.headline()}"
    )
