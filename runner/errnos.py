# SPDX-License-Identifier: GPL-2.0-or-later
"""The errnos that the contract names, and how they were met: `contract --errnos`.

A clause's errno is met when a case of that clause passed in which a call gave it, or
an expectation was met by it; truly, unless what the case makes fail is injected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterable, Mapping

from .contract import NEEDS, Clause, Contract
from .items import Case, Record

_ERRNO = re.compile(r"-(E[A-Z0-9]+)\b")
# Where a promise names what does not come: the loser of two errnos, another call's.
_OTHERS = re.compile(
    r"\bwins? over .*|\bnot -E[A-Z0-9]+|\bnever meet -E[A-Z0-9]+"
    r"|\b(?:although \S+|where the system call) says -E[A-Z0-9]+"
)
# What a case cannot make sure of, or cannot see.
_OUT_OF_SIGHT = {
    ("io_setup.eintr", "EINTR"): "truly, only a call that a fatal signal ends gives it",
    ("io_submit.rw_flags.nowait_file_buffered", "EAGAIN"): "the file system's choice",
    ("io_destroy.exec.gone", "EINVAL"): "met by the program that exec(2) put in place",
}


@dataclass
class Met:
    """An errno of a clause, and the cases that met it."""

    clause: Clause
    errno: str
    truly: set[str] = field(default_factory=set)
    injected: set[str] = field(default_factory=set)

    @property
    def how(self) -> str:
        """In a word."""
        return "true" if self.truly else "injected" if self.injected else "no"

    @property
    def cases(self) -> list[str]:
        """Those that count, by name."""
        return sorted(self.truly or self.injected)

    @property
    def why_not(self) -> str:
        """Why it may not have been met, as far as the contract knows."""
        clause = self.clause
        if (clause.id, self.errno) in _OUT_OF_SIGHT:
            return _OUT_OF_SIGHT[clause.id, self.errno]
        if clause.need:
            return f"needs {NEEDS[clause.need]}"
        for value in clause.values:
            if value.value == f"-{self.errno}":
                clause = Clause("", "", (), since=value.since, until=value.until)
        return f"kernels {clause.kernels}" if clause.kernels else ""


def documented(clause: Clause) -> list[str]:
    """The errnos that a clause names, in its promise or as its values."""
    values = " ".join(value.value for value in clause.values)
    promise = _OTHERS.sub("", clause.promise)
    return list(dict.fromkeys(_ERRNO.findall(f"{promise} {values}")))


def met(
    contract: Contract,
    cases: Iterable[Case],
    truly: Mapping[str, bool],
    records: Iterable[Record],
) -> list[Met]:
    """Every errno of every clause, with the cases that met it by these records.

    truly says of a failure point whether what fails there is the kernel.
    """
    found = {
        (clause.id, errno): Met(clause, errno)
        for clause in contract.clauses.values()
        for errno in documented(clause)
    }
    faults = {case.id: case.fault for case in cases}
    for record in records:
        case = str(record.get("id"))
        if record.get("type") != "outcome" or record.get("outcome") != "pass":
            continue
        if case not in faults:
            continue
        for errno in record.get("errnos") or ():
            entry = found.get((str(record.get("clause")), str(errno)))
            if entry:
                true = truly.get(faults[case], True)
                (entry.truly if true else entry.injected).add(case)
    return list(found.values())


def to_text(table: Iterable[Met], missing: bool = False) -> str:
    """A line an errno, and the sums; missing: only those that were not met."""
    rows = list(table)
    out = []
    for row in rows:
        if missing and row.cases:
            continue
        by = row.cases[0] if row.cases else row.why_not
        more = f" and {len(row.cases) - 1} more" if len(row.cases) > 1 else ""
        out.append(f"{row.clause.id:40} {row.errno:12} {row.how:9} {by}{more}".rstrip())
    counts = {
        how: sum(row.how == how for row in rows) for how in ("true", "injected", "no")
    }
    out.append(
        f"{len(rows)} errnos in {len({row.clause.id for row in rows})} clauses: "
        f"{counts['true']} met truly, {counts['injected']} injected, "
        f"{counts['no']} not met"
    )
    return "\n".join(out) + "\n"
