# SPDX-License-Identifier: GPL-2.0-or-later
"""What the executor makes of cases that misbehave (lib/tests/misbehave.c)."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "aioabi-harness"
AIO_MAX_NR = Path("/proc/sys/fs/aio-max-nr")

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="build/aioabi-harness is not built"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not run as root")

Record = dict[str, Any]


def run(
    *args: str, env: dict[str, str] | None = None, status: int | None = None
) -> list[Record]:
    """Run the harness program; give its records."""
    done = subprocess.run(
        [str(PROGRAM), "run", "--flavour", "raw", *args],
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        timeout=100,
    )
    if status is not None:
        assert done.returncode == status, done.stdout.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def outcomes(records: list[Record]) -> dict[str, Record]:
    """The last outcome of each case, by the part of its id after the dot."""
    return {r["id"].split(".")[1]: r for r in records if r["type"] == "outcome"}


def outcome(name: str, *args: str, **kwargs: Any) -> Record:
    """Run one case; give its outcome."""
    return outcomes(run("harness." + name, *args, **kwargs))[name]


@pytest.mark.parametrize(
    ("name", "wanted", "kind", "status", "reason"),
    [
        ("passes", "pass", None, 0, ""),
        ("expectation", "fail", "expectation", 1, "expected 0, got -EINVAL"),
        ("rounds", "fail", "expectation", 1, "number 1: i: expected anything"),
        ("assertion", "fail", "expectation", 1, "expected 1, got 2"),
        ("stage", "fail", "stage", 1, "aio->destroy(ctx): expected 0"),
        ("broken", "broken", None, 2, "No such file or directory"),
        ("failed_and_broken", "fail", "expectation", 1, "expected 1, got 2"),
        ("skipped", "skip", None, 0, "no luck here"),
        ("asserts_nothing", "fail", "expectation", 1, "asserted nothing"),
        ("crashes", "fail", "crash", 1, "SIGSEGV"),
        ("exits", "fail", "crash", 1, "before its end"),
        ("hangs", "fail", "hang", 1, "did not end within"),
        ("hangs_hard", "fail", "hang", 1, "did not end within"),
        ("leaves_descriptor", "fail", "leak", 1, "1 descriptors more"),
        ("leaves_mapping", "fail", "leak", 1, "1 mappings of [aio] for 0"),
        ("leaves_process", "pass", None, 0, ""),
        ("canary", "fail", "expectation", 1, "3 bytes before a buffer"),
        ("child_fails", "fail", "expectation", 1, "expected 1, got 2"),
        ("child_fails_alone", "fail", "expectation", 1, "expected 1, got 2"),
        ("child_is_stopped", "pass", None, 0, ""),
        ("floods_failures", "fail", "expectation", 1, "expected -EPERM"),
    ],
)
def test_verdict(
    name: str, wanted: str, kind: str | None, status: int, reason: str
) -> None:
    record = outcome(name, status=status)
    assert (record["outcome"], record.get("kind")) == (wanted, kind), record
    assert reason in record.get("reason", "")


def test_failure_names_call_clause_and_place() -> None:
    text = "\n".join(outcome("expectation")["diagnostics"])
    assert "lib/tests/misbehave.c:" in text
    assert "io_setup(1, 0x" in text and ") = -EINVAL" in text
    assert "io_setup.einval.ctx" in text
    assert "refused" in text  # the promise itself


def test_hang_shows_where_the_tasks_are() -> None:
    text = "\n".join(outcome("hangs")["diagnostics"])
    assert "has not returned" in text
    assert "system call io_getevents" in text


def test_floods_are_cut_and_counted() -> None:
    record = outcome("floods_output", status=0)
    assert record["outcome"] == "pass"
    assert sum(map(len, record["output"])) < 20_000
    assert "bytes more" in record["output"][-1]
    record = outcome("floods_failures")
    assert len(record["diagnostics"]) < 200
    assert "100000 failures in all" in record["diagnostics"]


def test_nothing_left_running() -> None:
    outcome("leaves_process")
    # what was killed may still be on its way out
    for _ in range(100):
        found = subprocess.run(["pgrep", "-f", str(PROGRAM)], stdout=subprocess.PIPE)
        if not found.stdout:
            break
        time.sleep(0.1)
    assert found.stdout == b""


def test_what_is_to_be_done_at_death_is_done(tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.touch()
    record = outcome("guarded_and_killed", env={"AIOABI_WORD": str(word)})
    assert record["kind"] == "hang"
    assert word.read_text() == "gone"


@needs_root
def test_kernel_log_is_laid_to_its_causer() -> None:
    found = outcomes(run("*kernel_warns*", "--jobs", "1", status=1))
    assert found["kernel_warns"]["kind"] == "kernel"
    assert "aio_complete" in "\n".join(found["kernel_warns"]["kernel_log"])
    assert found["kernel_warns_of_worker"]["kind"] == "kernel"
    assert found["kernel_warns_of_stranger"]["outcome"] == "pass"
    assert found["kernel_warns_of_elsewhere"]["outcome"] == "pass"
    assert found["kernel_warns_of_no_work"]["kind"] == "kernel"
    assert found["kernel_warns_of_both"]["kind"] == "kernel"


@needs_root
def test_everything_counts_on_a_machine_of_ours() -> None:
    record = outcome("kernel_warns_of_stranger", "--ours", status=1)
    assert record["kind"] == "kernel"


@needs_root
def test_sysctl_is_put_back() -> None:
    before = AIO_MAX_NR.read_text()
    assert outcome("changes_sysctl", status=0)["outcome"] == "pass"
    assert AIO_MAX_NR.read_text() == before


class Stranger:
    """Another program that uses AIO: contexts made in this process."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.contexts: list[ctypes.c_ulong] = []

    def setup(self, nr: int) -> None:
        ctx = ctypes.c_ulong(0)
        if self.libc.syscall(206, nr, ctypes.byref(ctx)) == 0:
            self.contexts.append(ctx)

    def destroy(self) -> None:
        while self.contexts:
            self.libc.syscall(207, self.contexts.pop())


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    it = Stranger()
    yield it
    it.destroy()


