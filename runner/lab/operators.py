# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be broken in a C file, one plausible bug at a time.

Each operator yields (start, end, replacement) in the text of the file.  None
of them adds or removes a line, so that line numbers in warnings stay the same
and two objects can be compared byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

from .csource import Function, Source, Statement

# A lock that is left out or held on ends every program at once; that says
# nothing about a suite, so these statements are left alone.
_LOCKING = re.compile(
    r"^(raw_)?(spin|mutex|read|write|mmap|rcu_read|local_irq|preempt|folio)_?"
    r"(\w*_)?(un)?lock\w*$|^local_irq_(save|restore)$|^poll_iocb_unlock_wq$"
)
_SILENT = frozenset(
    "pr_debug pr_fmt flush_dcache_folio flush_dcache_page sched_annotate_sleep "
    "fallthrough debug_kmap_atomic might_sleep panic".split()
)
_ERRNO_NEIGHBOUR = {
    "EINVAL": "EFAULT",
    "EFAULT": "EINVAL",
    "EAGAIN": "EINVAL",
    "ENOMEM": "EAGAIN",
    "EBADF": "EINVAL",
    "EINTR": "EAGAIN",
    "EIO": "EINVAL",
    "ETIME": "EINTR",
    "EINPROGRESS": "EAGAIN",
    "ERESTARTNOHAND": "EINTR",
    "EIOCBQUEUED": "EAGAIN",
}
_SIBLING_CALL = {
    "list_add_tail": "list_add",
    "list_del_init": "list_del",
    "wake_up_all": "wake_up",
    "percpu_ref_tryget_live": "percpu_ref_tryget",
    "kzalloc": "kmalloc",
    "kmem_cache_zalloc": "kmem_cache_alloc",
    "max": "min",
    "min": "max",
    "fget": "fget_raw",
    "__GFP_ZERO": "0",
    "TASK_INTERRUPTIBLE": "TASK_UNINTERRUPTIBLE",
    "HRTIMER_MODE_REL": "HRTIMER_MODE_ABS",
    "CLOCK_MONOTONIC": "CLOCK_REALTIME",
    "MAP_SHARED": "MAP_PRIVATE",
    "READ": "WRITE",
    "WRITE": "READ",
    "ITER_DEST": "ITER_SOURCE",
    "ITER_SOURCE": "ITER_DEST",
    "FMODE_READ": "FMODE_WRITE",
    "FMODE_WRITE": "FMODE_READ",
}
_FLIPS = {
    "boundary": {"<": "<=", "<=": "<", ">": ">=", ">=": ">"},
    "equality": {"==": "!=", "!=": "=="},
    "arithmetic": {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/"},
    "bits": {"&": "|", "|": "&", "<<": ">>", ">>": "<<"},
    "update": {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "++": "--", "--": "++"},
    "logic": {"&&": "||", "||": "&&"},
}
_RANK = {
    **dict.fromkeys(("*", "/", "%"), 10),
    **dict.fromkeys(("+", "-"), 9),
    **dict.fromkeys(("<<", ">>"), 8),
    **dict.fromkeys(("<", "<=", ">", ">="), 7),
    **dict.fromkeys(("==", "!="), 6),
    **{"&": 5, "^": 4, "|": 3, "&&": 2, "||": 1},
}
_KEYWORDS = frozenset(
    "return case sizeof goto if else while for do switch default".split()
)
_STOPS = frozenset(
    [",", ";", "?", ":", "=", "{", "}", "return", "case", "goto"]
    + ["+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="]
)
_REMOVED = (
    ("put", r"(^|_)(put|free|destroy|exit|sub|iput|kfree|fput|munmap)(_|$)"),
    ("get", r"(^|_)(get|fget|alloc)(_|$)"),
    ("wake", r"(^|_)(wake|complete|signal|schedule|queue|work)(_|$)"),
    ("list", r"(^|_)list(_|$)"),
    ("init", r"(^|_)(init|INIT|set)(_|$)"),
)


@dataclass(frozen=True)
class Change:
    """One replacement: where, with what, by which operator, in what."""

    where: str
    operator: str
    start: int
    end: int
    text: str


def changes(source: Source) -> Iterator[Change]:
    """Yield every change that the operators know for ``source``, in order."""
    for first, stop in source.outside:
        yield from _file_scope(source, first, stop)
    for function in source.functions:
        if not function.init:
            yield from _Mutator(source, function).run()
    yield from _macros(source)


def apply(text: str, change: Change) -> str:
    """Return ``text`` with ``change`` made, on as many lines as before."""
    old = text[change.start : change.end]
    lost = old.count("\n") - change.text.count("\n")
    return text[: change.start] + change.text + "\n" * max(lost, 0) + text[change.end :]


def _number(text: str) -> tuple[int, str] | None:
    match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", text)
    if match is None:
        return None
    digits = match.group(1)
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    return int(digits, 8 if octal else 0), match.group(2)


def _other_numbers(text: str) -> Iterator[str]:
    parsed = _number(text)
    if parsed:
        value, suffix = parsed
        yield f"{value + 1}{suffix}"
        if value:
            yield f"{value - 1}{suffix}"


def _file_scope(source: Source, first: int, stop: int) -> Iterator[Change]:
    """Numbers and entries of initialisers outside functions."""
    texts = [t.text for t in source.tokens[first:stop]]
    if "=" not in texts or "struct" in texts[:1]:
        return
    equals = first + texts.index("=")
    where = next(
        t.text for t in reversed(source.tokens[first:equals]) if t.kind == "name"
    )
    for at in range(equals, stop):
        token = source.tokens[at]
        if token.kind == "number":
            for other in _other_numbers(token.text):
                yield Change(where, "constant", token.start, token.end, other)
        elif token.text == "." and source.tokens[at - 1].text in "{,":
            end = at
            while source.tokens[end].text not in (",", "}"):
                end += 1
            if source.tokens[end].text == ",":
                start, stop_at = source.span(at, end + 1)
                yield Change(where, "entry_removed", start, stop_at, "")


def _macros(source: Source) -> Iterator[Change]:
    """Numbers and operators in object-like macros of the file."""
    for directive in source.tokens:
        if directive.kind != "directive":
            continue
        match = re.match(r"#\s*define\s+([A-Z]\w+)[ \t]+(?=\S)", directive.text)
        if match is None:
            continue
        body = directive.text[match.end() :]
        for word in re.finditer(r"\b0[xX][0-9a-fA-F]+\b|\b\d+\b|[-+/]", body):
            start = directive.start + match.end() + word.start()
            end = start + len(word.group())
            flip = _FLIPS["arithmetic"].get(word.group())
            if flip:
                yield Change(match.group(1), "arithmetic", start, end, flip)
            for other in _other_numbers(word.group()):
                yield Change(match.group(1), "constant", start, end, other)


class _Mutator:
    """All changes within one function."""

    def __init__(self, source: Source, function: Function) -> None:
        self.source = source
        self.tokens = source.tokens
        self.function = function
        self.statements = list(function.body.walk())
        self.labels = [
            self.tokens[s.first].text for s in self.statements if s.kind == "label"
        ]

    def run(self) -> Iterator[Change]:
        """Yield the changes, statement by statement."""
        for statement in self.statements:
            yield from self._conditions(statement)
            if statement.kind == "block":
                yield from self._swaps(statement)
            elif statement.kind == "expression":
                if not self._is_call_of(statement, _SILENT):
                    yield from self._remove(statement)
                    yield from self._expression(statement.first, statement.last)
            elif statement.kind == "declaration":
                yield from self._initialisers(statement)
            elif statement.kind == "return":
                yield from self._return(statement)
            elif statement.kind in ("break", "continue"):
                yield self._change("jump_removed", statement.first, statement.last, "")
            elif statement.kind == "goto":
                yield from self._goto(statement)

    def _change(self, operator: str, first: int, stop: int, text: str) -> Change:
        start, end = self.source.span(first, stop)
        return Change(self.function.name, operator, start, end, text)

    def _is_call_of(self, statement: Statement, names: frozenset[str]) -> bool:
        return self.tokens[statement.first].text in names

    def _is_locking(self, statement: Statement) -> bool:
        return _LOCKING.match(self.tokens[statement.first].text) is not None

    def _conditions(self, statement: Statement) -> Iterator[Change]:
        if statement.head is None:
            return
        first, stop = statement.head
        if statement.kind == "for":
            inner = [
                at
                for at in range(first, stop)
                if self.tokens[at].text == ";" and self._depth(first, at) == 0
            ]
            yield from self._expression(first, inner[0])
            yield from self._expression(inner[0] + 1, inner[1])
            yield from self._expression(inner[1] + 1, stop)
            return
        if statement.kind not in ("if", "while", "do", "switch"):
            return
        if statement.kind != "switch" and stop - first > 1:
            text = self.source.slice(first, stop)
            yield self._change("condition_negated", first, stop, f"!({text})")
            yield self._change("condition_never", first, stop, f"({text}) && 0")
        if statement.kind == "if":
            text = self.source.slice(first, stop)
            if stop - first == 1:
                yield self._change("condition_negated", first, stop, f"!{text}")
                yield self._change("condition_never", first, stop, f"{text} && 0")
            yield self._change("condition_always", first, stop, f"({text}) || 1")
        yield from self._expression(first, stop)

    def _depth(self, first: int, at: int) -> int:
        depth = 0
        for token in self.tokens[first:at]:
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        return depth

    def _swaps(self, block: Statement) -> Iterator[Change]:
        for one, two in zip(block.children, block.children[1:]):
            if not (one.kind == two.kind == "expression"):
                continue
            if any(
                self._is_locking(s) or self._is_call_of(s, _SILENT) for s in (one, two)
            ):
                continue
            a = self.source.slice(one.first, one.last + 1)
            b = self.source.slice(two.first, two.last + 1)
            start, end = self.source.span(one.first, two.last + 1)
            between = self.source.text[start + len(a) : end - len(b)]
            yield Change(
                self.function.name, "statements_swapped", start, end, b + between + a
            )

    def _remove(self, statement: Statement) -> Iterator[Change]:
        if self._is_locking(statement):
            return
        kind = self._removal_kind(statement)
        yield self._change(f"{kind}_removed", statement.first, statement.last, "")

    def _removal_kind(self, statement: Statement) -> str:
        words = [t.text for t in self.tokens[statement.first : statement.last]]
        if any(w in words for w in ("+=", "-=", "++", "--", "%=", "*=")):
            return "counter"
        if "|=" in words or "&=" in words:
            return "flag"
        if "=" in words:
            return "flag" if words[-1] in ("true", "false") else "store"
        for kind, pattern in _REMOVED:
            if re.search(pattern, words[0]):
                return kind
        return "call"

    def _initialisers(self, statement: Statement) -> Iterator[Change]:
        at = statement.first
        while at < statement.last:
            if self.tokens[at].text == "=":
                stop = at + 1
                while self.tokens[stop].text not in (",", ";"):
                    if self.tokens[stop].text in "([{":
                        stop = self.source.closing(stop)
                    stop += 1
                yield from self._expression(at + 1, stop)
                at = stop
            at += 1

    def _return(self, statement: Statement) -> Iterator[Change]:
        first, stop = statement.first + 1, statement.last
        if first == stop:
            return
        text = self.source.slice(first, stop)
        if text in ("ret", "err", "rc", "res", "apt.error"):
            yield self._change("return_success", first, stop, "0")
        yield from self._expression(first, stop)

    def _goto(self, statement: Statement) -> Iterator[Change]:
        at = statement.first + 1
        for label in self.labels:
            if label != self.tokens[at].text:
                yield self._change("goto_other", at, at + 1, label)

    # expressions

    def _expression(self, first: int, stop: int) -> Iterator[Change]:
        at = first
        while at < stop:
            token = self.tokens[at]
            if token.text == "sizeof" and self.tokens[at + 1].text == "(":
                at = self.source.closing(at + 1) + 1
                continue
            if token.kind == "number":
                for other in _other_numbers(token.text):
                    yield self._change("constant", at, at + 1, other)
            elif token.kind == "name":
                yield from self._name(at, stop)
            elif token.kind == "punct":
                yield from self._operator(at, first, stop)
            at += 1

    def _name(self, at: int, stop: int) -> Iterator[Change]:
        text = self.tokens[at].text
        if text in ("true", "false"):
            other = "false" if text == "true" else "true"
            yield self._change("boolean", at, at + 1, other)
        elif text in _ERRNO_NEIGHBOUR and self.tokens[at - 1].text == "-":
            yield self._change("error_code", at, at + 1, _ERRNO_NEIGHBOUR[text])
            yield self._change("error_lost", at - 1, at + 1, "0")
        elif text in _SIBLING_CALL:
            if self.tokens[at - 1].text not in (".", "->"):
                yield self._change("sibling", at, at + 1, _SIBLING_CALL[text])
        if at + 1 < stop and self.tokens[at + 1].text == "(":
            yield from self._arguments(at)

    def _arguments(self, at: int) -> Iterator[Change]:
        """Swap neighbouring arguments; the compiler refuses unlike types."""
        close = self.source.closing(at + 1)
        parts: list[tuple[int, int]] = []
        begin = here = at + 2
        while here <= close:
            if self.tokens[here].text == "," or here == close:
                parts.append((begin, here))
                begin = here + 1
            elif self.tokens[here].text in "([{":
                here = self.source.closing(here)
            here += 1
        for (a, b), (c, d) in zip(parts, parts[1:]):
            if a < b and c < d:
                one, two = self.source.slice(a, b), self.source.slice(c, d)
                if one != two:
                    yield self._change("arguments_swapped", a, d, f"{two}, {one}")

    def _is_binary(self, at: int) -> bool:
        before, after = self.tokens[at - 1], self.tokens[at + 1]
        if before.text in _KEYWORDS or after.text in (")", ",", ";", "="):
            return False
        if before.text == ")":
            return not self._is_cast(at - 1)
        return before.kind in ("name", "number", "string") or before.text == "]"

    def _is_cast(self, close: int) -> bool:
        """Tell (struct x *) and (u64) from the end of a call or a group."""
        depth, at = 0, close
        while True:
            depth += (self.tokens[at].text == ")") - (self.tokens[at].text == "(")
            if depth == 0:
                break
            at -= 1
        if self.tokens[at - 1].kind == "name" and (
            self.tokens[at - 1].text not in _KEYWORDS
        ):
            return False
        inside = [t.text for t in self.tokens[at + 1 : close]]
        return inside[-1] == "*" or bool(
            re.fullmatch(
                r"(unsigned |signed )?(\w+_t|u\d+|s\d+|long|int|char)", " ".join(inside)
            )
        )

    def _operator(self, at: int, first: int, stop: int) -> Iterator[Change]:
        text = self.tokens[at].text
        if text == "?":
            yield from self._ternary(at, stop)
            return
        for operator, table in _FLIPS.items():
            if text not in table:
                continue
            if operator in ("arithmetic", "bits") and not self._is_binary(at):
                return
            yield self._change(operator, at, at + 1, table[text])
            if text in _RANK and operator in ("logic", "arithmetic", "bits"):
                yield from self._drop_operand(at, first, stop)

    def _drop_operand(self, at: int, first: int, stop: int) -> Iterator[Change]:
        rank = _RANK[self.tokens[at].text]
        left, right = at, at + 1
        while left > first and not self._ends(left - 1, rank - 1, "(["):
            left -= 1
            if self.tokens[left].text in (")", "]"):
                left = self._opening(left)
        while right < stop and not self._ends(right, rank, ")]"):
            if self.tokens[right].text in ("(", "["):
                right = self.source.closing(right)
            right += 1
        if left == at or right == at + 1:
            return
        one, two = self.source.slice(left, at), self.source.slice(at + 1, right)
        yield self._change("operand_dropped", left, right, one)
        if self.tokens[at].text not in ("-", "/", "%", "<<", ">>"):
            yield self._change("operand_dropped", left, right, two)

    def _ends(self, at: int, rank: int, brackets: str) -> bool:
        """Tell whether an operand of an operator above ``rank`` stops here."""
        text = self.tokens[at].text
        if text in _STOPS or text in tuple(brackets):
            return True
        if _RANK.get(text, rank + 1) > rank:
            return False
        return text not in ("*", "&", "-", "+") or self._is_binary(at)

    def _opening(self, close: int) -> int:
        pairs = {")": "(", "]": "["}
        depth, at = 0, close
        opener, closer = pairs[self.tokens[close].text], self.tokens[close].text
        while True:
            text = self.tokens[at].text
            depth += (text == closer) - (text == opener)
            if depth == 0:
                return at
            at -= 1

    def _ternary(self, at: int, stop: int) -> Iterator[Change]:
        colon = at + 1
        while self.tokens[colon].text != ":":
            if self.tokens[colon].text in "([":
                colon = self.source.closing(colon)
            colon += 1
        end = colon + 1
        while end < stop and self.tokens[end].text not in (",", ";", ")", "]"):
            if self.tokens[end].text in "([":
                end = self.source.closing(end)
            end += 1
        one = self.source.slice(at + 1, colon)
        two = self.source.slice(colon + 1, end)
        yield self._change("arms_swapped", at + 1, end, f"{two} : {one}")
