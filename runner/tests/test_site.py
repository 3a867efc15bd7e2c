# SPDX-License-Identifier: GPL-2.0-or-later
"""The static site, as far as it can be judged without a browser (html_check.py has
one)."""
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Iterator

import pytest

from runner import ROOT
from runner.items import Case
from runner.reports.site import Site, SiteError, write
from runner.store import Index, Store, save_facts

from .conftest import Suite
from .test_reports import kept
from .test_store import outcome

EVIL = "</pre></script><script>document.title = 'owned'</script><b class=evil>&amp;"
CLAUSE = "io_setup.einval.nr_zero"  # one of the contract's


def history(store: Store, evil: str = EVIL) -> None:
    """Runs of four kernels: a failure that comes and goes, skips, markup, a case that
    nobody knows."""
    words = {"6.1": "pass", "6.12": "fail", "6.12.1": "pass", "7.0": "known"}
    for number, (release, word) in enumerate(words.items()):
        more: dict[str, Any] = {"clause": CLAUSE, "kind": "hang" * (word == "fail")}
        if word != "pass":
            more |= {"reason": evil, "diagnostics": [evil, "two"], "kernel_log": [evil]}
        records = [
            outcome("io_setup.einval_nr_zero", word, **more),
            outcome("io_setup.einval_nr_zero", device="ext4", clause=CLAUSE),
            outcome("io_setup.einval_nr_zero", flavour="libaio", clause=CLAUSE),
            outcome("io_cancel.new", "skip", reason=evil, clause="io_cancel.<i>"),
        ]
        if number > 1:
            records.append(outcome("ring.odd", clause="ring.odd"))
            records.append(outcome("ring.odd", "fail", clause="ring.odd", round=2))
        run = kept(store, release, *records, version=f"#{number} {evil}")
    # The last one was killed, and says less of itself.
    facts = {key: run.facts[key] for key in ("format", "id", "release", "version")}
    save_facts(run.folder, {**facts, "arch": "x86_64", "state": "interrupted"})


def make(tmp_path: Path) -> Path:
    """A site of that history."""
    store = Store(tmp_path / "results")
    history(store)
    return made(store, tmp_path / "html")


def made(store: Store, folder: Path) -> Path:
    """The site of a store."""
    write(Site(store, Index(store), ROOT / "build" / "none"), folder)
    return folder


class Page(HTMLParser):
    """What a page consists of."""

    VOID = {"meta", "link", "input", "br", "wbr"}

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(path.read_text())
        assert not self.open, f"{path}: not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.ids |= {values["id"]} if "id" in values else set()
        self.links += [values[name] for name in ("href", "src") if name in values]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    """All pages of a site, by path."""
    folder = make(tmp_path_factory.mktemp("site"))
    paths = folder.rglob("*.html")
    yield {str(path.relative_to(folder)): Page(path) for path in paths}


def test_pages_are_whole(pages: dict[str, Page]) -> None:
    """There is a page for each kernel and case, every tag is closed, and every link
    leads somewhere, without a server."""
    assert {"index.html", "drift.html", "cases/io_cancel.new.html"} <= set(pages)
    assert sum(path.startswith("kernels/") for path in pages) == 4
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            there = (Path(path).parent / target) if target else Path(path)
            name = re.sub(r"(^|/)[^/.]+/\.\.(/|$)", r"\1", str(there))
            assert name in pages or name in ("style.css", "filter.js"), link
            if anchor and "=" not in anchor and name in pages:  # no filter's state
                assert anchor in pages[name].ids, link


def test_markup_is_escaped(pages: dict[str, Page]) -> None:
    """Nothing that a kernel said becomes a tag."""
    for path, page in pages.items():
        assert page.tags.count("script") == (2 if path == "index.html" else 0)
        assert "b" not in page.tags and "i" not in page.tags


def test_matrix(tmp_path: Path) -> None:
    """A cell has the worst of its items, and says when one changed."""
    store = Store(tmp_path)
    history(store)
    site = Site(store, Index(store), tmp_path / "none")
    assert [column.label for column in site.columns] == ["6.1", "6.12", "6.12.1", "7.0"]
    (row,) = [row for row in site.rows if row.clause.id == CLAUSE]
    cells = [(cell.letter, cell.number, cell.changed) for cell in row.cells]
    assert cells == [("p", 3, False), ("f", 1, True), ("p", 3, True), ("k", 1, True)]
    (odd,) = [row for row in site.rows if row.clause.id == "ring.odd"]
    assert [cell.letter for cell in odd.cells] == [".", ".", "y", "y"]
    assert json.loads(json.dumps(site.data))["letters"][1].count("f") == 1
    assert "drift" in " ".join(name.lower() for name in dir(site.rows[0].clause))


