# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of the lab: `aioabi lab`, `aioabi mutants`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

from ..executor import ExecutorError
from ..options import Options, default_results
from . import build as building
from . import campaign, catalogue, oldbugs, sources, survivors
from . import coverage as covering
from .bench import Baseline, Bench
from .csource import Source
from .relink import Linker
from .report import Report


class Failure(click.ClickException):
    """What was asked for cannot be done."""

    exit_code = 2


def say(text: str) -> None:
    """Tell a person what goes on, beside the output."""
    print(text, file=sys.stderr, flush=True)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a kernel's source, for any command of the lab."""
    tree = click.option(
        "--tree",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="A kernel tree of your own, clean, in place of Debian's source.",
    )
    jobs = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Compilers side by side (default: one for each CPU).",
    )
    return tree(jobs(command))


@click.group()
def lab() -> None:
    """Build kernels to judge the suite by; nothing of it is needed for `run`."""


@lab.command()
@click.argument("version", required=False, default="6.12")
@click.option(
    "--profile",
    type=click.Choice([*building.PROFILES]),
    default="plain",
    show_default=True,
    help="; ".join(f"{name}: {text}" for name, text in building.PROFILES.items()),
)
@source_options
def build(version: str, profile: str, tree: Path | None, jobs: int | None) -> None:
    """Build a small kernel of VERSION (5.10, 6.1, 6.12, …), and say where it is.

    It boots in a QEMU microvm: `aioabi run --kernel IMAGE`.
    """
    try:
        source = sources.find(version, tree, say)
        image = building.build(source, profile, jobs=jobs, say=say)
    except sources.LabError as error:
        raise Failure(str(error)) from error
    if not image.cached:
        say(f"built in {image.seconds:.0f} s")
    click.echo(image.kernel)


@lab.command("list")
def list_() -> None:
    """List the kernels that are built, the latest last."""
    table = Table(box=None, pad_edge=False)
    for name in ("version", "profile", "built in", "image"):
        table.add_column(name, overflow="fold")
    for image in building.images():
        table.add_row(
            image.version, image.profile, f"{image.seconds:.0f} s", str(image.kernel)
        )
    Console().print(table)


# A case sees a broken fs/aio.c on any device; few of them make a quick boot.
_DEVICES = "virtio,nullblk,nulltimer,delay,flakey,ext4,tmpfs"


_MACHINES = click.option(
    "--machines",
    type=click.IntRange(min=1),
    default=len(os.sched_getaffinity(0)),
    show_default=True,
    metavar="N",
    help="Virtual machines side by side.",
)


_PROFILE = click.option(
    "--profile",
    type=click.Choice(["plain", "kasan", "fault"]),
    default="plain",
    show_default=True,
    help="What is broken. kasan: use of freed memory is seen; fault: allocations "
    "can fail. Each takes longer.",
)


