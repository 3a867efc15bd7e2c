# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi soak`: batches in ever other orders, until one is not well."""
import json
import signal
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.matrix import Line
from runner.options import Options
from runner.soak import ROUNDS_MAX, _rounds

from .conftest import FAKE, Result, Suite, alive, wait_for


def soak(suite: Suite, *args: str, cases: str) -> Result:
    """Soak the fake executor's cases, from seed 7 on."""
    own = ("--program", str(FAKE), "--cases", str(suite.cases), "--flavour", "raw")
    return suite("soak", "--seed", "7", *own, *args, "v", cases=cases)


def test_all_well(suite: Suite) -> None:
    result = soak(suite, "--minutes", "0", cases="v.pass v.skip")
    assert result.status == 0, result.out
    assert "seed 7: 1 rounds, 1 items in" in result.out
    assert "all well: 1 batches, 1 items in" in result.out
    assert not suite.results.exists()


def test_goes_on_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, batches = 0.0, []

    def batch(what: str, options: Options, patterns: Sequence[str]) -> Line:
        nonlocal clock
        clock += 30
        batches.append((options.get("shuffle"), options.get("repeat"), *patterns))
        return Line(what, 0, 30, None, "")

    monkeypatch.setattr("runner.soak.run_one", batch)
    monkeypatch.setattr("runner.soak.time.monotonic", lambda: clock)
    done = CliRunner().invoke(cli, ["soak", "--minutes", "2", "--seed", "7", "x"])
    assert done.exit_code == 0, done.output
    assert batches == [(7, 1, "x"), (8, 2, "x"), (9, 4, "x"), (10, 4, "x")]
    assert "all well: 4 batches" in done.output


def test_stops_at_the_first_batch_that_is_not_well(suite: Suite) -> None:
    result = soak(suite, "--minutes", "1", cases="v.pass v.fail")
    assert result.status == 1
    assert "seed 7: 1 rounds, 2 items in" in result.out
    assert "1 not well" in result.out and "seed 8" not in result.out
    assert "v.fail[raw-loop]  seed 7 round 1: " in result.out
    again = "again: runner/aioabi run --flavour raw --repeat 1 --shuffle 7 "
    assert again in result.out
    assert {outcome.outcome for outcome in suite.last().outcomes()} == {"pass", "fail"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(suite: Suite, number: signal.Signals) -> None:
    """Its batch is told to end, and waited for: nothing stays behind."""
    scratch = suite.folder / "tmp"
    scratch.mkdir()
    own = ("--program", str(FAKE), "--cases", str(suite.cases), "--flavour", "raw")
    suite.also["TMPDIR"] = str(scratch)
    running = suite.start("soak", *own, "v", cases="v.wait")
    wait_for(lambda: [*scratch.rglob("run.json")])
    facts = json.loads(next(scratch.rglob("run.json")).read_text())
    assert running.end(number) == 2
    assert not alive(int(facts["executor_pid"]))
    assert not [*scratch.iterdir()] and not suite.results.exists()


def test_nothing_could_be_run(suite: Suite) -> None:
    result = soak(suite, "--minutes", "1", cases="w.pass")
    assert result.status == 2
    assert "nothing ran" in result.out


def test_options_that_are_the_batches_own(suite: Suite) -> None:
    result = soak(suite, "--repeat", "3", cases="v.pass")
    assert result.status == 2
    assert "--repeat is for `aioabi run`" in result.err


def test_batches_take_a_minute_or_what_is_left() -> None:
    assert _rounds(1, seconds=2, left=600) == 30
    assert _rounds(30, seconds=60, left=20) == 10
    assert _rounds(10, seconds=60, left=-5) == 1
    assert _rounds(10, seconds=0, left=600) == ROUNDS_MAX
