# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin: cases are pytest's items, and the executor runs them.

Items are collected from the case files as the executor lists them. The plugin owns the
run loop: it sends the whole selection to the executor and reports outcomes as they
come, after they were stored. There is no process for each item, and nothing of
pytest's set-up and tear-down round one.
"""
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Iterable, Optional, Sequence, Union, cast

import pytest

from . import ROOT
from .executor import Executor, ExecutorError, Order
from .interrupt import ends_as_interrupt
from .items import BAD, Case, Key, Outcome, Pattern, Record
from .items import exit_status, printable, select
from .options import Options, from_pytest, add_to_pytest
from .progress import Display, Estimate, display
from .reports.baseline import default_folder
from .reports.diff import against_baseline
from .store import Before, Index, Run, RunWriter, Store
from .summary import Summary, details
from .targets import Catalogue, Target, from_options, patience

# What pytest is told of an outcome: its own outcome, and the phase, which makes a
# failure an error.
TOLD = {
    "pass": ("passed", "call"),
    "fail": ("failed", "call"),
    "skip": ("skipped", "call"),
    "known": ("skipped", "call"),
    "fixed": ("failed", "call"),
    "broken": ("failed", "setup"),
    "lost": ("failed", "setup"),
}
# What is of no use when an item is run again.
NOT_AGAIN = ("--select", "--shuffle", "--deadline", "--results", "--repeat")
# Under which word pytest's last line counts it.
COUNTED = {"pass": "passed", "fail": "failed", "skip": "skipped", "known": "xfailed"}


class CaseItem(pytest.Item):
    """A case in one flavour on one device."""

    def __init__(self, *, case: Case, key: Key, **more: Any):
        super().__init__(**more)
        self.case = case
        self.key = key
        self.extra_keyword_matches |= {*case.id.split("."), case.clause, *case.needs}
        self.user_properties.append(("clause", case.clause))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case is written."""
        return self.path, self.case.line - 1, str(self.key)

    def runtest(self) -> None:
        """Only called by a run loop that is not this plugin's: xdist's."""
        pytest.fail("cases are run side by side with --jobs, not with -n", False)


class CaseFile(pytest.File):
    """A file of cases."""

    def collect(self) -> Iterable[CaseItem]:
        """The items of the cases that the executor lists for this file."""
        session: CaseSession = self.config.stash[SESSION]
        for case, key in session.items_of(self.path):
            yield CaseItem.from_parent(self, name=str(key), case=case, key=key)


class Verdict:
    """What pytest prints of an item that was not passed; it asks for no more than
    this of the representation of a failure."""

    def __init__(self, outcome: Outcome, lines: Sequence[str], path: str, line: int):
        self.lines = lines
        self.reprcrash = _Place(f"{outcome.outcome}: {outcome.headline()}", path, line)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def toterminal(self, tw: Any) -> None:
        """Write it to the terminal."""
        for line in self.lines:
            tw.line(line)


class _Place:
    def __init__(self, message: str, path: str, lineno: int):
        self.message, self.path, self.lineno = message, path, lineno


