# SPDX-License-Identifier: GPL-2.0-or-later
"""The results: what is kept, how it is found again, and what is told of it."""
import gzip
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from runner.items import Case, Key, Outcome, Pattern, select
from runner.store import Index, Run, RunWriter, Store, StoreError
from runner.summary import Summary

from .conftest import Suite


def outcome(case: str, word: str = "pass", **more: Any) -> dict[str, Any]:
    """The record of an outcome."""
    fields = {"seq": 0, "id": case, "flavour": "raw", "device": "loop", "round": 1}
    return {"type": "outcome", **fields, "outcome": word, "seconds": 0.1, **more}


def begin(store: Store, **facts: Any) -> RunWriter:
    """A run on some kernel."""
    about = {"version": "#1", "arch": "x86_64", "target": "host", **facts}
    return store.begin("6.1", about, b"CONFIG_AIO=y\n")


def kept(store: Store, *records: dict[str, Any], **facts: Any) -> Run:
    """A finished run with these records."""
    writer = begin(store, **facts)
    writer.write(records)
    return writer.finish("finished")


def key(case: str) -> Key:
    """The item of `outcome`."""
    return Key(case, "raw", "loop")


def test_folder(tmp_path: Path) -> None:
    """A run is a folder that can be read by itself."""
    run = kept(Store(tmp_path), outcome("a.b"))
    assert run.folder.parent == tmp_path / "6.1"
    assert sorted(os.listdir(run.folder)) == ["outcomes.jsonl", "run.json"]
    assert Run.load(run.folder).facts == run.facts
    config = run.folder / run.facts["config"]["file"]
    assert gzip.decompress(config.read_bytes()) == b"CONFIG_AIO=y\n"


def test_dead_run_without_records(tmp_path: Path) -> None:
    """A run that was killed at its very beginning is marked too."""
    store = Store(tmp_path)
    writer = begin(store)
    assert store.recover() == []
    os.close(writer._lock)
    (writer.folder / "outcomes.jsonl").unlink()
    assert [run.id for run in store.recover()] == [writer.folder.name]
    assert store.recover() == []
    assert store.find("last").facts["state"] == "interrupted"


def test_torn_line(tmp_path: Path) -> None:
    """A line that was cut short costs that line only."""
    run = kept(Store(tmp_path), outcome("a.b"), outcome("a.c", "fail"))
    with (run.folder / "outcomes.jsonl").open("a") as file:
        file.write('{"type":"outcome","id":"a.d","ou')
    assert [o.key.id for o in run.outcomes()] == ["a.b", "a.c"]


def test_find(tmp_path: Path) -> None:
    """A run is found by its id, a beginning of it, its folder, and as the last."""
    store = Store(tmp_path)
    with pytest.raises(StoreError):
        store.find("last")
    runs = [kept(store), kept(store)]
    for name in (runs[0].id, runs[0].id[:-1], str(runs[0].folder)):
        assert store.find(name).id == runs[0].id
    assert store.find("last").id == max(run.id for run in runs)
    with pytest.raises(StoreError, match="any of 2 runs"):
        store.find("2")
    with pytest.raises(StoreError, match="no run"):
        store.find("1999")


def test_index_is_derived(tmp_path: Path) -> None:
    """The index comes back after it was deleted or spoilt, and follows the folders."""
    store, path = Store(tmp_path), tmp_path / "index.sqlite"
    first, second = kept(store, outcome("a.b")), kept(store, outcome("a.b", "fail"))
    rows = Index(store).runs()
    assert [row["counts"] for row in rows] == [{"pass": 1}, {"fail": 1}] or rows
    assert {row["run"] for row in rows} == {first.id, second.id}
    path.unlink()
    assert Index(store).runs() == rows
    path.write_bytes(b"no database at all" * 1000)
    assert Index(store).runs() == rows
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    assert Index(store).runs() == rows
    for entry in second.folder.iterdir():
        entry.unlink()
    second.folder.rmdir()
    assert [row["run"] for row in Index(store).runs()] == [first.id]


def test_reindex(suite: Suite) -> None:
    """`aioabi reindex` makes it anew."""
    kept(suite.store, outcome("a.b"))
    assert suite("reindex").out == "1 runs\n"
    assert "1 pass" in suite("list").out


