# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: `aioabi run`, `list`, `show`, `reindex`, and those of others."""
import io
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import click
import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import ROOT
from .faults import faults
from .inject import inject
from .interrupt import ends_as_interrupt
from .items import OUTCOMES, Outcome, Pattern, select
from .lab.cli import coverage, lab, mutants, old_bugs
from .matrix import kernels_command, matrix_command
from .options import Options, click_options
from .progress import STYLES
from .reports.bisect import bisect_command, step, step_command
from .reports.cli import COMMANDS, RESULTS, Failure, open_store
from .reports.lava import lava_command
from .reports.sides import is_release
from .soak import soak
from .store import Index, Run, StoreError
from .summary import Summary, details

ABOUT_RUN = """Run cases, and keep what they showed.

A PATTERN names cases as the shell names files (`'io_setup.einval*'`, `'*cancel*'`),
by a beginning up to a dot (`io_setup`), or names one item as it is printed
(`'io_setup.einval_nr_zero[raw-loop]'`). `!` in front leaves out. No PATTERN: all.

Options after `--` go to pytest: `aioabi run io_cancel -- -x --junitxml=out.xml`.

Exit status: 0 all as the contract says; 1 a case failed, was lost or is fixed;
2 the run could not be done, or something of the suite is broken.
"""


class Commands(click.Group):
    """The commands: one that is interrupted has no verdict, so its status is 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Does this kernel keep the contract of the Linux native AIO ABI?"""


@cli.command(help=ABOUT_RUN)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click_options
@click.option("-k", "expression", metavar="EXPR", help="Names as pytest's -k has them.")
@click.option("-x", "first", is_flag=True, help="Stop at the first that is not well.")
@click.option("--lf", is_flag=True, help="Only what failed the last time.")
@click.option("-v", "--verbose", count=True, help="A line for every item.")
@click.option("-q", "--quiet", count=True, help="No line for what is as it should be.")
@click.option("--cases", type=click.Path(path_type=Path), hidden=True)
@click.pass_context
def run(
    context: click.Context,
    patterns: Sequence[str],
    expression: Optional[str],
    first: bool,
    lf: bool,
    verbose: int,
    quiet: int,
    cases: Optional[Path],
    **values: Any,
) -> None:
    """Run cases; the help text is ABOUT_RUN."""
    options = Options(values | {"select": patterns})
    folder = cases or ROOT / "cases"
    args = [
        *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder.parent)),
        *("-o", f"cache_dir={options.results.resolve() / '.pytest_cache'}"),
        *("--no-header", "-p", "no:xdist"),
        *options.argv(),
        *(["-k", expression] if expression else []),
        *["-x"] * first,
        *["--lf"] * lf,
        *["-v"] * verbose,
        *["-q"] * quiet,
        *context.obj,
        str(folder),
    ]
    try:
        status = pytest.main(args)
    except OSError as error:  # no room for pytest's own cache, say
        raise Failure(str(error)) from error
    sys.exit(int(status) if status in (0, 1) else 2)


@cli.command("list")
@click.argument("kernel", default="")
@RESULTS
@click.option(
    "-n",
    "limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Only the last N.",
)
def list_(kernel: str, results: Optional[Path], limit: int) -> None:
    """List the runs that are kept, the latest last.

    With KERNEL, a release or the beginning of one (`6.1`), only those of that kernel.
    """
    rows = Index(open_store(results)).runs()
    if kernel:
        rows = [row for row in rows if is_release(kernel, row["release"])]
    rows = rows[-limit:]
    table = Table(box=None, pad_edge=False)
    for name in ("run", "kernel", "arch", "target", "state", "seconds", "outcomes"):
        table.add_column(
            name, justify="right" if name == "seconds" else "left", no_wrap=True
        )
    for row in rows:
        table.add_row(
            row["run"],
            row["release"],
            row["arch"],
            row["target"],
            row["state"],
            f"{row['seconds']:.1f}",
            _counts(row["counts"]),
        )
    _console().print(table)


