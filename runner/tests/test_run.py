# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi run` from one end to the other, over an executor that is told what to do."""
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from runner import ROOT
from runner.items import Key

from .conftest import Result, Suite, alive, lines_of, wait_for

TOLD = {
    "pass": ("passed", None),
    "fail": ("failed", "failure"),
    "skip": ("skipped", "skipped"),
    "known": ("xfailed", "skipped"),
    "fixed": ("fixed", "failure"),
    "broken": ("broken", "error"),
    "lost": ("lost", "error"),
    "crash": ("failed", "failure"),
    "hang": ("failed", "failure"),
    "kernel": ("failed", "failure"),
}


@pytest.mark.parametrize("word", TOLD)
def test_each_verdict_in_junit(verdicts: tuple[Suite, Result], word: str) -> None:
    """A failure is a failure, what says nothing of the kernel an error."""
    suite, _ = verdicts
    case = xml.parse(suite.folder / "out.xml").find(
        f".//testcase[@name='v.{word}[raw-loop]']"
    )
    assert case is not None
    assert case.get("classname") == "cases.verdict.c"
    found = [e for e in case if e.tag in ("failure", "error", "skipped")]
    assert [e.tag for e in found] == [tag for tag in [TOLD[word][1]] if tag]
    if word in ("crash", "hang", "kernel"):
        assert f"{word}: v.{word} was told to" in (found[0].get("message") or "")
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties["clause"] == f"clause.v.{word}"


def test_verdicts_are_counted(verdicts: tuple[Suite, Result]) -> None:
    """pytest's last line and the summary say how many there are of each."""
    _, result = verdicts
    assert result.status == 1
    last = result.out.splitlines()[-1]
    for part in ("4 failed", "1 passed", "1 skipped", "1 xfailed", "1 fixed"):
        assert part in last
    assert "1 broken" in last and "1 lost" in last
    total = "4 fail, 1 fixed, 1 broken, 1 lost, 1 skip, 1 known, 1 pass"
    assert total in result.out.splitlines()


def test_verdicts_are_kept(verdicts: tuple[Suite, Result]) -> None:
    """run.json and the records say the same."""
    suite, _ = verdicts
    run = suite.last()
    assert run.facts["state"] == "finished" and run.facts["complete"]
    assert run.facts["counts"]["fail"] == 4
    assert run.facts["release"] == run.release == "6.99-fake"
    assert run.facts["suite"] == "f00d" and run.facts["target"] == "host"
    records = lines_of(run.folder / "outcomes.jsonl")
    assert [r["type"] for r in records[:3]] == ["run", "plan", "start"]
    assert records[-1]["type"] == "end"
    words = [r["outcome"] for r in records if r["type"] == "outcome"]
    assert words[:7] == "pass fail skip known fixed broken lost".split()
    assert not (run.folder / "lock").exists()


def test_plain_output(verdicts: tuple[Suite, Result]) -> None:
    """No terminal: a line an outcome, no escape sequence; failures with all that is
    known of them and the command that shows them again; needs not met, named."""
    suite, result = verdicts
    out = result.out
    assert "\x1b" not in out and "\r" not in out
    assert re.search(r"^\[ 1/10\] pass +0\.001s  v\.pass\[raw-loop\]$", out, re.M)
    assert "fail      0.001s  v.kernel[raw-loop]  kernel: v.kernel was told to" in out
    for line in (
        "kernel log:\n    WARNING: at fs/aio.c:1\nclause clause.v.kernel\n",
        "case cases/verdict.c:19\n",
        "io_setup(0, 0x0) = 0, expected EINVAL\nand more\noutput:\n    some output\n",
        "again: runner/aioabi run --flavour raw ",
        " 'v.fail[raw-loop]'\n",
        "Skipped, by the need that was not met:\n     1 v.skip was told to: v.skip\n",
    ):
        assert line in out
    assert f"results: {suite.last().folder.relative_to(suite.folder)}\n" in out


def test_exit_status(suite: Suite) -> None:
    """0 all well; 2 something is broken; 1 outranks it (verdicts); 2 with -x too."""
    assert suite("run", cases="v.pass v.skip v.known").status == 0
    assert suite("run", cases="v.pass v.broken").status == 2
    names = "v.broken v.pass v.pass_2 v.pass_3 v.fail"
    assert suite("run", "-x", cases=names, fake="slow").status == 2
    assert suite("run", cases="v.fixed").status == 1


