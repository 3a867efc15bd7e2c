# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue: what of it is refused, and that C and Python read it alike."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from runner import contract
from runner.contract import ContractError, Range

LIB = contract.ROOT / "lib"
COMPILERS = [
    name for name in ("gcc", "clang", "i686-linux-gnu-gcc") if shutil.which(name)
]

GOOD = """
["io_setup.einval.ctx"]
promise = "A handle that is not 0 is refused."
source = ["man io_setup(2) ERRORS", "code io_setup"]

["io_setup.einval.nr"]
promise = "None is refused."
source = ["kdoc sys_io_setup"]
drift = "The page says nothing."
need = "fault injection"

["ring.mremap.part"]
promise = "A part cannot be \\"moved\\"."
source = ['commit 3adf7ae18bf4 ("fs: aio: reject partial mremap")']
since = ["5.10.210", "6.1.79", "6.8"]
until = "7.3"
cve = "CVE-2024-26764"
values = [
  { until = ["6.1.191", "6.5"], value = "-EINVAL" },
  { since = ["6.1.191", "6.5"], until = "7.1", value = 127, commit = "3adf7ae18bf4" },
  { since = "7.1", value = "-EOPNOTSUPP" },
]

[[known]]
case = "ring.part_stays"
releases = ["6.18.44-fc", "6.18.45-fc"]
reason = "it was moved"
reference = "3adf7ae18bf4"

[[known]]
case = "ring.part_stays"
device = "zram"
releases = ["6.18.46-fc"]
reason = "there it was not"
reference = "3adf7ae18bf5"
"""

LISTING = {
    "cases": [
        {"id": "io_setup.first", "clause": "io_setup.einval.ctx"},
        {"id": "io_setup.second", "clause": "io_setup.einval.ctx"},
        {"id": "ring.part_stays", "clause": "ring.mremap.part"},
    ]
}

DRIVER = Path(__file__).parent / "contract_driver.c"


def build(folder: Path, text: str, compiler: str) -> Path:
    """A program that answers for the catalogue in text."""
    (folder / "table.c").write_text(contract.to_c(contract.parse(text)))
    program = folder / "driver"
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]
    sources = [LIB / "contract.c", folder / "table.c", DRIVER]
    command = [compiler, *options, f"-I{LIB}", "-o", program, *sources]
    subprocess.run(list(map(str, command)), check=True)
    return program


def ask(program: Path, *kernels: tuple[str, str]) -> list[dict[str, list[str]]]:
    """What it says of each kernel: by clause, whether it applies and its value."""
    text = "".join(f"{release}\n{version}\n" for release, version in kernels)
    out = subprocess.run(
        [program], input=text, check=True, stdout=subprocess.PIPE, encoding="ascii"
    ).stdout
    answers: list[dict[str, list[str]]] = [{}]
    for line in out.splitlines():
        name, *rest = line.split(" ")
        answers[-1][name] = rest
        if name == "known":
            answers.append({})
    return answers[:-1]


@pytest.fixture(scope="module", params=COMPILERS)
def program(request, tmp_path_factory):
    return build(tmp_path_factory.mktemp("contract"), GOOD, request.param)


