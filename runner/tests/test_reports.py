# SPDX-License-Identifier: GPL-2.0-or-later
"""What changed between two kernels, baselines, and which runs may go."""
import itertools
import json
import re
from pathlib import Path
from typing import Any, Iterator

import pytest

from runner.items import Key
from runner.reports.baseline import Baseline, accept
from runner.reports.diff import Diff, Incomparable, against_baseline
from runner.reports.diff import to_json, to_markdown, to_text
from runner.reports.sides import builds, is_release, kernel_key, named, nearest
from runner.reports.sides import of_baseline, of_run
from runner.store import Index, Run, Store, StoreError, save_facts

from .conftest import FAKE, Suite
from .test_store import outcome

NUMBERS: Iterator[int] = itertools.count()
DEVICES = [
    {"name": "loop", "kind": "block"},
    {"name": "nvme", "kind": "block"},
    {"name": "zram", "kind": "block"},
    {"name": "ext4", "kind": "dir"},
]


def kept(store: Store, release: str, *records: dict[str, Any], **facts: Any) -> Run:
    """A finished run of this kernel; each one is later than the one before."""
    about = {"version": "#1", "arch": "x86_64", "target": "vm", "suite": "f00d"}
    writer = store.begin(release, {**about, "devices": DEVICES, **facts}, b"CONFIG=y")
    writer.write(records)
    made = writer.finish("finished", complete=True)
    named_ = made.folder.with_name(f"20260101-{next(NUMBERS):06}")
    made.folder.rename(named_)
    save_facts(named_, {**made.facts, "id": named_.name})
    return Run.load(named_)


def diff_of(store: Store, a: str, b: str) -> Diff:
    """The difference of two things that are named."""
    index, folder = Index(store), store.root / "baselines"
    return Diff(named(store, index, folder, a), named(store, index, folder, b))


def told(diff: Diff) -> dict[str, str]:
    """What the difference says of each case."""
    return {change.key.id: change.what for change in diff.changes}


OLD = {"a.same": "pass", "a.worse": "pass", "a.better": "fail", "a.needs": "skip"}
NEW = {"a.same": "pass", "a.worse": "fail", "a.better": "pass", "a.needs": "pass"}


@pytest.fixture
def two(tmp_path: Path) -> Store:
    """A store with runs of two kernels that differ in every way."""
    store = Store(tmp_path)
    old, new = (
        [outcome(case, word) for case, word in words.items()] for words in (OLD, NEW)
    )
    again = ["--kernel", "debian:7.2"]
    log = ["BUG: `tick`", "<b>no markup</b>"]
    new[1] |= {"kind": "kernel", "reason": "it | broke", "kernel_log": log}
    kept(store, "6.1.0", *old, outcome("a.gone"))
    kept(store, "7.2.0", *new, outcome("a.new", "fail"), again=again)
    return store


def test_kinds_of_change(two: Store) -> None:
    """Each kind of change has its section, and only a regression has status 1."""
    diff = diff_of(two, "6.1", "7.2")
    assert told(diff) == {
        "a.worse": "regression",
        "a.better": "fix",
        "a.needs": "other",
        "a.gone": "vanished",
        "a.new": "new",
    }
    assert (diff.status, diff.same) == (1, 1)
    assert diff_of(two, "7.2", "6.1").status == 1  # what was fixed, the other way
    assert diff_of(two, "7.2", "7.2").status == 0


@pytest.mark.parametrize(
    "was, now, what",
    [
        ("pass", "known", "other"),
        ("known", "fail", "other"),
        ("known", "fixed", "fix"),
        ("fixed", "fail", "regression"),
        ("fixed", "pass", "other"),
        ("skip", "fail", "other"),
        ("pass", "broken", "other"),
        ("pass", "lost", "other"),
        ("fail", "known", "other"),
    ],
)
def test_outcomes(tmp_path: Path, was: str, now: str, what: str) -> None:
    """Pass to fail is a regression, fail to pass a fix, the rest is neither."""
    store = Store(tmp_path)
    a = kept(store, "6.1", outcome("a.b", was))
    b = kept(store, "7", outcome("a.b", now))
    diff = Diff(of_run(a), of_run(b))
    assert told(diff) == {"a.b": what}
    assert diff.status == (what == "regression")