def test_bad_input(suite: Suite) -> None:
    """What cannot be done is said in one line, with status 2."""
    for args, text in (
        (("run", "--jobs", "0"), "--jobs"),
        (("run", "nosuch"), "no case is named by 'nosuch'"),
        (("run", "-k", "nosuch"), ""),
        (("run", "--program", "/nowhere"), "/nowhere is not there"),
        (("run", "--program", "/bin/true"), "/bin/true does not list its cases"),
        (("run", "--", "-n2"), "-n2"),
        (("show", "20000101"), "no run '20000101'"),
    ):
        result = suite(*args)
        assert (args, result.status) == (args, 2)
        assert text in result.err
        assert "Traceback" not in result.out + result.err
    assert not suite.results.exists() or not suite.store.folders()


def test_executor_refuses(suite: Suite) -> None:
    """What the executor says against a device is passed on."""
    result = suite("run", "--device", "/dev/sda", fake="refuse")
    assert result.status == 2
    assert result.err.strip() == "ERROR: aioabi-cases: /dev/sda: it is mounted"


def test_selection(suite: Suite) -> None:
    """Patterns, -k, -v, --co: pytest's node ids, and nothing is run."""
    names = "io_setup.pass_a io_setup.pass_b io_destroy.pass_a"
    listed = suite("run", "--", "--co", "-q", cases=names).out.splitlines()
    assert "cases/verdict.c::io_setup.pass_a[raw-loop]" in listed
    assert not suite.results.exists() or not suite.store.folders()
    for args, expected in (
        (("io_setup", "!*_b", "--flavour", "libaio"), {"io_setup.pass_a"}),
        (("-k", "destroy and raw"), {"io_destroy.pass_a"}),
        (("cases/verdict.c::io_setup.pass_b[raw-loop]",), {"io_setup.pass_b"}),
    ):
        assert suite("run", *args, cases=names).status == 0
        assert {o.key.id for o in suite.last().outcomes()} == expected


def test_devices(suite: Suite) -> None:
    """A case about devices runs on each, another one on the default one."""
    suite("run", "--flavour", "raw", cases="v.everywhere v.pass", fake="two")
    assert {o.key for o in suite.last().outcomes()} == {
        Key("v.everywhere", "raw", "loop"),
        Key("v.everywhere", "raw", "file"),
        Key("v.pass", "raw", "loop"),
    }


def test_first_failure_stops(suite: Suite) -> None:
    """-x: what runs is still told of, the rest is neither run nor told of."""
    # far more than can run while a busy machine passes the word on
    names = "v.pass v.fail " + " ".join(f"v.pass_{n}" for n in range(2, 400))
    result = suite("run", "-x", "--flavour", "raw", cases=names, fake="slow")
    assert result.status == 1
    assert "stopping after 1 failures" in result.out
    assert "v.pass_399" not in result.out
    facts = suite.last().facts
    assert facts["state"] == "finished" and not facts["complete"]


def test_last_failed(suite: Suite) -> None:
    """--lf runs again what was not well."""
    names = "v.pass v.fail v.broken v.skip"
    suite("run", "--flavour", "raw", cases=names)
    suite("run", "--flavour", "raw", "--lf", cases=names)
    ids = {o.key.id for o in suite.last().outcomes()}
    assert ids == {"v.fail", "v.broken"}


