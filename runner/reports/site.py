# SPDX-License-Identifier: GPL-2.0-or-later
"""The static site: a matrix of clauses and kernels, a page for each kernel and case.

It is made of files that need no server: plain pages, one style sheet, one script that
filters. Everything that comes from a run is escaped by the templates.
"""
import hashlib
import json
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, Sequence

import jinja2
from markupsafe import Markup, escape

from .. import ROOT
from ..contract import INTERFACES, Clause
from ..executor import ExecutorError
from ..items import OUTCOMES, Case, Key
from ..store import Index, Item, Store
from ..summary import clauses, details
from ..targets import read_catalogue
from .diff import SECTIONS, Diff, Incomparable
from .sides import Side, builds, of_kernel

TEMPLATES = Path(__file__).parent / "templates"
MARKER = ".aioabi-report"
COLUMNS_MAX = 60
DETAILS_MAX = 100  # groups with their diagnostics on a page
LINES_MAX = 60  # of them
SOURCE_MAX = 200  # lines of a case

# A letter for each outcome, the worst first: what a cell of several items shows.
LETTERS = {
    "fail": "f",
    "fixed": "x",
    "flaky": "y",
    "broken": "b",
    "lost": "l",
    "known": "k",
    "pass": "p",
    "skip": "s",
}
WORDS = {letter: word for word, letter in LETTERS.items()}
SYMBOLS = {
    "f": "✗",
    "x": "◆",
    "y": "≈",
    "b": "!",
    "l": "?",
    "k": "◇",
    "p": "✓",
    "s": "–",
}
NONE = "."
UNWELL = "fxybl"


class SiteError(Exception):
    """The site cannot be written; the text says why."""


def letter_of(item: Optional[Item]) -> str:
    """The letter of an item on a kernel."""
    if item is None:
        return NONE
    return "y" if item.flaky else LETTERS[item.outcome.outcome]


@dataclass(frozen=True)
class Cell:
    """Some items on one kernel: the worst letter, how many have it, and whether that
    letter, or what became of one of them, is not what it was on the last kernel that
    ran them."""

    letter: str
    number: int
    changed: bool

    @property
    def html(self) -> Markup:
        """The cell of the table."""
        if self.letter == NONE:
            return Markup("<td></td>")
        shown = SYMBOLS[self.letter]
        if self.letter not in "ps" and self.number > 1:
            shown += str(self.number)
        more = " c" if self.changed else ""
        return Markup(f'<td class="{self.letter}{more}">{shown}</td>')


@dataclass
class Column:
    """A kernel."""

    label: str
    slug: str
    side: Side
    changes: Optional[Diff] = None

    @property
    def head(self) -> str:
        """The label above a column, without what all of Debian's have."""
        return self.label.removesuffix("-amd64")

    @cached_property
    def counts(self) -> Counter[str]:
        """Items by outcome."""
        letters = Counter(map(letter_of, self.side.items.values()))
        return Counter({WORDS[letter]: n for letter, n in letters.items()})

    @property
    def unwell(self) -> int:
        """How many items are not as they should be."""
        return sum(self.counts[WORDS[letter]] for letter in UNWELL)


