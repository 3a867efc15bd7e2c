# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of clauses, cases/contract.toml: load, judge, compile, print.

It runs while the program is built, so it needs nothing but Python's own library.
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "cases" / "contract.toml"
RENDERED = ROOT / "cases" / "CONTRACT.md"
PROGRAM = ROOT / "build" / "aioabi-cases"

# The interfaces, in the order of a context's life: name to heading.
INTERFACES = {
    "io_setup": "io_setup: a context is made",
    "ring": "The ring at the context's address",
    "io_submit": "io_submit: requests are queued",
    "ops": "The operations and their events",
    "io_getevents": "io_getevents: events are reaped",
    "io_pgetevents": "io_pgetevents: the same under a signal mask",
    "io_cancel": "io_cancel: a request is called off",
    "io_destroy": "io_destroy, exit, exec and fork: a context ends",
    "libaio": "libaio on top of the calls",
    "programs": "Whole programs",
    "race": "Races",
    "leak": "Leaks",
    "compat": "32-bit callers and other machines",
}

# What a host with root, a loop device, zram and files may lack.
NEEDS = {
    "32-bit kernel": "a kernel for 32-bit machines",
    "CONFIG_AIO off": "a kernel built without native AIO",
    "binder": "a kernel with the binder driver",
    "cancellable endpoint": "a USB FunctionFS endpoint on dummy_hcd",
    "delayed device": "a device that completes after a known time: dm-delay, "
    "null_blk, scsi_debug",
    "failing device": "a device that fails chosen requests: dm-error, dm-flakey, "
    "null_blk, scsi_debug",
    "fault injection": "a kernel whose allocations can be made to fail",
    "fio": "fio with the libaio engine",
    "machine of its own": "a machine whose clock may be set",
    "memory limit": "a memory cgroup that fails allocations without killing",
    "other architecture": "a machine of another architecture",
    "qemu-io": "qemu-io with native AIO",
    "two NUMA nodes": "a machine with two memory nodes",
}

SOURCES = ("man", "kdoc", "code", "uapi", "libaio", "commit")
LEVELS_MAX = 12  # of struct contract_range
VALUES_MAX = 255

ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
COMMIT = re.compile(r"[0-9a-f]{12}")
COMMIT_SOURCE = re.compile(r'commit [0-9a-f]{12} \(".+"\)')
CVE = re.compile(r"CVE-\d{4}-\d{4,}")
TEST = re.compile(r"([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)")

Version = tuple[int, int, int]


class ContractError(Exception):
    """The catalogue cannot be used; its text is a list of faults, one a line."""


@dataclass(frozen=True)
class Range:
    """A point in the history of kernels, by stable branch; empty for none."""

    at: tuple[Version, ...] = ()

    def reached(self, kernel: Version) -> bool:
        """Whether the kernel is at or beyond this point."""
        for level in self.at:
            if level[:2] == kernel[:2]:
                return kernel >= level
        return kernel > self.at[-1]

    def __str__(self) -> str:
        return ", ".join(
            f"{a}.{b}.{c}" if c else f"{a}.{b}" for a, b, c in sorted(self.at)
        )


def holds(since: Range, until: Range, kernel: Version) -> bool:
    """Whether a kernel lies between the two points; an empty one is no bound."""
    return (not since.at or since.reached(kernel)) and not (
        until.at and until.reached(kernel)
    )


@dataclass(frozen=True)
class Value:
    """What the kernels of one range do."""

    value: str  # an integer or an errno with its sign, as C writes it
    since: Range = Range()
    until: Range = Range()
    commit: str = ""


