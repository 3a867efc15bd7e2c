# SPDX-License-Identifier: GPL-2.0-or-later
"""The results: a folder a run, which is the truth, and an index derived from it.

    results/<kernel release>/<run id>/run.json        what ran, where, its state
                                      outcomes.jsonl  the records, as they came
                                      lock            held while the run lives
    results/<kernel release>/config-<sha256>.gz       the kernel's configuration
    results/index.sqlite                              all runs; can be deleted
"""
import fcntl
import gzip
import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence

from .items import Key, Outcome, Record, worst

FORMAT = 1
SCHEMA = 1
COMPARED = 20  # runs that are looked at for an item's last outcome


class StoreError(Exception):
    """The results cannot be used as asked; the text says why."""


@dataclass(frozen=True)
class Run:
    """A run that is kept: its folder, and what run.json says."""

    folder: Path
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Run":
        """The run in this folder; StoreError when there is none that can be read."""
        try:
            facts = json.loads((folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"{folder}: no run can be read there: {error}") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise StoreError(f"{folder}: run.json is not of format {FORMAT}")
        return cls(folder, facts)

    @property
    def id(self) -> str:
        """The run's id: ids sort by time."""
        return self.folder.name

    @property
    def release(self) -> str:
        """The kernel's release."""
        return self.folder.parent.name

    def records(self) -> Iterator[Record]:
        """Its records. A line that was cut short by the run's death is left out."""
        try:
            with (self.folder / "outcomes.jsonl").open("rb") as lines:
                for line in lines:
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue
        except FileNotFoundError:
            return

    def outcomes(self) -> list[Outcome]:
        """Its outcomes, in the order in which they came."""
        return [
            Outcome.from_record(record)
            for record in self.records()
            if record.get("type") == "outcome"
        ]

    def unfinished(self) -> list[Key]:
        """Items that were started and have no outcome: what killed it may be here."""
        flying: dict[tuple[Any, Any], Key] = {}
        for record in self.records():
            mark = (record.get("seq"), record.get("round"))
            if record.get("type") == "start":
                flying[mark] = Outcome.from_record(record).key
            elif record.get("type") == "outcome":
                flying.pop(mark, None)
        return list(flying.values())


class RunWriter:
    """The run that is being made: its folder is locked until it is finished, or
    this process is gone."""

    def __init__(self, store: "Store", folder: Path, facts: dict[str, Any]):
        self._store = store
        self.folder = folder
        self.facts = facts
        self._lock = store.lock(folder)
        self.save()
        self._file = os.open(
            folder / "outcomes.jsonl",
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL,
            0o666,
        )
        store.own(folder / "outcomes.jsonl")

    def write(self, records: Sequence[Record]) -> None:
        """Keep these records: when this returns, they are on the disk."""
        lines = (json.dumps(r, separators=(",", ":")) + "\n" for r in records)
        data = "".join(lines).encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)

    def learn(self, device: Record) -> None:
        """Keep what a record says of a device that was made while the run went on."""
        known = [d for d in self.facts.get("devices") or () if isinstance(d, dict)]
        for entry in known:
            if entry.get("name") == device.get("name"):
                entry.update({k: v for k, v in device.items() if k != "type"})
        self.save()

    def save(self) -> None:
        """Write run.json as a whole, or not at all."""
        save_facts(self.folder, self.facts)
        self._store.own(self.folder / "run.json")

    def finish(self, state: str, **more: Any) -> Run:
        """The run is over: say so in run.json, unlock it and index it."""
        self.facts |= {"state": state, "finished": time.time(), **more}
        self.save()
        os.close(self._file)
        self._store.unlock(self.folder, self._lock)
        self._store.own(*self.folder.iterdir())
        return Run(self.folder, self.facts)