def test_other_kind_of_failure(tmp_path: Path) -> None:
    """A failure that became another one is told of."""
    store = Store(tmp_path)
    a = kept(store, "6.1", outcome("a.b", "fail", kind="expectation"))
    b = kept(store, "7", outcome("a.b", "fail", kind="hang"))
    (change,) = Diff(of_run(a), of_run(b)).changes
    assert change.arrow == "fail (expectation) → fail (hang)"


@pytest.mark.parametrize(
    "was, now, what",
    [
        ("skip", "pass", "contract"),
        ("skip", "fail", "other"),
        ("skip", "broken", "other"),
        ("pass", "fail", "regression"),
    ],
)
def test_by_the_contract(tmp_path: Path, was: str, now: str, what: str) -> None:
    """A case that runs since its clause begins between the two has not changed."""
    store = Store(tmp_path)
    clause = "io_submit.rw_flags.atomic"  # since 6.11
    a = kept(store, "6.1.0-9", outcome("a.b", was, clause=clause))
    b = kept(store, "6.12.0", outcome("a.b", now, clause=clause))
    same = kept(store, "6.1.0-9", outcome("a.b", now, clause=clause))
    assert told(Diff(of_run(a), of_run(b))) == {"a.b": what}
    later = Diff(of_run(a), of_run(same))
    assert told(later)["a.b"] == what.replace("contract", "other")


def test_values_by_the_contract(tmp_path: Path) -> None:
    """Where the contract has another value for the second kernel, and both keep it, the
    difference says so, with the commit; it is no change of an item."""
    store = Store(tmp_path)
    noappend = {"clause": "io_submit.rw_flags.noappend"}  # another value since 6.9
    same = {"clause": "io_submit.rw_flags.nosignal"}  # since 6.18
    items = [outcome("a.noappend", **noappend), outcome("a.same", **same)]
    a = kept(store, "6.1.0-9", *items, outcome("a.bad", "fail", **noappend))
    b = kept(store, "6.12.0", *items, outcome("a.bad", "fail", **noappend))
    diff = Diff(of_run(a), of_run(b))
    (moved,) = diff.moved
    assert (moved.was.value, moved.now.value) == ("-EOPNOTSUPP", "1")
    assert (moved.cases, diff.changes) == (("a.noappend",), [])
    assert "1 other value by the contract" in diff.total()
    for text in (to_markdown(diff), "\n".join(line for line, _ in to_text(diff))):
        assert "from 6.9, commit 73fa7547c70b: RWF" in text
    assert json.loads(to_json(diff))["moved"][0]["cases"] == ["a.noappend"]
    back = Diff(of_run(b), of_run(a)).moved[0]
    assert (back.now.value, back.why[:8]) == ("-EOPNOTSUPP", "from 6.9")


def test_what_a_kernel_said(tmp_path: Path) -> None:
    """First the promise, then the trace: registers and modules are left out of what is
    shown to people, not of what programs read."""
    store = Store(tmp_path)
    clause = {"clause": "io_setup.einval.nr_zero"}
    log = ["WARNING: at aio", "Modules linked in: brd", "RIP: 0010:aio_x"]
    log += ["RAX: 00 RBX: 00", "CS:  0010 DS: 0000", "Call Trace:", " aio_x+0x1"]
    a = kept(store, "6.1", outcome("a.b", **clause))
    b = kept(
        store, "6.2", outcome("a.b", "fail", kind="kernel", kernel_log=log, **clause)
    )
    diff = Diff(of_run(a), of_run(b))
    text = "\n".join(line for line, _ in to_text(diff))
    assert "clause io_setup.einval.nr_zero: A count of 0" in text
    assert text.index("clause io_setup") < text.index("kernel log")
    assert "RIP: 0010:aio_x\n" in text and "aio_x+0x1" in text
    for line in ("Modules linked", "RAX", "CS:"):
        assert line not in text and line in to_json(diff)
    assert "raw on loop.\n  Clause io\\_setup" in to_markdown(diff)


def test_flaky_within_a_run(tmp_path: Path) -> None:
    """An item that did both in its rounds has not regressed."""
    store = Store(tmp_path)
    kept(store, "6.1", outcome("a.b"))
    kept(store, "7", outcome("a.b"), outcome("a.b", "fail", round=2))
    diff = diff_of(store, "6.1", "7")
    assert told(diff) == {"a.b": "flaky"}
    assert diff.status == 0
    assert diff.changes[0].arrow == "pass → 1 fail, 1 pass"


