# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of other machines, which nobody trusts."""
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Callable

import pytest

from runner.reports.merge import MergeError, merge
from runner.store import Index, Run, Store

from .conftest import Suite
from .test_store import begin, outcome

NAME = "20260102-030405-0a1b2"


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """A tar archive with these members."""
    with tarfile.open(path, "w:gz") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def members(facts: dict[str, Any], *records: Any, name: str = NAME) -> dict[str, bytes]:
    """The members of an archive with one run."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    about = {"format": 1, "release": "6.1", "arch": "x86_64", **facts}
    return {
        f"results/6.1/{name}/run.json": json.dumps(about).encode(),
        f"results/6.1/{name}/outcomes.jsonl": "".join(f"{x}\n" for x in lines).encode(),
    }


def test_own_run(tmp_path: Path) -> None:
    """A run of ours comes back as it was, but for what is of no use elsewhere; a
    second time it is refused."""
    there, here = Store(tmp_path / "there"), Store(tmp_path / "here")
    writer = begin(there, suite="f00d", again=["--program", "/x"])
    writer.write(
        [outcome("a.b", "fail", kind="hang", diagnostics=["x"]), {"type": "?"}]
    )
    run = writer.finish("finished", complete=True)
    path = tmp_path / "runs.tgz"
    with tarfile.open(path, "w:gz") as out:
        out.add(run.folder, f"6.1/{run.id}")
    (merged,) = merge(here, path)
    assert (merged.id, merged.release, merged.refused) == (run.id, "6.1", "")
    (copy,) = [Run.load(folder) for folder in here.folders()]
    assert copy.outcomes() == run.outcomes()
    for key in ("release", "version", "arch", "target", "suite", "state", "complete"):
        assert copy.facts[key] == run.facts[key]
    assert "again" not in copy.facts and "pid" not in copy.facts
    assert copy.facts["merged"] == {"from": "runs.tgz"}
    assert [row["counts"] for row in Index(here).runs()] == [{"fail": 1}]
    (again,) = merge(here, path)
    assert "already" in again.refused


def test_records(tmp_path: Path) -> None:
    """What the static program printed is a run; twice it is the same one."""
    store = Store(tmp_path / "here")
    head = {"type": "run", "format": 1, "release": "6.1-x", "time": 1.8e9, "pid": 7}
    end = {"type": "end", "complete": True, "time": 1.8e9 + 5}
    path = tmp_path / "out.jsonl"
    lines = [json.dumps(r) for r in (head, outcome("a.b"), end)]
    path.write_text("\n".join(lines) + "\n")
    (merged,) = merge(store, path)
    run = Run.load(store.folders()[0])
    assert (run.release, run.id) == ("6.1-x", merged.id)
    assert run.facts["complete"] and run.facts["finished"] == 1.8e9 + 5
    with pytest.raises(MergeError, match="already"):
        merge(store, path)
    path.write_text("\n".join(lines[:2]) + '\n{"type":"outc')
    merge(store, path)
    states = {Run.load(folder).facts["state"] for folder in store.folders()}
    assert states == {"finished", "interrupted"}


REFUSED: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "id": (lambda: members({}, outcome("a.b"), name="../../etc"), "no run's id"),
    "hidden": (lambda: members({}, outcome("a.b"), name=".x"), "no run's id"),
    "release": (
        lambda: members({"release": "../../../tmp"}, outcome("a.b")),
        "release is no name",
    ),
    "dots": (lambda: members({"release": ".."}, outcome("a.b")), "no name"),
    "no release": (lambda: members({"release": None}, outcome("a.b")), "no name"),
    "format": (lambda: members({"format": 9}, outcome("a.b")), "not of format"),
    "no outcome": (lambda: members({}), "no outcome"),
    "other outcome": (lambda: members({}, outcome("a.b", "great")), "line 1: no such"),
    "item": (lambda: members({}, outcome("<script>")), "line 1: id is no name"),
    "list": (lambda: members({}, "[1]"), "line 1: not a JSON object"),
    "not JSON": (lambda: members({}, outcome("a.b"), "{]"), "line 2: not JSON"),
    "deep": (lambda: members({}, '{"a":' + "[" * 9999), "line 1: not JSON"),
    "long": (
        lambda: members({}, outcome("a.b", reason="x" * (5 << 20))),
        "line 1 is over",
    ),
    "encoding": (
        lambda: {
            **members({}),
            f"results/6.1/{NAME}/outcomes.jsonl": b'{"type":"\xff"}\n',
        },
        "not JSON in UTF-8",
    ),
    "half": (lambda: dict(list(members({}).items())[:1]), "is missing"),
    "large": (
        lambda: {**members({}), f"results/6.1/{NAME}/run.json": b" " * (2 << 20)},
        "run.json is over",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    """A run that is not as it should be is refused, and nothing is written."""
    made, why = REFUSED[name]
    store = Store(tmp_path / "deep" / "down" / "here")
    (merged,) = merge(store, archive(tmp_path / "x.tar", made()))
    assert why in merged.refused
    assert not store.root.exists()


@pytest.mark.parametrize(
    "data", [b"", b"x" * 100, b"\x1f\x8b torn", b'{"type":"end"}\n']
)
def test_no_runs_at_all(tmp_path: Path, data: bytes) -> None:
    """A file that is neither an archive nor records is an error."""
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(MergeError):
        merge(Store(tmp_path / "here"), path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"0"])
def test_sizes_are_not_believed(tmp_path: Path, kind: bytes) -> None:
    """Neither a header nor a member that says it is huge is read, or skipped."""
    huge = tarfile.TarInfo("huge")
    huge.size, huge.type = 1 << 40, kind
    path = archive(tmp_path / "x.tar", members({}, outcome("a.b")))
    for before in (b"", gzip.decompress(path.read_bytes()).rstrip(b"\0")):
        before += bytes(-len(before) % 512)
        path.write_bytes(before + huge.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        with pytest.raises(MergeError, match="over|bytes"):
            merge(Store(tmp_path / "here"), path)


def test_links_and_others_are_left(tmp_path: Path) -> None:
    """Of an archive only regular files of the right name are looked at."""
    path = archive(tmp_path / "x.tar", members({}, outcome("a.b")))
    with tarfile.open(tmp_path / "y.tar", "w") as out:
        link = tarfile.TarInfo(f"6.1/{NAME}/run.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    with pytest.raises(MergeError, match="no run is in it"):
        merge(Store(tmp_path / "here"), tmp_path / "y.tar")
    assert not merge(Store(tmp_path / "here"), path)[0].refused


def test_odd_facts(tmp_path: Path) -> None:
    """Facts that are not as they should be do no harm."""
    store = Store(tmp_path / "here")
    facts = {
        "version": ["x"],
        "started": "yesterday",
        "state": "running",
        "devices": [{"name": "loop", "x": {"y": 1}}, 7],
        "counts": {"pass": 1e300},
        "kernel": {"name": "debian 6.1", "\x1b[0m": "\x1b[31m"},
    }
    odd = outcome(
        "a.b", seconds="long", round=1e300, diagnostics="x", reason="\x1b[31m"
    )
    assert not merge(store, archive(tmp_path / "x", members(facts, odd)))[0].refused
    run = Run.load(store.folders()[0])
    assert run.facts["state"] == "interrupted"
    assert run.facts["devices"] == [{"name": "loop"}]
    assert Index(store).runs()[0]["started"] == 0
    assert "\x1b" not in (run.folder / "outcomes.jsonl").read_text()
    assert "\x1b" not in json.dumps(run.facts, ensure_ascii=False)


def test_merge_command(suite: Suite, tmp_path: Path) -> None:
    """`aioabi merge` says what it took in, and has status 2 for what it did not."""
    good = archive(tmp_path / "good.tgz", members({}, outcome("a.b")))
    bad = archive(tmp_path / "bad.tgz", members({"release": ""}, outcome("a.b")))
    done = suite("merge", str(good))
    assert (done.status, done.out) == (0, f"{NAME}: 1 records of 6.1\n")
    done = suite("merge", str(bad))
    assert (done.status, "no name" in done.err) == (2, True)
    assert suite("merge", str(tmp_path / "none")).status == 2
    assert "6.1" in suite("list").out
