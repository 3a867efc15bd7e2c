# SPDX-License-Identifier: GPL-2.0-or-later
"""The first build in which a case ends in another way."""
import subprocess
from pathlib import Path
from typing import Sequence

import pytest
from click.testing import CliRunner

from runner.archive import Archive, Version
from runner.items import Key, Outcome
from runner.kernels import Offer
from runner.matrix import Line
from runner.reports import bisect
from runner.reports.bisect import Answer, NotFound, between, hints_of, mentions
from runner.reports.bisect import search, verdict
from runner.store import Store

from .conftest import FAKE, Suite
from .test_reports import kept
from .test_store import outcome

KEY = Key("a.b", "raw", "loop")


def offer(version: str) -> Offer:
    """A build."""
    return Offer(f"{version}-amd64", Version(version), ("sid",), ())


def answer(word: str) -> Answer:
    """An answer in which the item has this outcome."""
    return Answer({KEY: Outcome(KEY, word)} if word else {})


BUILDS = [offer(f"6.1.{number}-1") for number in range(20)]


def ask_for(words: Sequence[str], asked: list[int]):
    """What answers of the nth build what stands there."""

    def ask(build: Offer) -> Answer:
        asked.append(BUILDS.index(build))
        return answer(words[asked[-1]])

    return ask


@pytest.mark.parametrize("first", range(1, 20))
@pytest.mark.parametrize("was, now", [("pass", "fail"), ("fail", "pass")])
def test_search(first: int, was: str, now: str) -> None:
    """The first build that differs is found, whichever it is, in few steps."""
    asked: list[int] = []
    found = search(BUILDS, ask_for([was] * first + [now] * (20 - first), asked))
    assert (found.last, found.first) == (BUILDS[first - 1], BUILDS[first])
    assert (str(found.before), str(found.after)) == (was, now)
    assert len(asked) == len(set(asked)) <= 7


def test_builds_that_cannot_be_told() -> None:
    """What does not boot is left out, and named where it may be the one."""
    words = ["pass"] * 9 + ["", ""] + ["fail"] * 9
    found = search(BUILDS, ask_for(words, []))
    assert (found.last, found.first) == (BUILDS[8], BUILDS[11])
    assert found.between == BUILDS[9:11]
    found = search(BUILDS, ask_for(["pass", *[""] * 18, "fail"], []))
    assert len(found.between) == 18


@pytest.mark.parametrize(
    "words, why",
    [
        (["pass"] * 20, "no difference: pass on both"),
        (["", *["fail"] * 19], "6.1.0-1-amd64 it cannot be told"),
        ([*["pass"] * 19, ""], "6.1.19-1-amd64 it cannot be told"),
    ],
)
def test_nothing_to_find(words: list[str], why: str) -> None:
    """Ends that are alike, or that say nothing, are an error."""
    with pytest.raises(NotFound, match=why):
        search(BUILDS, ask_for(words, []))


def test_between() -> None:
    """Of an upstream version one build is taken, but the ends as they were named."""
    versions = ["6.1.9-1", "6.1.10-1", "6.1.10-1~deb11u1", "6.1.11-1~bpo12+1", "6.2-1"]
    offers = [offer(version) for version in versions]
    found = between(offers, offers[0], offers[3])
    texts = [build.version.text for build in found]
    assert texts == ["6.1.9-1", "6.1.10-1", "6.1.11-1~bpo12+1"]
    assert between(offers, offers[2], offers[4])[0] == offers[2]


CHANGELOG = """\
linux-signed-amd64 (6.1.192+2) bookworm-security; urgency=high

  * Sign kernel from linux 6.1.192-2

  * ext4: fix NULL folio dereference in mballoc

linux (6.1.192-1) bookworm-security; urgency=high

    - wifi: mac80211: not of this world
    - scsi: block: ioprio: Clean up interface definition
    - fs/aio: hold a reference

linux (6.1.190-1) bookworm; urgency=high

    - aio: older
"""


def test_changelog() -> None:
    """Only what is new, and speaks of what AIO stands on; what speaks of the clause
    comes first."""
    old, new = Version("6.1.190-1"), Version("6.1.192-1")
    ioprio = "scsi: block: ioprio: Clean up interface definition"
    assert mentions(CHANGELOG, old, new, []) == ["fs/aio: hold a reference", ioprio]
    assert mentions(CHANGELOG, old, new, ["ioprio"])[0] == ioprio
    lines = mentions(CHANGELOG, new, Version("6.1.192-2"), [])
    assert lines == ["ext4: fix NULL folio dereference in mballoc"]
    said = Outcome(KEY, "fail", clause="io_submit.ioprio.level")
    assert "ioprio" in hints_of(Answer({KEY: said}))


