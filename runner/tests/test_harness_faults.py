# SPDX-License-Identifier: GPL-2.0-or-later
"""The executor fails itself, at every place: then it says so (fault/harness.c)."""
import errno
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "aioabi-harness"
LIMIT = 200
PLACES = 100  # more than there are

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="build/aioabi-harness is not built"
)


def run(folder, point, nth, error):
    """Run two cases with this failure: status, records, and whether it came."""
    done = subprocess.run(
        [PROGRAM, "run", "--flavour", "raw", "--dir", folder, "--timeout-scale", "1"]
        + ["--format", "records", "--jobs", "1", "harness.passes", "harness.skipped"],
        env={**os.environ, "HARNESS_FAULTS": f"{point}={nth}:{error}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    said = re.search(rf"^{point}: ([01]) of \d+ failed$", done.stderr, re.MULTILINE)
    assert said, done.stderr
    records = []
    for line in done.stdout.splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            assert point == "harness/write"  # one that was cut short
    return done.returncode, records, said[1] == "1"


def sweep(folder, point, error):
    """Run with the first, the second, … failing, until none does."""
    for nth in range(1, PLACES):
        status, records, fired = run(folder, point, nth, error)
        assert not list(folder.rglob("run-*")), "something is left behind"
        yield nth, status, records
        if not fired:
            return
    raise AssertionError("there is no end of it")


def outcomes(records):
    return {
        r["id"]: (r["outcome"], r.get("reason", ""))
        for r in records
        if r["type"] == "outcome"
    }


GOOD = {"harness.passes": "pass", "harness.skipped": "skip"}


@pytest.mark.parametrize(
    "point, error", (("harness/fork", errno.EAGAIN), ("harness/pipe", errno.EMFILE))
)
def test_a_case_that_cannot_be_run_is_broken(point, error, tmp_path):
    broken = []
    for _, status, records in sweep(tmp_path, point, error):
        found = outcomes(records)
        assert set(found) == set(GOOD)
        wrong = {i: o for i, o in found.items() if o[0] != GOOD[i]}
        assert status == (2 if wrong else 0)
        for name, (outcome, reason) in wrong.items():
            assert outcome == "broken"
            assert os.strerror(error) in reason
            broken.append(name)
    assert sorted(broken) == sorted(GOOD)


def test_a_file_that_cannot_be_opened_spoils_no_verdict(tmp_path):
    places = 0
    for nth, status, records in sweep(tmp_path, "harness/open", errno.EMFILE):
        places = nth
        found = outcomes(records)
        assert status in (0, 2)
        # Either nothing is run, and status 2, or what was run is right.
        if status == 0:
            assert {i: o[0] for i, o in found.items()} == GOOD
        else:
            assert not {o[0] for o in found.values()} - {"pass", "skip", "broken"}
    assert places > 1


def test_records_that_cannot_be_written_are_not_lost_silently(tmp_path):
    lost = 0
    for _, status, records in sweep(tmp_path, "harness/write", errno.ENOSPC):
        ends = [r for r in records if r["type"] == "end"]
        whole = (
            {i: o[0] for i, o in outcomes(records).items()} == GOOD
            and bool(ends)
            and records[0]["type"] == "run"
        )
        assert status == (0 if whole else 2)
        lost += not whole
    assert lost >= len(GOOD)


def test_the_failure_is_understood(tmp_path):
    done = subprocess.run(
        [PROGRAM, "list"],
        env={**os.environ, "HARNESS_FAULTS": "no/such=1:1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 3
    assert "not understood" in done.stderr
