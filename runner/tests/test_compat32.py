# SPDX-License-Identifier: GPL-2.0-or-later
"""The flavours of 32-bit programs: cases that run in a second program."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "aioabi-cases"
PROGRAM32 = ROOT / "build" / "aioabi-cases32"
ELF_CLASS_32 = 1

pytestmark = pytest.mark.skipif(
    not PROGRAM32.exists(), reason="build/aioabi-cases32 is not built"
)

Record = dict[str, Any]


def run(program: Path, *patterns: str, flavour: str = "compat32") -> list[Record]:
    """Run cases in this flavour; give the records of their outcomes."""
    done = subprocess.run(
        [str(program), "run", "--flavour", flavour, *patterns],
        stdout=subprocess.PIPE,
        timeout=100,
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [record for record in records if record["type"] == "outcome"]


def test_program_is_of_32_bits() -> None:
    header = PROGRAM32.read_bytes()[:5]
    assert struct.unpack("4sB", header) == (b"\x7fELF", ELF_CLASS_32)


def test_case_runs_in_it() -> None:
    (outcome,) = run(PROGRAM, "io_setup.einval_nr_zero")
    assert (outcome["flavour"], outcome["outcome"]) == ("compat32", "pass"), outcome
    assert outcome["checks"] > 0


def test_waits_by_time64() -> None:
    """Who waits for events does so by the call of 64-bit time-outs once more."""
    listing = json.loads(subprocess.check_output([str(PROGRAM), "list", "--json"]))
    for case in listing["cases"]:
        if "time64" in case["flavours"]:
            assert "compat32" in case["flavours"], case
            assert "pgetevents" in f"{case['flavours']} {case['id']}", case
    (outcome,) = run(PROGRAM, "io_getevents.efault_timeout", flavour="time64")
    assert outcome["outcome"] == "pass", outcome


def test_need_of_the_program_is_asked_there() -> None:
    listing = subprocess.check_output([str(PROGRAM), "list", "--json"])
    wide = next(
        case["id"]
        for case in json.loads(listing)["cases"]
        if "wide_long" in case["needs"] and "compat32" in case["flavours"]
    )
    (outcome,) = run(PROGRAM, wide)
    assert outcome["outcome"] == "skip", outcome
    assert "it has 32" in outcome["reason"]


def test_not_offered_without_the_program(tmp_path: Path) -> None:
    alone = Path(shutil.copy(PROGRAM, tmp_path))
    listing = json.loads(subprocess.check_output([str(alone), "list", "--json"]))
    assert not {"compat32", "time64"} & {*listing["flavours"]}


def test_kernel_that_does_not_run_it(tmp_path: Path) -> None:
    alone = Path(shutil.copy(PROGRAM, tmp_path))
    impostor = tmp_path / PROGRAM32.name
    impostor.write_bytes(b"no program")
    impostor.chmod(0o755)
    (outcome,) = run(alone, "io_setup.einval_nr_zero")
    assert outcome["outcome"] == "skip", outcome
    assert "needs a kernel that runs 32-bit programs" in outcome["reason"]
