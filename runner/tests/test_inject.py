# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures under other people's programs, by libaiofault.so."""
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import ROOT
from runner.faults import points
from runner.inject import Fault, InjectError, counts, environment, inject

AIOABI = ROOT / "runner" / "aioabi"
LIMIT = 200
# What a call may cost more while nothing is enabled, and what a busy machine and
# another build of libaio's may add to that.
COST = 50
NOISE = 100


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program that reads by libaio, syscall(2), libaio's queue, or the ring."""
    path = tmp_path_factory.mktemp("inject") / "program"
    source = Path(__file__).with_name("inject_program.c")
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Werror", "-o", path, source, "-laio"], check=True
    )
    return path


@pytest.fixture(scope="module")
def table():
    return points()


@pytest.fixture
def run(program, table, tmp_path):
    """Run the program in a mode under faults: what it printed, word by word, how
    often each point was asked and failed, and its status."""

    def run_it(mode, *texts, seed=3):
        faults = [Fault.parse(text) for text in texts]
        shared = tmp_path / "counts"
        shared.unlink(missing_ok=True)
        more = environment(faults, table, seed=seed)
        done = subprocess.run(
            [program, mode],
            env={**os.environ, **more, "AIOFAULT_COUNTS": str(shared)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert not done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        out = {tuple(words[:-1]): words[-1] for words in lines}
        seen = counts(shared.read_bytes(), table)
        return out, {f.name: seen[f.name] for f in faults}, done.returncode

    return run_it


@pytest.mark.parametrize("mode", ("libaio", "syscall", "queue", "ring"))
@pytest.mark.parametrize(
    "fault, said",
    (
        ("aio/io_submit=EAGAIN@30%", ("call", "EAGAIN")),
        ("aio/io_submit/short@30%", ("call", "short")),
        ("aio/event=EIO@30%", ("event", "EIO")),
        ("aio/event/reorder@40%", None),
        ("aio/event/late@10%", None),
        ("aio/event/spread@10%", None),
    ),
)
def test_each_way_into_the_kernel(run, mode, fault, said):
    out, seen, status = run(mode, fault)
    assert status == 0
    assert ("rounds",) in out
    ((_, failed),) = seen.values()
    assert failed > 0
    if said:
        assert int(out[said]) == failed


def test_the_same_seed_does_the_same(run):
    faults = ("aio/io_submit=EAGAIN@30%", "aio/event=EIO@10%")
    once = run("libaio", *faults, seed=7)
    assert run("libaio", *faults, seed=7) == once
    assert run("libaio", *faults, seed=8) != once


def test_the_nth_time_alone(run):
    out, seen, status = run("libaio", "aio/io_getevents=EINTR@3")
    assert (out[("call", "EINTR")], status) == ("1", 0)
    assert seen["aio/io_getevents"][1] == 1
    out, _, status = run("libaio", "aio/io_getevents=EINTR@once")
    assert (out[("call", "EINTR")], status) == ("1", 0)


def test_errors_reach_the_program(run):
    out, _, status = run("libaio", "aio/io_setup=ENOMEM")
    assert (out, status) == ({("setup",): "ENOMEM"}, 2)
    out, _, status = run("syscall", "aio/io_destroy=EINVAL")
    assert (out[("destroy",)], status) == ("EINVAL", 0)


def command(program, *options):
    """Run `aioabi inject` itself."""
    return subprocess.run(
        [AIOABI, "inject", *options, "--", program, "libaio"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def test_the_command_says_what_failed(program):
    done = command(program, "--fail", "aio/io_setup=ENOMEM")
    assert (done.stdout, done.returncode) == ("setup ENOMEM\n", 2)
    assert "aio/io_setup: 1 of 1 failed" in done.stderr


def test_what_did_not_fail_is_said(program):
    done = command(program, "--fail", "aio/io_cancel=EINVAL")
    assert done.returncode == 2
    assert "0 of 0 failed" in done.stderr and "nothing failed" in done.stderr


def test_remote_control(program, tmp_path):
    """Points are those of libfiu, and can be enabled while the program runs."""
    if not shutil.which("fiu-ctrl"):
        pytest.skip("fiu-ctrl is not installed")
    pipe = tmp_path / "pipe"
    process = subprocess.Popen(
        [AIOABI, "inject", "--ctrl", pipe, "--", program, "libaio", "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + LIMIT
    while not (pipes := list(tmp_path.glob("pipe-*.out"))):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = pipes[0].stem.rpartition("-")[2]
    for point in ("aio/io_submit,failinfo=11", "aio/event,failinfo=5"):
        command = f"enable name={point},onetime"
        subprocess.run(
            ["fiu-ctrl", "-f", pipe, "-c", command, pid], check=True, timeout=LIMIT
        )
    out, _ = process.communicate("go\n", timeout=LIMIT)
    assert out.splitlines() == ["event EIO 1", "call EAGAIN 1", "rounds 40"]


def test_cost_while_nothing_is_enabled(program):
    """The least of several: a busy machine makes calls dearer, never cheaper."""
    with_it, without = [], []
    preload = environment([], points())
    for _ in range(5):
        for costs, more in ((without, {}), (with_it, preload)):
            done = subprocess.run(
                [program, "cost"],
                env={**os.environ, **more},
                capture_output=True,
                text=True,
                check=True,
                timeout=LIMIT,
            )
            costs.append(float(done.stdout.split()[1]))
        if min(with_it) - min(without) < COST:
            return
    assert min(with_it) - min(without) < COST + NOISE


@pytest.mark.parametrize(
    "text, fault",
    (
        ("aio/event", Fault("aio/event")),
        ("aio/event=EIO", Fault("aio/event", 5)),
        ("aio/event/short=512@3", Fault("aio/event/short", 512, nth=3)),
        ("aio/event@0.5%", Fault("aio/event", percent=0.5)),
        ("aio/event=EIO@once", Fault("aio/event", 5, once=True)),
    ),
)
def test_faults_are_understood(text, fault):
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    "text",
    ("", "aio/event=", "aio/event=ENONSENSE", "aio/event@", "aio/event@0")
    + ("aio/event@65", "aio/event@101%", "aio/event@0%", "aio event"),
)
def test_faults_are_refused(text):
    with pytest.raises(InjectError):
        Fault.parse(text)


def test_faults_for_cases_are_refused(table):
    for name in ("mm/rlimit_as", "harness/fork", "no/such"):
        with pytest.raises(InjectError):
            environment([Fault(name)], table)


def test_a_program_that_is_not_there():
    done = CliRunner().invoke(inject, ["--", "/no/such/program"])
    assert done.exit_code == 2
    assert "/no/such/program" in done.output
