# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about results: `aioabi diff`, `accept`, `prune` and the like."""
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional, Sequence

import click
from rich.console import Console
from rich.text import Text

from .. import ROOT, contract, errnos
from ..executor import ExecutorError
from ..faults import points
from ..items import Key, Pattern, select
from ..options import default_results
from ..store import Index, Run, Store, StoreError
from ..targets import read_catalogue
from . import export
from .baseline import accept, baselines, default_folder
from .diff import Diff, Incomparable, to_json, to_markdown, to_text
from .merge import MergeError, merge
from .sides import Side, builds, named, nearest, of_baseline

DAY = 24 * 3600.0


class Failure(click.ClickException):
    """What was asked for cannot be done."""

    exit_code = 2


RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where runs are kept (default: $AIOABI_RESULTS, else results/).",
)
BASELINES = click.option(
    "--baselines",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where baselines are (default: $AIOABI_BASELINES, else results/baselines).",
)
PROGRAM = click.option(
    "--program",
    type=click.Path(path_type=Path),
    default=ROOT / "build" / "aioabi-cases",
    metavar="FILE",
    help="What lists the cases (default: build/aioabi-cases).",
)
OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file.",
)


def open_store(results: Optional[Path]) -> Store:
    """The store that a command works on; what was killed is marked."""
    root = results or default_results()
    if not root.is_dir():
        raise Failure(f"{root}: no results are there")
    store = Store(root)
    store.recover()
    return store


def write(text: str, output: Optional[Path]) -> None:
    """Write a result to the file that was named, else to standard output."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"{output}: {error.strerror}") from error


def terminal() -> Console:
    """Standard output, for lines with styles."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


# --- diff ---

ABOUT_DIFF = """Tell what changed between two kernels, A and B.

Each is a run (its id, the beginning of one, its folder, `last`), a kernel's release or
the beginning of one (`6.1`: all runs of its newest build), or a baseline
(`baseline:RELEASE`, or its file). B is the last run unless it is given; A is
`baseline`: the one of B's release, or of the nearest older one.

A regression is an item that passed and fails, a fix one that failed and passes. An item
that did both on one kernel, in runs of the same suite, is flaky and neither.

Exit status: 1 if and only if something regressed, 2 when the two cannot be compared.
"""
FORMATS: dict[str, Callable[[Diff], str]] = {"markdown": to_markdown, "json": to_json}


@click.command("diff", help=ABOUT_DIFF)
@click.argument("a", required=False)
@click.argument("b", default="last")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["terminal", *FORMATS]),
    default="terminal",
    show_default=True,
    help="Markdown is made to be pasted into a mail or a merge request.",
)
@OUTPUT
@RESULTS
@BASELINES
def diff_command(
    a: Optional[str],
    b: str,
    format_: str,
    output: Optional[Path],
    results: Optional[Path],
    folder: Optional[Path],
) -> None:
    """Tell what changed; the help text is ABOUT_DIFF."""
    store = open_store(results)
    index = Index(store)
    folder = folder or default_folder()
    try:
        after = named(store, index, folder, b)
        if a in (None, "baseline"):
            before = _baseline_of(after, folder)
        else:
            before = named(store, index, folder, str(a))
        diff = Diff(before, after)
    except (StoreError, Incomparable) as error:
        raise Failure(str(error)) from error
    if format_ in FORMATS:
        write(FORMATS[format_](diff), output)
    elif output:
        write("".join(f"{text}\n" for text, _ in to_text(diff)), output)
    else:
        console = terminal()
        for text, style in to_text(diff):
            console.print(Text(text, style))
    sys.exit(diff.status)


def _baseline_of(side: Side, folder: Path) -> Side:
    base = nearest(folder, side.release, side.version, side.arch)
    if not base:
        raise StoreError(
            f"there is no baseline of {side.release} ({side.arch}) or of an older "
            f"kernel in {folder}: name what to compare with"
        )
    found = of_baseline(base)
    if base.release == side.release:
        return found
    return replace(found, name=f"{found.name}, the nearest older one")


