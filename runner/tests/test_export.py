# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the formats of others, read by readers that are not ours."""
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from runner.reports.export import to_junit, to_kcidb, to_ktap, to_tap
from runner.store import Run, Store

from .conftest import Result, Suite
from .test_reports import kept
from .test_store import outcome

HERE = Path(__file__).parent
NASTY = 'a </failure><b> & "quotes" # SKIP ]]> \x1b[31m\x00\ud800 é\nand not ok 7'


@pytest.fixture
def nasty(tmp_path: Path) -> Run:
    """A run whose text would break any of the formats."""
    lines = [NASTY, "1..99", "Bail out!", "ok 1 - no"]
    fields: dict[str, Any] = {"reason": NASTY, "diagnostics": lines, "kind": "hang"}
    fields |= {"output": [NASTY], "kernel_log": ["x" * 70000]}
    return kept(
        Store(tmp_path),
        "6.1",
        outcome("a.b"),
        outcome("a.c", "fail", **fields),
        outcome("a.d", "skip", **fields),
        outcome("a.e", "known", **fields),
        outcome("a.f", "fail", device="mapper/x#y", **fields),
        outcome("a.f", "pass", device="mapper/x#y", round=2),
    )


def prove(tmp_path: Path, text: str) -> str:
    """What prove(1) says of TAP."""
    path = tmp_path / "out.tap"
    path.write_text(text)
    done = subprocess.run(
        ["prove", "--exec", "cat", "-v", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_tap(verdicts: tuple[Suite, Result], tmp_path: Path) -> None:
    """prove takes a run of every outcome; XFAIL is its TODO."""
    said = prove(tmp_path, to_tap(verdicts[0].last()))
    assert "Parse errors" not in said
    failed = re.search(r"Failed tests?: +(.*)", said)
    assert failed and len(_numbers(failed.group(1))) == 7
    assert re.search(r"^not ok \d+ v.known\[raw-loop\] # TODO ", said, re.M)
    assert "10 subtests" in said or "Failed 7/10 subtests" in said


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def test_nasty_tap(nasty: Run, tmp_path: Path) -> None:
    """No text of a run becomes a line or a directive of TAP."""
    said = prove(tmp_path, to_tap(nasty))
    assert "Parse errors" not in said
    assert "Failed tests:  2, 5" in said
    for line in to_ktap(nasty).splitlines()[1:]:
        assert re.match(r"# |1\.\.5$|(not )?ok \d+ \S+\[\S+\]( # [^#]*)?$", line), line


def test_ktap(verdicts: tuple[Suite, Result]) -> None:
    """KTAP is what the executor itself prints: version, plan, results."""
    lines = to_ktap(verdicts[0].last()).splitlines()
    assert (lines[0], lines[2]) == ("KTAP version 1", "1..10")
    results = [line for line in lines if re.match(r"(not )?ok ", line)]
    assert [line.split("ok ")[1].split()[0] for line in results] == [
        str(number) for number in range(1, 11)
    ]
    assert sum(line.startswith("ok ") for line in results) == 2
    for case, directive in (("skip", "SKIP"), ("known", "XFAIL"), ("lost", "ERROR")):
        assert any(f"v.{case}[raw-loop] # {directive}" in line for line in results)


def test_junit(verdicts: tuple[Suite, Result], tmp_path: Path) -> None:
    """junitparser finds what there was, where style guides say it belongs."""
    path = tmp_path / "out.xml"
    path.write_text(to_junit(verdicts[0].last()))
    (suite,) = JUnitXml.fromfile(str(path))
    kinds = {Failure: "failure", Error: "error", Skipped: "skipped"}
    found = {
        case.name: [(kinds[type(result)], result.type) for result in case.result]
        for case in suite
    }
    assert found == {
        "v.pass[raw-loop]": [],
        "v.fail[raw-loop]": [("failure", "expectation")],
        "v.crash[raw-loop]": [("failure", "crash")],
        "v.hang[raw-loop]": [("failure", "hang")],
        "v.kernel[raw-loop]": [("failure", "kernel")],
        "v.fixed[raw-loop]": [("failure", "fixed")],
        "v.skip[raw-loop]": [("skipped", "skip")],
        "v.known[raw-loop]": [("skipped", "xfail")],
        "v.broken[raw-loop]": [("error", "broken")],
        "v.lost[raw-loop]": [("error", "lost")],
    }
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (10, 5, 2, 2)
    texts = [r.text for case in suite for r in case.result if r.type == "kernel"]
    assert "WARNING: at fs/aio.c:1" in texts[0]


def test_nasty_junit(nasty: Run, tmp_path: Path) -> None:
    """Text that is no XML is escaped or replaced."""
    path = tmp_path / "out.xml"
    path.write_text(to_junit(nasty), encoding="utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    (failure,) = next(case for case in suite if case.name == "a.c[raw-loop]").result
    assert '</failure><b> & "quotes"' in failure.text


def schema() -> Any:
    """The parts of KCIDB's schema 5.3 that a run needs."""
    return json.loads((HERE / "kcidb-5.3.json").read_text())


def test_kcidb(verdicts: tuple[Suite, Result]) -> None:
    """A run is a valid report, and says of every outcome what KCIDB calls it."""
    report = json.loads(to_kcidb(verdicts[0].last()))
    jsonschema.Draft7Validator.check_schema(schema())
    jsonschema.validate(report, schema(), format_checker=jsonschema.FormatChecker())
    statuses = Counter(test["status"] for test in report["tests"])
    assert statuses == {"PASS": 2, "FAIL": 5, "SKIP": 1, "ERROR": 1, "MISS": 1}
    assert {(i["present"], i["issue_id"]) for i in report["incidents"]} == {
        (True, "aioabi:known.v.known"),
        (False, "aioabi:known.v.fixed"),
    }
    tests = {test["id"] for test in report["tests"]}
    assert len(tests) == 10
    assert {incident["test_id"] for incident in report["incidents"]} <= tests
    paths = [test["path"] for test in report["tests"]]
    assert "aioabi.v.pass.raw.loop" in paths


def test_nasty_kcidb(nasty: Run) -> None:
    """Whatever a run says is valid, and not too long."""
    report = json.loads(to_kcidb(nasty))
    jsonschema.validate(report, schema(), format_checker=jsonschema.FormatChecker())
    with pytest.raises(jsonschema.ValidationError):  # the schema does say no
        jsonschema.validate(report | {"tests": [{"id": "x"}]}, schema())


def test_export_command(verdicts: tuple[Suite, Result], tmp_path: Path) -> None:
    """`aioabi export` writes a file; a wrong name is an error."""
    suite = verdicts[0]
    out = tmp_path / "out.xml"
    done = suite("export", "--format", "junit", "-o", str(out))
    assert (done.status, done.out) == (0, "")
    assert out.read_text() == to_junit(suite.last())
    assert suite("export", "last", "--format", "tap").out == to_tap(suite.last())
    for args in (["1999", "--format", "tap"], ["--format", "csv"], ["last"]):
        assert suite("export", *args).status == 2
