# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutants of fs/aio.c: which changes make another kernel, each with a name."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Iterator, Sequence

from . import operators
from ..archive import locked
from .csource import Source
from .relink import Linker
from .sources import Say, cache_dir

USABLE, REFUSED = "usable", "refused"
# So many are compiled at a time until a sample is full.
CHUNK = 32
# Adding 1 to the name's generation makes every catalogue be built again.
_GENERATION = 2
# What a person would be told by the compiler is no bug that lives long.
_WARNINGS = ("-Wuninitialized", "-Wmaybe-uninitialized", "-Wreturn-type")


@dataclass(frozen=True)
class Mutant:
    """One change of fs/aio.c.

    ``state`` says what the compiler made of it: usable, or refused (it does not
    compile, or warns); ``digest`` is of the object.
    """

    id: str
    where: str
    operator: str
    line: int
    start: int
    end: int
    text: str
    state: str = ""
    digest: str = ""

    def apply(self, text: str) -> str:
        """Return ``text``, the unchanged file, with this change made."""
        change = operators.Change(
            self.where, self.operator, self.start, self.end, self.text
        )
        return operators.apply(text, change)

    def diff(self, text: str) -> str:
        """Return the change as a unified diff of fs/aio.c."""
        lines = difflib.unified_diff(
            text.splitlines(keepends=True),
            self.apply(text).splitlines(keepends=True),
            "a/fs/aio.c",
            "b/fs/aio.c",
        )
        return "".join(lines)

    def lines(self, text: str) -> tuple[list[str], list[str]]:
        """Return the lines taken out and those put in, without white space."""
        before, after = text.splitlines(), self.apply(text).splitlines()
        gone, new = [], []
        for one, two in zip(before, after):
            if one != two:
                gone.append(one.strip())
                new.append(two.strip())
        return gone, new


def candidates(source: Source) -> list[Mutant]:
    """Return every change that the operators make, named and in order."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for change in operators.changes(source):
        counts[change.where, change.operator] += 1
        number = counts[change.where, change.operator]
        found.append(
            Mutant(
                f"{change.where}.{change.operator}.{number}",
                change.where,
                change.operator,
                source.line_of(change.start),
                change.start,
                change.end,
                change.text,
            )
        )
    return found


class Catalogue:
    """All mutants of one kernel's fs/aio.c, and what the compiler says of them."""

    def __init__(self, linker: Linker, jobs: int, say: Say) -> None:
        self.linker = linker
        self.text = linker.original
        self.key = self._key()
        self._jobs = jobs
        self._say = say
        self._path = cache_dir() / "mutants" / f"{self.key}.jsonl"

    def mutants(
        self,
        functions: Sequence[str] = (),
        sample: int | None = None,
        seed: int = 0,
    ) -> list[Mutant]:
        """Return mutants that can be told from the original by their object.

        Only those of ``functions`` (or with these ids; * and ? work), or all;
        ``sample`` of them, or all. The same numbers choose the same mutants, and a
        larger sample of the same seed holds the smaller one. What was never asked
        for before is compiled.
        """
        listed = matching(candidates(Source(self.text)), functions)
        place = {mutant.id: number for number, mutant in enumerate(listed)}
        wanted, step = len(listed), len(listed) or 1
        if sample is not None and sample < wanted:
            random.Random(seed).shuffle(listed)
            wanted, step = sample, CHUNK
        chosen: list[Mutant] = []
        with locked(self._path.with_suffix(".lock")):
            known = {mutant.id: mutant for mutant in self._load()}
            seen = {self._digest_of_original()}
            for start in range(0, len(listed), step):
                if len(chosen) >= wanted:
                    break
                for mutant in self._judged(listed[start : start + step], known):
                    if mutant.state == USABLE and mutant.digest not in seen:
                        seen.add(mutant.digest)
                        chosen.append(mutant)
        return sorted(chosen[:wanted], key=lambda mutant: place[mutant.id])

    def _judged(
        self, mutants: Sequence[Mutant], known: dict[str, Mutant]
    ) -> list[Mutant]:
        """Return these as the compiler has them; what it says is kept in ``known``."""
        missing = [mutant for mutant in mutants if mutant.id not in known]
        if missing:
            self._say(f"compiling {len(missing)} changes of fs/aio.c")
            with open(self._path, "a", encoding="utf-8") as out:
                for mutant in self._compile(missing):
                    known[mutant.id] = mutant
                    out.write(json.dumps(asdict(mutant)) + "\n")
                    out.flush()
        return [known[mutant.id] for mutant in mutants]

    def _digest_of_original(self) -> str:
        with tempfile.TemporaryDirectory(prefix="aioabi-mutants-") as scratch:
            out = Path(scratch) / "base.o"
            return self.linker.compile(self.text, out, *_WARNINGS).digest()

    def _key(self) -> str:
        parts = [self.text, self.linker.image.key, str(_GENERATION)]
        parts += [c.id + c.text for c in candidates(Source(self.text))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _load(self) -> Iterator[Mutant]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                yield Mutant(**json.loads(line))
            except ValueError:
                continue  # the last line of a run that was killed

    def _compile(self, mutants: Sequence[Mutant]) -> Iterator[Mutant]:
        with tempfile.TemporaryDirectory(prefix="aioabi-mutants-") as scratch:
            place = Path(scratch)
            usual = self._warnings(
                self.linker.compile(self.text, place / "base.o", *_WARNINGS).messages
            )

            def judge(numbered: tuple[int, Mutant]) -> Mutant:
                number, mutant = numbered
                out = place / f"{number}.o"
                made = self.linker.compile(mutant.apply(self.text), out, *_WARNINGS)
                digest = ""
                if made.path and not self._warnings(made.messages) - usual:
                    digest = made.digest()
                out.unlink(missing_ok=True)
                shutil.rmtree(out.with_suffix(".d"))
                state = USABLE if digest else REFUSED
                return replace(mutant, state=state, digest=digest)

            with ThreadPoolExecutor(self._jobs) as pool:
                yield from pool.map(judge, enumerate(mutants))

    @staticmethod
    def _warnings(messages: str) -> set[str]:
        return set(re.findall(r"warning: (.*)", messages))


def matching(mutants: Sequence[Mutant], functions: Sequence[str]) -> list[Mutant]:
    """Return those of these functions, or with these ids; all when none is named."""
    return [
        mutant
        for mutant in mutants
        if not functions
        or any(
            fnmatchcase(mutant.where, f) or fnmatchcase(mutant.id, f) for f in functions
        )
    ]


def default_jobs() -> int:
    """Return how many compilers run side by side: one for each CPU."""
    return len(os.sched_getaffinity(0))