@pytest.mark.parametrize(
    "facts, what",
    [
        ({}, "flaky"),
        ({"suite": "beef"}, "regression"),
        ({"version": "#2"}, "regression"),
        ({"target": "host"}, "regression"),
    ],
)
def test_flaky_over_runs(tmp_path: Path, facts: dict[str, Any], what: str) -> None:
    """Only runs of the same suite on the same build and target show an item flaky."""
    store = Store(tmp_path)
    kept(store, "6.1", outcome("a.b"))
    kept(store, "7", outcome("a.b"), **facts)
    last = kept(store, "7", outcome("a.b", "fail"))
    assert told(diff_of(store, "6.1", last.id)) == {"a.b": what}
    if facts != {"target": "host"}:  # a kernel's runs are taken together
        assert told(diff_of(store, "6.1", "7")) == {"a.b": what}


def test_dirty_suite_is_like_no_other(tmp_path: Path) -> None:
    """Two runs of a suite that is not committed may not be of the same suite."""
    store = Store(tmp_path)
    kept(store, "7", outcome("a.b"), suite="f00d-dirty")
    last = kept(store, "7", outcome("a.b", "fail"), suite="f00d-dirty")
    for name in (last.id, "7"):
        (item,) = named(store, Index(store), tmp_path, name).items.values()
        assert not item.flaky


def test_runs_of_a_kernel(tmp_path: Path) -> None:
    """A kernel says of an item what its last run says that did not lose it."""
    store = Store(tmp_path)
    kept(store, "6.1", outcome("a.b", "fail"), suite="old", version="Debian 6.1.9-1")
    kept(store, "6.1", outcome("a.c"), outcome("a.b"), version="Debian 6.1.10-1")
    run = kept(store, "6.1", outcome("a.c", "lost"), version="Debian 6.1.10-1")
    kept(store, "6.1", outcome("a.b", "fail"), version="Debian 6.1.9-1")
    side = named(store, Index(store), tmp_path, "6.1")
    assert {k.id: str(item) for k, item in side.items.items()} == {
        "a.b": "pass",
        "a.c": "pass",
    }
    (item,) = named(store, Index(store), tmp_path, run.id).items.values()
    assert item.run == run.id
    order = [build[0]["version"] for build in builds(Index(store).runs())]
    assert order == ["Debian 6.1.9-1", "Debian 6.1.10-1"]


def test_formats(two: Store) -> None:
    """All formats name clause, outcomes, kernel log, and the command that shows it."""
    diff = diff_of(two, "6.1", "7.2")
    text = "\n".join(line for line, _ in to_text(diff))
    page = to_markdown(diff)
    report = json.loads(to_json(diff))
    again = "runner/aioabi run --kernel debian:7.2 'a.worse[raw-loop]'"
    for shown in (text, page):
        assert re.search(r"a\.worse.*pass → fail .*kernel", shown)
        assert again in shown
        assert "BUG: `tick`" in shown
        assert "1 regression, 1 fix" in shown
    assert report["counts"]["regression"] == report["status"] == 1
    (worse,) = [c for c in report["changes"] if c["id"] == "a.worse"]
    assert (worse["was"]["outcome"], worse["now"]["kind"]) == ("pass", "kernel")
    assert worse["again"] == again
    assert "    BUG: `tick`" in worse["details"]


def test_markdown_cannot_be_broken_out_of(two: Store) -> None:
    """What a kernel said stands in indented code: no line of it is at the margin."""
    page = to_markdown(diff_of(two, "6.1", "7.2"))
    for line in page.splitlines():
        assert "<b>" not in line or line.startswith("      ")


def test_incomparable(tmp_path: Path) -> None:
    """Other architectures, no common item and no items at all are refused."""
    store = Store(tmp_path)
    one = of_run(kept(store, "6.1", outcome("a.b")))
    other = of_run(kept(store, "6.1", outcome("a.b", device="sda")))
    with pytest.raises(Incomparable, match="NAME=PATH"):
        Diff(one, other)
    with pytest.raises(Incomparable, match="aarch64"):
        Diff(one, of_run(kept(store, "6.1", outcome("a.b"), arch="aarch64")))
    with pytest.raises(Incomparable, match="no outcomes"):
        Diff(one, of_run(kept(store, "6.1")))


