# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite of its own for a test: case files, results, and an executor that is told
what to do (fake.py)."""
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import pytest

from runner import ROOT
from runner.store import Run, Store

FAKE = Path(__file__).parent / "fake.py"
TIMEOUT = 180


@dataclass
class Result:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


class Suite:
    """A suite in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "results"
        self.cases = folder / "cases"
        self.cases.mkdir(parents=True)
        (self.cases / "verdict.c").write_text("/* no case of C's */\n")
        self.gate = folder / "gate"
        self.baselines = folder / "baselines"
        self.store = Store(self.results)
        self.also: dict[str, str] = {}  # in the environment

    def command(self, *args: str) -> list[str]:
        """The command line of `aioabi run` here."""
        more = ["--program", str(FAKE), "--cases", str(self.cases)]
        if args[0] != "run":
            more = []
        here = ("--results", str(self.results))
        return [str(ROOT / "runner" / "aioabi"), args[0], *here, *more, *args[1:]]

    def environment(self, cases: str, fake: str) -> dict[str, str]:
        """The environment that tells the executor what to do."""
        return os.environ | {
            "FAKE": fake,
            "FAKE_CASES": cases,
            "FAKE_FILE": str(self.cases / "verdict.c"),
            "FAKE_GATE": str(self.gate),
            "AIOABI_BASELINES": str(self.baselines),
            **self.also,
        }

    def __call__(self, *args: str, cases: str = "v.pass", fake: str = "") -> Result:
        done = subprocess.run(
            self.command(*args),
            env=self.environment(cases, fake),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, cases: str, fake: str = "") -> "Running":
        """Start a command, and do not wait for it."""
        process = subprocess.Popen(
            self.command(*args),
            env=self.environment(cases, fake),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # whoever runs the tests in the background ignores it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        return Running(process)

    def last(self) -> Run:
        """The latest run."""
        return self.store.find("last")


class Running:
    """A command that goes on."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self.process = process
        self.lines: list[str] = []

    def until(self, text: str) -> None:
        """Read its output up to a line with this text."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"no {text!r} in {''.join(self.lines)}")

    def end(self, number: Optional[signal.Signals] = None) -> int:
        """Wait for its end, after this signal; its exit status."""
        if number:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=TIMEOUT)
        self.lines += out.splitlines(keepends=True)
        return self.process.returncode


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite of this test's own."""
    return Suite(tmp_path)


ALL = "pass fail skip known fixed broken lost crash hang kernel"


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Result]:
    """One run with an item of every outcome, with a JUnit file."""
    suite = Suite(tmp_path_factory.mktemp("verdicts"))
    cases = " ".join(f"v.{word}" for word in ALL.split())
    flavour = ("--flavour", "raw")
    return suite, suite("run", *flavour, "--", "--junitxml=out.xml", cases=cases)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the condition holds; fail after so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "what was waited for does not come"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process is there and not dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def lines_of(path: Path) -> list[dict[str, object]]:
    """The records in a file of them."""
    return [json.loads(line) for line in path.read_text().splitlines()]