# --- accept ---


@click.command("accept")
@click.argument("run", default="last")
@click.option(
    "--replace", is_flag=True, help="Forget what the baseline has and RUN has not."
)
@RESULTS
@BASELINES
def accept_command(
    run: str, replace: bool, results: Optional[Path], folder: Optional[Path]
) -> None:
    """Make a run's outcomes the baseline of its kernel, to be reviewed.

    RUN is as for `aioabi show`. The baseline is the text file
    results/baselines/ARCHITECTURE/RELEASE.txt: review it with `git diff`, and commit
    it. What was lost or broken says nothing of the kernel and is left out; what RUN
    did not run stays as it was.
    """
    store = open_store(results)
    try:
        new, old = accept(store.find(run), folder or default_folder(), replace)
    except StoreError as error:
        raise Failure(str(error)) from error
    assert new.path
    try:
        new.path.parent.mkdir(parents=True, exist_ok=True)
        new.path.write_text(new.text(), encoding="utf-8")
        store.own(new.path.parent.parent, new.path.parent, new.path)
    except OSError as error:
        raise Failure(f"{new.path}: {error.strerror}") from error
    added = len(new.items.keys() - old.items.keys())
    gone = len(old.items.keys() - new.items.keys())
    both = new.items.keys() & old.items.keys()
    changed = sum(new.items[key] != old.items[key] for key in both)
    click.echo(
        f"{new.path}: {len(new.items)} items, {added} new, {changed} changed, "
        f"{gone} removed"
    )


# --- export ---


@click.command("export")
@click.argument("run", default="last")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(export.FORMATS)),
    required=True,
    help="ktap and tap are lines, junit is XML, kcidb the JSON of KCIDB 5.3.",
)
@OUTPUT
@RESULTS
def export_command(
    run: str, format_: str, output: Optional[Path], results: Optional[Path]
) -> None:
    """Write a run in a format that others read.

    RUN is as for `aioabi show`. An item that was run several times is in it once,
    with the worst of its outcomes.
    """
    try:
        found = open_store(results).find(run)
    except StoreError as error:
        raise Failure(str(error)) from error
    write(export.FORMATS[format_](found), output)


# --- report ---


@click.command("report")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to (default: html in the folder of results).",
)
@PROGRAM
@RESULTS
def report_command(
    output: Optional[Path], program: Path, results: Optional[Path]
) -> None:
    """Make the static site: a matrix of clauses and kernels, a page for each kernel
    and case.

    It needs no server and no network: open index.html. A site that is there is
    replaced.
    """
    from . import site as pages  # with jinja2, which nothing else here needs

    store = open_store(results)
    try:
        site = pages.Site(store, Index(store), program)
        page = pages.write(site, output or store.root / "html")
    except (pages.SiteError, StoreError) as error:
        raise Failure(str(error)) from error
    store.own(page.parent, *page.parent.rglob("*"))
    click.echo(f"{page}: {len(site.columns)} kernels, {len(site.keys)} items")


# --- contract ---


def print_errnos(
    patterns: Sequence[str], missing: bool, program: Path, results: Optional[Path]
) -> None:
    """What `contract --errnos` prints."""
    root = results or default_results()
    folders = Store(root).folders() if root.is_dir() else []
    records = (record for folder in folders for record in Run.load(folder).records())
    try:
        cases = read_catalogue(program).cases
        truly = {name: point.is_true for name, point in points(program).items()}
        found = errnos.met(contract.load(), cases, truly, records)
    except (ExecutorError, contract.ContractError) as error:
        raise Failure(str(error)) from error
    keys = [Key(met.clause.id, "", "") for met in found]
    wanted = set(select(keys, [Pattern(text) for text in patterns]))
    found = [met for met in found if Key(met.clause.id, "", "") in wanted]
    if not found:
        raise Failure("no clause with an errno is named so")
    click.echo(errnos.to_text(found, missing), nl=False)