class CaseSession:
    """The cases of one pytest session: their executor, their run, their outcomes."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.options: Options = from_pytest(config)
        self.target: Target = from_options(self.options)
        self.store = Store(self.options.results)
        self.error: Optional[str] = None
        self.notes: list[str] = []
        self.outcomes: list[Outcome] = []
        self.before: dict[Key, Before] = {}
        self.run: Optional[Run] = None
        self._record: Record = {}
        self._executor: Optional[Executor] = None
        self._catalogue: Optional[Catalogue] = None
        self._by_file: dict[Path, list[Case]] = {}
        self._reported: dict[Key, bool] = {}
        self.guilt: list[str] = []

    # Collection

    def items_of(self, path: Path) -> list[tuple[Case, Key]]:
        """The items of a case file, on the devices that the executor has."""
        if not self._open():
            return []
        assert self._catalogue
        flavours = self.options.get("flavour") or self._record.get("flavours") or ()
        devices = self._record.get("devices") or ()
        return [
            (case, key)
            for case in self._by_file.get(path, ())
            for key in case.items(flavours, devices)
        ]

    def _open(self) -> bool:
        """Start the executor, once; False, and `error` says why, if it cannot be."""
        if self._catalogue or self.error:
            return not self.error
        try:
            self._catalogue = catalogue = self.target.catalogue()
            for case in catalogue.cases:
                path = (ROOT / case.file).resolve()
                self._by_file.setdefault(path, []).append(case)
            # before a machine is booted for nothing
            keys = [Key(case.id, "", "") for case in catalogue.cases]
            for pattern in map(Pattern, self.options.get("select") or ()):
                if not pattern.of_item and not any(map(pattern.matches, keys)):
                    raise ExecutorError(f"no case is named by {pattern.text!r}")
            self._executor = self.target.executor(patience(catalogue.cases))
            self._record = self._executor.start()
            if not self._record.get("devices"):
                raise ExecutorError("the executor has no device to run on")
        except ExecutorError as error:
            self.error = str(error)
            return False
        program = self.options.program
        for path, cases in self._by_file.items():
            if not path.exists():
                self.notes.append(
                    f"{path} is gone, its {len(cases)} cases are not run: run `make`"
                )
            elif path.stat().st_mtime > program.stat().st_mtime:
                self.notes.append(f"{path} is newer than {program}: run `make`")
        return True

    def choose(self, items: list[pytest.Item]) -> None:
        """Leave only the items that --select names; UsageError if it names none."""
        texts = self.options.get("select") or ()
        if self.error:
            raise pytest.UsageError(self.error)
        if not texts:
            return
        cases = [item for item in items if isinstance(item, CaseItem)]
        patterns = [Pattern(text) for text in texts]
        for pattern in patterns:
            if not any(pattern.matches(item.key) for item in cases):
                raise pytest.UsageError(f"no case is named by {pattern.text!r}")
        wanted = select([item.key for item in cases], patterns)
        rest = [i for i in items if isinstance(i, CaseItem) and i.key not in wanted]
        if rest:
            self.config.hook.pytest_deselected(items=rest)
            items[:] = [item for item in items if item not in set(rest)]

    def about(self) -> list[str]:
        """What is run, and on what: for the head of the output."""
        if not self._record:
            return []
        devices = ", ".join(
            f"{device.get('name')} ({device.get('path')})"
            for device in self._record["devices"]
        )
        get = self._record.get
        return [
            f"kernel {get('release')} ({get('arch')}, {self.target.name}), "
            f"{get('cpus')} CPUs, {get('jobs')} jobs, "
            f"time limits x{get('timeout_scale', 1):g}",
            f"on {devices}",
        ]

    # The run

    @ends_as_interrupt()
    def loop(self, session: pytest.Session, items: Sequence[CaseItem]) -> None:
        """Run these items."""
        assert self._executor and self._catalogue
        for dead in self.store.recover():
            self.notes.append(f"the run {dead.id} was killed: it is kept, interrupted")
        facts = self.target.facts(self._record)
        writer = self.store.begin(
            str(self._record.get("release") or "unknown"),
            {
                **{k: v for k, v in self._record.items() if k not in ("type", "pid")},
                **facts.more,
                "suite": self._record.get("suite") or self._catalogue.suite,
                "executor_pid": self._record.get("pid"),
                "target": self.target.name,
                "command": sys.argv,
                "again": self.options.argv(leave=NOT_AGAIN),
                "selected": len(items),
            },
            facts.config,
        )
        self._executor.attach(writer.folder)
        writer.write([self._record])
        self.before = Index(self.store).before(writer.facts)
        rounds = self.options.get("repeat") or 1
        estimate = Estimate(
            {key: last.outcome.seconds for key, last in self.before.items()},
            int(self._record.get("jobs") or 1),
        )
        for item in items:
            estimate.expect(item.key, rounds)
        screen = display(self.config.option.verbose, len(items) * rounds, estimate)
        state = "interrupted"
        more: dict[str, Any] = {"complete": False}
        try:
            for text in self.notes:
                screen.note(text)
            end = self._drive(session, items, writer, screen)
            why = session.shouldfail or session.shouldstop or end.get("why") or ""
            state = "finished"
            more = {"complete": bool(end.get("complete", True)), "why": str(why)}
        finally:
            screen.close()
            self.close()
            counts = Summary(self.outcomes).counts
            self.run = writer.finish(state, counts=dict(counts), **more)
            Index(self.store)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _drive(
        self,
        session: pytest.Session,
        items: Sequence[CaseItem],
        writer: RunWriter,
        screen: Display,
    ) -> Record:
        """Send the items, and tell of their outcomes; returns the `end` record."""
        assert self._executor
        self._executor.send([Order(seq, i.key) for seq, i in enumerate(items)])
        stopped, end = False, Record()
        for batch in self._executor.batches():
            writer.write(batch)
            for record in batch:
                if record["type"] == "start":
                    screen.start(Outcome.from_record(record).key)
                elif record["type"] == "note":
                    text = printable(record.get("text"))
                    if record.get("fails") is True:
                        self.guilt.append(text)
                    screen.note(text)
                elif record["type"] == "device":
                    writer.learn(record)
                elif record["type"] == "end":
                    end = record
                elif record["type"] == "outcome":
                    outcome = Outcome.from_record(record)
                    if stopped and outcome.outcome == "lost":
                        continue  # for -x: pytest does not speak of what it left out
                    self.outcomes.append(outcome)
                    screen.outcome(outcome)
                    self._report(items[outcome.seq], outcome)
            screen.flush()
            if (session.shouldfail or session.shouldstop) and not stopped:
                stopped = True
                self._executor.stop()
        return end

    def _report(self, item: CaseItem, outcome: Outcome) -> None:
        """Tell pytest. Of several rounds it hears the first bad one, or the last."""
        bad = outcome.outcome in BAD
        last = outcome.round >= (self.options.get("repeat") or 1)
        told_as = self._reported.get(item.key)
        if told_as or told_as is bad or not (bad or last):
            return
        self._reported[item.key] = bad
        told, when = TOLD[outcome.outcome]
        path, line, _ = item.location
        representation: Any = None
        if outcome.outcome == "skip":
            representation = (str(item.path), item.case.line, outcome.headline())
        elif outcome.outcome != "pass":
            place = f"{path}:{item.case.line}"
            text = details(outcome, place, again(self.options, item.key))
            representation = Verdict(outcome, text, path, item.case.line)
        stop = time.time()
        for phase in (when, "teardown"):
            report = pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords={name: 1 for name in item.keywords},
                outcome=cast(Any, told if phase == when else "passed"),
                longrepr=representation if phase == when else None,
                when=cast(Any, phase),
                duration=outcome.seconds if phase == when else 0.0,
                start=stop - outcome.seconds if phase == when else stop,
                stop=stop,
                user_properties=[
                    *item.user_properties,
                    ("outcome", outcome.outcome),
                    ("kind", outcome.kind),
                ],
                aioabi=outcome if phase == when else None,
            )
            if outcome.outcome == "known" and phase == when:
                setattr(report, "wasxfail", outcome.headline())
            item.ihook.pytest_runtest_logreport(report=report)

    def status(self) -> int:
        """The exit status that the outcomes ask for."""
        if self.guilt:
            return 1
        return exit_status(Summary(self.outcomes).counts)

    def close(self) -> None:
        """End the executor."""
        executor, self._executor = self._executor, None
        if executor:
            executor.close()


SESSION = pytest.StashKey[CaseSession]()


def again(options: Options, key: Key) -> str:
    """The command that runs one item again as it was run."""
    command = ["runner/aioabi", "run", *options.argv(leave=NOT_AGAIN), str(key)]
    return shlex.join(command)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run."""
    add_to_pytest(parser)


