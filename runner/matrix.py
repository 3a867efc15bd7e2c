# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about kernels: `aioabi kernels`, `aioabi matrix`."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import click
from rich.console import Console
from rich.table import Table

from . import ROOT
from .archive import Archive, ArchiveError
from .interrupt import end_running, run_gently
from .items import OUTCOMES, Key, Outcome, worst
from .kernels import Cached, Offer, cached, matches, newest_of_each, offers
from .options import Options, click_options
from .store import Run, StoreError

GUEST_MIB = 1536  # what a guest and its QEMU may take


class Failure(click.ClickException):
    """What was asked for cannot be done."""

    exit_code = 2


def say(text: str) -> None:
    """Tell a person what goes on, beside the output."""
    print(text, file=sys.stderr, flush=True)


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    console.width = max(console.width, 140)
    return console


# --- aioabi kernels ---


@click.command("kernels")
@click.argument("what", metavar="[VERSION]...", nargs=-1)
@click.option("--update", is_flag=True, help="Fetch Debian's lists anew.")
@click.option("--cached", "only_cached", is_flag=True, help="Only what is here.")
@click.option("--newest", is_flag=True, help="Only the newest of every series.")
def kernels_command(
    what: Sequence[str], update: bool, only_cached: bool, newest: bool
) -> None:
    """List the kernels that Debian offers, and those that are cached.

    One row a kernel release, to be named `debian:RELEASE`, `debian:VERSION`, by a
    beginning of the version (`debian:6.12`), by a suite (`debian:stable`), or
    `debian:latest`. VERSION here chooses rows in the same way. A + after the size: the
    index has lost the modules, they come from the pool, and the guest checks them.
    """
    have = {(kernel.release, kernel.version): kernel for kernel in cached()}
    found: list[Offer] = []
    if not only_cached:
        archive = Archive()
        try:
            found = offers(archive.packages(refresh=True if update else None))
        except ArchiveError as error:
            raise Failure(str(error)) from error
        finally:
            for text in archive.notes:
                say(text)
        what = [archive.aliases.get(word, word) for word in what]
    found = [offer for offer in found if not what or any(map(offer.matches, what))]
    if newest:
        found = newest_of_each(found)
    table = Table(box=None, pad_edge=False)
    for name in ("kernel", "version", "MB", "cached", "suites"):
        right = name in ("MB", "cached")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for offer in found:
        kept = have.pop((offer.release, offer.version.text), None)
        table.add_row(
            offer.release,
            offer.version.text,
            f"{offer.size / 1e6:.0f}" if offer.vouched else f"{offer.size / 1e6:.0f}+",
            f"{kept.size / 1e6:.0f}" if kept else "",
            ", ".join(offer.suites),
        )
    for kernel in _left(have, what) if not newest else ():
        gone = "" if only_cached else "not offered any more"
        table.add_row(
            kernel.release, kernel.version, "", f"{kernel.size / 1e6:.0f}", gone
        )
    _console().print(table)


def _left(
    have: Mapping[tuple[str, str], Cached], what: Sequence[str]
) -> Sequence[Cached]:
    return [
        kernel
        for kernel in have.values()
        if not what or any(matches(w, kernel.release, kernel.version) for w in what)
    ]


# --- aioabi matrix ---


@dataclass(frozen=True)
class Line:
    """What came of one kernel."""

    what: str
    status: int
    seconds: float
    run: Optional[Run]
    output: str

    @property
    def counts(self) -> Counter[str]:
        """Items by outcome."""
        outcomes = worst(self.run.outcomes()) if self.run else {}
        return Counter(outcome.outcome for outcome in outcomes.values())

    @property
    def ending(self) -> str:
        """How a run ended that left no results."""
        if self.status < 0:
            return f"the run was killed by {signal.Signals(-self.status).name}"
        return f"nothing ran (status {self.status})"

    @property
    def boot(self) -> float:
        """Seconds of the last boot that came up."""
        for record in self.run.records() if self.run else ():
            if record.get("type") == "end":
                for boot in reversed(record.get("boots") or ()):
                    if "failed" not in boot:
                        return float(boot["seconds"])
        return 0.0