def test_a_catalogue_is_read():
    clauses = contract.parse(GOOD).clauses
    assert list(clauses) == [
        "io_setup.einval.ctx",
        "io_setup.einval.nr",
        "ring.mremap.part",
    ]
    part = clauses["ring.mremap.part"]
    assert part.interface == "ring"
    assert part.promise == 'A part cannot be "moved".'
    assert part.since == Range(((5, 10, 210), (6, 1, 79), (6, 8, 0)))
    assert part.kernels == "from 5.10.210, 6.1.79, 6.8, before 7.3"
    assert [v.value for v in part.values] == ["-EINVAL", "127", "-EOPNOTSUPP"]
    assert clauses["io_setup.einval.nr"].need == "fault injection"
    assert clauses["io_setup.einval.nr"].kernels == ""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('["io_setup.einval.ctx"]', '["io_setup"]', "not of the form interface"),
        ('["io_setup.einval.ctx"]', '["io_setup.Einval"]', "not of the form"),
        ('["io_setup.einval.ctx"]', '["io_read.einval"]', "no such interface"),
        ('["io_setup.einval.nr"]', '["ring.nr"]\nlater = 1', "no such field: later"),
        ('["ring.mremap.part"]', '["io_setup.part"]', ""),
        ('["io_setup.einval.ctx"]', '["ring.first"]', "out of its group"),
        ('promise = "None is refused."', "", "promise is missing"),
        ("None is refused.", "None is refused", "like a sentence"),
        ("None is refused.", "None \u2013 refused.", "ASCII"),
        ('source = ["kdoc sys_io_setup"]', "", "source is not a list"),
        ('"kdoc sys_io_setup"', '"hearsay one"', "not a source"),
        ('"kdoc sys_io_setup"', '"code"', "not a source"),
        ("commit 3adf7ae18bf4 (", "commit 3adf7ae1 (", "not of the form commit"),
        ('need = "fault injection"', 'need = "luck"', "no such need: luck"),
        ('cve = "CVE-2024-26764"', 'cve = "26764"', "not a CVE"),
        ('until = "7.3"', 'until = "7.x"', "not a kernel release"),
        ('until = "7.3"', "until = 7.3", "not a kernel release"),
        ('until = "7.3"', 'until = "6.8"', "until is not after since"),
        ('"6.1.79", "6.8"]', '"6.8", "6.1.79"]', "not in ascending order"),
        ('"6.1.79", "6.8"]', '"6.1.79", "6.1.80"]', "a branch twice"),
        ('since = "7.1", value', 'since = "7.2", value', "0 of them hold"),
        ('since = "7.1", value', 'since = "7.0", value', "2 of them hold"),
        ("value = 127", 'value = "-ENOTHING"', "value is no integer"),
        ("value = 127", "value = true", "value is no integer"),
        ("value = 127", 'value = "EINVAL"', "value is no integer"),
        ("value = 127", "value = 3000000000", "does not fit"),
        ('commit = "3adf7ae18bf4"', 'commit = "3adf"', "not 12 hexadecimal"),
        ('reason = "it was moved"', "", "reason is missing"),
        ('reference = "3adf7ae18bf4"', "", "reference is missing"),
        ('releases = ["6.18.44-fc", "6.18.45-fc"]', "", "releases is not a list"),
        ('"6.18.45-fc"]', '"6.18.44-fc"]', "twice for 6.18.44-fc"),
        ('["io_setup.einval.nr"]', '["io_setup.einval.ctx"]', "not TOML"),
    ],
)
def test_a_fault_is_named(old, new, fault):
    assert GOOD.count(old) == 1, "the test is out of date"
    text = GOOD.replace(old, new)
    if not fault:
        contract.parse(text)
        return
    with pytest.raises(ContractError, match=fault):
        contract.parse(text)


def test_all_faults_come_at_once():
    text = GOOD.replace("refused.", "refused").replace("CVE-", "")
    with pytest.raises(ContractError) as caught:
        contract.parse(text)
    assert len(str(caught.value).splitlines()) == 3


def test_a_single_value_is_refused():
    text = GOOD[: GOOD.index("  { until = [")] + '{ value = "-EINVAL" } ]'
    with pytest.raises(ContractError, match="a single one"):
        contract.parse(text)


@pytest.mark.parametrize(
    ("kernel", "reached"),
    [
        ((5, 9, 300), False),
        ((5, 10, 209), False),
        ((5, 10, 210), True),
        ((5, 15, 150), False),
        ((6, 1, 79), True),
        ((6, 7, 99), False),
        ((6, 8, 0), True),
        ((6, 12, 0), True),
        ((7, 0, 0), True),
    ],
)
def test_a_stable_branch_counts_by_itself(kernel, reached):
    assert Range(((5, 10, 210), (6, 1, 79), (6, 8, 0))).reached(kernel) == reached


@pytest.mark.parametrize(
    ("release", "version", "applies", "value"),
    [
        ("6.12.107+deb13-amd64", "#1 SMP Debian 6.12.107-1 (2026-10-01)", "1", 127),
        ("5.10.0-32-amd64", "#1 SMP Debian 5.10.223-1 (2024-08-10)", "1", None),
        ("5.10.0-28-amd64", "#1 SMP Debian 5.10.209-2 (2024-01-31)", "0", None),
        # a version of another branch says nothing about this one
        ("5.10.0-32-amd64", "#1 SMP Debian 6.1.90-1 (2024-08-10)", "0", None),
        ("6.1.0-51-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2", "1", 127),
        ("6.1.0-40-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1", "1", None),
        ("5.15.200", "#1 SMP", "0", None),
        ("6.8.0", "#1 SMP", "1", 127),
        ("7.1.0-rc1", "#1", "1", "-EOPNOTSUPP"),
        ("7.1-rc3-amd64", "#1 Debian 7.1~rc3-1~exp1 (2026)", "1", "-EOPNOTSUPP"),
        ("7.3.4+deb14-amd64", "#1 Debian 7.3.4-1", "0", "-EOPNOTSUPP"),
        ("12.0", "", "0", "-EOPNOTSUPP"),
    ],
)
def test_the_kernel_is_told_by_its_release(program, release, version, applies, value):
    (answer,) = ask(program, (release, version))
    if not isinstance(value, int):
        value = -getattr(errno, (value or "-EINVAL")[1:])
    assert answer["ring.mremap.part"] == [applies, str(value)]
    assert answer["io_setup.einval.ctx"] == ["1"]