@click.command("contract")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--missing", is_flag=True, help="Only what no case holds, and why.")
@click.option(
    "--errnos",
    "by_errno",
    is_flag=True,
    help="Which errnos were met, truly or injected, clause by clause.",
)
@PROGRAM
@RESULTS
def contract_command(
    patterns: Sequence[str],
    missing: bool,
    by_errno: bool,
    program: Path,
    results: Optional[Path],
) -> None:
    """Print the contract: each clause with its promise, who made it, from which
    kernel on, its cases, and what they said last.

    A PATTERN names clauses as the shell names files, or by a beginning up to a dot.
    cases/CONTRACT.md has them all as a page. With --errnos, each errno that a clause
    names, and by which cases it was met in the runs that are kept.
    """
    if by_errno:
        print_errnos(patterns, missing, program, results)
        return
    try:
        cases = read_catalogue(program).cases
        listing = {"cases": [{"id": c.id, "clause": c.clause} for c in cases]}
    except ExecutorError as error:
        listing = {}
        click.echo(f"without cases: {error}", err=True)
    root = results or default_results()
    said: dict[str, set[str]] = {}
    if root.is_dir():
        index = Index(Store(root))
        for build in builds(index.runs())[-1:]:
            for key, item in index.latest(build).items():
                said.setdefault(key.id, set()).add(item.outcome.outcome)
    try:
        table = contract.rows(contract.load(), listing, said)
    except contract.ContractError as error:
        raise Failure(str(error)) from error
    wanted = [Pattern(text) for text in patterns]
    keys = select([Key(row.clause.id, "", "") for row in table], wanted)
    table = [row for row in table if Key(row.clause.id, "", "") in keys]
    if not table:
        raise Failure("no clause is named so")
    table = [row for row in table if row.missing or not missing]
    click.echo(contract.to_text(table), nl=False)


# --- merge ---


@click.command("merge")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@RESULTS
def merge_command(files: Sequence[Path], results: Optional[Path]) -> None:
    """Take in runs of other machines.

    FILE is a tar archive of run folders (`tar czf runs.tgz results/6.12.1`), or what
    `aioabi-cases run --format records` printed on a machine without Python. Nothing in
    it is trusted: sizes, names, encoding and every record are checked, and what is not
    as it should be is refused.

    Exit status: 2 when a run was refused.
    """
    store = Store(results or default_results())
    refused = False
    for path in files:
        try:
            for run in merge(store, path):
                said = run.refused or f"{run.records} records of {run.release}"
                click.echo(f"{run.id}: {said}", err=bool(run.refused))
                refused = refused or bool(run.refused)
        except MergeError as error:
            raise Failure(str(error)) from error
    if store.root.is_dir():
        Index(store)
    sys.exit(2 if refused else 0)


# --- prune ---


@click.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Keep the last N runs of every kernel.",
)
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="D",
    help="Keep what is not D days old.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@RESULTS
@BASELINES
def prune_command(
    keep: int,
    days: float,
    dry_run: bool,
    results: Optional[Path],
    folder: Optional[Path],
) -> None:
    """Remove old runs.

    A kernel is a build of a release on one architecture and target. Its last run stays
    whatever is asked for, and so do its last complete one and one that a baseline was
    made from.
    """
    store = open_store(results)
    try:
        spared = {base.run for base in baselines(folder or default_folder())}
        number = len(store.folders())
        gone = store.prune(keep, time.time() - days * DAY, spared)
        for run in gone:
            click.echo(f"{run.release}  {run.id}")
            if not dry_run:
                store.remove(run)
    except (StoreError, OSError) as error:
        raise Failure(str(error)) from error
    Index(store)
    would = "would be " if dry_run else ""
    click.echo(f"{len(gone)} of {number} runs {would}removed")


COMMANDS = (
    diff_command,
    report_command,
    contract_command,
    accept_command,
    export_command,
    merge_command,
    prune_command,
)
