# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi bisect`: the first of Debian's builds, or of a tree's commits, in which a
case does not end as it did."""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

import click

from .. import ROOT
from ..archive import Archive, ArchiveError, Version
from ..executor import ExecutorError
from ..items import BROKE, HELD, Key, Outcome, Pattern, select, worst
from ..kernels import Offer, choose, offers
from ..matrix import Failure, run_one, say
from ..options import Options, click_options
from ..store import Run
from ..summary import clauses, details
from ..targets import read_catalogue

CANNOT_TELL = 125  # to git bisect run: leave this commit out
STOP = 255  # and: stop, this would be the same of every commit
TRIES = 2
LINES = 30  # of a changelog
DETAILS = 20  # lines of what the first item said
AIO = re.compile(r"\b(aio|io_(setup|submit|p?getevents|cancel|destroy)|kiocb)\b", re.I)
# What a subject stands under ("fs: ", "scsi: sd: "), where it is of what AIO stands on.
UNDER = re.compile(
    r"\b(eventfd|block|blk[-_]\w+|bio|iomap|direct[- ]io|loop|brd|zram|null_blk|nvme|"
    r"sd|scsi_debug|virtio[-_]blk|dm|fs|vfs|ext4|jbd2|xfs|btrfs|f2fs|tmpfs|shmem|ovl|"
    r"overlayfs|fuse|f_fs|dummy_hcd)\b"
)
ENTRY = re.compile(r"linux\S* \(([^)\s]+)\)")
SIGNED = re.compile(r"Sign kernel from linux (\S+)")


@dataclass(frozen=True)
class Answer:
    """What became of the case's items on one kernel; none where it cannot be told."""

    items: Mapping[Key, Outcome] = field(default_factory=dict)
    run: Optional[Run] = None

    @property
    def words(self) -> dict[Key, str]:
        """The outcomes, by item."""
        return {key: outcome.outcome for key, outcome in self.items.items()}

    def differs(self, other: "Answer") -> bool:
        """Whether an item of both has not the same outcome."""
        both = self.items.keys() & other.items.keys()
        return any(self.words[key] != other.words[key] for key in both)

    def __str__(self) -> str:
        words = sorted(set(self.words.values()))
        return ", ".join(words) or "cannot be told"


def answer_of(run: Optional[Run]) -> Answer:
    """What a run says: only what says something of the kernel."""
    outcomes = worst(run.outcomes()) if run else {}
    words = HELD | BROKE | {"skip"}
    told = {key: o for key, o in outcomes.items() if o.outcome in words}
    return Answer(told, run)


class NotFound(Exception):
    """There is nothing to be found; the text says why."""


@dataclass(frozen=True)
class Found:
    """The last build that is like the good one, the first that is not, the builds
    between them that could not be told, and what both say."""

    last: Offer
    first: Offer
    between: Sequence[Offer]
    before: Answer
    after: Answer


def search(builds: Sequence[Offer], ask: Callable[[Offer], Answer]) -> Found:
    """Find the first of the builds, which are in their order, whose answer is not that
    of the first one. NotFound when the ends are alike or cannot be told."""
    low, high = 0, len(builds) - 1
    before, after = ask(builds[low]), ask(builds[high])
    for build, answer in ((builds[low], before), (builds[high], after)):
        if not answer.items:
            raise NotFound(f"of {build.release} it cannot be told")
    if not after.differs(before):
        raise NotFound(f"no difference: {before} on both")
    good = before
    unknown: set[int] = set()
    while left := [n for n in range(low + 1, high) if n not in unknown]:
        middle = min(left, key=lambda n: abs(2 * n - low - high))
        answer = ask(builds[middle])
        if not answer.items:
            unknown.add(middle)
        elif answer.differs(good):
            high, after = middle, answer
        else:
            low, before = middle, answer
    between = builds[low + 1 : high]
    return Found(builds[low], builds[high], between, before, after)


def between(found: Sequence[Offer], good: Offer, bad: Offer) -> list[Offer]:
    """The builds from one to the other, one for each upstream version: a rebuild for
    an older Debian is left out where there is the original."""
    best: dict[str, Offer] = {}
    for offer in found:
        if not good.version <= offer.version <= bad.version:
            continue
        text = offer.version.text
        plain = re.sub(r"~(deb|bpo)\d+.*$", "", text)
        if plain not in best or len(text) < len(best[plain].version.text):
            best[plain] = offer
    for end in (good, bad):
        best[re.sub(r"~(deb|bpo)\d+.*$", "", end.version.text)] = end
    return sorted(best.values(), key=lambda offer: offer.version)


# --- changelogs ---


