# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel C as tokens, functions and statements, enough to change it in place.

A C compiler's tree describes what the macros turn into; a mutant is a change
of what a person wrote (``list_for_each_entry``, ``SYSCALL_DEFINE3``,
``unlikely``).  So this reads the text before the preprocessor does, and leaves
the question whether a change compiles to the compiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterator

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<directive>(?<![^\n])[ \t]*\#(?:[^\n\\]|\\\n|\\.)*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>'(?:[^'\\]|\\.)*')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<punct>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\|
      |[-+*/%&|^]=|[][(){};,:?=<>.!~&|^*/%+-])
    """,
    re.VERBOSE | re.DOTALL,
)

_TYPE_WORDS = frozenset(
    "auto bool char const double enum extern float int long register short signed "
    "static struct union unsigned void volatile".split()
)
_OPEN = {"(": ")", "[": "]", "{": "}"}


class ParseError(ValueError):
    """The text is not the kernel C that this module copes with."""


@dataclass(frozen=True)
class Token:
    """One word of the source, by its place."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset of the first character after the token."""
        return self.start + len(self.text)


@dataclass
class Statement:
    """A statement: ``first`` and ``last`` are token numbers, both inside.

    ``kind`` is one of block, if, while, do, for, each (a macro that loops),
    switch, label, case, return, goto, break, continue, declaration,
    expression, empty.  ``head`` holds the tokens between the parentheses of
    an if, a loop or a switch, as (first, one past the last).
    """

    kind: str
    first: int
    last: int
    head: tuple[int, int] | None = None
    children: list["Statement"] = field(default_factory=list)
    otherwise: "Statement | None" = None

    def walk(self) -> Iterator["Statement"]:
        """Yield this statement and all inside it, in source order."""
        yield self
        for child in self.children:
            yield from child.walk()
        if self.otherwise is not None:
            yield from self.otherwise.walk()


@dataclass
class Function:
    """A function definition; system calls are named as the kernel links them."""

    name: str
    first: int
    body: Statement
    init: bool


def tokenize(text: str) -> list[Token]:
    """Return the tokens of ``text`` without white space and comments."""
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise ParseError(f"line {line}: no C here: {text[at : at + 20]!r}")
        kind = match.lastgroup or ""
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, match.group(), at))
        at = match.end()
    return tokens


class Source:
    """One C file: its text, tokens, functions and what stands between them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self._lines = [0] + [m.end() for m in re.finditer("\n", text)]
        self.functions: list[Function] = []
        self.outside: list[tuple[int, int]] = []
        self._find_functions()

    def line_of(self, offset: int) -> int:
        """Return the number, from 1, of the line that holds ``offset``."""
        low, high = 0, len(self._lines)
        while high - low > 1:
            middle = (low + high) // 2
            if self._lines[middle] <= offset:
                low = middle
            else:
                high = middle
        return low + 1

    def closing(self, index: int) -> int:
        """Return the token number that closes the bracket at ``index``."""
        stack = []
        for at in range(index, len(self.tokens)):
            token = self.tokens[at]
            if token.kind != "punct":
                continue
            if token.text in _OPEN:
                stack.append(_OPEN[token.text])
            elif stack and token.text == stack[-1]:
                stack.pop()
                if not stack:
                    return at
        raise ParseError(f"line {self.line_of(self.tokens[index].start)}: not closed")

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """Return the offsets that tokens ``first`` up to ``stop`` cover."""
        return self.tokens[first].start, self.tokens[stop - 1].end

    def slice(self, first: int, stop: int) -> str:
        """Return the text of tokens ``first`` up to, not with, ``stop``."""
        start, end = self.span(first, stop)
        return self.text[start:end]

    def _find_functions(self) -> None:
        declaration = at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind == "directive":
                at += 1
                declaration = at
            elif token.text == "{" and at and self.tokens[at - 1].text == ")":
                body = self._statement(at)
                words = [t.text for t in self.tokens[declaration:at]]
                self.functions.append(
                    Function(
                        self._function_name(declaration, at),
                        declaration,
                        body,
                        "__init" in words,
                    )
                )
                at = body.last + 1
                declaration = at
            elif token.text == "{":
                at = self.closing(at) + 1
            elif token.text == ";":
                self.outside.append((declaration, at + 1))
                at += 1
                declaration = at
            else:
                at += 1

    def _function_name(self, first: int, brace: int) -> str:
        for at in range(first, brace):
            if self.tokens[at].text == "(":
                name = self.tokens[at - 1].text
                if re.fullmatch(r"(COMPAT_)?SYSCALL_DEFINE\d", name):
                    prefix = "compat_sys_" if name.startswith("C") else "sys_"
                    return prefix + self.tokens[at + 1].text
                return name
        raise ParseError("a function without a name")

    def _text(self, at: int) -> str:
        return self.tokens[at].text if at < len(self.tokens) else ""

    def _statement(self, at: int) -> Statement:
        token = self.tokens[at]
        text = token.text
        if text == "{":
            return self._block(at)
        if text == ";":
            return Statement("empty", at, at)
        if text == "if":
            return self._if(at)
        if text in ("while", "switch", "for"):
            return self._headed(text, at)
        if text == "do":
            body = self._statement(at + 1)
            close = self.closing(body.last + 2)
            return Statement("do", at, close + 1, (body.last + 3, close), [body])
        if text in ("case", "default"):
            colon = at
            while self._text(colon) != ":":
                colon += 1
            return Statement("case", at, colon)
        if text in ("return", "goto", "break", "continue"):
            return Statement(text, at, self._semicolon(at))
        if token.kind == "name" and self._text(at + 1) == ":":
            return Statement("label", at, at + 1)
        if token.kind == "name" and self._text(at + 1) == "(":
            close = self.closing(at + 1)
            following = self._text(close + 1)
            if following == "{" or self.tokens[close + 1].kind == "name":
                return self._headed("each", at)
        kind = "declaration" if self._declares(at) else "expression"
        return Statement(kind, at, self._semicolon(at))

    def _block(self, at: int) -> Statement:
        block = Statement("block", at, self.closing(at))
        at += 1
        while at < block.last:
            if self.tokens[at].kind == "directive":
                at += 1
                continue
            child = self._statement(at)
            block.children.append(child)
            at = child.last + 1
        return block

    def _if(self, at: int) -> Statement:
        statement = self._headed("if", at)
        after = statement.last + 1
        if self._text(after) == "else":
            statement.otherwise = self._statement(after + 1)
            statement.last = statement.otherwise.last
        return statement

    def _headed(self, kind: str, at: int) -> Statement:
        close = self.closing(at + 1)
        body = self._statement(close + 1)
        return Statement(kind, at, body.last, (at + 2, close), [body])

    def _semicolon(self, at: int) -> int:
        while self._text(at) != ";":
            at = self.closing(at) + 1 if self._text(at) in _OPEN else at + 1
        return at

    def _declares(self, at: int) -> bool:
        """Tell a declaration: a type word, or a name before a name."""
        if self.tokens[at].text in _TYPE_WORDS:
            return True
        if self.tokens[at].kind != "name":
            return False
        after = at + 1
        while self._text(after) == "*":
            after += 1
        if self.tokens[after].kind != "name":
            return False
        return after == at + 1 or self._text(after + 1) in ("=", ";", ",", "[")