def test_names(two: Store) -> None:
    """A side is named in many ways; a wrong name is an error."""
    index, folder = Index(two), two.root / "baselines"
    last = two.find("last")
    for name in ("last", last.id, str(last.folder), "7.2.0", "7.2", "7"):
        assert named(two, index, folder, name).release == "7.2.0"
    for name in ("7.20", "baseline:7.2", "nothing", "20200101-"):
        with pytest.raises(StoreError):
            named(two, index, folder, name)
    assert not is_release("6.1", "6.12.1")


def test_kernel_order() -> None:
    """Kernels are in the order in which they came out."""
    kernels = [
        ("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1 (2026)"),
        ("6.1.0-9-amd64", "#1 SMP Debian 6.1.27-1 (2023)"),
        ("6.1.0-56-amd64", "#1 SMP Debian 6.1.192-2 (2026)"),
        ("6.12.117", "#1"),
        ("7.3.0-rc2", "#1"),
        ("7.3.0-rc10", "#1"),
        ("7.3.0", "#1"),
    ]
    assert sorted(kernels, key=lambda kernel: kernel_key(*kernel)) == kernels
    kernel_key("weird/*", "Debian (")


# --- baselines ---


def everywhere(case: str, word: str, devices: str, **more: Any) -> list[dict[str, Any]]:
    """Outcomes of a case in two flavours on these devices."""
    return [
        outcome(case, word, flavour=flavour, device=device, **more)
        for flavour in ("raw", "libaio")
        for device in devices.split()
    ]


def test_baseline_text(tmp_path: Path) -> None:
    """A baseline is read as it was written, and names sets of devices."""
    records = [
        *everywhere("a.b", "pass", "loop nvme"),
        *everywhere("a.b", "fail", "zram", kind="hang"),
        *everywhere("a.c", "pass", "loop nvme zram ext4"),
        *everywhere("a.d", "skip", "ext4"),
        outcome("a.e"),
        outcome("a.e", "fail", round=2),
        outcome("a.f", "lost"),
        outcome("a.g", "broken"),
    ]
    run = kept(Store(tmp_path / "r"), "6.1", *records)
    base, _ = accept(run, tmp_path)
    assert base.path == tmp_path / "x86_64" / "6.1.txt"
    lines = base.text().splitlines()
    assert lines[lines.index("") + 1 :] == [
        "a.b  pass  libaio,raw  block -zram",
        "a.b  fail:hang  libaio,raw  zram",
        "a.c  pass  libaio,raw  block ext4",
        "a.d  skip  libaio,raw  ext4",
        "a.e  flaky  raw  loop",
    ]
    base.path.parent.mkdir()
    base.path.write_text(base.text())
    read = Baseline.load(base.path)
    assert (read, read.text()) == (base, base.text())
    same = Diff(of_baseline(read), of_run(run))
    assert told(same) == {"a.e": "flaky", "a.f": "new", "a.g": "new"}


def test_accept_keeps_what_was_not_run(tmp_path: Path) -> None:
    """A run of a selection updates a baseline; --replace forgets the rest."""
    suite = Suite(tmp_path)
    folder = ("--baselines", str(tmp_path / "b"))
    kept(suite.store, "6.1", outcome("a.b"), outcome("a.c"))
    assert ": 2 items, 2 new, 0 changed, 0 removed" in suite("accept", *folder).out
    kept(suite.store, "6.1", outcome("a.c", "fail"))
    path = tmp_path / "b" / "x86_64" / "6.1.txt"
    assert ": 2 items, 0 new, 1 changed, 0 removed" in suite("accept", *folder).out
    assert "a.b  pass" in path.read_text()
    done = suite("accept", *folder, "--replace")
    assert ": 1 items, 0 new, 0 changed, 1 removed" in done.out
    kept(suite.store, "6.1", outcome("a.c", "lost"))
    done = suite("accept", *folder)
    assert (done.status, "says nothing" in done.err) == (2, True)


@pytest.mark.parametrize(
    "line, why",
    [
        ("a.b  pass  raw", "not of the form"),
        ("a.b  wonderful  raw  loop", "no such outcome"),
        ("a.b  pass  raw  <b>", "not a name"),
        ("a.b  pass  raw  loop\na.b  fail  raw  loop", "second time"),
    ],
)
def test_spoilt_baseline(tmp_path: Path, line: str, why: str) -> None:
    """A baseline that a person spoilt is an error that names the line."""
    path = tmp_path / "x.txt"
    head = "# aioabi baseline 1\n# release: 6.1\n# arch: x86_64\n"
    path.write_text(f"{head}{line}\n")
    with pytest.raises(StoreError, match=f"x.txt:[45]: .*{why}"):
        Baseline.load(path)
    path.write_text("something else\n")
    with pytest.raises(StoreError, match="does not begin"):
        Baseline.load(path)