@dataclass
class Row:
    """A clause with its cases, and the numbers of their items."""

    clause: Clause
    cases: dict[str, list[int]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    @property
    def items(self) -> list[int]:
        """All its items."""
        return [number for numbers in self.cases.values() for number in numbers]


class Site:
    """All that is shown, read from the store."""

    def __init__(self, store: Store, index: Index, program: Path):
        self.store = store
        self.notes: list[str] = []
        self.columns = self._columns(index)
        self.keys = sorted({key for c in self.columns for key in c.side.items})
        numbers = {key: number for number, key in enumerate(self.keys)}
        self.letters = ["" for _ in self.columns]
        for at, column in enumerate(self.columns):
            items = column.side.items
            self.letters[at] = "".join(letter_of(items.get(key)) for key in self.keys)
        self.changed = self._changes()
        self.cases = self._cases(program)
        self.rows = self._rows(numbers)
        for row in self.rows:
            row.cells = self.cells(row.items)

    def _columns(self, index: Index) -> list[Column]:
        found = [build for build in builds(index.runs())]
        if len(found) > COLUMNS_MAX:
            newest = sorted(found, key=lambda build: str(build[-1]["run"]))[
                -COLUMNS_MAX:
            ]
            self.notes.append(
                f"{len(found) - COLUMNS_MAX} kernels whose runs are older are left out"
            )
            found = [build for build in found if build in newest]
        sides = [of_kernel(self.store, index, build) for build in found]
        columns: list[Column] = []
        arches = {side.arch for side in sides}
        for side in sides:
            if not side.items:
                continue
            label = side.release + (f" {side.arch}" if len(arches) > 1 else "")
            same = sum(c.side.release == side.release for c in columns)
            label += f" ({same + 1})" if same else ""
            identity = f"{side.release}\0{side.version}\0{side.arch}"
            digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
            slug = re.sub(r"[^\w.+-]", "_", side.release)
            column = Column(label, f"{slug}-{digest}", side)
            if columns:
                try:
                    column.changes = Diff(columns[-1].side, side)
                except Incomparable:
                    pass
            columns.append(column)
        return columns

    def _changes(self) -> list[list[bool]]:
        """By column and item: is it not what it was on the last kernel it ran on?
        Skips are left out: what was tried on one kernel only has not changed."""
        last = [""] * len(self.keys)
        changed = []
        for letters in self.letters:
            column = []
            for number, letter in enumerate(letters):
                ran = letter not in (NONE, "l", "s")
                column.append(ran and last[number] not in ("", letter))
                if ran:
                    last[number] = letter
            changed.append(column)
        return changed

    def _cases(self, program: Path) -> dict[str, Case]:
        try:
            return {case.id: case for case in read_catalogue(program).cases}
        except ExecutorError as error:
            self.notes.append(f"without titles and sources of the cases: {error}")
            return {}

    def _rows(self, numbers: Mapping[Key, int]) -> list[Row]:
        rows = {name: Row(clause) for name, clause in clauses().items()}
        names: dict[str, str] = {}
        for column in self.columns:
            for key, item in column.side.items.items():
                if item.outcome.clause:
                    names[key.id] = item.outcome.clause
        for case in self.cases.values():
            names.setdefault(case.id, case.clause)
        for case_id, name in sorted(names.items()):
            clause = Clause(name, "This clause is not in the contract.", ())
            rows.setdefault(name, Row(clause)).cases[case_id] = []
        unnamed = Row(Clause("none", "Cases whose clause nobody named.", ()))
        for key, number in numbers.items():
            row = rows[names[key.id]] if key.id in names else unnamed
            row.cases.setdefault(key.id, []).append(number)
        found = [*rows.values(), *([unnamed] if unnamed.cases else [])]
        # By interface, and otherwise as the contract has them.
        order = list(dict.fromkeys(row.clause.interface for row in found))
        return sorted(found, key=lambda row: order.index(row.clause.interface))

    def cells(self, items: Sequence[int]) -> list[Cell]:
        """One cell a kernel for these items together."""
        found = []
        last = ""
        for letters, changed in zip(self.letters, self.changed):
            had = Counter(letters[number] for number in items)
            worst = next((letter for letter in WORDS if had[letter]), NONE)
            other = any(changed[number] for number in items)
            if worst not in (NONE, "l"):
                other |= last not in ("", worst)
                last = worst
            found.append(Cell(worst, had[worst], other))
        return found

    @cached_property
    def glance(self) -> list[tuple[str, int]]:
        """What is to be seen first: values of the filter for outcomes, and how many
        clauses each leaves."""
        found = Counter[str]()
        for row in self.rows:
            had = {letters[n] for letters in self.letters for n in row.items}
            found.update(WORDS[letter] for letter in UNWELL if letter in had)
            found["changed"] += any(cell.changed for cell in row.cells)
        order = [*(WORDS[letter] for letter in UNWELL), "changed"]
        return [(word, found[word]) for word in order if found[word]]

    @cached_property
    def groups(self) -> list[tuple[str, str, list[Row]]]:
        """The rows by interface: its name, its heading, its rows."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.clause.interface, []).append(row)
        return [
            (name, INTERFACES.get(name, name), rows) for name, rows in found.items()
        ]

    @cached_property
    def clause_of(self) -> dict[str, Clause]:
        """The clause of each case."""
        return {case: row.clause for row in self.rows for case in row.cases}

    @cached_property
    def faults(self) -> list[tuple[str, list[str], list[Cell]]]:
        """The failure points that cases name: each with its cases and its cells."""
        items = {
            case: numbers for row in self.rows for case, numbers in row.cases.items()
        }
        points: dict[str, list[str]] = {}
        for case in self.cases.values():
            if case.fault:
                points.setdefault(case.fault, []).append(case.id)
        return [
            (point, cases, self.cells([n for c in cases for n in items.get(c, ())]))
            for point, cases in sorted(points.items())
        ]

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the script needs to make the cells again for some of the items."""
        flavours = sorted({key.flavour for key in self.keys})
        devices = sorted({key.device for key in self.keys})
        return {
            "flavours": flavours,
            "devices": devices,
            "items": [
                [flavours.index(key.flavour), devices.index(key.device)]
                for key in self.keys
            ],
            "rows": [row.items for row in self.rows],
            "letters": self.letters,
            "symbols": SYMBOLS,
            "words": WORDS,
        }


# --- pages ---


@dataclass(frozen=True)
class Told:
    """Items of one case with one outcome on one kernel, and what one of them said."""

    case: str
    letter: str
    title: str
    where: str
    lines: Sequence[str]


def _told(column: Column, keys: Iterable[Key], letters: str) -> list[Told]:
    groups: dict[tuple[str, str, str], list[Key]] = {}
    for key in keys:
        item = column.side.items.get(key)
        letter = letter_of(item)
        if item and letter in letters:
            groups.setdefault((key.id, letter, str(item)), []).append(key)
    found = []
    ranked = sorted(groups.items(), key=lambda group: letters.index(group[0][1]))
    for number, ((case, letter, title), same) in enumerate(ranked):
        lines: list[str] = []
        if number < DETAILS_MAX:
            outcome = column.side.full(column.side.items[same[0]])
            lines = details(outcome)[:LINES_MAX]
        found.append(Told(case, letter, title, where(same), lines))
    return found


def where(keys: Sequence[Key]) -> str:
    """Flavours and devices of some items."""
    by_flavour: dict[str, list[str]] = {}
    for key in keys:
        by_flavour.setdefault(key.flavour, []).append(key.device)
    return "; ".join(f"{name} on {', '.join(d)}" for name, d in by_flavour.items())


def _skips(column: Column) -> list[tuple[str, list[str]]]:
    """Needs that were not met, and the cases that had them."""
    found: dict[str, set[str]] = {}
    for key, item in column.side.items.items():
        if item.outcome.outcome == "skip":
            reason = item.outcome.reason or "no reason given"
            found.setdefault(reason, set()).add(key.id)
    ranked = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return [(reason, sorted(cases)) for reason, cases in ranked]


def _source(case: Optional[Case]) -> list[tuple[int, str]]:
    """The lines of a case in its file, with their numbers."""
    path = ROOT / case.file if case else None
    if not case or not path or not path.resolve().is_relative_to(ROOT):
        return []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines[case.line - 1 :], case.line):
        found.append((number, line))
        if line == "}" or len(found) >= SOURCE_MAX:
            break
    return found


