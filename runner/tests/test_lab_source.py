# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab reads kernel C and breaks it without moving a line."""
from runner.lab import operators
from runner.lab.csource import Source, tokenize

import pytest

TEXT = """\
#define LIMIT    8
static int __init setup(void)
{
    return register_it();
}
static const struct file_operations fops = {
    .mmap = ring_mmap,
    .open = ring_open,
};
SYSCALL_DEFINE2(io_setup, unsigned, nr, aio_context_t __user *, ctxp)
{
    struct kioctx *ctx = NULL;
    int i;

    /* if (never) return -EIO; */
    spin_lock(&lock);
    if (unlikely(nr == 0 || !ctxp)) {
        pr_debug("no\\n");
        return -EINVAL;
    }
    for (i = 0; i < nr; i++)
        list_for_each_entry(ctx, &head, list)
            count += *table[i] & 7;
    do {
        count--;
    } while (count > 4);
    get(a, b);
    put((u32)nr, ctxp);
    spin_unlock(&lock);
    return count ? count : -EAGAIN;
}
""".replace(
    "    ", "\t"
)


@pytest.fixture(name="source")
def _source() -> Source:
    return Source(TEXT)


def _made(source: Source, operator: str) -> list[str]:
    """The lines that an operator makes of TEXT, one text for each change."""
    found = []
    before = TEXT.splitlines()
    for change in operators.changes(source):
        if change.operator == operator:
            after = operators.apply(TEXT, change).splitlines()
            new = [b.strip() for a, b in zip(before, after) if a != b]
            found.append(" ".join(new).strip())
    return found


def test_system_calls_are_functions_by_their_own_name(source: Source) -> None:
    assert [f.name for f in source.functions] == ["setup", "sys_io_setup"]
    assert [f.init for f in source.functions] == [True, False]


def test_statements_are_told_apart(source: Source) -> None:
    kinds = [s.kind for s in source.functions[1].body.walk()]
    assert kinds == [
        *("block", "declaration", "declaration", "expression", "if", "block"),
        *("expression", "return", "for", "each", "expression", "do", "block"),
        *("expression", "expression", "expression", "expression", "return"),
    ]


def test_no_change_moves_a_line(source: Source) -> None:
    lines = TEXT.count("\n")
    for change in operators.changes(source):
        assert operators.apply(TEXT, change).count("\n") == lines, change


def test_locks_debug_comments_and_init_are_left_alone(source: Source) -> None:
    for change in operators.changes(source):
        text = TEXT[change.start : change.end]
        assert change.where != "setup"
        assert "never" not in text
        if change.operator.endswith("_removed"):
            assert "lock" not in text and "pr_debug" not in text


def test_conditions(source: Source) -> None:
    assert _made(source, "condition_negated") == [
        "if (!(unlikely(nr == 0 || !ctxp))) {",
        "} while (!(count > 4));",
    ]
    assert _made(source, "boundary") == [
        "for (i = 0; i <= nr; i++)",
        "} while (count >= 4);",
    ]


def test_operands(source: Source) -> None:
    assert _made(source, "operand_dropped") == [
        "if (unlikely(nr == 0)) {",
        "if (unlikely(!ctxp)) {",
        "count += *table[i];",
        "count += 7;",
    ]


def test_errors_numbers_arms_and_entries(source: Source) -> None:
    assert _made(source, "error_lost") == ["return 0;", "return count ? count : 0;"]
    assert _made(source, "error_code") == [
        "return -EFAULT;",
        "return count ? count : -EINVAL;",
    ]
    assert _made(source, "arms_swapped") == ["return count ? -EAGAIN : count;"]
    assert "#define LIMIT\t9" in _made(source, "constant")
    assert _made(source, "entry_removed") == ["", ""]


def test_swaps_stay_clear_of_locks(source: Source) -> None:
    assert _made(source, "statements_swapped") == [
        "put((u32)nr, ctxp); get(a, b);",
    ]
    assert _made(source, "arguments_swapped") == [
        "get(b, a);",
        "put(ctxp, (u32)nr);",
    ]


def test_what_is_no_c_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        tokenize("int a;\n`")