class Store:
    """All runs, in one folder."""

    def __init__(self, root: Path):
        self.root = root

    def begin(
        self, release: str, facts: Mapping[str, Any], config: Optional[bytes] = None
    ) -> RunWriter:
        """Start a run of this kernel release. `facts` go into run.json."""
        parent = self.root / release.replace("/", "_")
        self._make(parent)
        while True:
            now = time.time()
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
            # To the millisecond for the order, two digits more to be unique.
            folder = parent / f"{stamp}-{int(now % 1 * 1000):03}{secrets.token_hex(1)}"
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue
        self.own(folder)
        more: dict[str, Any] = {}
        if config is not None:
            more["config"] = self._keep_config(parent, config)
        about = {
            "format": FORMAT,
            "id": folder.name,
            "release": release,
            "state": "running",
            "started": time.time(),
            "pid": os.getpid(),
            **facts,
            **more,
        }
        return RunWriter(self, folder, about)

    def recover(self) -> list[Run]:
        """Mark the runs that ended without saying so as interrupted, and return
        them. A run is such a one when its lock is there and nobody holds it."""
        dead = []
        for lock in self.root.glob("*/*/lock"):
            if not os.access(lock.parent, os.W_OK):
                continue  # somebody else's
            try:
                held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # it ended just now
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                continue
            try:
                run = Run.load(lock.parent)
                if run.facts.get("state") == "running":
                    kept = lock.parent / "outcomes.jsonl"
                    last = (kept if kept.exists() else lock).stat().st_mtime
                    facts = {**run.facts, "state": "interrupted", "finished": last}
                    facts["unfinished"] = [str(key) for key in run.unfinished()]
                    save_facts(lock.parent, facts)
                    self.own(lock.parent / "run.json")
                    dead.append(Run(lock.parent, facts))
            except (StoreError, OSError):
                pass  # killed before there was anything to keep
            self.unlock(lock.parent, held)
        return dead

    def folders(self) -> list[Path]:
        """The folders of all runs, the latest last."""
        found = self.root.glob("*/*/run.json")
        return sorted((path.parent for path in found), key=lambda path: path.name)

    def find(self, name: str) -> Run:
        """The run of this id, the beginning of one, or folder; `last` is the latest."""
        folders = self.folders()
        if name == "last":
            matches = folders[-1:]
        else:
            wanted = Path(name).name
            matches = [path for path in folders if path.name.startswith(wanted)]
            matches = [p for p in matches if p.name == wanted] or matches
        if not matches:
            raise StoreError(f"no run {name!r} in {self.root}")
        if len(matches) > 1:
            names = ", ".join(path.name for path in matches[:5])
            raise StoreError(f"{name!r} may be any of {len(matches)} runs: {names}")
        return Run.load(matches[0])

    def lock(self, folder: Path) -> int:
        """Lock a run's folder for as long as this process lives."""
        # Under its name the lock is never seen without being held.
        new = folder / ".lock"
        held = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.own(new)
        new.rename(folder / "lock")
        return held

    def unlock(self, folder: Path, held: int) -> None:
        """The run in this folder is over."""
        (folder / "lock").unlink(missing_ok=True)
        os.close(held)

    def own(self, *paths: Path) -> None:
        """Under sudo: what is made in somebody's checkout is theirs."""
        if os.geteuid() == 0:
            owner = self.root.stat()
            for path in paths:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _make(self, folder: Path) -> None:
        if not self.root.exists():
            self.root.mkdir(parents=True)
            if os.geteuid() == 0 and "SUDO_UID" in os.environ:
                uid, gid = os.environ["SUDO_UID"], os.environ.get("SUDO_GID", "-1")
                os.chown(self.root, int(uid), int(gid))
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            self.own(folder)

    def _keep_config(self, parent: Path, config: bytes) -> dict[str, str]:
        digest = hashlib.sha256(config).hexdigest()
        path = parent / f"config-{digest[:16]}.gz"
        if not path.exists():
            new = path.with_name(f".{path.name}.{os.getpid()}")
            new.write_bytes(gzip.compress(config, mtime=0))
            new.rename(path)
            self.own(path)
        return {"sha256": digest, "file": f"../{path.name}"}


def save_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write a run's run.json, so that it is the old one or the new one, and whole."""
    new = folder / ".run.json"
    with new.open("w") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(folder / "run.json")


@dataclass(frozen=True)
class Before:
    """What became of an item the last time: in which run."""

    run: str
    outcome: Outcome