def case_page(case: str) -> str:
    """The file name of a case's page."""
    return re.sub(r"[^\w.-]", "_", case) + ".html"


def breakable(name: str) -> Markup:
    """A long name that may be broken after its dots and underscores."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def lab_reports(root: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """What mutants, old bugs and coverage came to, where they were tried: a title,
    and rows of a name and a value."""
    found = []
    for title, pattern in (
        ("Mutants", "mutants/*/*.jsonl"),
        ("Old bugs put back", "old-bugs/*.jsonl"),
    ):
        for path in sorted(root.glob(pattern)):
            verdicts: dict[str, str] = {}
            for line in path.read_text(errors="replace").splitlines():
                try:
                    record = json.loads(line)
                    verdicts[str(record["mutant"])] = str(record["verdict"])
                except (ValueError, LookupError, TypeError):
                    continue
            counts = Counter(verdicts.values())
            rows = [("tried", str(len(verdicts)))]
            rows += [(word, str(n)) for word, n in counts.most_common()]
            name = path.parent.name if path.parent.name != "old-bugs" else path.stem
            found.append((f"{title}, Linux {name}", rows))
    return found


class Writer:
    """Writes the pages of a site into a folder."""

    def __init__(self, site: Site, folder: Path):
        self.site, self.folder = site, folder
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.environment.filters["case_page"] = case_page
        self.environment.filters["breakable"] = breakable
        lab = lab_reports(site.store.root)
        coverage = sorted(site.store.root.glob("coverage/*/index.html"))
        self.common = {
            "site": site,
            "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "symbols": SYMBOLS,
            "words": WORDS,
            "outcomes": list(LETTERS),
            "lab": lab,
            "coverage": [path.parent.name for path in coverage],
            "has_lab": bool(lab or coverage),
        }

    def page(self, path: str, template: str, **values: Any) -> None:
        """Write one page."""
        up = "../" * path.count("/")
        text = self.environment.get_template(template).render(
            **self.common, up=up, **values
        )
        (self.folder / path).write_text(text, encoding="utf-8", errors="replace")

    def write(self) -> None:
        """Write all pages."""
        for name in ("kernels", "cases"):
            (self.folder / name).mkdir()
        for name in ("style.css", "filter.js"):
            shutil.copyfile(TEMPLATES / name, self.folder / name)
        self.page("index.html", "index.html")
        drift = [row.clause for row in self.site.rows if row.clause.drift]
        self.page("drift.html", "drift.html", drift=drift)
        if self.site.faults:
            self.page("faults.html", "faults.html")
        if self.common["has_lab"]:
            self.page("lab.html", "lab.html")
        for at, column in enumerate(self.site.columns):
            self._kernel(at, column)
        for row in self.site.rows:
            for case, numbers in row.cases.items():
                self._case(row.clause, case, numbers)

    def _kernel(self, at: int, column: Column) -> None:
        site, side = self.site, column.side
        by_case: dict[str, Counter[str]] = {}
        seconds: dict[str, float] = {}
        for key, item in side.items.items():
            letter = letter_of(item)
            by_case.setdefault(key.id, Counter())[letter] += 1
            seconds[key.id] = max(seconds.get(key.id, 0.0), item.outcome.seconds)
        changes = []
        if column.changes:
            for what, (title, _) in SECTIONS.items():
                groups = column.changes.groups(what)
                if groups and what not in ("new", "vanished"):
                    changes.append((title, groups))
        self.page(
            f"kernels/{column.slug}.html",
            "kernel.html",
            column=column,
            before=site.columns[at - 1] if at else None,
            changes=changes,
            bad=_told(column, sorted(side.items), UNWELL),
            known=_told(column, sorted(side.items), "k"),
            skips=_skips(column),
            by_case=sorted(by_case.items()),
            seconds=seconds,
            outcomes_of={name: column.counts[name] for name in (*OUTCOMES, "flaky")},
        )

    def _case(self, clause: Clause, case: str, numbers: Sequence[int]) -> None:
        site = self.site
        about = site.cases.get(case)
        history = [
            (f"{site.keys[n].flavour} on {site.keys[n].device}", site.cells([n]))
            for n in numbers
        ]
        keys = [site.keys[number] for number in numbers]
        told = [
            (column, groups)
            for column in reversed(site.columns)
            if (groups := _told(column, keys, "fxyblks"))
        ]
        self.page(
            f"cases/{case_page(case)}",
            "case.html",
            case=case,
            about=about,
            clause=clause,
            history=history,
            told=told,
            source=_source(about),
            seconds=_times(site.columns, keys),
        )


def _times(columns: Sequence[Column], keys: Sequence[Key]) -> list[float]:
    """The longest time of these items on each kernel."""
    found = []
    for column in columns:
        items = (column.side.items.get(key) for key in keys)
        found.append(max((i.outcome.seconds for i in items if i), default=0.0))
    return found


def write(site: Site, folder: Path) -> Path:
    """Write the site into this folder, in place of the one that is there; returns its
    first page. SiteError when something else is there."""
    if folder.exists() and not (folder / MARKER).exists():
        if not folder.is_dir() or any(folder.iterdir()):
            raise SiteError(f"{folder} is there, and no report: name another folder")
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        (new / MARKER).touch()
        Writer(site, new).write()
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    except OSError as error:
        raise SiteError(f"{folder}: {error}") from error
    return folder / "index.html"
