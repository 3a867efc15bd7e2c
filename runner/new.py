# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a new case from a template: `make new CASE=io_setup.what_it_proves`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TEMPLATE = ROOT / "cases" / "template.c"


def main(argv: list[str]) -> int:
    """Write cases/SUITE/NAME.c; 2 and a sentence when that cannot be."""
    match = re.fullmatch(r"([a-z0-9_]+)\.([a-z0-9_]+)", argv[0] if argv else "")
    suites = sorted(p.name for p in (ROOT / "cases").iterdir() if p.is_dir())
    if not match or match[1] not in suites:
        print(
            "usage: make new CASE=SUITE.NAME, NAME of a-z, 0-9 and _, SUITE one of "
            + ", ".join(suites),
            file=sys.stderr,
        )
        return 0 if argv and argv[0] == "--help" else 2
    suite, name = match.groups()
    path = ROOT / "cases" / suite / f"{name}.c"
    if path.exists():
        print(f"{path.relative_to(ROOT)} is there already", file=sys.stderr)
        return 2
    text = TEMPLATE.read_text()
    path.write_text(text.replace("SUITE", suite).replace("NAME", name))
    print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