def test_a_known_failure_is_of_its_release_only(program):
    answers = ask(
        program, ("6.18.44-fc", "#1"), ("6.18.44-fc2", "#1"), ("6.18.45-fc", "#1")
    )
    said = [" ".join(answer["known"]) for answer in answers]
    assert said == ["it was moved (3adf7ae18bf4)", "-", "it was moved (3adf7ae18bf4)"]


def test_a_known_failure_is_of_its_device_only(program):
    (answer,) = ask(program, ("6.18.46-fc", "#1"))
    assert answer["known"] == ["-"]
    assert " ".join(answer["known_on_zram"]) == "there it was not (3adf7ae18bf5)"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_c_and_python_agree_on_the_whole_catalogue(tmp_path, compiler):
    clauses = contract.load().clauses
    kernels = {(5, 10, 0), (6, 12, 50), (99, 0, 0)}
    for clause in clauses.values():
        ends = [clause.since, clause.until]
        ends += [end for v in clause.values for end in (v.since, v.until)]
        for a, b, c in {at for end in ends for at in end.at}:
            kernels |= {(a, b, c), (a, b, c + 1), (a, b + 1, 0)}
            kernels |= {(a, b, c - 1)} if c else {(a, b - 1, 99)} if b else set()
    program = build(tmp_path, contract.CATALOGUE.read_text(), compiler)
    asked = sorted(kernels)
    answers = ask(program, *((f"{a}.{b}.{c}", "") for a, b, c in asked))
    for kernel, answer in zip(asked, answers, strict=True):
        assert set(answer) == {*clauses, "known", "known_on_zram"}
        for clause in clauses.values():
            applies, *value = answer[clause.id]
            holds = contract.holds(clause.since, clause.until, kernel)
            assert applies == str(int(holds)), (clause.id, kernel)
            wanted = [
                v.value
                for v in clause.values
                if contract.holds(v.since, v.until, kernel)
            ]
            assert value == [
                str(-getattr(errno, v[1:])) if v.startswith("-E") else v for v in wanted
            ], (clause.id, kernel)


def test_rows_join_clauses_cases_and_outcomes():
    outcomes = {"io_setup.first": ["pass", "pass"], "io_setup.second": ["skip"]}
    ctx, nr, part = contract.rows(contract.parse(GOOD), LISTING, outcomes)
    assert ctx.cases == ("io_setup.first", "io_setup.second")
    assert (ctx.outcome, ctx.missing) == ("pass", "")
    assert nr.missing == "needs a kernel whose allocations can be made to fail"
    assert (part.outcome, part.missing) == ("", "")


@pytest.mark.parametrize(
    ("had", "outcome"),
    [
        (["skip", "pass"], "pass"),
        (["pass", "broken", "skip"], "broken"),
        (["fixed", "known"], "fixed"),
        (["broken", "fail", "pass"], "fail"),
    ],
)
def test_the_worst_outcome_is_the_clauses(had, outcome):
    rows = contract.rows(contract.parse(GOOD), LISTING, {"io_setup.first": had})
    assert rows[0].outcome == outcome


def test_the_text_says_what_a_reader_needs():
    text = contract.to_text(contract.rows(contract.parse(GOOD), LISTING), width=200)
    assert "The ring at the context's address" in text
    assert "without a case: needs a kernel whose allocations can be made to" in text
    assert "kernels: from 5.10.210, 6.1.79, 6.8, before 7.3" in text
    assert "-EINVAL before 6.1.191, 6.5; 127 from 6.1.191, 6.5, before 7.1" in text
    assert "drift: The page says nothing." in text
    assert "cases: io_setup.first, io_setup.second" in text
    whole = contract.to_text(contract.rows(contract.load()))
    assert max(map(len, whole.split("\n"))) <= 80


def test_the_page_has_a_row_for_every_clause():
    whole = contract.load()
    page = contract.to_markdown(whole)
    assert "code \\_\\_io_submit_one" in page and " \\*ctxp" in page
    for name in whole.clauses:
        assert page.count(f"| `{name}` |") == 1
    assert all(
        line.replace("\\|", "").count("|") == 4
        for line in page.splitlines()
        if line.startswith("|")
    )


@pytest.fixture
def files(tmp_path):
    """A catalogue and a listing on disk, as options of the command."""
    (tmp_path / "contract.toml").write_text(GOOD)
    (tmp_path / "list.json").write_text(json.dumps(LISTING))
    before = [f"--contract={tmp_path}/contract.toml", f"--rendered={tmp_path}/C.md"]
    return tmp_path, before, f"--list={tmp_path}/list.json"