def test_before(tmp_path: Path) -> None:
    """An item's last outcome is looked for on the same kernel and target, and further
    back where the last run lost it or did not have it."""
    store = Store(tmp_path)
    ids = iter(range(100))

    def run(*records: dict[str, Any], **facts: Any) -> Run:
        made = kept(store, *records, **facts)
        named = made.folder.with_name(f"20260101-{next(ids):06}")
        made.folder.rename(named)
        return Run.load(named)

    run(outcome("a.b", "fail"), outcome("a.c"))
    run(outcome("a.b"), outcome("a.d"), outcome("a.c", "lost"))
    run(outcome("a.b", "skip"), version="#2")
    run(outcome("a.b", "skip"), target="vm")
    now = begin(store)
    before = Index(store).before(now.facts)
    told = {k.id: (b.outcome.outcome, b.run[-1]) for k, b in before.items()}
    assert told == {"a.b": ("pass", "1"), "a.c": ("pass", "0"), "a.d": ("pass", "1")}

    records = [
        outcome("a.b", "fail", kind="hang"),
        outcome("a.c", seconds=2.0),
        outcome("a.d", seconds=0.15),
        outcome("a.e"),
    ]
    summary = Summary([Outcome.from_record(r) for r in records], before)
    assert summary.differences() == [
        "a.b[raw-loop]  pass -> fail hang",
        "a.c[raw-loop]  0.100s -> 2.000s  (in 20260101-000000)",
        "1 item that has not been run here before",
    ]


def test_owner(tmp_path: Path) -> None:
    """What root makes in somebody's results is theirs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(tmp_path, 1234, 1234)
    store = Store(tmp_path)
    run = kept(store, outcome("a.b"))
    Index(store)
    found = [tmp_path / "index.sqlite", run.folder, *tmp_path.glob("6.1/**/*")]
    assert len(found) > 5 and {path.stat().st_uid for path in found} == {1234}


def test_patterns() -> None:
    """What a pattern names."""
    keys = [key(n) for n in ("io_setup.einval_nr", "io_setup.eagain", "ring.io_setup")]
    table: list[tuple[list[str], set[int]]] = [
        (["io_setup"], {0, 1}),
        (["io_set"], set()),
        (["io_setup.einval*"], {0}),
        (["*einval*", "ring"], {0, 2}),
        (["!ring"], {0, 1}),
        (["io_setup", "!*eagain"], {0}),
        (["io_setup.eagain[raw-loop]"], {1}),
        (["cases/x.c::io_setup.eagain[raw-loop]"], {1}),
        ([], {0, 1, 2}),
    ]
    for texts, expected in table:
        chosen = select(keys, [Pattern(text) for text in texts])
        assert (texts, chosen) == (texts, {keys[place] for place in expected})


def test_odd_records() -> None:
    """Whatever an outcome's record holds, it can be shown."""
    odd = Outcome.from_record(
        {"type": "outcome", "id": 7, "seconds": float("nan"), "round": 1e300}
        | {"outcome": ["x"], "diagnostics": "text", "output": [{}, "a\nb\x1b[2J", None]}
    )
    assert odd.outcome == "broken" and odd.seconds == 0 and odd.round == 1
    assert odd.output == ("{}", "a", "b\ufffd[2J", "None")
    assert str(odd.key) == "7[-]"


def test_items_of_a_case() -> None:
    """A case's items, by what it is on and what there is."""
    devices: list[dict[str, Any]] = [
        {"name": "nvme", "kind": "block", "default": True},
        {"name": "scsi", "kind": "block"},
        {"name": "ext4", "kind": "dir"},
    ]

    def names(on: str, every: bool) -> list[str]:
        case = Case("a.b", "a.c", 1, flavours=("raw", "x"), on=on, every_device=every)
        return [item.device for item in case.items(["raw"], devices)]

    assert names("", False) == ["nvme"]
    assert names("block", True) == ["nvme", "scsi"]
    assert names("any", True) == ["nvme", "scsi", "ext4"]
    assert names("file", True) == ["ext4"]
    assert names("file", False) == ["nvme"]


def test_limits_that_are_known_late(tmp_path: Path) -> None:
    """What a record says of a device is in run.json, though it came in the middle."""
    devices = [{"name": "nvme", "path": "zoo:nvme", "default": False}]
    writer = begin(Store(tmp_path), devices=devices)
    writer.learn({"type": "device", "name": "nvme", "path": "/dev/nvme0n1", "size": 1})
    writer.learn({"type": "device", "name": "other"})
    run = Run.load(writer.finish("finished").folder)
    assert run.facts["devices"] == [
        {"name": "nvme", "path": "/dev/nvme0n1", "default": False, "size": 1}
    ]