def test_skips_are_no_changes(tmp_path: Path) -> None:
    """An item that ran on one of two kernels has not changed, unless nothing else of
    its clause ran."""
    store = Store(tmp_path)
    for number, words in enumerate(("ps", "pp", "ss", "sf", "pf", "lp")):
        outcomes = {"p": "pass", "s": "skip", "f": "fail", "l": "lost"}
        items = zip(("raw", "libaio"), words)
        records = [
            outcome("a.b", outcomes[word], clause=CLAUSE, flavour=flavour)
            for flavour, word in items
        ]
        kept(store, f"6.{number}", *records)
    site = Site(store, Index(store), tmp_path / "none")
    (row,) = [row for row in site.rows if row.clause.id == CLAUSE]
    cells = [(cell.letter, cell.changed) for cell in row.cells]
    assert cells[:3] == [("p", False), ("p", False), ("s", True)]
    assert cells[3:] == [("f", True), ("f", False), ("l", True)]
    assert dict(site.glance) == {"fail": 1, "lost": 1, "changed": 1}
    assert [column.unwell for column in site.columns] == [0, 0, 0, 1, 1, 1]


def test_many_kernels_and_items(tmp_path: Path) -> None:
    """Pages stay small, and the oldest runs are left out, saying so."""
    store = Store(tmp_path / "r")
    for number in range(62):
        records = [outcome(f"a.case{n}", clause=f"a.c{n % 60}") for n in range(60)]
        kept(store, f"5.{number}", *records)
    folder = made(store, tmp_path / "html")
    assert max(path.stat().st_size for path in folder.rglob("*.html")) < 2e6
    index = (folder / "index.html").read_text()
    assert "2 kernels whose runs are older are left out" in index
    assert "5.61" in index and ">5.1<" not in index


def test_old_site_is_replaced(tmp_path: Path) -> None:
    """A site is replaced as a whole; a folder that is none is left alone."""
    store = Store(tmp_path / "r")
    history(store)
    folder = made(store, tmp_path / "html")
    (folder / "stale.html").touch()
    assert not (made(store, folder) / "stale.html").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    made(store, precious)  # empty: nothing to lose
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    with pytest.raises(SiteError):
        made(store, tmp_path / "own")
    assert (tmp_path / "own" / "file").exists()


def test_faults(tmp_path: Path) -> None:
    """The failure points that cases name have a page, where there are any."""
    store = Store(tmp_path / "r")
    history(store)
    site = Site(store, Index(store), tmp_path / "none")
    site.cases["io_cancel.new"] = Case("io_cancel.new", "x.c", 1, fault="aio/<i>")
    write(site, tmp_path / "html")
    page = (tmp_path / "html" / "faults.html").read_text()
    assert "aio/&lt;i&gt;" in page and page.count('<td class="s">') == 4
    assert "faults.html" in (tmp_path / "html/cases/io_cancel.new.html").read_text()
    assert not (make(tmp_path / "other") / "faults.html").exists()


def test_report_command(suite: Suite) -> None:
    """`aioabi report` says where the site is; lab results are on it."""
    assert suite("report").status == 2
    suite.results.mkdir()
    history(suite.store)
    folder = suite.results / "mutants" / "6.12"
    folder.mkdir(parents=True)
    trial = {"mutant": "m1", "verdict": "killed"}
    (folder / "k.jsonl").write_text(f"{json.dumps(trial)}\ntorn")
    done = suite("report")
    assert (done.status, "4 kernels, 5 items" in done.out) == (0, True)
    lab = (suite.results / "html" / "lab.html").read_text()
    assert "Mutants, Linux 6.12" in lab and "<dd>1</dd>" in lab
    done = suite("report", "-o", str(suite.folder))
    assert (done.status, "no report" in done.err) == (2, True)
    assert len(suite.store.folders()) == 4  # the site is no run