def test_through_pytest(suite: Suite) -> None:
    """`python3 -m pytest` runs cases just so."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
        + ["--rootdir", str(suite.folder), "-p", "no:cacheprovider", "-k", "fail"]
        + ["--program", str(Path(__file__).parent / "fake.py")]
        + ["--results", str(suite.results), str(suite.cases), "-v"],
        env=suite.environment("v.pass v.fail", ""),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "2 failed, 2 deselected" in done.stdout
    assert len(suite.last().outcomes()) == 2


def test_rounds(suite: Suite) -> None:
    """--repeat: an item is as good as its worst round, and told of once."""
    result = suite("run", "--repeat", "3", "--flavour", "raw", cases="v.flap v.pass")
    assert result.status == 1
    assert "1 failed, 1 passed" in result.out.splitlines()[-1]
    assert "v.flap[raw-loop]  2 pass, 1 fail" in result.out
    assert len(suite.last().outcomes()) == 6


def test_repeated_on_suspicion(suite: Suite) -> None:
    """The executor may run an item again that it suspects: the worse counts."""
    result = suite("run", "--flavour", "raw", "--", "--lf", fake="twice")
    assert result.status == 1
    assert "v.pass[raw-loop]  1 pass, 1 fail" in result.out
    assert "FAIL cases/verdict.c::v.pass[raw-loop]" in result.out


def test_guilt_without_an_item(suite: Suite) -> None:
    """What no item can be blamed for fails the run all the same."""
    result = suite("run", fake="guilt")
    assert result.status == 1
    assert "note: the kernel said, beside any case: BUG" in result.out
    assert "fails for: the kernel said, beside any case: BUG" in result.out


def test_changes_are_told(suite: Suite) -> None:
    """What an item did not do the last time is in the summary."""
    suite("run", "--flavour", "raw", cases="v.flap v.pass")
    first = suite.last().id
    result = suite("run", "--repeat", "2", "--flavour", "raw", cases="v.flap v.pass")
    line = "  v.flap[raw-loop]  pass -> fail expectation\n"
    assert f"Changed since {first}:\n{line}" in result.out
    shown = suite("show")
    assert line in shown.out and "io_setup(0, 0x0) = 0, expected EINVAL" in shown.out


def test_executor_dies(suite: Suite) -> None:
    """Its own death breaks what it was running, and loses the rest."""
    names = "v.pass v.die v.pass_2"
    result = suite("run", "--flavour", "raw", cases=names)
    assert result.status == 1
    assert "it said: about to die" in result.out
    words = {o.key.id: o.outcome for o in suite.last().outcomes()}
    assert words == {"v.pass": "pass", "v.die": "broken", "v.pass_2": "lost"}
    assert not suite.last().facts["complete"]


def test_noise(suite: Suite) -> None:
    """Garbage between the records is noted, and harms nothing."""
    result = suite("run", "--flavour", "raw", fake="noise")
    assert result.status == 0
    assert "note: a note from the executor" in result.out
    assert "not a record: 'garbage'" in result.out
    assert "dropped a line of over" in result.out


def test_outcomes_that_do_not_come(suite: Suite) -> None:
    """An executor that ends without a word on an item has lost it."""
    result = suite("run", fake="forget")
    assert result.status == 1
    assert {o.outcome for o in suite.last().outcomes()} == {"lost"}


def test_killed(suite: Suite) -> None:
    """SIGKILL at any moment loses nothing that was printed, leaves no executor, and
    the next start says that the run was interrupted."""
    names = "v.pass v.fail v.wait v.pass_2"
    running = suite.start("run", "--flavour", "raw", cases=names)
    running.until("v.fail[raw-loop]")
    pid = int(suite.last().facts["executor_pid"])
    wait_for(lambda: suite.last().unfinished())
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    run = suite.last()
    assert run.facts["state"] == "running"
    printed = re.findall(r"(\w+) +\S+s  (v\.\w+)\[", "".join(running.lines))
    kept = [(o.outcome, o.key.id) for o in run.outcomes()]
    assert printed and printed == kept[: len(printed)]
    wait_for(lambda: not alive(pid))

    result = suite("run")
    assert f"the run {run.id} was killed" in result.out
    run = suite.store.find(run.id)
    assert run.facts["state"] == "interrupted"
    assert run.facts["unfinished"] == ["v.wait[raw-loop]"]
    assert not (run.folder / "lock").exists()
    assert "interrupted" in suite("list").out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(suite: Suite, number: signal.Signals) -> None:
    """^C and SIGTERM end the run in order: executor gone, run marked."""
    running = suite.start("run", "--flavour", "raw", cases="v.pass v.wait")
    running.until("v.pass[raw-loop]")
    pid = int(suite.last().facts["executor_pid"])
    assert running.end(number) == 2
    assert not alive(pid)
    facts = suite.last().facts
    assert facts["state"] == "interrupted" and facts["counts"] == {"pass": 1}


def test_a_live_run_is_left_alone(suite: Suite) -> None:
    """A second runner beside the first does not take it for dead."""
    running = suite.start("run", "--flavour", "raw", cases="v.pass v.wait")
    running.until("v.pass[raw-loop]")
    first = suite.last().id
    assert "killed" not in suite("run").out
    assert suite.store.find(first).facts["state"] == "running"
    suite.gate.touch()
    assert running.end() == 0
    assert suite.store.find(first).facts["state"] == "finished"


def test_from_anywhere(suite: Suite) -> None:
    """The command works through a link, from any folder."""
    link = suite.folder / "aioabi-link"
    link.symlink_to(ROOT / "runner" / "aioabi")
    done = subprocess.run(
        [str(link), "run", "--help"], cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0 and "PATTERN" in done.stdout
