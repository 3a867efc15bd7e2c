# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants that no program can tell: cases/survivors.toml, and whether it is true.

A table for each reason, with the mutants that it explains by id, and the changed
line beside, so that an id that means another change after the source moved does
not excuse it:

    [plug]
    why = "a plug only lets the block layer merge requests"
    [plug.mutants]
    "sys_io_submit.constant.1" = "if (nr > 3)"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from .. import ROOT
from .catalogue import Mutant
from .sources import LabError

PATH = ROOT / "cases" / "survivors.toml"


@dataclass(frozen=True)
class Reason:
    """Why a mutant survives, and what it was when that was said."""

    name: str
    why: str
    change: str


def change_of(mutant: Mutant, text: str) -> str:
    """Return the lines that ``mutant`` puts into ``text``, the unchanged file."""
    _, new = mutant.lines(text)
    return " ".join(" ".join(new).split())


def load(path: Path = PATH) -> dict[str, Reason]:
    """Return the reasons by mutant; LabError when the file is not as it should be."""
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{path}: {error}") from error
    found: dict[str, Reason] = {}
    for name, table in tables.items():
        why, mutants = table.get("why"), table.get("mutants")
        if not why or not mutants or set(table) != {"why", "mutants"}:
            raise LabError(f"{path}: [{name}] needs `why` and `mutants`, no more")
        for mutant, change in mutants.items():
            if mutant in found:
                raise LabError(f"{path}: {mutant} is explained twice")
            found[mutant] = Reason(name, why, change)
    return found


def explained(
    reasons: Mapping[str, Reason], mutants: Sequence[Mutant], text: str
) -> dict[str, Reason]:
    """Return the reasons that are about these very mutants."""
    return {
        mutant.id: reasons[mutant.id]
        for mutant in mutants
        if mutant.id in reasons and reasons[mutant.id].change == change_of(mutant, text)
    }


def stale(
    reasons: Mapping[str, Reason],
    mutants: Sequence[Mutant],
    text: str,
    killed: Sequence[str],
) -> list[str]:
    """Return what the file says and is not so (any more), one text each."""
    good = explained(reasons, mutants, text)
    wrong = [
        f"{name}: no mutant makes {reason.change!r} under this name"
        for name, reason in reasons.items()
        if name not in good
    ]
    return wrong + [f"{name}: it was killed" for name in killed if name in good]