def changelog(archive: Archive, offer: Offer) -> str:
    """Debian's changelog of a build, out of its package; "" when it has none."""
    with tempfile.TemporaryDirectory(prefix="aioabi-") as scratch:
        deb = archive.download(offer.packages[0], Path(scratch))
        unpack = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
        )
        names = ("./usr/share/doc/*/changelog.gz", "./usr/share/doc/*/changelog.De*")
        done = subprocess.run(
            ["tar", "-xO", "--wildcards", *names],
            stdin=unpack.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        unpack.wait()
    try:
        text = zlib.decompressobj(wbits=31).decompress(done.stdout, 64 << 20)
    except zlib.error:
        return ""
    return text.decode("utf-8", "replace")


def mentions(text: str, after: Version, to: Version, hints: Sequence[str]) -> list[str]:
    """The subjects in a changelog, for versions after one and up to another, that
    speak of what AIO stands on: first those with one of the hints, then those that
    name AIO itself."""
    version: Optional[Version] = None
    ranked: list[tuple[int, str]] = []
    for line in text.splitlines():
        entry = ENTRY.match(line) or SIGNED.search(line)
        if entry:
            version = Version(entry.group(1))
        elif version and after < version <= to:
            subject = line.strip().lstrip("-* ")
            if any(hint in subject for hint in hints):
                ranked.append((0, subject))
            elif AIO.search(subject):
                ranked.append((1, subject))
            elif UNDER.search(subject.rpartition(": ")[0]):
                ranked.append((2, subject))
    return [subject for _, subject in sorted(ranked, key=lambda entry: entry[0])]


def hints_of(answer: Answer) -> list[str]:
    """What a commit that changed the clauses of these items may be called: subjects
    that the contract names, and words of the clauses' ids."""
    found: set[str] = set()
    for outcome in answer.items.values():
        clause = clauses().get(outcome.clause)
        for source in clause.source if clause else ():
            found |= set(re.findall(r'"(.+)"', source))
        found |= {word for word in outcome.clause.split(".")[1:-1] if len(word) > 4}
    return sorted(found)


# --- the commands ---

ABOUT = """Find the first build in which CASE does not end as before.

CASE is a PATTERN of `aioabi run`. Without --tree, GOOD and BAD are versions that
`aioabi kernels` lists, as for `debian:VERSION`: the builds that Debian has between
them are booted, as few as need be, and the first one that is not like GOOD is named,
with the lines of its changelog that mention aio, block or file systems.

With --tree, GOOD and BAD are commits of that kernel tree, which `git bisect run`
builds (with its .config, or in a folder of objects that --make knows of) and boots:

    aioabi bisect io_cancel --tree ~/linux --good v6.12 --bad HEAD \\
        --objects ~/build --make 'make O=~/build -j8 bzImage'

Exit status: 0 found; 2 there is nothing to be found, or it could not be told.
"""
ABOUT_STEP = """Run CASE on a kernel and answer git bisect.

    git bisect run sh -c 'make -j8 bzImage || exit 125; .../aioabi bisect-step . CASE'

KERNEL is as for `aioabi run --kernel`. Exit status: 0 all as the contract says; 1 a
case failed or is fixed; 125 it cannot be told: the kernel does not boot, nothing but
skips, or the suite is broken; 255 there is no such case or option.
"""
CHOICES = ("--kernel", "--select")


@click.command("bisect", help=ABOUT)
@click.argument("case")
@click.option("--good", required=True, metavar="VERSION", help="Where it was well.")
@click.option("--bad", required=True, metavar="VERSION", help="Where it is not.")
@click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A git tree of the kernel.",
)
@click.option(
    "--make",
    "build",
    default=f"make -j{os.cpu_count()} olddefconfig bzImage",
    metavar="COMMAND",
    show_default=True,
    help="What builds the kernel, in the tree.",
)
@click.option(
    "--objects",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where COMMAND leaves what it builds, if not in the tree.",
)
@click_options
def bisect_command(
    case: str,
    good: str,
    bad: str,
    tree: Optional[Path],
    build: str,
    objects: Optional[Path],
    **values: Any,
) -> None:
    """Find the first build; the help text is ABOUT."""
    if values.get("kernel"):
        raise Failure("name the kernels with --good and --bad, not with --kernel")
    options = Options(values)
    _check(case, options)
    begun = time.monotonic()
    try:
        if tree:
            _bisect_tree(case, tree, good, bad, build, objects or tree, options)
        else:
            _bisect_debian(case, good, bad, options)
    except (ArchiveError, NotFound) as error:
        raise Failure(str(error)) from error
    click.echo(f"{time.monotonic() - begun:.0f} s")


def _check(case: str, options: Options) -> None:
    """Whether there is such a case, before many kernels are asked for it."""
    try:
        found = read_catalogue(options.program)
    except ExecutorError as error:
        raise Failure(str(error)) from error
    keys = [Key(one.id, "", "") for one in found.cases]
    names = (case, case.partition("[")[0])  # of a case, or of an item
    if not any(select(keys, [Pattern(name)]) for name in names):
        raise Failure(f"no case is named so: {case}")


