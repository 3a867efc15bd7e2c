# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs that fs/aio.c once had, put back one by one: oldbugs/*.patch.

A patch begins with a header (Commit, and where there is one CVE, Fixed-in,
Needs) and a paragraph that says what a program sees.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .sources import LabError

FOLDER = Path(__file__).with_name("oldbugs")
_COMMIT = re.compile(r'([0-9a-f]{12}) \("(.+)"\)')


@dataclass(frozen=True)
class OldBug:
    """A bug, the commit that fixed it upstream, and what a program sees of it."""

    name: str
    commit: str
    subject: str
    cve: str
    fixed_in: str
    needs: str
    sees: str
    path: Path

    @property
    def id(self) -> str:
        """Return what trials know it by."""
        return self.name

    @property
    def where(self) -> str:
        """Return the first function that the patch changes."""
        text = self.path.read_text(encoding="utf-8")
        found = re.search(r"^@@ .* @@ (.*)", text, re.MULTILINE)
        head = found.group(1) if found else ""
        name = re.search(r"SYSCALL_DEFINE\d\((\w+)", head)
        if name:
            return f"sys_{name.group(1)}"
        name = re.search(r"(\w+)(\(|$)", head)
        return name.group(1) if name else ""

    @property
    def digest(self) -> str:
        """Return a hash of the patch."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def apply(self, text: str) -> str:
        """Return ``text``, a fs/aio.c, with the bug in it."""
        with tempfile.TemporaryDirectory(prefix="aioabi-lab-") as scratch:
            before, after = Path(scratch) / "aio.c", Path(scratch) / "broken.c"
            before.write_text(text, encoding="utf-8")
            files = [str(path) for path in (after, before, self.path)]
            command = ["patch", "-s", "-f", "-o", *files]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LabError(f"{self.path.name} does not apply: {done.stdout}")
            return after.read_text(encoding="utf-8")


def load(folder: Path = FOLDER) -> list[OldBug]:
    """Return all old bugs, by name."""
    return [_read(path) for path in sorted(folder.glob("*.patch"))]


def _read(path: Path) -> OldBug:
    header, _, patch = path.read_text(encoding="utf-8").partition("\n---\n")
    fields, _, sees = header.partition("\n\n")
    values = dict(line.split(": ", 1) for line in fields.splitlines())
    commit = _COMMIT.fullmatch(values.get("Commit", ""))
    if not commit or not sees or not patch:
        raise LabError(f"{path}: no header, no description or no patch")
    return OldBug(
        name=path.stem,
        commit=commit.group(1),
        subject=commit.group(2),
        cve=values.get("CVE", ""),
        fixed_in=values.get("Fixed-in", ""),
        needs=values.get("Needs", ""),
        sees=" ".join(sees.split()),
        path=path,
    )
