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
import math
import os
import secrets
import shutil
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Collection, Iterator, Mapping, Optional, Sequence

from .items import Key, Outcome, Record, is_flaky, outcome_name, worst

FORMAT = 1
SCHEMA = 2
COMPARED = 20  # runs that are looked at for an item's last outcome
REASON_MAX = 300  # characters of a reason in the index


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

    def unwell(self) -> list[Outcome]:
        """Its outcomes but for what passed: much quicker than all of them."""
        found = []
        try:
            lines = (self.folder / "outcomes.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            if b'"outcome":"pass"' in line or b'"type":"outcome"' not in line:
                continue
            try:
                found.append(Outcome.from_record(json.loads(line)))
            except ValueError:
                continue
        return [outcome for outcome in found if outcome.outcome != "pass"]

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
        data = _lines_of(records)
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

    def add(
        self,
        release: str,
        name: str,
        facts: Mapping[str, Any],
        records: Sequence[Record],
    ) -> Run:
        """Keep a run that was made elsewhere, under the id that it has."""
        parent = self.root / release
        self._make(parent)
        folder = parent / name
        folder.mkdir()
        (folder / "outcomes.jsonl").write_bytes(_lines_of(records))
        save_facts(folder, facts)  # from here on it is a run
        self.own(folder, *folder.iterdir())
        return Run(folder, facts)

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

    def prune(
        self, keep: int, before: float = math.inf, spared: Collection[str] = ()
    ) -> list[Run]:
        """The runs that may go: not the last `keep` of a kernel (release, build,
        architecture, target), nor its last complete one, nor one that began after
        `before` or goes on, nor one whose id is spared."""
        kernels: dict[tuple[Any, ...], list[Run]] = {}
        for folder in self.folders():
            try:
                run = Run.load(folder)
            except StoreError:
                continue
            about = (run.facts.get(k) for k in ("version", "arch", "target"))
            if run.facts.get("state") != "running":
                kernels.setdefault((run.release, *about), []).append(run)
        gone = []
        for runs in kernels.values():
            complete = [run.id for run in runs if run.facts.get("complete")]
            kept = {run.id for run in runs[-max(1, keep) :]} | {*complete[-1:], *spared}
            gone += [
                run
                for run in runs
                if run.id not in kept and (run.facts.get("started") or 0.0) < before
            ]
        return gone

    def remove(self, run: Run) -> None:
        """Remove a run, and the configuration that no other run has."""
        # Without this file it is no run any more, if the rest should fail.
        (run.folder / "run.json").unlink()
        shutil.rmtree(run.folder)
        parent = run.folder.parent
        left = [Run.load(path.parent) for path in parent.glob("*/run.json")]
        used = {Path(str(r.facts.get("config", {}).get("file"))).name for r in left}
        for path in parent.glob("config-*.gz"):
            if path.name not in used:
                path.unlink()
        if not any(parent.iterdir()):
            parent.rmdir()

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


def _lines_of(records: Sequence[Record]) -> bytes:
    lines = (json.dumps(r, separators=(",", ":")) + "\n" for r in records)
    return "".join(lines).encode()


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


@dataclass(frozen=True)
class Item:
    """What a kernel said of an item. `seen`: how often it had each outcome there, in
    rounds and in runs that should be alike; `run`: where `outcome` comes from."""

    outcome: Outcome
    run: str = ""
    seen: Mapping[str, int] = field(default_factory=dict)

    @property
    def flaky(self) -> bool:
        """Whether this kernel said both."""
        return is_flaky(self.seen)

    def __str__(self) -> str:
        if self.flaky:
            return ", ".join(f"{n} {word}" for word, n in sorted(self.seen.items()))
        return outcome_name(self.outcome.outcome, self.outcome.kind)


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
                DROP TABLE IF EXISTS items;
                DROP TABLE IF EXISTS outcomes;
                CREATE TABLE runs (number INTEGER PRIMARY KEY, run TEXT UNIQUE,
                    folder TEXT, stamp INTEGER, release TEXT, version TEXT, arch TEXT,
                    target TEXT, suite TEXT, state TEXT, complete INTEGER,
                    started REAL, seconds REAL, counts TEXT);
                CREATE TABLE items (number INTEGER PRIMARY KEY, id TEXT, flavour TEXT,
                    device TEXT, clause TEXT, UNIQUE (id, flavour, device));
                -- the worst of the rounds, and how often there was which
                CREATE TABLE outcomes (run INTEGER, item INTEGER, outcome TEXT,
                    kind TEXT, seconds REAL, reason TEXT, seen TEXT,
                    PRIMARY KEY (run, item)) WITHOUT ROWID;
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
        self._db.execute(
            "DELETE FROM outcomes WHERE run = (SELECT number FROM runs WHERE run = ?)",
            (run,),
        )
        self._db.execute("DELETE FROM runs WHERE run = ?", (run,))

    def _add(self, run: Run, stamp: int) -> None:
        facts, outcomes = run.facts, run.outcomes()
        items = worst(outcomes)
        seen: dict[Key, Counter[str]] = {}
        for outcome in outcomes:
            seen.setdefault(outcome.key, Counter())[outcome.outcome] += 1
        started = facts.get("started") or 0.0
        number = self._db.execute(
            "INSERT INTO runs VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?)",
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
                bool(facts.get("complete")),
                started,
                max(0.0, (facts.get("finished") or started) - started),
                json.dumps(Counter(o.outcome for o in items.values())),
            ),
        ).lastrowid
        self._db.executemany(
            """
            INSERT INTO items VALUES (NULL,?,?,?,?) ON CONFLICT DO UPDATE
            SET clause = excluded.clause WHERE excluded.clause != ''
            """,
            ((*o.key, o.clause) for o in items.values()),
        )
        self._db.executemany(
            """
            INSERT INTO outcomes SELECT ?, number, ?, ?, ?, ?, ? FROM items
            WHERE id = ? AND flavour = ? AND device = ?
            """,
            (
                (number, o.outcome, o.kind, o.seconds, o.reason[:REASON_MAX])
                + (json.dumps(seen[o.key]), *o.key)
                for o in items.values()
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
            SELECT r.run, i.id, i.flavour, i.device, o.outcome, o.kind, o.seconds,
                o.reason
            FROM (SELECT number, run FROM runs WHERE release = ? AND version IS ?
                  AND arch IS ? AND target IS ? AND run < ?
                  ORDER BY run DESC LIMIT ?) AS r
            JOIN outcomes AS o ON o.run = r.number
            JOIN items AS i ON i.number = o.item
            WHERE o.outcome != 'lost' ORDER BY r.run
            """,
            (*kernel, facts.get("id", "~"), COMPARED),
        )
        found: dict[Key, Before] = {}
        for run, case, flavour, device, outcome, kind, seconds, reason in rows:
            key = Key(case, flavour, device)
            found[key] = Before(run, Outcome(key, outcome, kind, reason, seconds))
        return found

    def siblings(self, run: str) -> list[tuple[Key, Counter[str]]]:
        """How often the items had which outcome in other runs that should be alike:
        of the same suite on the same build of the kernel and the same target. A
        suite that was changed and not committed is like no other."""
        rows = self._db.execute(
            """
            SELECT i.id, i.flavour, i.device, o.seen
            FROM runs AS this
            JOIN runs AS r ON r.run != this.run AND r.release = this.release
                AND r.version IS this.version AND r.arch IS this.arch
                AND r.target IS this.target AND r.suite = this.suite
                AND r.suite NOT LIKE '%-dirty'
            JOIN outcomes AS o ON o.run = r.number
            JOIN items AS i ON i.number = o.item
            WHERE this.run = ?
            """,
            (run,),
        )
        return [
            (Key(case, flavour, device), Counter(json.loads(seen)))
            for case, flavour, device, seen in rows
        ]

    def latest(self, runs: Sequence[Mapping[str, Any]]) -> dict[Key, Item]:
        """Each item's last outcome in these runs (rows of `runs()`, the latest last),
        but for those that lost it; `seen` also counts older runs of the same suite."""
        found: dict[int, list[Any]] = {}
        for run in reversed(runs):
            suite = run["suite"] or "-dirty"
            for item, word, kind, seconds, reason, seen in self._db.execute(
                "SELECT item, outcome, kind, seconds, reason, seen FROM outcomes "
                "WHERE run = ?",
                (run["number"],),
            ):
                last = found.get(item)
                if last is None or (last[1] == "lost" and word != "lost"):
                    found[item] = [run, word, kind, seconds, reason, {seen: 1}]
                elif suite == last[0]["suite"] and not suite.endswith("-dirty"):
                    last[5][seen] = last[5].get(seen, 0) + 1
        items = self._items()
        result = {}
        for item, (run, word, kind, seconds, reason, seen) in found.items():
            key, clause = items[item]
            outcome = Outcome(key, word, kind, reason, seconds, clause=clause)
            result[key] = Item(outcome, run["run"], _sum(seen))
        return result

    def _items(self) -> dict[int, tuple[Key, str]]:
        rows = self._db.execute("SELECT number, id, flavour, device, clause FROM items")
        return {n: (Key(i, f, d), clause) for n, i, f, d, clause in rows}


def _sum(seen: Mapping[str, int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for text, times in seen.items():
        for word, number in json.loads(text).items():
            total[word] += number * times
    return total