def write_baseline(folder: Path, run: Run) -> None:
    """Accept a run."""
    base, _ = accept(run, folder)
    assert base.path
    base.path.parent.mkdir(exist_ok=True, parents=True)
    base.path.write_text(base.text())


def test_nearest(tmp_path: Path) -> None:
    """The baseline of the kernel itself, or of the nearest older one."""
    store = Store(tmp_path / "r")
    for release in ("5.10", "6.1", "6.12"):
        write_baseline(tmp_path, kept(store, release, outcome("a.b")))
    for release, expected in (("6.1", "6.1"), ("6.6", "6.1"), ("7.0", "6.12")):
        base = nearest(tmp_path, release, "#1", "x86_64")
        assert base and base.release == expected
    assert nearest(tmp_path, "4.19", "#1", "x86_64") is None
    assert nearest(tmp_path, "6.1", "#1", "aarch64") is None


def test_run_against_baseline(tmp_path: Path) -> None:
    """The end of a run says which baseline it differs from, and in what."""
    store = Store(tmp_path / "r")
    write_baseline(tmp_path, kept(store, "6.1", outcome("a.b"), outcome("a.c")))
    worse = kept(store, "6.6", outcome("a.b", "fail"))
    assert against_baseline(tmp_path, worse) == [
        "Not as the baseline of 6.1, the nearest older one, has it:",
        "  regression: a.b  pass → fail  raw on loop",
        "",
    ]
    same = against_baseline(tmp_path, kept(store, "6.1", outcome("a.b")))
    assert same == ["As the baseline of 6.1 has it, in 1 items", ""]
    assert against_baseline(tmp_path, kept(store, "4.9", outcome("a.b"))) == []
    assert against_baseline(tmp_path, kept(store, "6.1", outcome("x.y"))) == []


# --- the commands ---


def test_diff_command(suite: Suite) -> None:
    """`aioabi diff` takes the last run and its baseline, and has their statuses."""
    folder = ("--baselines", str(suite.folder / "b"))
    first = suite("run", cases="v.pass v.fail v.pass_too")
    assert first.status == 1
    done = suite("diff", *folder)
    assert (done.status, "no baseline of 6.99-fake" in done.err) == (2, True)
    suite("accept", *folder)
    done = suite("diff", *folder)
    assert (done.status, "0 regressions" in done.out) == (0, True)
    path = suite.folder / "b/x86_64/6.99-fake.txt"
    path.write_text(path.read_text().replace("fail:expectation", "pass"))
    page = suite.folder / "diff.md"
    out = ("--format", "markdown", "-o", str(page))
    done = suite("diff", *folder, *out)
    assert done.status == 1
    assert "### Regressions (2)" in page.read_text()
    assert " 'v.fail[libaio-loop]'`\n" in page.read_text()
    done = suite("diff", *folder, "--format", "json", "baseline:6.99")
    assert json.loads(done.out)["counts"]["regression"] == 2
    suite("run", cases="v.pass v.fail v.pass_too", fake="twice")
    done = suite("diff", *folder)  # all passed, and then failed
    assert (done.status, "6 flaky" in done.out) == (0, True)
    for args in (["5.4"], ["last", "5.4"], ["--format", "xml"], ["-o", "/no/where"]):
        assert suite("diff", *folder, "last", *args).status == 2


def test_diff_with_an_older_baseline(suite: Suite) -> None:
    """Where a release has no baseline, the nearest older one is taken, and named."""
    suite("run")
    suite("accept", "--baselines", str(suite.baselines))
    path = suite.baselines / "x86_64" / "6.99-fake.txt"
    for release in ("6.9", "6.98", "7.0"):
        text = path.read_text().replace("6.99-fake", release)
        (path.parent / f"{release}.txt").write_text(text)
    path.unlink()
    done = suite("diff")
    assert done.status == 0, done.err
    assert "-  baseline 6.98, the nearest older one  " in done.out
    said = suite("run").out
    assert "As the baseline of 6.98, the nearest older one, has it, in 2 items" in said