def _ask(what: str, case: str, options: Options) -> Answer:
    """Run the case on a kernel; once more when that says nothing."""
    answer = Answer()
    for _ in range(TRIES):
        line = run_one(what, options, [case])
        answer = answer_of(line.run)
        if answer.items:
            break
        if not line.run:
            say(line.output.strip()[-2000:])
    return answer


def _bisect_debian(case: str, good: str, bad: str, options: Options) -> None:
    archive = Archive()
    found = offers(archive.packages())
    for text in archive.notes:
        say(text)
    ends = []
    for name in (good, bad):
        name = name.removeprefix("debian:")
        offer = choose(archive.aliases.get(name, name), found)
        if not offer:
            raise NotFound(f"Debian has no {name} (see `aioabi kernels`)")
        ends.append(offer)
    if not ends[0].version < ends[1].version:
        raise NotFound(f"{ends[0].release} is not older than {ends[1].release}")
    builds = between(found, *ends)
    click.echo(f"{len(builds)} builds: {', '.join(o.version.text for o in builds)}")

    def ask(offer: Offer) -> Answer:
        begun = time.monotonic()
        answer = _ask(f"debian:{offer.release}", case, options)
        seconds = time.monotonic() - begun
        click.echo(f"{offer.version.text:24} {seconds:6.1f} s  {answer}")
        return answer

    result = search(builds, ask)
    _tell(result)
    text = changelog(archive, result.first)
    ends_of = (result.last.version, result.first.version)
    lines = mentions(text, *ends_of, hints_of(result.after))
    if not lines:
        click.echo("\nIts changelog mentions nothing of aio, block or file systems.")
        return
    click.echo("\nIts changelog mentions:")
    for line in lines[:LINES]:
        click.echo(f"    {line}")
    if len(lines) > LINES:
        click.echo(f"    and {len(lines) - LINES} more of block and file systems")


def _tell(found: Found) -> None:
    click.echo(
        f"\nfirst that differs: {found.first.release} ({found.first.version.text})\n"
        f"last that does not: {found.last.release} ({found.last.version.text})"
    )
    for offer in found.between:
        click.echo(f"between them, cannot be told: {offer.version.text}")
    shown = False
    for key in sorted(found.after.items.keys() & found.before.items.keys()):
        was, now = found.before.items[key], found.after.items[key]
        if was.outcome == now.outcome:
            continue
        click.echo(f"{key}  {was.outcome} -> {now.outcome}")
        worse = max(was, now, key=lambda outcome: outcome.rank)
        for line in details(worse)[:DETAILS] if not shown else ():
            click.echo(f"    {line}")
        shown = True


def _bisect_tree(
    case: str,
    tree: Path,
    good: str,
    bad: str,
    build: str,
    objects: Path,
    options: Options,
) -> None:
    step = [sys.executable, str(ROOT / "runner/aioabi"), "bisect-step"]
    step += [str(objects.resolve()), case, *options.argv(leave=CHOICES)]
    # git runs it in the tree, but options may name paths from here.
    script = (
        f"({build}) || exit {CANNOT_TELL}; "
        f"cd {shlex.quote(os.getcwd())} && {shlex.join(step)}"
    )
    for command in (
        ["bisect", "start", bad, good],
        ["bisect", "run", "sh", "-c", script],
    ):
        status = subprocess.run(["git", "-C", str(tree), *command]).returncode
        if status:
            raise NotFound(f"git {command[0]} {command[1]}: status {status}")
    click.echo(f"\n`git -C {shlex.quote(str(tree))} bisect reset` ends it")


@click.command("bisect-step", help=ABOUT_STEP)
@click.argument("what", metavar="KERNEL")
@click.argument("case")
@click_options
def step_command(what: str, case: str, **values: Any) -> None:
    """Answer git bisect; the help text is ABOUT_STEP."""
    if values.get("kernel"):
        raise Failure("name the kernel without --kernel")
    options = Options(values)
    _check(case, options)
    answer = _ask(what, case, options)
    for key, outcome in sorted(answer.items.items()):
        why = outcome.headline() if outcome.outcome != "pass" else ""
        click.echo(f"{outcome.outcome:6} {key}  {why}".rstrip())
    sys.exit(verdict(answer))


def step(call: Callable[[], Any]) -> int:
    """The exit status of `aioabi bisect-step`, called so: nothing but its verdict may
    be taken for one."""
    try:
        call()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else STOP
    except click.ClickException as error:
        error.show()
        return STOP
    except BaseException:
        traceback.print_exc()
        return STOP
    return 0


def verdict(answer: Answer) -> int:
    """The exit status for git bisect run."""
    words = set(answer.words.values())
    if words & {"fail", "fixed"}:
        return 1
    return 0 if words - {"skip"} else CANNOT_TELL