@click.command("matrix")
@click.argument("what", metavar="[WHAT]...", nargs=-1)
@click_options
@click.option(
    "--select",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only these cases, as for `aioabi run`; may be given again.",
)
@click.option(
    "-n",
    "--guests",
    type=click.IntRange(min=1),
    metavar="N",
    help="Guests side by side (default: one for two CPUs, as memory allows).",
)
@click.option("-v", "--verbose", is_flag=True, help="Each run's whole output.")
def matrix_command(
    what: Sequence[str],
    patterns: Sequence[str],
    guests: Optional[int],
    verbose: bool,
    **values: Any,
) -> None:
    """Run the cases on several kernels, and show where they differ.

    WHAT is as for `aioabi run --kernel`. None: the newest build of every series that
    Debian offers. Exit status: 1 if a case failed, was lost or is fixed on any of
    them, else 2 if one of the runs could not be done, else 0.
    """
    if values.get("kernel"):
        raise Failure("name the kernels without --kernel")
    options = Options({k: v for k, v in values.items() if k != "kernel"})
    names = list(what) or _every_series()
    begun = time.monotonic()
    lines: dict[str, Line] = {}
    with ThreadPoolExecutor(guests or default_guests()) as pool:
        jobs = [pool.submit(run_one, name, options, patterns) for name in names]
        try:
            for job in as_completed(jobs):
                line = job.result()
                lines[line.what] = line
                _report(line, verbose)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_running()
            raise
    done = [lines[name] for name in names if name in lines]
    console = _console()
    console.print()
    console.print(_table(done))
    for text in differences(done):
        console.print(text)
    seconds = time.monotonic() - begun
    console.print(f"{len(done)} kernels in {seconds:.0f} s")
    statuses = {line.status for line in done}
    sys.exit(1 if 1 in statuses else 2 if statuses - {0} else 0)


def _every_series() -> list[str]:
    archive = Archive()
    try:
        found = newest_of_each(offers(archive.packages()))
    except ArchiveError as error:
        raise Failure(str(error)) from error
    for text in archive.notes:
        say(text)
    return [f"debian:{offer.release}" for offer in reversed(found)]


def default_guests() -> int:
    """How many guests this host can do with at once."""
    free = re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())
    room = int(free.group(1)) // 1024 // GUEST_MIB if free else 1
    return max(1, min(len(os.sched_getaffinity(0)) // 2, room))


def run_one(what: str, options: Options, patterns: Sequence[str]) -> Line:
    """Run these cases on this kernel, or on the host's where it has no name."""
    command = [
        *("setpriv", "--pdeathsig", "TERM"),
        *(sys.executable, str(ROOT / "runner/aioabi"), "run"),
        *(("--kernel", what) if what else ()),
        *options.argv(leave=("--kernel", "--select")),
        *patterns,
    ]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        status = run_gently(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ).returncode
        said.seek(0)
        output = said.read()
    seconds = time.monotonic() - begun
    return Line(what, status, seconds, _run_of(output), output)


def _run_of(output: str) -> Optional[Run]:
    found = re.findall(r"^results: (.*)$", output, re.MULTILINE)
    try:
        return Run.load(Path(found[-1])) if found else None
    except StoreError:
        return None


def _report(line: Line, verbose: bool) -> None:
    counts = ", ".join(
        f"{line.counts[word]} {word}"
        for word in reversed(OUTCOMES)
        if line.counts[word]
    )
    click.echo(f"{line.what:32} {line.seconds:6.1f} s  {counts or line.ending}")
    if verbose or not line.run:
        click.echo(line.output)
        return
    for outcome in worst(line.run.outcomes()).values():
        if outcome.outcome in ("fail", "fixed", "broken"):
            click.echo(f"    {outcome.outcome:6} {outcome.key}  {outcome.headline()}")


def _table(lines: Sequence[Line]) -> Table:
    words = [
        word for word in reversed(OUTCOMES) if any(line.counts[word] for line in lines)
    ]
    table = Table(box=None, pad_edge=False)
    for name in ("kernel", "release", "boot", "seconds", *words):
        left = name in ("kernel", "release")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for line in lines:
        release = line.run.release if line.run else line.ending
        table.add_row(
            line.what,
            release,
            f"{line.boot:.1f}",
            f"{line.seconds:.1f}",
            *(str(line.counts[word] or "") for word in words),
        )
    return table


def differences(lines: Sequence[Line]) -> list[str]:
    """The items of which the kernels say different things, and what each says."""
    said: dict[Key, dict[str, Outcome]] = {}
    for line in lines:
        for key, outcome in worst(line.run.outcomes() if line.run else ()).items():
            said.setdefault(key, {})[line.what] = outcome
    result = []
    for key, outcomes in sorted(said.items()):
        by_word: dict[str, list[str]] = {}
        for what, outcome in outcomes.items():
            by_word.setdefault(outcome.outcome, []).append(what)
        if len(by_word) > 1:
            parts = (f"{word}: {', '.join(names)}" for word, names in by_word.items())
            result.append(f"  {key}  {'; '.join(parts)}")
    return ["They differ in:", *result] if result else []
