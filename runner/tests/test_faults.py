# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of failure points fits the catalogue and the cases."""
import json
import re
import subprocess

import pytest
from click.testing import CliRunner

from runner import ROOT
from runner.contract import CATALOGUE, load
from runner.faults import PROGRAM, Point, faults, points

POINTS = (ROOT / "fault" / "points.def").read_text()


@pytest.fixture(scope="module")
def table() -> dict[str, Point]:
    return points()


@pytest.fixture(scope="module")
def listing() -> dict[str, object]:
    done = subprocess.run([PROGRAM, "list", "--json"], check=True, capture_output=True)
    return json.loads(done.stdout)


def test_the_program_has_all_of_the_list(table):
    names = re.findall(r'^(?:POINT|IS)\("([^"]+)"', POINTS, re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    assert set(names) == set(table)
    gives = re.findall(r'^GIVES(?:_ALONE)?\("([^"]+)", (\w+),', POINTS, re.MULTILINE)
    found = [(point.name, g.value) for point in table.values() for g in point.gives]
    assert sorted(gives) == sorted(found)


def test_clauses_cases_and_needs_are_there(table, listing):
    clauses = load(CATALOGUE).clauses
    cases = {case["id"]: case for case in listing["cases"]}
    for point in table.values():
        for gives in point.gives:
            assert gives.clause in clauses, point.name
            if gives.proof:
                assert cases[gives.proof]["fault"] == point.name
            # what is injected is proved to look as it should, or cannot be
            assert point.equal(gives), (point.name, gives.value)
        if point.mechanism != "libfiu's posix preload":
            assert set(point.needs) <= set(listing["needs"]), point.name


def test_each_call_has_a_point_and_each_set_is_filled(table):
    calls = ("setup", "destroy", "submit", "cancel", "getevents", "pgetevents")
    for call in calls:
        assert table[f"aio/io_{call}"].gives
    legal = {p.name for p in table.values() for g in p.gives if g.legal}
    errors = {p.name for p in table.values() for g in p.gives if not g.legal}
    assert {"aio/io_submit/short", "aio/event/late", "aio/event/reorder"} <= legal
    assert {"aio/io_setup", "aio/event", "aio/event/short"} <= errors


@pytest.mark.parametrize("options", ([], ["--markdown"]))
def test_the_table_is_printed(options, table):
    done = CliRunner().invoke(faults, options)
    assert done.exit_code == 0
    for name in table:
        assert name in done.output


def test_without_a_program(tmp_path):
    done = CliRunner().invoke(faults, ["--program", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "make build" in done.output