class Index:
    """All runs in one SQLite file, made from their folders. It is brought up to date
    whenever it is opened; deleting it loses nothing."""

    def __init__(self, store: Store):
        self._store = store
        self._path = store.root / "index.sqlite"
        try:
            self._db = self._open(str(self._path))
            self._sync()
            store.own(self._path)
        except sqlite3.OperationalError:
            # The folder is not ours to write to: an index for this once.
            self._db = self._open(":memory:")
            self._sync()
        except sqlite3.DatabaseError:
            self._path.unlink()
            self._db = self._open(str(self._path))
            self._sync()

    def _open(self, path: str) -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=30)
        if database.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
            database.executescript(
                f"""
                BEGIN IMMEDIATE;
                DROP TABLE IF EXISTS runs;
                DROP TABLE IF EXISTS outcomes;
                CREATE TABLE runs (run TEXT PRIMARY KEY, folder TEXT, stamp INTEGER,
                    release TEXT, version TEXT, arch TEXT, target TEXT, suite TEXT,
                    state TEXT, started REAL, seconds REAL, counts TEXT);
                CREATE TABLE outcomes (run TEXT, id TEXT, flavour TEXT, device TEXT,
                    round INTEGER, outcome TEXT, kind TEXT, seconds REAL, reason TEXT,
                    clause TEXT);
                CREATE INDEX outcomes_run ON outcomes (run);
                CREATE INDEX outcomes_item ON outcomes (id, flavour, device);
                PRAGMA user_version = {SCHEMA};
                COMMIT;
                """
            )
        return database

    def _sync(self) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            kept = dict(self._db.execute("SELECT run, stamp FROM runs"))
            for folder in self._store.folders():
                stamp = (folder / "run.json").stat().st_mtime_ns
                if kept.pop(folder.name, None) != stamp:
                    self._forget(folder.name)
                    try:
                        self._add(Run.load(folder), stamp)
                    except StoreError:
                        continue
            for run in kept:
                self._forget(run)

    def _forget(self, run: str) -> None:
        self._db.execute("DELETE FROM runs WHERE run = ?", (run,))
        self._db.execute("DELETE FROM outcomes WHERE run = ?", (run,))

    def _add(self, run: Run, stamp: int) -> None:
        facts, outcomes = run.facts, run.outcomes()
        counts = Counter(o.outcome for o in worst(outcomes).values())
        started = facts.get("started") or 0.0
        self._db.execute(
            "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                run.id,
                str(run.folder.relative_to(self._store.root)),
                stamp,
                run.release,
                facts.get("version"),
                facts.get("arch"),
                facts.get("target"),
                facts.get("suite"),
                facts.get("state"),
                started,
                max(0.0, (facts.get("finished") or started) - started),
                json.dumps(counts),
            ),
        )
        self._db.executemany(
            "INSERT INTO outcomes VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                (run.id, *o.key, o.round, o.outcome, o.kind, o.seconds, o.reason)
                + (o.clause,)
                for o in outcomes
            ),
        )

    def runs(self, limit: int = -1) -> list[dict[str, Any]]:
        """The rows of the latest runs, the latest last; `counts` by outcome."""
        cursor = self._db.execute(
            "SELECT * FROM runs ORDER BY run DESC LIMIT ?", (limit,)
        )
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row)) for row in cursor]
        return [row | {"counts": json.loads(row["counts"])} for row in reversed(rows)]

    def before(self, facts: Mapping[str, Any]) -> dict[Key, Before]:
        """What the last runs before this one said of each item on the same kernel,
        architecture and target. An item that was lost then is looked for further
        back."""
        kernel = [facts.get(k) for k in ("release", "version", "arch", "target")]
        rows = self._db.execute(
            """
            SELECT run, id, flavour, device, outcome, kind, seconds, reason
            FROM outcomes WHERE outcome != 'lost' AND run IN
                (SELECT run FROM runs WHERE release = ? AND version IS ?
                 AND arch IS ? AND target IS ? AND run < ?
                 ORDER BY run DESC LIMIT ?)
            ORDER BY run
            """,
            (*kernel, facts.get("id", "~"), COMPARED),
        )
        found: dict[Key, Before] = {}
        for run, case, flavour, device, outcome, kind, seconds, reason in rows:
            key = Key(case, flavour, device)
            now = Outcome(key, outcome, kind, reason, seconds)
            last = found.get(key)
            if not last or last.run != run or last.outcome.rank < now.rank:
                found[key] = Before(run, now)
        return found
