# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's programs, as they are and under some faults.

The clauses of programs are held here; `make faults` has all faults.
"""
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.victims import FIO, FIO_BATCHES, FIO_RING, QEMU_IMG, QEMU_IO
from runner.victims import TRIALS, Trial, Verdict, attempt

QUICK = [trial for trial in TRIALS if trial.quick]


def expect_good(trial: Trial, folder: Path) -> None:
    if not shutil.which(trial.victim.tool):
        pytest.skip(f"{trial.victim.tool} is not installed")
    verdict: Verdict = attempt(trial, folder)
    assert verdict.good, verdict
    if trial.fault:
        assert verdict.failed, verdict


@pytest.mark.parametrize("victim", [FIO, FIO_BATCHES, FIO_RING], ids=str)
def test_fio(victim, tmp_path):
    expect_good(Trial(victim, "", True), tmp_path)


@pytest.mark.parametrize("victim", [QEMU_IO, QEMU_IMG], ids=str)
def test_qemu(victim, tmp_path):
    expect_good(Trial(victim, "", True), tmp_path)


@pytest.mark.parametrize("trial", [t for t in QUICK if t.fault and t.legal], ids=str)
def test_legal_faults(trial, tmp_path):
    expect_good(trial, tmp_path)


@pytest.mark.parametrize("trial", [t for t in QUICK if not t.legal], ids=str)
def test_errors(trial, tmp_path):
    expect_good(trial, tmp_path)


@pytest.mark.parametrize("victim", [FIO, QEMU_IO, QEMU_IMG], ids=str)
def test_a_program_whose_data_is_wrong_is_not_good(victim, tmp_path):
    if not shutil.which(victim.tool):
        pytest.skip(f"{victim.tool} is not installed")
    broken = replace(victim, verified=lambda *_: False)
    verdict = attempt(Trial(broken, "", True), tmp_path)
    assert not verdict.good
    assert verdict.what == "said that all is well, and it is not"
