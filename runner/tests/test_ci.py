# SPDX-License-Identifier: GPL-2.0-or-later
"""What CI runs on a kernel, run here: .ci/kernel, which both recipes call."""
import json
import subprocess
import tarfile
from pathlib import Path

from junitparser import JUnitXml

from runner import ROOT
from runner.reports.merge import merge
from runner.store import Store

from .conftest import FAKE, TIMEOUT, Suite


def ci(suite: Suite, cases: str, *args: str, fake: str = "", **more: str) -> int:
    """The exit status of .ci/kernel."""
    environment = suite.environment(cases, fake) | more
    environment["OUT"] = str(suite.folder / "out")
    given = ["--program", str(FAKE), "--cases", str(suite.cases)]
    command = [ROOT / ".ci" / "kernel", "", "--results", suite.results, *given, *args]
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=2 * TIMEOUT,
    )
    return done.returncode


def test_ci(suite: Suite, tmp_path: Path) -> None:
    """It leaves everything that a CI system shows, and has the status of what changed:
    the run's own where there is no baseline."""
    out = suite.folder / "out"
    step = tmp_path / "step.md"
    summary = {"GITHUB_STEP_SUMMARY": str(step)}
    assert ci(suite, "v.pass v.kernel", **summary) == 1
    assert "nothing to compare with" in step.read_text()
    assert "v.kernel" in step.read_text()
    (junit,) = JUnitXml.fromfile(str(out / "junit.xml"))
    assert (junit.tests, junit.failures) == (4, 2)
    assert len(json.loads((out / "kcidb.json").read_text())["tests"]) == 4
    assert (out / "ktap.txt").read_text().startswith("KTAP version 1")
    assert (out / "html" / "index.html").exists()
    with tarfile.open(out / "run.tar.gz") as archive:
        assert any(name.endswith("outcomes.jsonl") for name in archive.getnames())
    (merged,) = merge(Store(tmp_path / "other"), out / "run.tar.gz")
    assert not merged.refused

    suite("accept", "--baselines", str(suite.baselines))
    assert ci(suite, "v.pass v.kernel") == 0  # it fails as the baseline has it
    page = (out / "summary.md").read_text()
    assert "0 regressions" in page
    path = suite.baselines / "x86_64" / "6.99-fake.txt"
    path.write_text(path.read_text().replace("fail:kernel", "pass"))
    assert ci(suite, "v.pass v.kernel") == 1
    page = (out / "summary.md").read_text()
    assert "### Regressions (2)" in page and "`v.kernel`" in page
    assert ci(suite, "v.none", fake="refuse") == 2


def test_recipes_call_it() -> None:
    """Both recipes do nothing but `make ci`, which is this script."""
    for name in (".github/workflows/kernels.yml", ".gitlab-ci.yml"):
        assert "make ci KERNEL=" in (ROOT / name).read_text()
    assert "@.ci/kernel '$(KERNEL)' $(ARGS)" in (ROOT / "Makefile").read_text()