@cli.command()
@click.argument("run", default="last")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@RESULTS
@click.option("-a", "--all", "every", is_flag=True, help="Every item, not only some.")
def show(
    run: str, patterns: Sequence[str], results: Optional[Path], every: bool
) -> None:
    """Show a run: what ran, where, and what came of it.

    RUN is a run's id, the beginning of one, its folder, or `last` (the default). With
    a PATTERN (as of `aioabi run`), show all that is known of those items.
    """
    store = open_store(results)
    try:
        found = store.find(run)
    except StoreError as error:
        raise Failure(str(error)) from error
    console = _console()
    summary = Summary(found.outcomes(), Index(store).before(found.facts))
    if patterns:
        keys = select(summary.items, [Pattern(text) for text in patterns])
        if not keys:
            raise Failure(f"no item of the run {found.id} is named so")
        outcomes = [summary.items[key] for key in sorted(keys)]
    else:
        for line in _about(found):
            console.print(line)
        outcomes = summary.of(*(OUTCOMES if every else ("fail", "fixed", "broken")))
    for outcome in outcomes:
        _show(console, outcome, bool(patterns))
    if not patterns:
        for text in ["", *summary.lines(), summary.total()]:
            console.print(Text(text))


@cli.command()
@RESULTS
def reindex(results: Optional[Path]) -> None:
    """Make the index of all runs anew, from their folders."""
    store = open_store(results)
    (store.root / "index.sqlite").unlink(missing_ok=True)
    click.echo(f"{len(Index(store).runs())} runs")


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    # A row that is cut short is of no use: rather let the terminal break it.
    console.width = max(console.width, 160)
    return console


def _counts(counts: Mapping[str, int]) -> Text:
    parts = [
        Text(f"{counts[name]} {name}", STYLES[name])
        for name in reversed(OUTCOMES)
        if counts.get(name)
    ]
    return Text(", ").join(parts)


def _about(run: Run) -> list[Text]:
    facts = run.facts
    started = time.localtime(facts.get("started", 0))
    rows = {
        "run": f"{run.id} ({facts.get('state')})",
        "folder": str(run.folder),
        "kernel": " ".join(str(facts.get(k)) for k in ("release", "version", "arch")),
        "target": facts.get("target"),
        "suite": facts.get("suite"),
        "started": time.strftime("%Y-%m-%d %H:%M:%S", started),
        "seconds": f"{(facts.get('finished') or time.time()) - facts['started']:.1f}",
        "command": shlex.join(facts.get("command") or ()),
        "incomplete": facts.get("why"),
        "unfinished": ", ".join(facts.get("unfinished") or ()),
    }
    lines = [Text(f"{name:11}{value}") for name, value in rows.items() if value]
    for device in facts.get("devices") or ():
        about = (f"{k} {v}" for k, v in device.items() if k not in ("name", "default"))
        lines.append(Text(f"{'device':11}{device.get('name')}: {', '.join(about)}"))
    return lines


def _show(console: Console, outcome: Outcome, full: bool) -> None:
    line = Text(f"{outcome.outcome:6} ", STYLES[outcome.outcome])
    line.append(f"{outcome.seconds:8.3f}s  {outcome.key}", "default")
    console.print(line)
    if full or outcome.outcome in ("fail", "fixed", "broken"):
        for text in details(outcome) if outcome.outcome != "pass" else ():
            console.print(Text(f"    {text}"))


for command in (lab, mutants, old_bugs, coverage, *COMMANDS):
    cli.add_command(command)
cli.add_command(faults)
cli.add_command(inject)
cli.add_command(kernels_command)
cli.add_command(matrix_command)
cli.add_command(soak)
cli.add_command(bisect_command)
cli.add_command(step_command)
cli.add_command(lava_command)


def main() -> None:
    """The command `aioabi`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    typed = sys.argv[1:]
    ours, theirs = typed, []
    if typed[:1] == ["run"] and "--" in typed:
        cut = typed.index("--")
        ours, theirs = typed[:cut], typed[cut + 1 :]
    with ends_as_interrupt():
        if typed[:1] == ["bisect-step"]:
            sys.exit(
                step(lambda: cli.main(ours, prog_name="aioabi", standalone_mode=False))
            )
        cli.main(ours, prog_name="aioabi", obj=theirs)
