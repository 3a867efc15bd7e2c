# SPDX-License-Identifier: GPL-2.0-or-later
"""Executors and what they are made of: bytes to records, orders to outcomes."""
import os
from pathlib import Path
from typing import Sequence

import pytest

from runner.executor import ExecutorError, HostExecutor, Ledger, Order, Splitter
from runner.items import Key, Record

from .conftest import FAKE, alive

KEY = Key("v.pass", "raw", "loop")


def host(
    monkeypatch: pytest.MonkeyPatch, cases: str = "", fake: str = "", repeat: int = 1
) -> HostExecutor:
    """The fake executor, as the host's."""
    monkeypatch.setenv("FAKE", fake)
    monkeypatch.setenv("FAKE_CASES", cases)
    return HostExecutor([str(FAKE), "serve"], repeat, patience=0.6)


def orders(*ids: str) -> list[Order]:
    """Orders for these cases, numbered."""
    return [Order(seq, KEY._replace(id=name)) for seq, name in enumerate(ids)]


def words(records: Sequence[Record]) -> list[str]:
    """The outcomes in these records."""
    return [r["outcome"] for r in records if r["type"] == "outcome"]


def everything(executor: HostExecutor) -> list[Record]:
    """All records of a go."""
    return [record for batch in executor.batches() for record in batch]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_split_anywhere(size: int) -> None:
    """Records come whole however the bytes are cut."""
    splitter, records = Splitter(), []
    data = b'{"type":"start","seq":1}\n\n{"type":"outcome","reason":"\xc3\xa9"}\n'
    for place in range(0, len(data), size):
        records += splitter.feed(data[place : place + size])
    assert [r["type"] for r in records] == ["start", "outcome"]
    assert records[1]["reason"] == "é"


def test_split_keeps_memory_bounded() -> None:
    """A line without an end is dropped, once, and what follows it is read."""
    splitter = Splitter(limit=100)
    records = [r for _ in range(50) for r in splitter.feed(b"x" * 90)]
    assert [r["type"] for r in records] == ["note"]
    assert splitter.feed(b'x"}\n{"type":"end"}\n')[0]["type"] == "end"
    assert splitter.feed(b"y" * 200 + b"\n")[0]["type"] == "note"


def test_split_does_not_flood() -> None:
    """Of much garbage only the first is told."""
    records = Splitter().feed(b"garbage\n" * 10000 + b'{"type":"end"}\n')
    assert len(records) == 21 and records[-1]["type"] == "end"
    assert Splitter().feed(b"[" * 100000 + b"\n")[0]["type"] == "note"


def test_ledger() -> None:
    """What runs is broken, what waits is lost, what is done is neither."""
    ledger = Ledger(repeat=2)
    ledger.add(orders("a", "b", "c"))
    for seq, kind in ((0, "start"), (0, "outcome"), (1, "start")):
        assert ledger.see({"type": kind, "seq": seq})
    assert not ledger.see({"type": "outcome", "seq": 7})
    assert not ledger.see({"type": "start", "seq": [1]})
    records = ledger.settle("why", "fail", kind="crash")
    told = [(r["id"], r["outcome"], r["round"], r.get("kind")) for r in records]
    assert told == [
        ("b", "fail", 1, "crash"),
        ("a", "lost", 2, None),
        ("c", "lost", 1, None),
    ]
    assert ledger.settle("again") == []


def test_two_rounds_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """send and batches may follow again; close ends the process."""
    executor = host(monkeypatch)
    run = executor.start()
    for _ in range(2):
        executor.send(orders("v.pass", "v.fail"))
        assert words(everything(executor)) == ["pass", "fail"]
    executor.close()
    executor.close()
    assert not alive(run["pid"])


def test_many_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """More orders than a pipe holds, and more answers."""
    executor = host(monkeypatch)
    executor.start()
    executor.send(orders(*("v.pass_" + "x" * 100 + str(n) for n in range(3000))))
    assert words(everything(executor)) == ["pass"] * 3000
    executor.close()


def test_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """After stop the rest is lost."""
    executor = host(monkeypatch, fake="slow")
    executor.start()
    executor.send(orders("v.a", "v.b", "v.c", "v.d"))
    told: list[str] = []
    for batch in executor.batches():
        told += words(batch)
        if told:
            executor.stop()
    assert len(told) == 4 and told[0] == "pass" and told[-1] == "lost"
    executor.close()


@pytest.mark.parametrize("word", ["die", "stall"])
def test_death_and_silence(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Every order has an outcome, and there is an end, whatever becomes of it."""
    executor = host(monkeypatch)
    run = executor.start()
    executor.send(orders("v.pass", f"v.{word}", "v.pass_2"))
    records = everything(executor)
    assert words(records) == ["pass", "broken", "lost"]
    assert records[-1]["type"] == "end" and records[-1]["complete"] is False
    executor.send(orders("v.pass"))
    assert words(everything(executor)) == ["lost"]
    executor.close()
    assert not alive(run["pid"])


def test_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be started says why, and leaves nothing behind."""
    for command, fake, text in (
        (str(FAKE), "refuse", "it is mounted"),
        (str(FAKE), "mute", "says nothing"),
        ("/nowhere/aioabi", "", "No such file"),
        ("/bin/false", "", "status 1"),
        ("/bin/echo", "", "status 0"),
    ):
        monkeypatch.setenv("FAKE", fake)
        executor = HostExecutor([command, "serve"], patience=0.6)
        with pytest.raises(ExecutorError, match=text):
            executor.start()
        executor.close()


def test_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it says beside its records is kept with the run."""
    executor = host(monkeypatch)
    executor.start()
    executor.attach(tmp_path)
    executor.send(orders("v.die"))
    everything(executor)
    executor.close()
    assert (tmp_path / "executor.log").read_text() == "about to die\n"


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening and closing executors does not use up descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        executor = host(monkeypatch)
        executor.start()
        executor.close()
    assert len(os.listdir("/proc/self/fd")) == before
