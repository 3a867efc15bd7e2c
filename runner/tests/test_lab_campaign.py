# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign tries what is missing, in a good order, and tells the truth of it."""
import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from runner.items import Case, Key
from runner.lab import bench, campaign, catalogue, oldbugs, survivors
from runner.lab.csource import Source
from runner.lab.relink import Compiled
from runner.lab.report import Report
from runner.lab.sources import LabError

TEXT = """\
static int first(int a)
{
    if (a > 1)
        return -EINVAL;
    return 0;
}
static int second(int a)
{
    count += a;
    return count;
}
""".replace(
    "    ", "\t"
)
FAST, SLOW, OTHER = (Key(f"a.{name}", "raw", "d") for name in ("fast", "slow", "other"))
BASE = bench.Baseline({SLOW: 2.0, FAST: 0.1, OTHER: 1.0})


class FakeLinker:
    """Makes a kernel of the text itself."""

    original = TEXT

    def __init__(self):
        self.compiled = 0
        self.image = SimpleNamespace(key="image")

    def compile(self, text, out, *flags):
        self.compiled += 1
        out.with_suffix(".d").mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        return Compiled(out, "")

    def link(self, unit, out):
        out.write_text(unit.read_text())
        return out


class FakeBench:
    """Kills what changes the first function, with the first item it is given."""

    def __init__(self):
        self.met = []
        self.cases = {key.id: Case(key.id, "f.c", 1) for key in BASE.passed}

    def trial(self, kernel, keys):
        self.met.append(list(keys))
        changed = TEXT.split("static int second")[0] not in kernel.read_text()
        if changed:
            return bench.Trial(bench.KILLED, keys[0], "expectation", "not so", boot=1.0)
        return bench.Trial(bench.SURVIVED, ran=len(keys), boot=1.0)


@pytest.fixture(name="mutants")
def _mutants():
    return [
        replace(mutant, state=catalogue.USABLE, digest=str(number))
        for number, mutant in enumerate(catalogue.candidates(Source(TEXT)))
    ]


@pytest.fixture(name="results")
def _results(tmp_path):
    return campaign.Results(tmp_path / "trials.jsonl")


def _campaign(results, suite="one", again=False):
    linker: Any = FakeLinker()
    fake: Any = FakeBench()
    said: list[str] = []
    order = campaign.Order(BASE)
    work = campaign.Campaign(linker, fake, results, order, suite, said.append)
    return work, fake, said


@pytest.fixture(name="known")
def _known(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "cache_dir", lambda: tmp_path)
    (tmp_path / "mutants").mkdir()
    linker: Any = FakeLinker()
    return catalogue.Catalogue(linker, 2, lambda text: None)


def test_numbers_choose_the_same_mutants_and_more_hold_fewer(known):
    few = known.mutants(sample=3, seed=7)
    assert few == known.mutants(sample=3, seed=7)
    assert set(few) < set(known.mutants(sample=5, seed=7))
    assert {m.where for m in known.mutants(["sec*"])} == {"second"}
    mutants = known.mutants()
    assert len({m.id for m in mutants}) == len(mutants)


def test_only_what_is_asked_for_is_compiled_and_once(known, monkeypatch):
    monkeypatch.setattr(catalogue, "CHUNK", 2)
    known.mutants(sample=1, seed=7)
    few = known.linker.compiled
    known.mutants()
    every = known.linker.compiled
    assert few < every - few
    known.mutants()
    assert known.linker.compiled == every + 1  # the unchanged file


def test_what_was_tried_is_not_tried_again(mutants, results):
    work, fake, said = _campaign(results)
    work.run(work.missing(mutants, False), 2)
    assert len(fake.met) == len(said) == len(mutants)
    assert not work.missing(mutants, False)
    assert len(work.missing(mutants, True)) == len(mutants)


def test_a_new_suite_meets_the_survivors_only(mutants, results):
    work, _, _ = _campaign(results)
    work.run(mutants, 1)
    left = _campaign(results, "two")[0].missing(mutants, False)
    assert {m.where for m in left} == {"second"}


def test_another_mutant_of_the_same_name_is_tried(mutants, results):
    work, _, _ = _campaign(results)
    work.run(mutants, 1)
    changed = [replace(mutants[0], digest="another"), *mutants[1:]]
    assert work.missing(changed, False) == changed[:1]