@pytest.mark.parametrize("ours", [False, True])
def test_quota_leak_shows_each_time(
    tmp_path: Path, stranger: Stranger, ours: bool
) -> None:
    """A stranger makes a context whenever the case runs: it looks like a leak."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)
    runs = 0

    def serve() -> None:
        nonlocal runs
        while os.read(fd, 1) == b"x":
            runs += 1
            stranger.setup(11)

    thread = threading.Thread(target=serve)
    thread.start()
    record = outcome(
        "leaves_quota",
        *(["--ours"] if ours else []),
        env={"AIOABI_TEST_FIFO": str(fifo)},
        status=1,
    )
    os.write(fd, b".")
    thread.join()
    os.close(fd)
    assert (record["outcome"], record["kind"]) == ("fail", "leak")
    assert "fs.aio-nr" in record["unwell"]
    assert runs == (1 if ours else 3)


def test_a_stranger_fails_no_case(stranger: Stranger) -> None:
    """fs.aio-nr moves all the time; an exact case must still be judged right."""
    stop = threading.Event()

    def move() -> None:
        while not stop.wait(0.05):
            stranger.setup(3)
            stop.wait(0.02)
            stranger.destroy()

    thread = threading.Thread(target=move)
    thread.start()
    try:
        records = run("*.watches_quota", "--repeat", "5", status=0)
    finally:
        stop.set()
        thread.join()
    seen = {r["outcome"] for r in records if r["type"] == "outcome"}
    assert seen <= {"pass", "skip"}


def most_at_once(records: list[Record]) -> int:
    """How many items had been started and had not ended."""
    now = most = 0
    for record in records:
        now += (record["type"] == "start") - (record["type"] == "outcome")
        most = max(most, now)
    return most


@pytest.mark.parametrize(
    ("name", "overlaps"),
    [
        ("leaves_slowly", True),
        ("leaves_slowly_alone", False),
        ("leaves_with_child", False),
    ],
)
def test_exits_overlap(name: str, overlaps: bool) -> None:
    """Serial cases are alone until, at most, one has but its exit before it."""
    records = run("harness." + name, "--repeat", "40", "--ours", status=0)
    assert [r["outcome"] for r in records if r["type"] == "outcome"] == ["pass"] * 40
    assert (most_at_once(records) > 1) == overlaps
    assert not [r for r in records if "again alone" in r.get("text", "")]


def test_hangs_get_less_time_and_end_the_run() -> None:
    records = run("harness.hangs", "--repeat", "60", status=1)
    seen = [r for r in records if r["type"] == "outcome"]
    assert len(seen) == 60
    hung = [r["reason"] for r in seen if r["outcome"] == "fail"]
    assert len(hung) >= records[0]["hangs_max"]
    assert len({*hung}) == 2, "all had the same time"
    assert [r for r in seen if r["outcome"] == "lost"]
    assert records[-1]["type"] == "end" and not records[-1]["complete"]


def test_hangs_of_an_earlier_guest_count() -> None:
    whole = run("harness.hangs", status=1)
    later = run("harness.hangs", "--hung", "4", status=1)
    first, second = (r[-2]["reason"] for r in (whole, later))
    assert first != second


def test_deadline_ends_the_run() -> None:
    begin = time.monotonic()
    records = run(
        "harness.hangs",
        *("--repeat", "100", "--timeout-scale", "30", "--deadline", "1"),
        status=1,
    )
    seen = [r["outcome"] for r in records if r["type"] == "outcome"]
    assert len(seen) == 100 and set(seen) == {"fail", "lost"}
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_so(sig: signal.Signals) -> None:
    with subprocess.Popen(
        [str(PROGRAM), "run", "harness.hangs", "--timeout-scale", "100"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        lines = iter(process.stdout)
        for line in lines:
            if json.loads(line)["type"] == "start":
                break
        process.send_signal(sig)
        records = [json.loads(line) for line in lines]
    assert process.returncode == 1
    assert records[-1]["type"] == "end" and not records[-1]["complete"]


@needs_root
def test_killed_run_is_put_right_by_the_next(tmp_path: Path) -> None:
    before = AIO_MAX_NR.read_text()
    with subprocess.Popen(
        [
            *(str(PROGRAM), "run", "harness.changes_sysctl_and_hangs"),
            *("--flavour", "raw", "--dir", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
    ) as process:
        for _ in range(1000):
            if AIO_MAX_NR.read_text() != before:
                break
            time.sleep(0.01)
        left = list(tmp_path.glob("aioabi-*"))
        process.kill()
    assert AIO_MAX_NR.read_text() != before
    assert len(left) == 1 and left[0].exists()
    records = run("harness.passes", "--dir", str(tmp_path), status=0)
    assert AIO_MAX_NR.read_text() == before
    assert not left[0].exists()
    notes = [r["text"] for r in records if r["type"] == "note"]
    assert any("put fs/aio-max-nr back" in note for note in notes)
    assert any("removed" in note for note in notes)


@needs_root
def test_killed_run_leaves_no_loop_device() -> None:
    def loops() -> bytes:
        return subprocess.run(["losetup", "-a"], stdout=subprocess.PIPE).stdout

    before = loops()
    with subprocess.Popen(
        [str(PROGRAM), "run", "harness.hangs", "--timeout-scale", "100"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if json.loads(line)["type"] == "start":
                break
        assert loops() != before
        process.kill()
    for _ in range(500):
        if loops() == before:
            break
        time.sleep(0.01)
    assert loops() == before


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A file on a file system that is frozen: who writes to it cannot be killed."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as f:
        f.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        file = mount / "file"
        file.touch()
        subprocess.run(["fsfreeze", "-f", str(mount)], check=True)
        yield file
        subprocess.run(["fsfreeze", "-u", str(mount)], check=True)
    finally:
        for _ in range(100):
            done = subprocess.run(["umount", str(mount)])
            if done.returncode == 0:
                break
            time.sleep(0.05)


@needs_root
def test_unkillable_case_is_left_behind(frozen: Path) -> None:
    records = run(
        *("harness.unkillable", "harness.passes", "--timeout-scale", "0.2"),
        env={"AIOABI_TEST_FROZEN": str(frozen)},
        status=1,
    )
    found = outcomes(records)
    assert found["unkillable"]["kind"] == "hang"
    assert "SIGKILL does not end it" in found["unkillable"]["reason"]
    assert "cannot be killed" in found["unkillable"]["unwell"]
    assert found["passes"]["outcome"] == "pass"


@pytest.mark.parametrize(
    "args",
    [
        ["run", "--jobs", "0"],
        ["run", "--jobs", "many"],
        ["run", "--format", "xml"],
        ["run", "--flavour", "vanilla"],
        ["run", "--device", "/nonexistent"],
        ["run", "--device", "/etc/passwd"],
        ["run", "--dir", "/nonexistent"],
        ["run", "no_such_case"],
        ["run", "--no-such-option"],
        ["dance"],
        [],
    ],
)
def test_bad_input_is_refused(args: list[str]) -> None:
    done = subprocess.run(
        [str(PROGRAM), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.returncode == 2
    assert done.stderr and not done.stdout


def test_help() -> None:
    done = subprocess.run([str(PROGRAM), "--help"], stdout=subprocess.PIPE)
    assert done.returncode == 0 and b"usage:" in done.stdout


@needs_root
def test_device_in_use_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as f:
        f.truncate(64 << 20)
    loop = subprocess.run(
        ["losetup", "-f", "--show", str(image)], stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    try:
        record = outcomes(run("harness.needs_device", "--device", loop, status=0))
        assert record["needs_device"]["outcome"] == "pass"
        subprocess.run(["mkfs.ext4", "-q", loop], check=True)

        def refused(*args: str) -> str:
            done = subprocess.run(
                [str(PROGRAM), "run", "--device", loop, *args],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert done.returncode == 2
            return done.stderr

        assert "ext4 signature" in refused()
        with tempfile.TemporaryDirectory() as mount:
            subprocess.run(["mount", loop, mount], check=True)
            try:
                assert "in use" in refused("--destroy")
            finally:
                subprocess.run(["umount", mount], check=True)
        run("harness.needs_device", "--device", loop, "--destroy", status=0)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


def test_without_root_block_cases_are_skipped(tmp_path: Path) -> None:
    record = outcome("needs_device", "--device", f"file={tmp_path}", status=0)
    assert record["outcome"] == "skip"
    assert "block device" in record["reason"]


def test_serve_takes_orders() -> None:
    orders = (
        "case 7 harness.passes raw tmp\n"
        "case 8 harness.no_such raw tmp\n"
        "nonsense\n"
        "go\n"
        "case 9 harness.expectation raw tmp\n"
        "go\n"
    )
    records: list[Record] = []
    with subprocess.Popen(
        [str(PROGRAM), "serve", "--device", "tmp=/tmp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(orders.encode())
        process.stdin.flush()
        for line in process.stdout:
            records.append(json.loads(line))
            if [r["type"] for r in records].count("end") == 2:
                break
        process.stdin.write(b"quit\n")
        process.stdin.flush()
        assert process.wait() == 1
    assert {r["seq"]: r["outcome"] for r in records if r["type"] == "outcome"} == {
        7: "pass",
        9: "fail",
    }
    notes = [r["text"] for r in records if r["type"] == "note"]
    assert sum("not understood" in note for note in notes) == 2


def test_shuffle_is_repeatable() -> None:
    def order(seed: int) -> list[str]:
        records = run(
            "*",
            "!*hang*",
            "!*unkillable",
            "!*quota",
            "!*kernel*",
            *("--shuffle", str(seed), "--jobs", "1"),
        )
        return [r["id"] for r in records if r["type"] == "start"]

    assert order(5) == order(5)
    assert order(5) != order(6)


def test_ktap() -> None:
    done = subprocess.run(
        [str(PROGRAM), "run", "--format", "ktap", "--flavour", "raw", "harness.passes"],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "KTAP version 1"
    assert "1..1" in lines
    assert any(line.startswith("ok 1 harness.passes[raw-") for line in lines)