@dataclass(frozen=True)
class Clause:
    """One promise."""

    id: str
    promise: str
    source: tuple[str, ...]
    drift: str = ""
    need: str = ""
    cve: str = ""
    since: Range = Range()
    until: Range = Range()
    values: tuple[Value, ...] = ()
    tests: tuple[str, ...] = ()  # "path/of/test.py::function"

    @property
    def interface(self) -> str:
        return self.id.split(".", 1)[0]

    @property
    def kernels(self) -> str:
        """Its range in words: "from 6.8", "before 7.1", "" for all."""
        parts = []
        if self.since.at:
            parts.append(f"from {self.since}")
        if self.until.at:
            parts.append(f"before {self.until}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Known:
    """A failure that is expected of some releases."""

    case: str
    releases: tuple[str, ...]
    reason: str
    reference: str
    device: str = ""


@dataclass(frozen=True)
class Contract:
    """The whole catalogue, in the order of its file."""

    clauses: dict[str, Clause]
    known: tuple[Known, ...] = ()


@dataclass
class _Reader:
    """Takes a parsed catalogue apart and collects what is wrong with it."""

    faults: list[str] = field(default_factory=list)

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")

    def keys(self, where: str, table: Mapping[str, Any], allowed: str) -> None:
        for key in sorted(set(table) - set(allowed.split())):
            self.fault(where, f"no such field: {key}")

    def text(
        self, where: str, table: Mapping[str, Any], key: str, must: bool = False
    ) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            self.fault(where, f"{key} is no string")
            return ""
        if must and not value.strip():
            self.fault(where, f"{key} is missing")
        if not value.isascii() or not value.isprintable():
            self.fault(where, f"{key} is not one line of ASCII")
        return value

    def texts(self, where: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = table.get(key)
        if not (
            isinstance(value, list)
            and value
            and all(isinstance(v, str) and v.strip() for v in value)
        ):
            self.fault(where, f"{key} is not a list of strings")
            return ()
        return tuple(value)

    def range(self, where: str, table: Mapping[str, Any], key: str) -> Range:
        raw = table.get(key, [])
        levels: list[Version] = []
        for text in raw if isinstance(raw, list) else [raw]:
            match = isinstance(text, str) and RELEASE.fullmatch(text)
            if not match:
                self.fault(where, f"{key}: not a kernel release: {text!r}")
                return Range()
            a, b, c = match.groups("0")
            levels.append((int(a), int(b), int(c)))
        if levels != sorted(levels):
            self.fault(where, f"{key}: not in ascending order")
        if len({level[:2] for level in levels}) != len(levels):
            self.fault(where, f"{key}: a branch twice")
        if len(levels) > LEVELS_MAX:
            self.fault(where, f"{key}: more than {LEVELS_MAX} branches")
        if max((n for level in levels for n in level), default=0) > 0xFFFF:
            self.fault(where, f"{key}: a number too large")
        return Range(tuple(levels))

    def bounds(self, where: str, table: Mapping[str, Any]) -> tuple[Range, Range]:
        since = self.range(where, table, "since")
        until = self.range(where, table, "until")
        if since.at and until.at and since.at[-1] >= until.at[-1]:
            self.fault(where, "until is not after since")
        return since, until

    def value(self, where: str, table: Mapping[str, Any]) -> Value:
        self.keys(where, table, "since until value commit")
        since, until = self.bounds(where, table)
        raw = table.get("value")
        text = str(raw) if type(raw) in (int, str) else ""
        name = text.lstrip("-")
        if not re.fullmatch(r"-?\d+", text) and not (
            text.startswith("-E") and isinstance(getattr(errno, name, None), int)
        ):
            self.fault(where, f"value is no integer and no -ERRNO: {raw!r}")
        elif name.isdigit() and int(name) > 0x7FFFFFFF:
            self.fault(where, "value does not fit a long everywhere")
        commit = self.text(where, table, "commit")
        if commit and not COMMIT.fullmatch(commit):
            self.fault(where, f"commit is not 12 hexadecimal digits: {commit}")
        return Value(text, since, until, commit)

    def values(self, where: str, raw: Any) -> tuple[Value, ...]:
        if not isinstance(raw, list) or not all(isinstance(v, dict) for v in raw):
            self.fault(where, "values is no list of tables")
            return ()
        values = tuple(
            self.value(f"{where} values[{i}]", table) for i, table in enumerate(raw)
        )
        if len(values) == 1 or len(values) > VALUES_MAX:
            self.fault(where, "values: a single one, or too many")
        for kernel in _samples(values):
            n = sum(holds(v.since, v.until, kernel) for v in values)
            if n != 1:
                text = ".".join(map(str, kernel))
                self.fault(where, f"values: {n} of them hold for kernel {text}")
                break
        return values

    def clause(self, name: str, table: Any) -> Clause:
        if not isinstance(table, dict):
            self.fault(name, "is no table")
            table = {}
        self.keys(name, table, "promise source drift need cve since until values tests")
        if not ID.fullmatch(name):
            self.fault(name, "not of the form interface.aspect[.detail]")
        elif name.split(".", 1)[0] not in INTERFACES:
            self.fault(name, "no such interface")
        promise = self.text(name, table, "promise", must=True)
        if promise and not promise.endswith("."):
            self.fault(name, "promise does not end like a sentence")
        source = self.texts(name, table, "source")
        for text in source:
            if text.split(" ", 1)[0] not in SOURCES or " " not in text:
                self.fault(name, f"not a source: {text!r}")
            elif text.startswith("commit ") and not COMMIT_SOURCE.fullmatch(text):
                self.fault(name, f'not of the form commit SHA12 ("subject"): {text}')
        need = self.text(name, table, "need")
        if need and need not in NEEDS:
            self.fault(name, f"no such need: {need}")
        cve = self.text(name, table, "cve")
        if cve and not CVE.fullmatch(cve):
            self.fault(name, f"not a CVE: {cve}")
        since, until = self.bounds(name, table)
        return Clause(
            id=name,
            promise=promise,
            source=source,
            drift=self.text(name, table, "drift"),
            need=need,
            cve=cve,
            since=since,
            until=until,
            values=self.values(name, table["values"]) if "values" in table else (),
            tests=self.tests(name, table),
        )

    def tests(self, name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        tests = self.texts(name, table, "tests") if "tests" in table else ()
        for test in tests:
            if not TEST.fullmatch(test):
                self.fault(name, f"not of the form path.py::function: {test}")
        return tests

    def known(self, raw: Any) -> tuple[Known, ...]:
        if not isinstance(raw, list) or not all(isinstance(k, dict) for k in raw):
            self.fault("known", "is no array of tables")
            return ()
        known = []
        for i, table in enumerate(raw):
            where = f"known[{i}]"
            self.keys(where, table, "case device releases reason reference")
            known.append(
                Known(
                    case=self.text(where, table, "case", must=True),
                    device=self.text(where, table, "device"),
                    releases=self.texts(where, table, "releases"),
                    reason=self.text(where, table, "reason", must=True),
                    reference=self.text(where, table, "reference", must=True),
                )
            )
        all_ = [(k.case, k.device, r) for k in known for r in k.releases]
        for case, _, release in sorted({k for k in all_ if all_.count(k) > 1}):
            self.fault("known", f"{case} twice for {release}")
        return tuple(known)

    def order(self, names: Iterable[str]) -> None:
        ranks = list(INTERFACES)
        last = -1
        for name in names:
            interface = name.split(".", 1)[0]
            if interface not in ranks:
                continue
            rank = ranks.index(interface)
            if rank < last:
                self.fault(name, f"stands behind {ranks[last]}, out of its group")
            last = max(last, rank)


def _samples(values: Iterable[Value]) -> list[Version]:
    """Kernels on both sides of every bound of these values, and far from them."""
    samples: set[Version] = {(2, 6, 0), (99, 0, 0)}
    for value in values:
        for a, b, c in (*value.since.at, *value.until.at):
            samples |= {(a, b, c), (a, b, c + 1), (a, b + 1, 0), (a, b + 1, 9999)}
            if c:
                samples.add((a, b, c - 1))
            if b:
                samples |= {(a, b - 1, 0), (a, b - 1, 9999)}
            else:
                samples.add((a - 1, 9999, 0))
    return sorted(samples)


def parse(text: str) -> Contract:
    """The catalogue of a TOML text; raises ContractError with all its faults."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"not TOML: {error}") from None
    reader = _Reader()
    known = reader.known(tables.pop("known", []))
    reader.order(tables)
    clauses = {name: reader.clause(name, table) for name, table in tables.items()}
    if not clauses:
        reader.fault("catalogue", "has no clauses")
    if reader.faults:
        raise ContractError("\n".join(reader.faults))
    return Contract(clauses, known)


def load(path: Path = CATALOGUE) -> Contract:
    """The catalogue of a file; raises ContractError with all its faults."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: {error}") from None


# --- as C ---


def _c_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _c_range(range_: Range) -> str:
    levels = ", ".join(f"{{ {a}, {b}, {c} }}" for a, b, c in range_.at)
    return f"{{ {len(range_.at)}, {{ {levels} }} }}" if levels else "{ 0 }"


def to_c(contract: Contract) -> str:
    """The tables that lib/contract.h declares, as C source text."""
    out = [
        "/* Made by runner/contract.py from cases/contract.toml. */",
        '#include "contract.h"',
        "",
        "#include <errno.h>",
        "",
    ]
    clauses = sorted(contract.clauses.values(), key=lambda clause: clause.id)
    for n, clause in enumerate(clauses):
        if not clause.values:
            continue
        out.append(f"static const struct contract_value values_{n}[] = {{")
        for v in clause.values:
            out.append(f"\t{{ {_c_range(v.since)}, {_c_range(v.until)}, {v.value} }},")
        out.append("};")
    out.append("const struct contract_clause contract_clauses[] = {")
    for n, clause in enumerate(clauses):
        out += [
            f"\t{{ {_c_string(clause.id)},",
            f"\t  {_c_string(clause.promise)},",
            f"\t  {_c_string('; '.join(clause.source))},",
            f"\t  {_c_range(clause.since)}, {_c_range(clause.until)},",
            f"\t  {len(clause.values)}, {f'values_{n}' if clause.values else 0} }},",
        ]
    known = sorted(
        (k.case, k.device, release, f"{k.reason} ({k.reference})")
        for k in contract.known
        for release in k.releases
    )
    out += [
        "};",
        f"const unsigned int contract_clause_count = {len(clauses)};",
        # C has no empty arrays: one entry more that nobody counts
        "const struct contract_known contract_known_failures[] = {",
        *("\t{ " + ", ".join(map(_c_string, entry)) + " }," for entry in known),
        "\t{ 0, 0, 0, 0 },",
        "};",
        f"const unsigned int contract_known_count = {len(known)};",
        "",
    ]
    return "\n".join(out)


# --- and its cases ---


@dataclass(frozen=True)
class Row:
    """A clause with what holds it."""

    clause: Clause
    cases: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def missing(self) -> str:
        """Why it has no case; "" if it has."""
        if self.cases:
            return ""
        need = self.clause.need
        return f"needs {NEEDS[need]}" if need else "no case yet"


# The outcome of a clause is the first of these that one of its cases had.
WORST_FIRST = ("fail", "fixed", "broken", "lost", "known", "pass", "skip")


def rows(
    contract: Contract,
    listing: Mapping[str, Any] | None = None,
    outcomes: Mapping[str, Iterable[str]] | None = None,
) -> list[Row]:
    """Every clause with its cases and its outcome.

    listing is what `aioabi-cases list --json` prints; outcomes has the outcomes
    of a run by case id.
    """
    cases: dict[str, list[str]] = {}
    for case in (listing or {}).get("cases", ()):
        cases.setdefault(case["clause"], []).append(case["id"])
    result = []
    for clause in contract.clauses.values():
        own = tuple(sorted(cases.get(clause.id, ())))
        had = {o for case in own for o in (outcomes or {}).get(case, ())}
        outcome = next((o for o in WORST_FIRST if o in had), "")
        result.append(Row(clause, own + clause.tests, outcome))
    return result


def faults(contract: Contract, listing: Mapping[str, Any]) -> list[str]:
    """What does not fit between catalogue and cases, one sentence each."""
    ids = {case["id"] for case in listing.get("cases", ())}
    found = [
        f"{case['id']}: no such clause: {case['clause']}"
        if case.get("clause")
        else f"{case['id']}: names no clause"
        for case in listing.get("cases", ())
        if case.get("clause") not in contract.clauses
    ]
    found += [
        f"known: no such case: {known.case}"
        for known in contract.known
        if known.case not in ids
    ]
    found += [
        f"{clause.id}: no such test: {test}"
        for clause in contract.clauses.values()
        for test in clause.tests
        if not _has_test(test)
    ]
    return found


def _has_test(test: str) -> bool:
    path, function = test.split("::")
    source = ROOT / path
    return source.exists() and f"\ndef {function}(" in source.read_text()


def to_text(table: Sequence[Row], width: int = 80) -> str:
    """The catalogue for a terminal: a paragraph a clause."""
    out = []
    interface = ""
    for row in table:
        clause = row.clause
        if clause.interface != interface:
            interface = clause.interface
            out.append(f"{INTERFACES[interface]}\n")
        out.append(clause.id + (f"  [{row.outcome}]" if row.outcome else ""))
        details = [clause.promise, "source: " + "; ".join(clause.source)]
        if clause.kernels:
            details.append(f"kernels: {clause.kernels}")
        if clause.values:
            details.append(f"values: {_values(clause)}")
        if clause.drift:
            details.append(f"drift: {clause.drift}")
        if clause.cve:
            details.append(f"cve: {clause.cve}")
        if row.cases:
            details.append("cases: " + ", ".join(row.cases))
        else:
            details.append(f"without a case: {row.missing}")
        for text in details:
            out += textwrap.wrap(
                text, width, initial_indent="    ", subsequent_indent="      "
            )
        out.append("")
    return "\n".join(out)


def _values(clause: Clause) -> str:
    parts = []
    for v in clause.values:
        kernels = Clause("", "", (), since=v.since, until=v.until).kernels
        commit = f" (commit {v.commit})" if v.commit else ""
        parts.append(f"{v.value} {kernels}{commit}")
    return "; ".join(parts)


def _md(text: str) -> str:
    """Text as it is, in a cell of a Markdown table."""
    return re.sub(r"[\\`*<|]|__", lambda m: "\\" + "\\".join(m[0]), text)


def to_markdown(contract: Contract) -> str:
    """The catalogue as a Markdown page, a table for each interface."""
    out = [
        "# The contract",
        "",
        "What the Linux native AIO ABI promises, as this suite holds it. Made from "
        "`contract.toml` by `make`; do not edit.",
    ]
    for interface, heading in INTERFACES.items():
        own = [c for c in contract.clauses.values() if c.interface == interface]
        if not own:
            continue
        out += [
            "",
            f"## {heading}",
            "",
            "| clause | promise | source |",
            "|---|---|---|",
        ]
        for c in own:
            notes = [_md(c.promise)]
            if c.kernels:
                notes.append(f"*Kernels:* {c.kernels}.")
            if c.values:
                notes.append(f"*Values:* {_values(c)}.")
            if c.drift:
                notes.append(f"*Drift:* {_md(c.drift)}")
            if c.cve:
                notes.append(f"*{c.cve}.*")
            if c.need:
                notes.append(f"*Needs* {_md(NEEDS[c.need])}.")
            source = _md("; ".join(c.source))
            out.append(f"| `{c.id}` | {'<br>'.join(notes)} | {source} |")
    return "\n".join(out) + "\n"


# --- the command ---


def _listing(args: argparse.Namespace) -> dict[str, Any]:
    if args.list:
        text = Path(args.list).read_text(encoding="utf-8")
    else:
        text = subprocess.run(
            [args.program, "list", "--json"],
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ).stdout
    listing = json.loads(text)
    assert isinstance(listing, dict)
    return listing


def _compile(args: argparse.Namespace) -> int:
    Path(args.out).write_text(to_c(load(args.contract)), encoding="ascii")
    return 0


def _check(args: argparse.Namespace) -> int:
    contract = load(args.contract)
    listing = _listing(args)
    found = faults(contract, listing)
    found += _stale(args.rendered, contract)
    missing = [row for row in rows(contract, listing) if row.missing]
    for row in missing:
        print(f"{row.clause.id}: {row.missing}")
        if args.strict and not row.clause.need:
            found.append(f"{row.clause.id}: has neither a case nor a need")
    print(f"{len(contract.clauses)} clauses, {len(missing)} without a case")
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


def _table(args: argparse.Namespace) -> int:
    contract = load(args.contract)
    known = args.list or Path(args.program).exists()
    table = rows(contract, _listing(args)) if known else rows(contract)
    if args.missing:
        table = [row for row in table if row.missing]
    print(to_text(table), end="")
    return 0


def _stale(rendered: Path, contract: Contract) -> list[str]:
    """That the page is there and not what the catalogue says, if it is so."""
    if not rendered.exists() or rendered.read_text() == to_markdown(contract):
        return []
    return [f"{rendered}: not up to date: make format, or runner.contract render"]


def _render(args: argparse.Namespace) -> int:
    contract = load(args.contract)
    stale = _stale(args.rendered, contract)
    if not args.check:
        args.rendered.write_text(to_markdown(contract), encoding="ascii")
        return 0
    for text in stale:
        print(text, file=sys.stderr)
    return 1 if stale else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status: 0, 1 for faults, 2 if it failed."""
    parser = argparse.ArgumentParser(
        prog="python3 -m runner.contract", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--contract", type=Path, default=CATALOGUE, metavar="TOML")
    parser.add_argument("--rendered", type=Path, default=RENDERED, metavar="MD")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("compile", help="write the catalogue as C")
    command.add_argument("out", metavar="OUT.c")
    command.set_defaults(run=_compile)
    cases = argparse.ArgumentParser(add_help=False)
    cases.add_argument("--program", default=str(PROGRAM), help="the executor")
    cases.add_argument("--list", metavar="JSON", help="what its list --json printed")
    command = commands.add_parser(
        "check", parents=[cases], help="every case a clause, every clause a case"
    )
    command.add_argument(
        "--strict", action="store_true", help="a clause needs a case or a need"
    )
    command.set_defaults(run=_check)
    command = commands.add_parser(
        "table", parents=[cases], help="print the catalogue with its cases"
    )
    command.add_argument(
        "--missing", action="store_true", help="only what has no case, and why"
    )
    command.set_defaults(run=_table)
    command = commands.add_parser("render", help="write cases/CONTRACT.md")
    command.add_argument("--check", action="store_true", help="only look at it")
    command.set_defaults(run=_render)
    args = parser.parse_args(argv)
    try:
        status = args.run(args)
    except ContractError as error:
        print(f"{args.contract}: {error}", file=sys.stderr)
        return 2
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
