# SPDX-License-Identifier: GPL-2.0-or-later
"""Executors: whatever takes orders and answers in records (lib/protocol.md).

`Executor` is what the plugin drives, `HostExecutor` a process on this machine. What
any executor needs, however it is reached, stands beside them: `Splitter` makes
records of bytes that cannot be trusted, `Ledger` knows what became of every order.
"""
import json
import os
import selectors
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any, Iterator, NamedTuple, Optional, Sequence

from .items import Key, Record

LINE_MAX = 4 << 20
NOTES_MAX = 20
STDERR_MAX = 16 << 10
DEAF = 60.0
PARTING = 10.0


class ExecutorError(Exception):
    """Nothing can be run; the text says why."""


class Order(NamedTuple):
    """An item to run, under a number that its records carry.

    ``limit``: seconds that it may take, if not as long as its case says.
    """

    seq: int
    key: Key
    limit: float = 0

    def line(self, number: int) -> str:
        """What the executor is told, under this number."""
        limit = f" {self.limit:.1f}" if self.limit else ""
        return f"case {number} {' '.join(self.key)}{limit}\n"


class Executor(ABC):
    """One target's executor. The order of calls: start, attach, send, batches (to
    their end; send and batches may follow again), close. stop may be called at any
    time between, close always."""

    @abstractmethod
    def start(self) -> Record:
        """Start it and return its `run` record; ExecutorError when it cannot be."""

    def attach(self, folder: Path) -> None:
        """The run's folder exists from here on: logs beside the records go there."""

    @abstractmethod
    def send(self, orders: Sequence[Order]) -> None:
        """Queue these orders, and let them run."""

    @abstractmethod
    def batches(self) -> Iterator[list[Record]]:
        """The records of what was sent, as they come, up to and with an `end`. Every
        order gets its outcomes: where the executor gives none, they are made here."""

    @abstractmethod
    def stop(self) -> None:
        """Start nothing more. What runs is still told of, the rest is lost."""

    @abstractmethod
    def close(self) -> None:
        """Leave: end it, and wait until it has cleaned up after itself."""


class Splitter:
    """Makes records of bytes. What is no record becomes a note (not too many of
    them), and a line without an end is dropped before it fills the memory."""

    def __init__(self, limit: int = LINE_MAX):
        self._limit = limit
        self._partial = b""
        self._dropping = False
        self._odd = 0

    def feed(self, data: bytes) -> list[Record]:
        """The records that these bytes complete."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = self._partial + lines[0]
            if self._dropping:
                self._dropping = False
                del lines[0]
            self._partial = rest
        elif not self._dropping:
            self._partial += rest
        records = [record for line in lines for record in self._record(line)]
        if len(self._partial) > self._limit:
            self._partial, self._dropping = b"", True
            records += self._note(f"dropped a line of over {self._limit} bytes")
        return records

    def _record(self, line: bytes) -> list[Record]:
        if not line.strip():
            return []
        if len(line) > self._limit:
            return self._note(f"dropped a line of {len(line)} bytes")
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and isinstance(record.get("type"), str):
            return [record]
        return self._note(f"not a record: {line[:200].decode(errors='replace')!r}")

    def _note(self, text: str) -> list[Record]:
        self._odd += 1
        if self._odd > NOTES_MAX:
            return []
        if self._odd == NOTES_MAX:
            text += "; more of this is not shown"
        return [note(f"from the executor: {text}")]


class Ledger:
    """Which orders still owe outcomes, and which are being run."""

    def __init__(self, repeat: int = 1):
        self._repeat = repeat
        self._owed: dict[int, int] = {}
        self._keys: dict[int, Key] = {}
        self._flying: set[int] = set()

    def add(self, orders: Sequence[Order]) -> None:
        """These orders were sent."""
        for order in orders:
            self._keys[order.seq] = order.key
            self._owed[order.seq] = self._repeat

    def see(self, record: Record) -> bool:
        """Take note of a record; False when it is about nothing that was ordered."""
        if record["type"] not in ("start", "outcome"):
            return True
        seq = record.get("seq")
        if not isinstance(seq, int) or seq not in self._keys:
            return False
        if record["type"] == "start":
            self._flying.add(seq)
            return True
        self._flying.discard(seq)
        # There may be more outcomes than rounds: the executor repeats what it suspects.
        owed = self._owed.pop(seq, 0) - 1
        if owed > 0:
            self._owed[seq] = owed
        return True

    @property
    def owed(self) -> int:
        """How many outcomes are still to come."""
        return sum(self._owed.values())

    def settle(self, why: str, outcome: str = "broken", **more: Any) -> list[Record]:
        """Outcomes for all that got none: `outcome` for what was being run, lost for
        the rest. `more` goes into the former (kind, kernel_log, …)."""
        records = []
        for seq in sorted(self._owed, key=lambda seq: (seq not in self._flying, seq)):
            record: Record = {
                "type": "outcome",
                "by": "runner",
                "seq": seq,
                **self._keys[seq]._asdict(),
                "round": self._repeat - self._owed[seq] + 1,
                "outcome": "lost",
                "reason": why,
                "time": time.time(),
            }
            if seq in self._flying:
                record |= {"outcome": outcome, **more}
            records.append(record)
        self._owed.clear()
        self._flying.clear()
        return records


def note(text: str) -> Record:
    """A note of the runner's own, in the form of a record."""
    return {"type": "note", "by": "runner", "text": text, "time": time.time()}


