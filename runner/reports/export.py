# SPDX-License-Identifier: GPL-2.0-or-later
"""A stored run in formats that others read: KTAP, TAP, JUnit, KCIDB."""
import hashlib
import json
import re
import time
from typing import Any, Callable
from xml.etree import ElementTree

from ..items import Outcome, worst
from ..store import Run
from ..summary import details

KCIDB_VERSION = {"major": 5, "minor": 3}
EXCERPT_MAX = 16384
ORIGIN = "aioabi"

KCIDB_STATUS = {
    "pass": "PASS",
    "fail": "FAIL",
    "skip": "SKIP",
    "known": "FAIL",
    "fixed": "PASS",
    "broken": "ERROR",
    "lost": "MISS",
}
# As lib/record.c writes it.
DIRECTIVES = {
    "skip": " # SKIP ",
    "known": " # XFAIL ",
    "fail": " # ",
    "fixed": " # fixed: ",
    "broken": " # ERROR ",
    "lost": " # ERROR ",
}


def _items(run: Run) -> list[Outcome]:
    found = worst(run.outcomes())
    return [found[key] for key in sorted(found)]


def _line(text: str) -> str:
    """Text that is no directive by itself."""
    return " ".join(text.replace("#", "").split())


def _tap(run: Run, head: str) -> str:
    items = _items(run)
    facts = run.facts
    lines = [
        head,
        f"# aioabi {facts.get('suite')} on {run.release} {facts.get('arch')}",
        f"1..{len(items)}",
    ]
    for number, outcome in enumerate(items, 1):
        good = outcome.outcome in ("pass", "skip")
        if not good:
            lines += [f"# {line}" for line in details(outcome)]
        why = DIRECTIVES.get(outcome.outcome, "")
        if why:
            why += _line(outcome.headline())
        word = "ok" if good else "not ok"
        lines.append(f"{word} {number} {_line(str(outcome.key))}{why}")
    return "\n".join(lines) + "\n"


def to_ktap(run: Run) -> str:
    """The kernel's own test format, as `aioabi-cases run --format ktap` prints it."""
    return _tap(run, "KTAP version 1")


def to_tap(run: Run) -> str:
    """TAP 13, whose word for an expected failure is TODO."""
    text = _tap(run, "TAP version 13")
    return re.sub(r"^(not ok [^#]*) # XFAIL ", r"\1 # TODO ", text, flags=re.M)


def to_junit(run: Run) -> str:
    """JUnit's XML: a test case an item; a known failure is a skipped one."""
    items = _items(run)
    facts = run.facts
    suite = ElementTree.Element("testsuite", name=f"aioabi {run.release}")
    words = [outcome.outcome for outcome in items]
    numbers = {
        "tests": len(items),
        "failures": words.count("fail") + words.count("fixed"),
        "errors": words.count("broken") + words.count("lost"),
        "skipped": words.count("skip") + words.count("known"),
    }
    for name, number in numbers.items():
        suite.set(name, str(number))
    suite.set("time", f"{sum(outcome.seconds for outcome in items):.3f}")
    suite.set("timestamp", _when(facts)[:19])
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("release", "version", "arch", "target", "suite", "id"):
        value = str(facts.get(name) or "")
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for outcome in items:
        suite.append(_testcase(outcome))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _testcase(outcome: Outcome) -> ElementTree.Element:
    element = ElementTree.Element(
        "testcase",
        classname=f"aioabi.{outcome.key.id.rpartition('.')[0]}",
        name=str(outcome.key),
        time=f"{outcome.seconds:.6f}",
    )
    tags = {
        "fail": ("failure", outcome.kind),
        "fixed": ("failure", "fixed"),
        "broken": ("error", "broken"),
        "lost": ("error", "lost"),
        "skip": ("skipped", "skip"),
        "known": ("skipped", "xfail"),
    }
    if outcome.outcome in tags:
        tag, kind = tags[outcome.outcome]
        message = outcome.headline()
        child = ElementTree.SubElement(element, tag, message=message, type=kind)
        child.text = "\n".join(details(outcome))
    return element


def _when(facts: Any) -> str:
    started = time.gmtime(float(facts.get("started") or 0))
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", started)


def to_kcidb(run: Run) -> str:
    """KCIDB's JSON: a checkout, a build and a test an item; what the contract knows to
    fail is an issue, and each item that it is about an incident of it."""
    facts = run.facts
    version = str(facts.get("version") or "")
    build = hashlib.sha256(f"{run.release}\0{version}".encode()).hexdigest()[:16]
    report: dict[str, Any] = {
        "version": KCIDB_VERSION,
        "checkouts": [
            {
                "id": f"{ORIGIN}:{build}",
                "origin": ORIGIN,
                "git_commit_name": run.release,
                "valid": True,
            }
        ],
        "builds": [
            {
                "id": f"{ORIGIN}:{build}",
                "checkout_id": f"{ORIGIN}:{build}",
                "origin": ORIGIN,
                "comment": f"{run.release} {version}",
                "architecture": re.sub("[^a-z0-9_]", "_", str(facts.get("arch"))),
                "status": "PASS",
            }
        ],
        "tests": [],
        "issues": [],
        "incidents": [],
    }
    issues = set()
    for outcome in _items(run):
        test = _kcidb_test(run, f"{ORIGIN}:{build}", outcome)
        report["tests"].append(test)
        if outcome.outcome not in ("known", "fixed"):
            continue
        issue = f"{ORIGIN}:known.{outcome.key.id}"
        if issue not in issues:
            issues.add(issue)
            report["issues"].append(
                {
                    "id": issue,
                    "version": 1,
                    "origin": ORIGIN,
                    "comment": outcome.headline(),
                    "culprit": {"code": True},
                }
            )
        report["incidents"].append(
            {
                "id": f"{test['id']}.known",
                "origin": ORIGIN,
                "issue_id": issue,
                "issue_version": 1,
                "test_id": test["id"],
                "present": outcome.outcome == "known",
            }
        )
    return json.dumps({k: v for k, v in report.items() if v}, indent=1) + "\n"


def _kcidb_test(run: Run, build: str, outcome: Outcome) -> dict[str, Any]:
    parts = (*outcome.key.id.split("."), outcome.key.flavour, outcome.key.device)
    path = ".".join(re.sub("[^A-Za-z0-9_-]", "_", part) or "_" for part in parts)
    facts = run.facts
    test: dict[str, Any] = {
        "id": f"{ORIGIN}:{run.id}.{path}",
        "build_id": build,
        "origin": ORIGIN,
        "path": f"aioabi.{path}",
        "status": KCIDB_STATUS[outcome.outcome],
        "start_time": _when(facts),
        "duration": outcome.seconds,
        "environment": {
            "comment": f"{facts.get('target')}, {facts.get('cpus')} CPUs",
            "misc": {"memory_kib": facts.get("memory_kib") or 0},
        },
        "misc": {
            "outcome": outcome.outcome,
            "kind": outcome.kind,
            "clause": outcome.clause,
            "suite": facts.get("suite") or "",
        },
    }
    if outcome.outcome != "pass":
        test["comment"] = outcome.headline()
        test["log_excerpt"] = "\n".join(details(outcome))[:EXCERPT_MAX]
    return test


FORMATS: dict[str, Callable[[Run], str]] = {
    "ktap": to_ktap,
    "tap": to_tap,
    "junit": to_junit,
    "kcidb": to_kcidb,
}