def test_run_says_baseline(suite: Suite) -> None:
    """`aioabi run` says at its end how it differs from the baseline."""
    suite("run", cases="v.pass v.kernel")
    suite("accept", "--baselines", str(suite.baselines))
    same = suite("run", cases="v.pass v.kernel").out
    assert "As the baseline of 6.99-fake has it, in 4 items" in same
    path = suite.baselines / "x86_64" / "6.99-fake.txt"
    path.write_text(path.read_text().replace("fail:kernel", "pass"))
    worse = suite("run", cases="v.pass v.kernel").out
    assert "Not as the baseline of 6.99-fake has it:" in worse
    assert "regression: v.kernel  pass → fail (kernel)  libaio, raw on loop" in worse
    path.write_text("spoilt")
    assert "The baselines cannot be read" in suite("run", cases="v.pass").out


def test_prune(suite: Suite) -> None:
    """Old runs go; the last of a kernel, its last complete one, one that a baseline
    was made from, and one that goes on stay."""
    store = suite.store
    based, old, complete = (kept(store, "6.1", outcome("a.b")) for _ in range(3))
    cut = [kept(store, "6.1", outcome("a.b", "lost")) for _ in range(2)]
    for run in cut:
        save_facts(run.folder, {**run.facts, "complete": False})
    alone = kept(store, "5.10", outcome("a.b"))
    other = kept(store, "6.1", outcome("a.b"), version="#2")
    write_baseline(suite.baselines, based)
    folder = ("--baselines", str(suite.baselines), "--keep", "1")
    going = [old.id, cut[0].id]
    dry = suite("prune", *folder, "--dry-run")
    assert [line.split()[1] for line in dry.out.splitlines()[:-1]] == going
    assert "2 of 7 runs would be removed" in dry.out
    assert "0 of 7 runs removed" in suite("prune", *folder, "--days", "1").out
    writer = store.begin("6.1", {"version": "#1", "arch": "x86_64", "target": "vm"})
    assert suite("prune", *folder, "--keep", "9").status == 0
    assert "2 of 8 runs removed" in suite("prune", *folder).out
    writer.finish("finished")
    left = {path.name for path in store.folders()}
    stay = {based.id, complete.id, cut[1].id, alone.id, other.id, writer.folder.name}
    assert left == stay
    assert {row["run"] for row in Index(store).runs()} == stay
    assert suite("prune", "--keep", "0").status == 2


def test_remove_takes_what_nobody_else_has(tmp_path: Path) -> None:
    """With the last run of a configuration the configuration goes, and the folder."""
    store = Store(tmp_path)
    first, second = kept(store, "6.1", outcome("a.b")), kept(store, "6.1")
    store.remove(first)
    assert list((tmp_path / "6.1").glob("config-*.gz"))
    store.remove(second)
    assert not (tmp_path / "6.1").exists()


def test_list_of_a_kernel(two: Store) -> None:
    """`aioabi list 6.1` lists the runs of that kernel only."""
    suite = Suite(two.root / "suite")
    suite.results = two.root
    assert "7.2.0" not in suite("list", "6.1").out
    assert "6.1.0" in suite("list", "6.1").out


def test_latest_of_an_item(tmp_path: Path) -> None:
    """Runs are counted together only as far as they are of one suite."""
    store = Store(tmp_path)
    kept(store, "7", outcome("a.b", "fail"), suite="old")
    for word in ("pass", "pass", "fail", "pass"):
        kept(store, "7", outcome("a.b", word))
    index = Index(store)
    item = index.latest(index.runs())[Key("a.b", "raw", "loop")]
    assert dict(item.seen) == {"pass": 3, "fail": 1}
    assert (item.outcome.outcome, item.flaky) == ("pass", True)


def test_contract_command(suite: Suite) -> None:
    """`aioabi contract` prints clauses, with their cases and what those said."""
    clause = "io_setup.einval.nr_zero"
    kept(suite.store, "6.1", outcome("io_setup.einval_nr_zero", "fail", clause=clause))
    program = ("--program", str(FAKE))
    done = suite("contract", *program, clause)
    assert done.status == 0
    assert done.out.splitlines()[2].startswith(clause)
    assert "A count of 0 is refused with -EINVAL" in done.out
    assert "ring." not in done.out
    assert suite("contract", *program, "io_nothing").status == 2
    assert "without a case: no case yet" in suite("contract", *program, "--missing").out
    assert "without cases" in suite("contract", "--program", "/none", clause).err