class HostExecutor(Executor):
    """The executor as a process on this machine. `patience`: seconds of silence,
    while something is owed, after which it counts as hung (more where the `run` record
    says that time limits are to be multiplied)."""

    def __init__(self, command: Sequence[str], repeat: int = 1, patience: float = DEAF):
        self._command = list(command)
        self._patience = patience
        self._ledger = Ledger(repeat)
        self._splitter = Splitter()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._selector = selectors.DefaultSelector()
        self._talks = True
        self._inbox: list[Record] = []
        self._unsent = b""
        self._stderr = b""
        self._folder: Optional[Path] = None

    def start(self) -> Record:
        try:
            # A group of its own: ^C is for the runner, which then says `stop`.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                process_group=0,
            )
        except OSError as error:
            raise ExecutorError(f"{self._command[0]}: {error.strerror}") from error
        for pipe, handler in (
            (self._process.stdout, self._read_records),
            (self._process.stderr, self._read_stderr),
        ):
            assert pipe
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, handler)
        assert self._process.stdin
        os.set_blocking(self._process.stdin.fileno(), False)

        early: list[Record] = []
        while not any(record["type"] == "run" for record in early):
            records = self._receive(self._patience)
            if not records:
                why = self._epitaph() if records is None else "executor says nothing"
                self._process.kill()  # if it is still there, it would not hear us
                self.close()
                said = self._stderr.decode(errors="replace").strip()
                raise ExecutorError(said or f"{self._command[0]}: {why}")
            early += records
        run = next(record for record in early if record["type"] == "run")
        self._inbox = [record for record in early if record is not run]
        scale = run.get("timeout_scale")
        if isinstance(scale, (int, float)) and scale > 1:
            self._patience *= scale
        return run

    def attach(self, folder: Path) -> None:
        self._folder = folder

    def send(self, orders: Sequence[Order]) -> None:
        self._ledger.add(orders)
        lines = [order.line(order.seq) for order in orders]
        self._say("".join(lines) + "go\n")

    def stop(self) -> None:
        self._say("stop\n")

    def batches(self) -> Iterator[list[Record]]:
        while True:
            records = self._receive(self._patience)
            if not records:
                silent = f"executor silent for {self._patience:g} s"
                yield self._obituary(self._epitaph() if records is None else silent)
                return
            strange = [r for r in records if not self._ledger.see(r)]
            for record in strange:
                records.remove(record)
            if strange:
                records.append(note(f"{len(strange)} records of no item of this run"))
            ended = [record for record in records if record["type"] == "end"]
            if ended:
                why = ended[0].get("why") or "the executor ended without a word on it"
                records += self._ledger.settle(why)
            yield records
            if ended:
                return

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin and process.stdout and process.stderr
        if self._unsent:
            self._selector.unregister(process.stdin)
        try:
            process.stdin.write(b"\nquit\n")
        except OSError:
            pass  # full or gone: the end of file says the same
        process.stdin.close()
        for strike in (None, signal.SIGTERM, signal.SIGKILL):
            if strike:
                process.send_signal(strike)
            if self._gone(process, PARTING):
                break
        self._read_stderr(process.stderr)
        self._selector.close()
        process.stdout.close()
        process.stderr.close()
        if self._folder and self._stderr:
            (self._folder / "executor.log").write_bytes(self._stderr)

    def _gone(self, process: "subprocess.Popen[bytes]", seconds: float) -> bool:
        """Whether it ends in that time; what it still says is thrown away."""
        until = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < until:
            if self._receive(0.01) is None:
                time.sleep(0.002)
        return process.poll() is not None

    def _say(self, text: str) -> None:
        if not self._process or not self._process.stdin:
            return
        if not self._unsent:
            stdin = self._process.stdin
            self._selector.register(stdin, selectors.EVENT_WRITE, self._write_orders)
        self._unsent += text.encode()

    def _receive(self, timeout: float) -> Optional[list[Record]]:
        """What comes next; [] after the time-out, None when nothing more comes."""
        until = time.monotonic() + timeout
        while not self._inbox:
            if not self._talks:
                return None
            left = until - time.monotonic()
            if left <= 0:
                return []
            for entry, _ in self._selector.select(left):
                entry.data(entry.fileobj)
        records, self._inbox = self._inbox, []
        return records

    def _read_records(self, stdout: IO[bytes]) -> None:
        data = os.read(stdout.fileno(), 1 << 16)
        self._inbox += self._splitter.feed(data)
        if not data:
            self._talks = False
            self._selector.unregister(stdout)

    def _read_stderr(self, stderr: IO[bytes]) -> None:
        try:
            data = os.read(stderr.fileno(), 1 << 16)
        except BlockingIOError:
            return
        self._stderr = (self._stderr + data)[-STDERR_MAX:]
        if not data and stderr in self._selector.get_map():
            self._selector.unregister(stderr)

    def _write_orders(self, stdin: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(stdin.fileno(), self._unsent) :]
        except BrokenPipeError:
            self._unsent = b""
        if not self._unsent:
            self._selector.unregister(stdin)

    def _epitaph(self) -> str:
        """How the executor ended, when its output has."""
        assert self._process and self._process.stderr
        try:
            status = self._process.wait(timeout=PARTING)
        except subprocess.TimeoutExpired:
            return "the executor closed its output"
        self._read_stderr(self._process.stderr)
        if status < 0:
            return f"the executor was killed by {signal.Signals(-status).name}"
        return f"the executor exited with status {status}"

    def _obituary(self, why: str) -> list[Record]:
        """The last records of an executor that gives none itself any more."""
        if self._process:
            self._process.kill()
        said = self._stderr.decode(errors="replace").strip()
        end = {"type": "end", "by": "runner", "complete": False, "why": why}
        return [
            note(f"{why}; it said: {said[-1000:]}" if said else why),
            *self._ledger.settle(why),
            end | {"time": time.time()},
        ]