def test_a_kill_by_a_case_that_is_gone_does_not_count(mutants, results):
    work, _, _ = _campaign(results)
    work.run(mutants, 1)
    work, fake, _ = _campaign(results)
    del fake.cases[FAST.id]
    assert {m.where for m in work.missing(mutants, False)} >= {"first"}


def test_a_line_that_was_cut_short_is_no_trial(mutants, results):
    work, _, _ = _campaign(results)
    work.run(mutants, 1)
    text = results.path.read_text()
    results.path.write_text(text[:-20])
    assert len(work.missing(mutants, False)) == 1


def test_the_likeliest_come_first():
    order = campaign.Order(BASE, {OTHER.id: {"third": 4}})
    assert order.keys("first") == [FAST, OTHER, SLOW]
    order.learn("first", SLOW)
    assert order.keys("first")[0] == SLOW
    assert order.keys("second")[0] == SLOW
    assert order.keys("third")[0] == OTHER
    assert order.keys("first", [OTHER.id])[0] == OTHER


def test_survivors_are_shown_and_counted(mutants, results):
    work, _, _ = _campaign(results)
    work.run(mutants, 1)
    report = Report(mutants, TEXT, results.latest(), {})
    assert {m.where for m in report.killed} == {"first"}
    assert {m.where for m in report.survivors} >= {"second"}
    out = StringIO()
    report.print(Console(file=out, width=100), True)
    assert re.search(r"^-\s+count \+= a;", out.getvalue(), re.MULTILINE)
    assert f"{len(report.survivors)} survived" in out.getvalue()


def _explain(folder: Path, mutant: str, change: str) -> dict[str, survivors.Reason]:
    path = folder / "survivors.toml"
    path.write_text(
        f'[same]\nwhy = "nobody sees it"\n[same.mutants]\n"{mutant}" = "{change}"\n'
    )
    return survivors.load(path)


def test_a_reason_holds_for_the_change_that_it_was_given_for(mutants, tmp_path):
    mutant = next(m for m in mutants if m.id == "second.update.1")
    reasons = _explain(tmp_path, mutant.id, "count -= a;")
    assert mutant.id in survivors.explained(reasons, mutants, TEXT)
    assert not survivors.stale(reasons, mutants, TEXT, [])
    assert survivors.stale(reasons, mutants, TEXT, [mutant.id]) == [
        "second.update.1: it was killed"
    ]
    reasons = _explain(tmp_path, mutant.id, "count = 0;")
    assert not survivors.explained(reasons, mutants, TEXT)
    assert len(survivors.stale(reasons, mutants, TEXT, [])) == 1


def test_a_reason_without_a_why_is_refused(tmp_path):
    path = tmp_path / "survivors.toml"
    path.write_text('[same.mutants]\n"a" = "b"\n')
    with pytest.raises(LabError, match="why"):
        survivors.load(path)


def test_the_reasons_that_are_kept_can_be_read():
    survivors.load()


def test_every_old_bug_has_a_commit_and_says_what_is_seen():
    bugs = oldbugs.load()
    assert len(bugs) >= 15
    assert len({bug.commit for bug in bugs}) == len(bugs)
    for bug in bugs:
        assert bug.where and bug.sees.endswith("."), bug.name


def test_an_old_bug_is_put_into_a_text(tmp_path):
    (tmp_path / "x.patch").write_text(
        'Commit: 0123456789ab ("aio: count rightly")\nFixed-in: 1.0\n\nIt is so.\n'
        "---\n--- a/fs/aio.c\n+++ b/fs/aio.c\n"
        "@@ -7,4 +7,4 @@ static int second(int a)\n"
        " static int second(int a)\n {\n-\tcount += a;\n+\tcount -= a;\n"
        " \treturn count;\n"
    )
    (bug,) = oldbugs.load(tmp_path)
    assert (bug.id, bug.where, bug.subject) == ("x", "second", "aio: count rightly")
    assert "count -= a;" in bug.apply(TEXT)
    with pytest.raises(LabError, match="apply"):
        bug.apply(TEXT.replace("count", "number"))


def test_a_trial_can_be_kept():
    trial = bench.Trial(bench.KILLED, FAST, "hang", "asleep", seconds=1.23456)
    record = json.loads(json.dumps(campaign.as_record(trial)))
    assert Key(*record["by"]) == FAST
    assert "a.fast[raw-d] in 1.2 s: asleep" in campaign.describe(record)
