# SPDX-License-Identifier: GPL-2.0-or-later
"""The gauge itself: what is toothless, what is unnoticed, what is explained."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner import ROOT
from runner.teeth import (
    EXPLAINED,
    Explained,
    TeethError,
    judge,
    kinder,
    load,
    main,
    render,
)

PROGRAM = ROOT / "build" / "aioabi-harness"
needs_program = pytest.mark.skipif(
    not PROGRAM.exists(), reason="build/aioabi-harness is not built"
)

Record = dict[str, Any]


def case(name: str, kind: str = "", why: str = "") -> Record:
    """What the program says of a case."""
    record = {"type": "teeth", "id": name, "judged": not why, "tried": 3}
    if kind:
        record |= {"kind": kind, "break": "setup.refused", "reason": "got 1"}
    return record | ({"why": why} if why else {})


def breakage(name: str, by: str = "") -> Record:
    """What the program says of a break."""
    record = {"type": "break", "name": name, "what": "is wrong", "met": 2}
    return record | ({"by": by, "kind": "expectation"} if by else {})


def test_what_is_said_twice_counts() -> None:
    """A bad word of a case or a break is taken back by a good one."""
    first = [
        case("a.toothless"),
        case("a.blunt"),
        case("a.good", "expectation"),
        case("a.broken", why="fail: hang"),
        breakage("b.unnoticed"),
        breakage("b.noticed", "a.good"),
    ]
    second = [
        case("a.toothless", "expectation"),
        case("a.blunt"),
        case("a.broken", why="fail: hang"),
        breakage("b.unnoticed", "a.toothless"),
        breakage("b.noticed"),
    ]
    verdict = judge(kinder(first, second), Explained(), True)
    assert [record["id"] for record in verdict.toothless] == ["a.blunt"]
    assert [record["id"] for record in verdict.failing] == ["a.broken"]
    assert not verdict.unnoticed


def test_nothing_to_explain() -> None:
    """Teeth everywhere, and a skip: all is well."""
    records = [
        {"type": "run"},
        case("a.b", "expectation"),
        case("a.c", "hang"),
        case("a.d", why="skip: needs root"),
        breakage("setup.x", "a.b"),
    ]
    verdict = judge(records, Explained(), True)
    assert verdict.good
    assert "notices only by a hang" in "\n".join(render(verdict))
    assert "2 cases, 0 toothless; 1 breaks, 0 unnoticed" in render(verdict)[-1]


def test_toothless_and_unnoticed() -> None:
    """Each is named, unless it is explained."""
    records = [case("a.b"), breakage("setup.x")]
    verdict = judge(records, Explained(), True)
    assert not verdict.good
    text = "\n".join(render(verdict))
    assert "toothless: a.b" in text and "unnoticed: setup.x" in text
    explained = Explained({"a.*": "has no call"}, {"setup.x": "is no break"})
    assert judge(records, explained, True).good


def test_part_of_the_suite() -> None:
    """Some of the cases need not notice all breaks, nor explain all entries."""
    explained = Explained({"z.z": "is not among them"})
    records = [case("a.b", "expectation"), breakage("setup.x")]
    assert judge(records, explained, False).good
    assert not judge(records, explained, True).good


def test_explanations_that_are_not_needed() -> None:
    """One of nothing is an error; one of what has teeth is told."""
    records = [case("a.b", "expectation")]
    verdict = judge(records, Explained({"a.b": "has no teeth"}), True)
    assert verdict.good and verdict.stale == ["a.b"]
    verdict = judge(records, Explained({"a.c": "is not there"}), True)
    assert not verdict.good and verdict.unknown == ["a.c"]


def test_fails_unbroken() -> None:
    """Nothing can be said of a case that fails anyway."""
    verdict = judge([case("a.b", why="fail: got 1")], Explained(), True)
    assert not verdict.good
    assert "fails unbroken: a.b: fail: got 1" in render(verdict)


def test_checked_in_explanations() -> None:
    """The file in the tree can be read."""
    load(EXPLAINED)


@pytest.mark.parametrize(
    "text", ["[cases", "[others]\n'a.b' = 'one two three'", "[cases]\n'a.b' = 'no'"]
)
def test_bad_explanations(tmp_path: Path, text: str) -> None:
    """A file that explains nothing is refused."""
    path = tmp_path / "teeth.toml"
    path.write_text(text)
    with pytest.raises(TeethError):
        load(path)


def test_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a result the status is 2."""
    assert main(["--program", "/bin/false"]) == 2
    assert "status 1" in capsys.readouterr().err


def sabotage(*patterns: str) -> dict[str, Record]:
    """Run the harness's own cases under sabotage: case or break to its record."""
    done = subprocess.run(
        [str(PROGRAM), "run", "--sabotage", "--format", "records", *patterns],
        stdout=subprocess.PIPE,
        timeout=100,
    )
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {r.get("id") or r["name"]: r for r in records if r["type"] in KINDS}


KINDS = ("teeth", "break")


@needs_program
def test_teeth() -> None:
    """A case that looks has teeth; one that does not, or makes no call, has none."""
    told = sabotage("harness.looks", "harness.looks_away", "harness.passes")
    assert told["harness.looks"]["kind"] == "expectation"
    assert told["harness.looks"]["break"]
    for name in ("harness.looks_away", "harness.passes"):
        assert told[name]["judged"] and "kind" not in told[name]
    assert told["harness.looks_away"]["tried"] > 10
    assert told["harness.passes"]["tried"] == 0
    assert told["setup.other_errno"]["by"] == "harness.looks"
    assert "by" not in told["submit.count_more"]


@needs_program
def test_not_judged() -> None:
    """A case that fails unbroken meets no break; its stage is no tooth."""
    told = sabotage("harness.expectation", "harness.skipped", "harness.only_stage")
    assert told["harness.expectation"]["why"].startswith("fail: ")
    assert told["harness.skipped"]["why"].startswith("skip: ")
    assert "kind" not in told["harness.only_stage"]


@needs_program
def test_one_call_of_many() -> None:
    """Where the first call is the stage, the break of the second alone is met."""
    told = sabotage("harness.looks_at_the_second")
    assert told["harness.looks_at_the_second"]["kind"] == "expectation"
    assert told["harness.looks_at_the_second"]["break"].endswith("@2")
