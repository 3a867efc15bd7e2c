# SPDX-License-Identifier: GPL-2.0-or-later
"""Which errnos of the contract were met, and how."""
import json

import pytest
from click.testing import CliRunner

from runner.contract import Clause, Contract, Range, Value, parse
from runner.errnos import documented, met, to_text
from runner.items import Case
from runner.reports.cli import contract_command

CATALOGUE = """
["io_setup.einval.ctx"]
promise = "A handle that is not 0 is -EINVAL."
source = ["kdoc sys_io_setup"]

["io_submit.enomem"]
promise = "Without memory the call is -EAGAIN."
source = ["code aio_get_req"]
need = "fault injection"
"""
CASES = [
    Case("io_setup.one", "f.c", 1),
    Case("io_setup.two", "f.c", 2, fault="aio/io_setup"),
    Case("io_submit.limit", "f.c", 3, fault="mm/list"),
]
TRULY = {"aio/io_setup": False, "mm/list": True}


@pytest.fixture
def contract() -> Contract:
    return parse(CATALOGUE)


def record(case: str, clause: str, *errnos: str, outcome: str = "pass"):
    return {
        "type": "outcome",
        "id": case,
        "clause": clause,
        "outcome": outcome,
        "errnos": list(errnos),
    }


@pytest.mark.parametrize(
    "promise, errnos",
    [
        ("It is -EINVAL or -EBADF, and -EINVAL again.", ["EINVAL", "EBADF"]),
        ("A bad descriptor (-EBADF) wins over a bad opcode (-EINVAL).", ["EBADF"]),
        ("They are -EINVAL, not -EAGAIN, however small.", ["EINVAL"]),
        ("It is -ENOMEM, although mmap(2) says -EAGAIN for the same.", ["ENOMEM"]),
        ("It succeeds.", []),
    ],
)
def test_the_errnos_that_a_promise_names(promise, errnos):
    assert documented(Clause("a.b", promise, ())) == errnos


def test_an_errno_is_met_truly_or_by_injection(contract):
    clause = "io_setup.einval.ctx"
    entry, other = met(
        contract, CASES, TRULY, [record("io_setup.two", clause, "EINVAL", "EPERM")]
    )
    assert (entry.how, entry.cases) == ("injected", ["io_setup.two"])
    assert (other.how, other.cases) == ("no", [])
    records = [record(case.id, clause, "EINVAL") for case in CASES]
    entry, _ = met(contract, CASES, TRULY, records)
    assert (entry.how, entry.cases) == ("true", ["io_setup.one", "io_submit.limit"])


def test_what_failed_or_is_unknown_does_not_count(contract):
    clause = "io_setup.einval.ctx"
    records = [
        record("io_setup.one", clause, "EINVAL", outcome="fail"),
        record("io_setup.gone", clause, "EINVAL"),
        record("io_setup.one", "no.such.clause", "EINVAL"),
        {"type": "start", "id": "io_setup.one", "errnos": ["EINVAL"]},
    ]
    assert [entry.how for entry in met(contract, CASES, TRULY, records)] == ["no"] * 2


def test_why_it_was_not_met(contract):
    text = to_text(met(contract, CASES, TRULY, []), missing=True)
    assert "io_submit.enomem" in text and "allocations can be made to fail" in text
    assert "2 errnos in 2 clauses: 0 met truly, 0 injected, 2 not met" in text
    old = Value("-EINVAL", until=Range(((6, 4, 0),)))
    clause = Clause("a.b", "It is refused.", (), values=(old,))
    (entry,) = met(Contract({"a.b": clause}), CASES, TRULY, [])
    assert entry.why_not == "kernels before 6.4"


def test_the_command_reads_the_runs_that_are_kept(tmp_path):
    command = ["--errnos", "--results", str(tmp_path), "io_setup"]
    done = CliRunner().invoke(contract_command, command)
    assert done.exit_code == 0 and " 0 met truly" in done.output
    run = tmp_path / "6.1" / "20260101-000000-abcde"
    run.mkdir(parents=True)
    (run / "run.json").write_text(
        json.dumps({"format": 1, "id": run.name, "release": "6.1", "state": "finished"})
    )
    (run / "outcomes.jsonl").write_text(
        json.dumps(record("io_setup.einval_ctx_alive", "io_setup.einval.ctx", "EINVAL"))
        + "\n"
    )
    done = CliRunner().invoke(contract_command, command)
    assert " 1 met truly" in done.output
    assert "io_setup.einval_ctx_alive" in done.output
    done = CliRunner().invoke(contract_command, [*command[:3], "no_such_clause"])
    assert done.exit_code == 2