def pytest_configure(config: pytest.Config) -> None:
    """A session of cases; nothing is started before there is a case file."""
    config.stash[SESSION] = CaseSession(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever happened, leave no executor behind, and no file of root's."""
    cases = config.stash[SESSION]
    cases.close()
    cache = cases.store.root / ".pytest_cache"
    if cases.run and cache.exists():
        cases.store.own(cache, *cache.rglob("*"))


def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Optional[pytest.Collector]:
    """C files are files of cases."""
    if file_path.suffix != ".c":
        return None
    return cast(CaseFile, CaseFile.from_parent(parent, path=file_path))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Keep what the patterns name."""
    config.stash[SESSION].choose(items)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is run, and on what."""
    return config.stash[SESSION].about()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Optional[bool]:
    """Run the cases; Python tests, if any are among them, are pytest's own affair."""
    cases = [item for item in session.items if isinstance(item, CaseItem)]
    if not cases or session.config.option.collectonly or session.testsfailed:
        return None
    session.items = [i for i in session.items if not isinstance(i, CaseItem)]
    try:
        session.config.stash[SESSION].loop(session, cases)
    except OSError as error:
        pytest.exit(f"the results cannot be kept: {error}", returncode=2)
    return None if session.items else True


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: Union[pytest.TestReport, pytest.CollectReport], config: pytest.Config
) -> Optional[tuple[str, str, str]]:
    """Count an outcome under its word; the display has shown it already."""
    outcome = getattr(report, "aioabi", None)
    if outcome is None:
        return None
    word = outcome.outcome.upper() if config.stash[SESSION].run else ""
    return COUNTED.get(outcome.outcome, outcome.outcome), "", word


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The exit status: what the outcomes say, where pytest had nothing else to say."""
    cases = session.config.stash[SESSION]
    if cases.outcomes and exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
        pytest.ExitCode.INTERRUPTED,
    ):
        session.exitstatus = cases.status() or (2 if exitstatus == 2 else 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What the run showed, after pytest's account of the failures."""
    cases = config.stash[SESSION]
    if not cases.run:
        return
    for word in ("fixed", "broken"):
        for report in terminalreporter.stats.get(word, ()):
            terminalreporter.write_sep("_", f"{word}: {report.aioabi.key}", red=True)
            report.longrepr.toterminal(terminalreporter)
    terminalreporter.write_sep("=", "summary")
    summary = Summary(cases.outcomes, cases.before)
    for line in [*summary.lines(), *against_baseline(default_folder(), cases.run)]:
        terminalreporter.write_line(line, bold=not line.startswith(" "))
    for text in cases.guilt:
        terminalreporter.write_line(f"the run fails for: {text}", red=True)
    terminalreporter.write_line(summary.total())
    terminalreporter.write_line(f"results: {os.path.relpath(cases.run.folder)}")