def bench_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that put kernels to the suite."""
    program = click.option(
        "--program",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The executor (default: build/aioabi-cases).",
    )
    devices = click.option(
        "--devices", default=_DEVICES, show_default=True, metavar="NAME,…"
    )
    results = click.option(
        "--results",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where results are kept (default: $AIOABI_RESULTS, else results/).",
    )
    return results(program(devices(command)))


def prepare(
    version: str,
    tree: Path | None,
    jobs: int | None,
    program: Path | None,
    devices: str,
    profile: str = "plain",
) -> tuple[Linker, Bench, Baseline, str]:
    """Return what broken kernels are made with, met by, and compared with."""
    source = sources.find(version, tree, say)
    linker = Linker(building.build(source, profile, jobs=jobs, objects=True, say=say))
    linker.prepare()
    values: Mapping[str, Any] = {"program": program, "devices": devices}
    bench = Bench(values)
    suite = campaign.suite_digest(Options(values).program)
    with tempfile.TemporaryDirectory(prefix="aioabi-lab-") as scratch:
        place = Path(scratch)
        compiled = linker.compile(linker.original, place / "aio.o")
        if compiled.path is None:
            raise sources.LabError(f"fs/aio.c does not compile:\n{compiled.messages}")
        kernel = linker.link(compiled.path, place / "vmlinux")
        name = f"{linker.image.key}-{devices}"
        base = campaign.baseline(bench, kernel, name, suite, say)
    bench.expect(base.passed)
    for key, why in sorted(base.others.items()):
        if not why.startswith("skip"):
            say(f"left out, as the unbroken kernel has it {why}: {key}")
    return linker, bench, base, suite


@click.command()
@click.argument("version", required=False, default="6.12")
@click.option(
    "--functions",
    metavar="NAME,…",
    default="",
    help="Only mutants of these functions (or with these ids); * and ? work.",
)
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which N.")
@click.option("--again", is_flag=True, help="Those that were tried, too.")
@click.option("--list", "listing", is_flag=True, help="Only list them.")
@click.option("--report", "reporting", is_flag=True, help="Only report what is known.")
@click.option("--diffs/--no-diffs", default=True, help="Show what survivors change.")
@_PROFILE
@_MACHINES
@source_options
@bench_options
def mutants(
    version: str,
    functions: str,
    sample: int | None,
    seed: int,
    again: bool,
    listing: bool,
    reporting: bool,
    diffs: bool,
    profile: str,
    tree: Path | None,
    jobs: int | None,
    program: Path | None,
    machines: int,
    devices: str,
    results: Path | None,
) -> None:
    """Break fs/aio.c in every plausible way, and ask the suite whether it shows.

    Each mutant is one change; it is built, booted, and met by the cases, the
    likeliest first, until one fails. What was tried is not tried again, unless
    it survived and the suite is another one. cases/survivors.toml explains those
    that no program can tell; they come last.

    Exit status: 0 all others are killed; 1 some survived; 2 it could not be done.
    """
    try:
        source = sources.find(version, tree, say)
        linker = Linker(
            building.build(source, profile, jobs=jobs, objects=True, say=say)
        )
        linker.prepare()
        known = catalogue.Catalogue(linker, jobs or catalogue.default_jobs(), say)
        chosen = known.mutants(
            [f for f in functions.split(",") if f], sample=sample, seed=seed
        )
        if listing:
            _list(chosen, known.text)
            return
        folder = (results or default_results()) / "mutants" / version
        kept = campaign.Results(folder / f"{known.key}.jsonl")
        reasons = survivors.load()
        excused = survivors.explained(reasons, chosen, known.text)
        if not reporting:
            linker, bench, base, suite = prepare(
                version, tree, jobs, program, devices, profile
            )
            order = campaign.Order(base, _learnt_coverage(version))
            work = campaign.Campaign(linker, bench, kept, order, suite, say)
            left = work.missing(chosen, again)
            # the longest trials, and the least to be learnt
            left.sort(key=lambda mutant: mutant.id in excused)
            work.run(left, machines)
        report = Report(chosen, known.text, kept.latest(), excused)
        report.print(Console(), diffs)
        killed = [mutant.id for mutant in report.killed]
        wrong = survivors.stale(
            reasons, catalogue.candidates(Source(known.text)), known.text, killed
        )
        for text in wrong:
            say(f"cases/survivors.toml: {text}")
    except (sources.LabError, OSError) as error:
        raise Failure(str(error)) from error
    sys.exit(1 if report.survivors or report.broken or wrong else 0)


@click.command()
@click.argument("version", required=False, default="6.12")
@click.option(
    "--by-file", is_flag=True, help="Learn which cases run what, for mutants."
)
@click.option(
    "--profile",
    type=click.Choice(["gcov", "gcov-fault"]),
    default="gcov",
    show_default=True,
    help="gcov-fault: its allocations can fail, too.",
)
@source_options
@bench_options
def coverage(
    version: str,
    by_file: bool,
    profile: str,
    tree: Path | None,
    jobs: int | None,
    program: Path | None,
    devices: str,
    results: Path | None,
) -> None:
    """Count which lines and branches of fs/aio.c the cases reach.

    What nothing reaches is explained in cases/uncovered.toml; what is not fails.
    lcov's pages are written to results/coverage.

    Exit status: 0 all that is not reached is explained; 1 it is not; 2 it could
    not be done.
    """
    try:
        source = sources.find(version, tree, say)
        image = building.build(source, profile, jobs=jobs, objects=True, say=say)
        text = (source.path / "fs/aio.c").read_text(encoding="utf-8")
        values: Mapping[str, Any] = {"program": program, "devices": devices}
        counter = covering.Counter(image, values, say)
        if by_file:
            learnt = covering.by_file(counter, image.objects, text)
            _coverage_file(version).parent.mkdir(parents=True, exist_ok=True)
            _coverage_file(version).write_text(json.dumps(learnt), encoding="utf-8")
            return
        counters = counter.run()
        folder = (results or default_results()) / "coverage" / version
        page = covering.write_pages(image, counters, folder)
        counted = covering.Counted(text, covering.total(counters, image.objects))
        reasons = covering.explanations()
    except (sources.LabError, ExecutorError, OSError) as error:
        raise Failure(str(error)) from error
    gaps = counted.gaps()
    _print_coverage(counted)
    open_gaps = [gap for gap in gaps if gap.name not in reasons]
    for gap in open_gaps:
        click.echo(f"fs/aio.c:{gap.line}: not reached: {gap.name}")
    for name in sorted(set(reasons) - {gap.name for gap in gaps}):
        say(f"cases/uncovered.toml: reached, or there no more: {name}")
    bad = Counter(o.outcome for o in counter.outcomes if o.outcome != "pass")
    click.echo(f"{len(counter.outcomes)} items ran: {dict(bad)} besides what passed")
    click.echo(f"{len(gaps)} gaps, {len(open_gaps)} not explained; {page}")
    sys.exit(1 if open_gaps else 0)


def _print_coverage(counted: covering.Counted) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("function")
    for name in ("lines", "reached", "branches", "taken"):
        table.add_column(name, justify="right")
    lines, branches = counted.lines(), counted.branches()
    names = [*counted.functions()]
    for name in (*names, ""):
        here = [c for n, c in lines.items() if not name or counted.owner(n) == name]
        ways = [
            c for b, c in branches.items() if not name or counted.owner(b[0]) == name
        ]
        table.add_row(name or "all", *_share(here), *_share(ways))
    Console().print(table)
    ran = sum(counted.functions().values())
    click.echo(f"{ran} of {len(names)} functions")


def _share(counts: Sequence[int]) -> tuple[str, str]:
    if not counts:
        return "0", "-"
    return str(len(counts)), f"{sum(map(bool, counts)) / len(counts):.1%}"


def _coverage_file(version: str) -> Path:
    return sources.cache_dir() / "coverage" / f"{version}.json"


def _learnt_coverage(version: str) -> dict[str, dict[str, int]]:
    path = _coverage_file(version)
    if not path.exists():
        return {}
    found: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))
    return found


@click.command("old-bugs")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--again", is_flag=True, help="Those that were tried, too.")
@click.option("--list", "listing", is_flag=True, help="Only list them.")
@_PROFILE
@_MACHINES
@source_options
@bench_options
def old_bugs(
    names: Sequence[str],
    again: bool,
    listing: bool,
    profile: str,
    tree: Path | None,
    jobs: int | None,
    program: Path | None,
    machines: int,
    devices: str,
    results: Path | None,
) -> None:
    """Put bugs that fs/aio.c once had back into 6.12, and see whether it shows.

    The cases that name the fixing commit (`.fixed_by`) come first.

    Exit status: 0 each was noticed; 1 some were not; 2 it could not be done.
    """
    try:
        chosen = [
            bug
            for bug in oldbugs.load()
            if not names or any(fnmatchcase(bug.name, name) for name in names)
        ]
        if listing:
            for bug in chosen:
                click.echo(f"{bug.name}: {bug.commit} ({bug.subject})\n  {bug.sees}")
            return
        linker, bench, base, suite = prepare(
            "6.12", tree, jobs, program, devices, profile
        )
        owners = {
            bug.id: [
                case.id
                for case in bench.catalogue.cases
                if case.fixed_by and bug.commit.startswith(case.fixed_by[:12])
            ]
            for bug in chosen
        }
        folder = (results or default_results()) / "old-bugs"
        kept = campaign.Results(folder / f"6.12-{profile}.jsonl")
        order = campaign.Order(base, _learnt_coverage("6.12"))
        work = campaign.Campaign(linker, bench, kept, order, suite, say, owners)
        work.run(work.missing(chosen, again), machines)
        trials = kept.latest()
    except (sources.LabError, OSError) as error:
        raise Failure(str(error)) from error
    unnoticed = 0
    for bug in chosen:
        record = trials[bug.id]
        click.echo(f"{bug.name}: {campaign.describe(record)}")
        unnoticed += record["verdict"] not in campaign.FOUND_OUT
    click.echo(f"{len(chosen) - unnoticed} of {len(chosen)} noticed")
    sys.exit(1 if unnoticed else 0)


def _list(chosen: Sequence[catalogue.Mutant], text: str) -> None:
    for mutant in chosen:
        gone, new = mutant.lines(text)
        click.echo(f"{mutant.id} (line {mutant.line})")
        click.echo("".join(f"  - {line}\n" for line in gone), nl=False)
        click.echo("".join(f"  + {line}\n" for line in new), nl=False)
