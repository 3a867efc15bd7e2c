# SPDX-License-Identifier: GPL-2.0-or-later
"""What the harness costs: `make bench`, and a guest: `make bench KERNEL=debian:6.12`.

A case is compared with a bare fork that makes the same calls, in the same run,
so that the figures of different machines can be: what counts is the ratio.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Sequence

from .guest import Console, Guest, GuestExecutor, VmTarget
from .interrupt import ends_as_interrupt
from .options import Options
from .targets import patience, read_catalogue

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "aioabi-cases"
HARNESS = ROOT / "build" / "aioabi-harness"
AIOABI = ROOT / "runner" / "aioabi"
CASE = "io_setup.einval_nr_zero"
ROUNDS = 400
BOOT_MAX = 120  # seconds: it hangs


def bare_fork() -> float:
    """Seconds of a fork, the calls and a wait, without a harness."""
    out = subprocess.run(
        [str(HARNESS), "exec", "bare_forks", str(ROUNDS)],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return int(out) / 1e6


def through_executor() -> float:
    """Seconds of one item of the executor, one after the other."""
    out = subprocess.run(
        [
            *(str(PROGRAM), "run", CASE, "--flavour", "raw"),
            *("--repeat", str(ROUNDS), "--jobs", "1"),
        ],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return float(json.loads(out.splitlines()[-1])["seconds"]) / ROUNDS


def run_seconds(results: str, *args: str) -> float:
    """Seconds of a whole `aioabi run`."""
    begin = time.monotonic()
    subprocess.run(
        [sys.executable, str(AIOABI), "run", "--results", results, *args],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - begin


def through_pytest() -> float:
    """Seconds that one more item costs in a run by pytest, stored and shown."""
    with tempfile.TemporaryDirectory() as results:
        args = (CASE, "--flavour", "raw", "--jobs", "1")
        few = run_seconds(results, *args, "--repeat", "1")
        many = run_seconds(results, *args, "--repeat", str(ROUNDS + 1))
    return (many - few) / ROUNDS


def boot_seconds(kernel: str) -> tuple[float, float]:
    """Seconds of a guest that is switched on, ready for its first order and sent away,
    and of the same guest when the first program in it powers it off at once."""
    options = Options({"kernel": kernel, "devices": "virtio", "program": PROGRAM})
    cases = read_catalogue(options.program).cases
    executor = VmTarget(options).executor(patience(cases))
    assert isinstance(executor, GuestExecutor)
    begin = time.monotonic()
    try:
        executor.start()
    finally:
        executor.close()
    ready = time.monotonic() - begin
    executor.plan.more = ["rdinit=/sbin/poweroff"]
    guest = Guest(Console())
    begin = time.monotonic()
    try:
        executor.plan.boot([], False, guest.machine)
        while guest.machine.alive and time.monotonic() - begin < BOOT_MAX:
            guest.machine.wait(1)
        off = time.monotonic() - begin
    finally:
        guest.machine.kill()
    return ready, off


def boots(kernel: str) -> None:
    """Measure and print what a guest costs, the quickest of three."""
    pairs = [boot_seconds(kernel) for _ in range(3)]
    ready, off = min(p[0] for p in pairs), min(p[1] for p in pairs)
    print(
        f"a boot that powers off at once   {off:7.3f} s\n"
        f"a guest that gets no order       {ready:7.3f} s   {ready / off:5.2f} times "
        "(goal: under 1.5)"
    )


def main(kernels: Sequence[str]) -> int:
    """Measure and print."""
    for kernel in kernels:
        boots(kernel)
    if kernels:
        return 0
    bare = bare_fork()
    executor = through_executor()
    pytest = through_pytest()
    print(f"a bare fork with the same calls {bare * 1e3:8.3f} ms")
    for name, seconds, goal in (
        ("a case by the executor", executor, 1e-3),
        ("a case through pytest", pytest, 3e-3),
    ):
        print(
            f"{name:31} {seconds * 1e3:8.3f} ms  "
            f"{seconds / bare:6.1f} times, {(seconds - bare) * 1e3:.3f} ms more "
            f"(goal: under {goal * 1e3:.0f} ms)"
        )
    with tempfile.TemporaryDirectory() as results:
        print(f"the whole run on this host      {run_seconds(results):8.1f} s")
    return 0


if __name__ == "__main__":
    with ends_as_interrupt():
        sys.exit(main(sys.argv[1:]))
