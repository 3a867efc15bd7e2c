# SPDX-License-Identifier: GPL-2.0-or-later
"""Put a kernel to the suite until one case fails, or all have had their say."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from ..executor import Executor, ExecutorError, Order
from ..guest import GuestExecutor, VmTarget
from ..items import Case, Key, Outcome, Record
from ..options import Options
from ..targets import Catalogue, patience, read_catalogue

KILLED, SURVIVED, UNBOOTABLE, BROKEN = "killed", "survived", "unbootable", "broken"
TOGETHER = 60  # items of one order to a guest
# An item has hung after so many seconds and so many times what it took before.
PATIENCE, WORSE = 15.0, 20.0
# Who is guilty of a guest that was lost while no case ran.
NOBODY = Key("guest", "", "")
# A busy host makes these by itself; they count when they come again.
_DOUBTFUL = ("hang", "kernel", "leak")


@dataclass(frozen=True)
class Trial:
    """What became of a kernel: by which item it was found out, and how fast.

    ``verdict`` is killed, survived, unbootable (found out before any case
    ran) or broken (the trial says nothing of the kernel).
    """

    verdict: str
    by: Key | None = None
    kind: str = ""
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    kernel_log: tuple[str, ...] = ()
    boot: float = 0.0
    seconds: float = 0.0
    ran: int = 0


class Stopped(Exception):
    """The bench was told to stop while a kernel was on trial."""


@dataclass
class Baseline:
    """What the unbroken kernel says: the items that pass, with their time."""

    passed: dict[Key, float] = field(default_factory=dict)
    others: dict[Key, str] = field(default_factory=dict)


class Bench:
    """Boots kernels and runs items of one suite on them."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self.catalogue: Catalogue = read_catalogue(Options(options).program)
        self._patience = patience(self.catalogue.cases)
        self._limits: dict[Key, float] = {}
        self._stopped = threading.Event()
        self._running: set[GuestExecutor] = set()

    def stop(self) -> None:
        """End what is on trial in other threads: there it raises Stopped."""
        self._stopped.set()
        for executor in tuple(self._running):
            executor.cut()

    def expect(self, times: Mapping[Key, float]) -> None:
        """Take an item for hung long before its case would, knowing these seconds.

        What a case may take is made for any machine: minutes, on an emulated one.
        """
        self._limits = {key: PATIENCE + WORSE * s for key, s in times.items()}

    @property
    def cases(self) -> dict[str, Case]:
        """Return the suite's cases by id."""
        return {case.id: case for case in self.catalogue.cases}

    def baseline(self, kernel: Path, rounds: int = 2) -> Baseline:
        """Run all that a mutant will meet on an unbroken kernel, ``rounds`` times.

        An item counts as passed when it passed each time.
        """
        found = Baseline()
        executor = self._executor(kernel, repeat=rounds)
        try:
            record = executor.start()
            keys = self._items(record)
            times: dict[Key, float] = {}
            for outcome in self._outcomes(executor, keys):
                times[outcome.key] = max(outcome.seconds, times.get(outcome.key, 0))
                if outcome.outcome not in ("pass", "known"):
                    found.others[outcome.key] = f"{outcome.outcome}: {outcome.reason}"
            found.passed = {k: s for k, s in times.items() if k not in found.others}
        finally:
            executor.close()
        return found

    def trial(self, kernel: Path, keys: Sequence[Key]) -> Trial:
        """Run ``keys`` in this order on ``kernel`` until the first fails."""
        found = self._trial(kernel, keys)
        if found.kind not in _DOUBTFUL or found.by in (None, NOBODY):
            return found
        assert found.by
        again = self._trial(kernel, [found.by])
        if again.verdict != SURVIVED:
            return found
        rest = [key for key in keys if key != found.by]
        return self._trial(kernel, rest)

    def _trial(self, kernel: Path, keys: Sequence[Key]) -> Trial:
        begun = time.monotonic()
        executor = self._executor(kernel)
        self._running.add(executor)
        try:
            try:
                executor.start()
            except ExecutorError as error:
                lines = str(error).splitlines()
                return Trial(
                    UNBOOTABLE,
                    reason=lines[0],
                    kernel_log=tuple(lines[1:]),
                    seconds=time.monotonic() - begun,
                )
            boot = time.monotonic() - begun
            ran = 0
            verdict, why = SURVIVED, ""
            for outcome in self._outcomes(executor, keys):
                if self._stopped.is_set():
                    raise Stopped
                ran += outcome.outcome not in ("lost", "skip")
                if outcome.outcome in ("fail", "fixed"):
                    return Trial(
                        KILLED,
                        outcome.key,
                        outcome.kind,
                        outcome.reason,
                        outcome.diagnostics[:20],
                        outcome.kernel_log[:60],
                        boot,
                        time.monotonic() - begun,
                        ran,
                    )
                if outcome.outcome == "lost":
                    verdict, why = BROKEN, outcome.reason
            return Trial(
                verdict,
                reason=why,
                boot=boot,
                seconds=time.monotonic() - begun,
                ran=ran,
            )
        finally:
            self._running.discard(executor)
            executor.abandon()

    def _executor(self, kernel: Path, repeat: int = 1) -> GuestExecutor:
        values = {**self._options, "kernel": str(kernel), "repeat": repeat}
        executor = VmTarget(Options(values)).executor(self._patience)
        assert isinstance(executor, GuestExecutor)
        return executor

    def _items(self, run: Record) -> list[Key]:
        """Return what a mutant meets: of equal ways to one line of code, one.

        libaio calls what the raw flavour calls, and fs/aio.c does not see what
        kind of device it is.
        """
        devices = list(run.get("devices") or ())
        flavours = list(run.get("flavours") or ())
        blocks = [d for d in devices if d.get("kind") == "block"][:1]
        folders = [d for d in devices if d.get("kind") == "dir"][:1]
        found = []
        for case in self.catalogue.cases:
            ways = [f for f in flavours if f != "libaio" or "raw" not in case.flavours]
            found += case.items(ways, blocks + folders)
        return found

    def _outcomes(self, executor: Executor, keys: Sequence[Key]) -> Iterator[Outcome]:
        limits = self._limits
        orders = [Order(seq, key, limits.get(key, 0)) for seq, key in enumerate(keys)]
        while orders:
            # What runs alone runs last of what was sent together.
            now, orders = orders[:TOGETHER], orders[TOGETHER:]
            executor.send(now)
            for batch in executor.batches():
                yield from filter(None, map(_outcome, batch))


def _outcome(record: Record) -> Outcome | None:
    """Return what a record says of an item, or of the guest that it took along."""
    if record.get("type") == "outcome":
        return Outcome.from_record(record)
    if record.get("fails") or record.get("suspects"):
        # Which of several it was is not worth so many boots.
        suspects = record.get("suspects") or [NOBODY]
        return Outcome(Key(*suspects[0]), "fail", "crash", str(record.get("text")))
    return None