def test_check_accepts_what_fits(files, capsys):
    _, before, listing = files
    assert contract.main([*before, "check", listing]) == 0
    out = capsys.readouterr()
    assert "3 clauses, 1 without a case" in out.out
    assert "io_setup.einval.nr: needs a kernel whose allocations" in out.out
    assert out.err == ""
    assert contract.main([*before, "check", "--strict", listing]) == 0


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ({"id": "ring.odd", "clause": "ring.none"}, "no such clause: ring.none"),
        ({"id": "ring.odd", "clause": ""}, "ring.odd: names no clause"),
        ({"id": "ring.odd", "clause": None}, "ring.odd: names no clause"),
    ],
)
def test_check_refuses_a_case_without_a_clause(files, capsys, case, fault):
    folder, before, listing = files
    cases = {"cases": [*LISTING["cases"], case]}
    (folder / "list.json").write_text(json.dumps(cases))
    assert contract.main([*before, "check", listing]) == 1
    assert fault in capsys.readouterr().err


def test_check_wants_a_case_or_a_need_if_told_so(files, capsys):
    folder, before, listing = files
    (folder / "list.json").write_text(json.dumps({"cases": LISTING["cases"][2:]}))
    assert contract.main([*before, "check", listing]) == 0
    assert "io_setup.einval.ctx: no case yet" in capsys.readouterr().out
    assert contract.main([*before, "check", "--strict", listing]) == 1
    assert "neither a case nor a need" in capsys.readouterr().err


def test_check_refuses_a_known_failure_of_no_case(files, capsys):
    folder, before, listing = files
    (folder / "list.json").write_text(json.dumps({"cases": LISTING["cases"][:2]}))
    assert contract.main([*before, "check", listing]) == 1
    assert "known: no such case: ring.part_stays" in capsys.readouterr().err


def test_a_test_of_the_runner_holds_a_clause(files, capsys):
    folder, before, listing = files
    this = "runner/tests/test_contract.py::test_a_test_of_the_runner_holds_a_clause"
    text = GOOD.replace(
        '"kdoc sys_io_setup"]', f'"kdoc sys_io_setup"]\ntests = ["{this}"]'
    )
    (folder / "contract.toml").write_text(text)
    _, nr, _ = contract.rows(contract.parse(text), LISTING)
    assert (nr.cases, nr.missing) == ((this,), "")
    assert contract.main([*before, "check", listing]) == 0
    (folder / "contract.toml").write_text(text.replace("_holds_a_clause", "_is_gone"))
    assert contract.main([*before, "check", listing]) == 1
    assert "io_setup.einval.nr: no such test: runner/tests" in capsys.readouterr().err
    (folder / "contract.toml").write_text(text.replace("::", "/"))
    assert contract.main([*before, "check", listing]) == 2
    assert "not of the form path.py::function" in capsys.readouterr().err


def test_check_keeps_the_page_true(files, capsys):
    folder, before, listing = files
    assert contract.main([*before, "render"]) == 0
    assert contract.main([*before, "check", listing]) == 0
    (folder / "contract.toml").write_text(GOOD.replace("None is", "Nothing is"))
    assert contract.main([*before, "check", listing]) == 1
    assert "not up to date" in capsys.readouterr().err


def test_table_shows_what_is_missing(files, capsys):
    _, before, listing = files
    assert contract.main([*before, "table", "--missing", listing]) == 0
    out = capsys.readouterr().out
    assert "io_setup.einval.nr" in out and "io_setup.einval.ctx" not in out


def test_a_catalogue_that_cannot_be_used_is_status_2(files, capsys):
    folder, before, listing = files
    (folder / "contract.toml").write_text(GOOD.replace("None is refused.", "None"))
    assert contract.main([*before, "check", listing]) == 2
    assert contract.main([*before, "compile", str(folder / "out.c")]) == 2
    assert "like a sentence" in capsys.readouterr().err
    assert not (folder / "out.c").exists()
    (folder / "contract.toml").unlink()
    assert contract.main([*before, "table", listing]) == 2


def test_check_without_an_executor_is_status_2(files, capsys):
    folder, before, _ = files
    assert contract.main([*before, "check", f"--program={folder}/none"]) == 2
    assert "none" in capsys.readouterr().err


def test_the_module_runs_by_itself(tmp_path):
    out = tmp_path / "table.c"
    command = ["/usr/bin/python3", "-m", "runner.contract", "compile", str(out)]
    subprocess.run(command, cwd=contract.ROOT, check=True)
    assert out.read_text() == contract.to_c(contract.load())