@pytest.mark.parametrize(
    "words, status",
    [
        ([], 125),
        (["skip"], 125),
        (["pass", "skip"], 0),
        (["known"], 0),
        (["pass", "fail"], 1),
        (["fixed"], 1),
    ],
)
def test_verdict(words: list[str], status: int) -> None:
    """What git bisect run is told; 125 is: leave this one out."""
    keys = [Key("a.b", "raw", str(number)) for number in range(len(words))]
    items = {key: Outcome(key, word) for key, word in zip(keys, words)}
    assert verdict(Answer(items)) == status


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's builds are asked one by one, the result says what differs; a broken
    run is tried again and then left out; wrong names are errors."""
    store = Store(tmp_path)
    tried: list[str] = []

    def run_one(what: str, options: object, patterns: Sequence[str]) -> Line:
        tried.append(what)
        number = int(what.split(".")[2].split("-")[0])
        word = "broken" if number == 9 else "fail" if number > 12 else "pass"
        run = kept(store, what, outcome("a.b", word, reason="why"))
        return Line(what, 0, 0.1, run, "")

    monkeypatch.setattr(bisect, "run_one", run_one)
    monkeypatch.setattr(bisect, "_check", lambda case, options: None)
    monkeypatch.setattr(bisect, "offers", lambda packages: BUILDS[::-1])
    monkeypatch.setattr(Archive, "packages", lambda self: [])
    monkeypatch.setattr(bisect, "changelog", lambda archive, offer_: CHANGELOG)

    def invoke(*args: str) -> tuple[int, str]:
        done = CliRunner().invoke(bisect.bisect_command, args)
        return done.exit_code, done.output

    status, said = invoke("a.b", "--good", "6.1.0-1", "--bad", "debian:6.1.19-1")
    assert status == 0
    assert "first that differs: 6.1.13-1-amd64 (6.1.13-1)" in said
    assert "a.b[raw-loop]  pass -> fail" in said
    assert "mentions nothing" in said
    assert tried.count("debian:6.1.9-1-amd64") == 2
    for bad, why in (("6.1.0-1", "not older"), ("6.1.8-1", "no difference")):
        status, said = invoke("a.b", "--good", "6.1.0-1", "--bad", bad)
        assert (status, why in said) == (2, True), said
    assert invoke("a.b", "--good", "5.4", "--bad", "6.1.8-1")[0] == 2
    step = CliRunner().invoke(bisect.step_command, ["debian:6.1.14-1-amd64", "a.b"])
    assert (step.exit_code, "fail   a.b[raw-loop]" in step.output) == (1, True)
    step = CliRunner().invoke(bisect.step_command, ["debian:6.1.9-1-amd64", "a.b"])
    assert step.exit_code == 125


@pytest.mark.parametrize(
    "args, why",
    [
        (["debian:6.1", "a.b", "--nonsense"], "No such option"),
        (["debian:6.1", "none.such"], "no case is named so"),
        (["debian:6.1", "a.b", "--program", "/none"], "/none is not there"),
        (["debian:6.1", "a.b", "--kernel", "6.1"], "without --kernel"),
    ],
)
def test_step_that_cannot_be(suite: Suite, args: list[str], why: str) -> None:
    """git bisect run must neither believe it nor leave one commit out after the
    other: it stops at anything above 127."""
    program = [] if "--program" in args else ["--program", str(FAKE)]
    done = suite("bisect-step", *args, *program, cases="a.b")
    assert (done.status, why in done.err) == (255, True), done.err


def test_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git bisect run finds the commit, past those that do not build."""
    tree = tmp_path / "linux"
    git = ["git", "-C", str(tree), "-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    for number in range(8):
        (tree / "n").write_text(str(number))
        subprocess.run([*git, "add", "n"], check=True)
        subprocess.run([*git, "commit", "-qm", f"commit {number}"], check=True)
    fake = tmp_path / "aioabi"  # in place of the one that boots what was built
    fake.mkdir()
    (fake / "runner").mkdir()
    (fake / "runner" / "aioabi").write_text(
        "import sys\n"
        "assert sys.argv[1] == 'bisect-step' and sys.argv[3] == 'a.b'\n"
        "sys.exit(int(open(sys.argv[2] + '/n').read()) >= 5)\n"
    )
    objects = tmp_path / "objects"
    objects.mkdir()
    monkeypatch.setattr(bisect, "ROOT", fake)
    monkeypatch.setattr(bisect, "_check", lambda case, options: None)
    args = ["a.b", "--tree", str(tree), "--good", "HEAD~7", "--bad", "HEAD"]
    done = CliRunner().invoke(bisect.bisect_command, [*args, "--make", "! grep -q 3 n"])
    assert done.exit_code == 0, done.output
    log = subprocess.run([*git, "bisect", "log"], stdout=subprocess.PIPE, text=True)
    assert "first bad commit:" in log.stdout
    assert log.stdout.rstrip().endswith("commit 5")
    # What is built elsewhere is booted from there.
    subprocess.run([*git, "bisect", "reset"], check=True)
    build = ["--make", f"cp n {objects}/n", "--objects", str(objects)]
    done = CliRunner().invoke(bisect.bisect_command, [*args, *build])
    assert done.exit_code == 0, done.output
    assert (objects / "n").exists()
    done = CliRunner().invoke(bisect.bisect_command, [*args[:-1], "nonsense"])
    assert done.exit_code == 2
