# SPDX-License-Identifier: GPL-2.0-or-later
"""What gcov says is counted rightly, and every gap has a name that stays."""
import subprocess

import pytest

from runner.lab import coverage
from runner.lab.sources import LabError

TEXT = """\
static int __init boot(void)
{
    return 0;
}

static int call(int a)
{
    if (a)
        return 1;
    return 2;
}
"""


def _line(number, count, *branches):
    return {
        "line_number": number,
        "count": count,
        "branches": [{"count": taken} for taken in branches],
    }


def _report(*lines):
    files = [
        {"file": "include/linux/list.h", "lines": [_line(8, 0)]},
        {"file": "/src/fs/aio.c", "lines": list(lines)},
    ]
    return {"files": files}


def _counted(*lines):
    return coverage.Counted(TEXT, coverage.parse_gcov(_report(*lines)))


def test_gcov_is_asked_for_all_that_is_counted(tmp_path):
    """With gcov itself: a line, and both branches of which one was taken."""
    source, gcda = tmp_path / "fs/aio.c", tmp_path / "fs/aio.gcda"
    source.parent.mkdir()
    source.write_text("int main(int n, char **v)\n{\n\treturn n > 1 ? n : 0;\n}\n")
    for command in (
        ["gcc", "--coverage", "-c", "fs/aio.c", "-o", "fs/aio.o"],
        ["gcc", "--coverage", "fs/aio.o", "-o", "program"],
        ["./program"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    work = tmp_path / "work"
    work.mkdir()
    counts = coverage.read_gcov(tmp_path, gcda.read_bytes(), work)
    assert counts.lines[3] == 1
    assert sorted(n for (line, _), n in counts.branches.items() if line == 3) == [0, 1]


def test_what_runs_at_boot_and_what_is_not_of_the_file_does_not_count():
    counted = _counted(_line(3, 0), _line(8, 5, 5, 0), _line(9, 5), _line(10, 0))
    assert counted.lines() == {8: 5, 9: 5, 10: 0}
    assert counted.branches() == {(8, 0): 5, (8, 1): 0}
    assert counted.functions() == {"call": True}


def test_gaps_are_named_by_function_and_text():
    counted = _counted(_line(8, 5, 5, 0), _line(9, 5), _line(10, 0))
    names = [gap.name for gap in counted.gaps()]
    assert names == ["call branch: if (a)", "call: return 2;"]


def test_the_branches_of_a_line_that_never_ran_are_no_gaps_of_their_own():
    gaps = _counted(_line(8, 0, 0, 0)).gaps()
    assert [gap.name for gap in gaps] == ["call: if (a)"]


def test_inlined_copies_and_several_guests_add_up():
    one = coverage.parse_gcov(_report(_line(9, 0), _line(9, 2), _line(8, 2, 0, 2)))
    two = coverage.parse_gcov(_report(_line(9, 0), _line(8, 1, 1, 0)))
    both = one + two
    assert both.lines == {9: 2, 8: 3}
    assert both.branches == {(8, 0): 1, (8, 1): 2}


def test_explanations_need_a_reason_and_are_given_once(tmp_path):
    path = tmp_path / "uncovered.toml"
    path.write_text('[bug]\nwhy = "cannot be"\ngaps = ["call: return 2;"]\n')
    assert coverage.explanations(path) == {"call: return 2;": "cannot be"}
    path.write_text('[bug]\ngaps = ["call: return 2;"]\n')
    with pytest.raises(LabError, match="why"):
        coverage.explanations(path)
    path.write_text('[bug]\nwhy = "x"\ngaps = ["a", "a"]\n')
    with pytest.raises(LabError, match="twice"):
        coverage.explanations(path)
    assert coverage.explanations(tmp_path / "none.toml") == {}


def test_the_explanations_that_are_kept_can_be_read():
    coverage.explanations()
