# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi merge`: take in runs of another machine, of which nothing is trusted.

Names, sizes, encoding and the form of every record are checked, and what is kept is
written anew from what was understood. Nothing of it names a path here, or a command.
"""
import hashlib
import io
import json
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Iterable, Iterator, Mapping, Optional

from ..executor import LINE_MAX
from ..items import OUTCOMES, Record, printable
from ..store import FORMAT, Store

FACTS_MAX = 1 << 20
RECORDS_MAX = 256 << 20
RUNS_MAX = 1000
ARCHIVE_MAX = 8 << 30  # unpacked, with what is skipped
HEADER_MAX = 1 << 16  # a long name, or a table of attributes
TEXT_MAX = 1000
LIST_MAX = 200
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{5}")
RELEASE = re.compile(r"\w[\w.+:~@-]{0,99}", re.ASCII)
NAME = re.compile(r"[\w.+:@/-]{1,200}", re.ASCII)

# What is kept of a run, and what it must be.
TEXTS = ("release", "version", "arch", "suite", "target", "kernel_log", "why")
NUMBERS = (
    *("cpus", "page_size", "memory_kib", "uid", "jobs", "timeout_scale", "seed"),
    *("aio_nr", "aio_max_nr", "selected", "started", "finished"),
)


class MergeError(Exception):
    """A file cannot be taken in; the text says why."""


@dataclass(frozen=True)
class Merged:
    """A run that was taken in, or why it was not."""

    id: str
    release: str
    records: int
    refused: str = ""


class _Member(tarfile.TarInfo):
    """A member of an archive that does not make its reader hold a header of any size
    in memory."""

    HEADERS = (
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    )

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in self.HEADERS and self.size > HEADER_MAX:
            raise MergeError(f"a header in it is over {HEADER_MAX} bytes")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def merge(store: Store, path: Path) -> list[Merged]:
    """Take in the runs in a file: a tar archive of their folders, or the records that
    `aioabi-cases run --format records` printed. MergeError when it is neither."""
    try:
        try:
            archive = tarfile.open(path, tarinfo=_Member)
        except tarfile.ReadError:
            with path.open("rb") as file:
                return [_records(store, file, path.name)]
        with archive:
            return list(_archive(store, archive, path.name))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise MergeError(f"{path}: {error}") from error


def _archive(store: Store, archive: tarfile.TarFile, source: str) -> Iterator[Merged]:
    found: dict[PurePosixPath, dict[str, tarfile.TarInfo]] = {}
    for member in archive:
        name = PurePosixPath(member.name)
        if member.isreg() and name.name in ("run.json", "outcomes.jsonl"):
            found.setdefault(name.parent, {})[name.name] = member
        if len(found) > RUNS_MAX:
            raise MergeError(f"{source}: more than {RUNS_MAX} runs")
        if member.offset_data + member.size > ARCHIVE_MAX:
            raise MergeError(f"{source}: over {ARCHIVE_MAX} bytes unpacked")
    if not found:
        raise MergeError(f"{source}: no run is in it")
    for folder, members in found.items():
        run = printable(folder.name)[:TEXT_MAX]
        try:
            if len(members) != 2:
                raise MergeError("run.json or outcomes.jsonl is missing")
            facts = _json(_read(archive, members["run.json"], FACTS_MAX))
            if facts.get("format") != FORMAT:
                raise MergeError(f"run.json is not of format {FORMAT}")
            data = _read(archive, members["outcomes.jsonl"], RECORDS_MAX)
            yield _keep(store, facts, data, run, source)
        except MergeError as error:
            yield Merged(run, "", 0, str(error))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    if member.size > most:
        raise MergeError(f"{PurePosixPath(member.name).name} is over {most} bytes")
    file = archive.extractfile(member)
    if file is None:
        raise MergeError(f"{PurePosixPath(member.name).name} is no file")
    return file.read(most)


def _records(store: Store, file: IO[bytes], source: str) -> Merged:
    data = file.read(RECORDS_MAX + 1)
    if len(data) > RECORDS_MAX:
        raise MergeError(f"{source}: over {RECORDS_MAX} bytes")
    first = data.partition(b"\n")[0]
    try:
        head = _json(first)
        if head.get("type") != "run":
            raise MergeError("it does not begin with a `run` record")
        begun = _number(head.get("time"))
        last = list(_parsed(data))[-1]
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(begun))
        facts = {
            **head,
            "target": "host",
            "started": begun,
            "finished": _number(last.get("time")) or begun,
            "state": "finished" if last.get("type") == "end" else "interrupted",
            "complete": last.get("type") == "end" and last.get("complete") is True,
        }
        # The same file is the same run.
        name = f"{stamp}-{hashlib.sha256(data).hexdigest()[:5]}"
        return _keep(store, facts, data, name, source)
    except (MergeError, ValueError, OverflowError) as error:
        raise MergeError(f"{source}: {error}") from error


def _keep(
    store: Store, facts: Mapping[str, Any], data: bytes, name: str, source: str
) -> Merged:
    release = facts.get("release")
    if not RUN_ID.fullmatch(name):
        raise MergeError("its name is no run's id")
    if not isinstance(release, str) or not RELEASE.fullmatch(release):
        raise MergeError("its kernel's release is no name")
    records = [_checked(record, number) for number, record in _numbered(data)]
    if not any(record["type"] == "outcome" for record in records):
        raise MergeError("it has no outcome")
    if any(path.name == name for path in store.folders()):
        raise MergeError("a run of that id is here already")
    about = _facts(facts) | {"id": name, "merged": {"from": printable(source)}}
    store.add(release, name, about, records)
    return Merged(name, release, len(records))


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"format": FORMAT}
    for key in TEXTS:
        if isinstance(facts.get(key), str):
            kept[key] = printable(facts[key])[:TEXT_MAX]
    for key in NUMBERS:
        kept[key] = _number(facts.get(key))
    kept["state"] = "finished" if facts.get("state") == "finished" else "interrupted"
    kept["complete"] = facts.get("complete") is True
    devices = facts.get("devices")
    kept["devices"] = [
        _scalars(device)
        for device in (devices if isinstance(devices, list) else [])[:LIST_MAX]
        if isinstance(device, dict)
    ]
    for key in ("kernel", "machine"):
        if isinstance(facts.get(key), dict):
            kept[key] = _scalars(facts[key])
    return kept


def _scalars(table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in list(table.items())[:LIST_MAX]:
        name = printable(key)[:TEXT_MAX]
        if isinstance(value, str):
            found[name] = printable(value)[:TEXT_MAX]
        elif isinstance(value, (bool, int, float)):
            found[name] = value if isinstance(value, bool) else _number(value)
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return value if abs(value) < 1e15 else 0


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MergeError(f"not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise MergeError("not a JSON object")
    return value


def _numbered(data: bytes) -> Iterator[tuple[int, Record]]:
    lines = io.BytesIO(data)
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            raise MergeError(f"line {number} is over {LINE_MAX} bytes")
        if not line.endswith(b"\n"):
            return  # cut short when its run died
        if line.strip():
            try:
                yield number, _json(line)
            except MergeError as error:
                raise MergeError(f"line {number}: {error}") from error


def _parsed(data: bytes) -> Iterable[Record]:
    return (record for _, record in _numbered(data))


def _checked(record: Record, number: int) -> Record:
    """The record as it is kept: what is not of the form of lib/protocol.md is an
    error where results are joined on it, and left out elsewhere."""
    kind = record.get("type")
    if kind not in ("run", "start", "outcome", "note", "end", "device"):
        return {"type": "note", "text": f"line {number}: a record of another type"}
    if kind not in ("start", "outcome"):
        return _scalars(record) | {"type": kind}
    kept: Record = {"type": kind}
    for key in ("id", "flavour", "device"):
        value = record.get(key)
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise MergeError(f"line {number}: {key} is no name")
        kept[key] = value
    for key in ("seq", "round", "seconds", "checks", "time"):
        kept[key] = _number(record.get(key))
    if kind == "start":
        return kept
    if record.get("outcome") not in OUTCOMES:
        raise MergeError(f"line {number}: no such outcome")
    kept["outcome"] = record["outcome"]
    for key in ("clause", "kind", "reason", "by"):
        if isinstance(record.get(key), str):
            kept[key] = printable(record[key])[: 4 * TEXT_MAX]
    for key in ("diagnostics", "output", "kernel_log"):
        lines: Optional[Any] = record.get(key)
        if isinstance(lines, list):
            kept[key] = [printable(line) for line in lines if isinstance(line, str)]
    return kept
