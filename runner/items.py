# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases, items (case × flavour × device), patterns and outcomes."""
import fnmatch
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

Record = dict[str, Any]

# From best to worst: the worst of several rounds is the item's outcome.
OUTCOMES = ("pass", "known", "skip", "lost", "broken", "fixed", "fail")
BAD = ("fail", "fixed", "lost", "broken")
# The promise held, or it did not: an item that shows both is flaky.
HELD = frozenset({"pass", "fixed"})
BROKE = frozenset({"fail", "known"})


class Key(NamedTuple):
    """What an item is called: the same on every kernel and in every run."""

    id: str
    flavour: str
    device: str

    def __str__(self) -> str:
        return f"{self.id}[{self.flavour}-{self.device}]"


@dataclass(frozen=True)
class Case:
    """A case as the executor lists it."""

    id: str
    file: str
    line: int
    clause: str = ""
    title: str = ""
    flavours: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    fault: str = ""
    on: str = ""
    every_device: bool = False
    time_limit: float = 0.0
    fixed_by: str = ""

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Case":
        """A case from an entry of `list --json`."""
        return cls(
            id=entry["id"],
            file=entry["file"],
            line=int(entry.get("line") or 1),
            clause=entry.get("clause") or "",
            title=entry.get("title") or "",
            flavours=tuple(entry.get("flavours") or ()),
            needs=tuple(entry.get("needs") or ()),
            fault=entry.get("fault") or "",
            on=entry.get("on") or "",
            every_device=bool(entry.get("every_device")),
            time_limit=float(entry.get("time_limit") or 0),
            fixed_by=entry.get("fixed_by") or "",
        )

    def items(
        self, flavours: Sequence[str], devices: Sequence[Mapping[str, Any]]
    ) -> list[Key]:
        """This case's items on a target that has these flavours and devices."""
        kinds = {"block": ("block",), "file": ("dir",)}.get(self.on, ("block", "dir"))
        fitting = [d for d in devices if d.get("kind") in kinds]
        default = [d for d in devices if d.get("default")] or list(devices[:1])
        # Where nothing fits, the executor says which need was not met.
        chosen = fitting if self.every_device and fitting else default
        return [
            Key(self.id, flavour, device["name"])
            for flavour in self.flavours
            if flavour in flavours
            for device in chosen
        ]


@dataclass(frozen=True)
class Outcome:
    """What became of an item, once. `by` names who says so when it is not the
    executor itself."""

    key: Key
    outcome: str
    kind: str = ""
    reason: str = ""
    seconds: float = 0.0
    seq: int = -1
    round: int = 1
    clause: str = ""
    by: str = ""
    diagnostics: tuple[str, ...] = field(default=(), repr=False)
    output: tuple[str, ...] = field(default=(), repr=False)
    kernel_log: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_record(cls, record: Record) -> "Outcome":
        """An outcome from its record; what is missing or odd in it is tolerated."""
        outcome, reason = record.get("outcome"), printable(record.get("reason"))
        if outcome not in OUTCOMES:
            outcome, reason = "broken", f"the executor says {outcome!r:.40}"
        return cls(
            key=Key(*(printable(record.get(part)) for part in Key._fields)),
            outcome=outcome,
            kind=printable(record.get("kind")),
            reason=reason,
            seconds=_number(record.get("seconds")),
            seq=int(_number(record.get("seq"), -1)),
            round=int(_number(record.get("round"), 1)),
            clause=printable(record.get("clause")),
            by=printable(record.get("by")),
            diagnostics=_lines(record.get("diagnostics")),
            output=_lines(record.get("output")),
            kernel_log=_lines(record.get("kernel_log")),
        )

    @property
    def rank(self) -> int:
        """How bad it is: a place in OUTCOMES."""
        return OUTCOMES.index(self.outcome)

    def headline(self) -> str:
        """The outcome in one line: kind and reason."""
        why = self.reason or (self.diagnostics[0] if self.diagnostics else "")
        return ": ".join(part for part in (self.kind, why) if part) or self.outcome


def outcome_name(word: str, kind: str = "") -> str:
    """An outcome in words: "fail (hang)"."""
    return f"{word} ({kind})" if kind else word


def is_flaky(words: Iterable[str]) -> bool:
    """Whether a promise that had these outcomes on one kernel both held and did not."""
    seen = set(words)
    return not (HELD.isdisjoint(seen) or BROKE.isdisjoint(seen))


class Pattern:
    """What `aioabi run` and `aioabi show` take to name items: a shell pattern or a
    prefix of a case id up to a dot, an item, or a pytest node id; `!` leaves out."""

    def __init__(self, text: str):
        self.text = text
        self.leaves_out = text.startswith("!")
        self.body = text.lstrip("!").rpartition("::")[2]
        #: names one item, or a class of letters: not by the case alone
        self.of_item = "[" in self.body

    def matches(self, key: Key) -> bool:
        """Whether the item is one of those that are named (or left out)."""
        return (
            key.id.startswith(self.body + ".")
            or str(key) == self.body
            or fnmatch.fnmatchcase(key.id, self.body)
        )


def select(keys: Iterable[Key], patterns: Sequence[Pattern]) -> set[Key]:
    """Those of the items that the patterns name; all when they name none."""
    wanted = [p for p in patterns if not p.leaves_out]
    unwanted = [p for p in patterns if p.leaves_out]
    return {
        key
        for key in keys
        if (not wanted or any(p.matches(key) for p in wanted))
        and not any(p.matches(key) for p in unwanted)
    }


def worst(outcomes: Iterable[Outcome]) -> dict[Key, Outcome]:
    """Every item's worst outcome over its rounds."""
    found: dict[Key, Outcome] = {}
    for outcome in outcomes:
        if outcome.key not in found or found[outcome.key].rank < outcome.rank:
            found[outcome.key] = outcome
    return found


def exit_status(counts: Mapping[str, int]) -> int:
    """The exit status of a run with these outcomes: fail outranks broken."""
    if any(counts.get(name) for name in ("fail", "fixed", "lost")):
        return 1
    return 2 if counts.get("broken") else 0


def printable(value: Any) -> str:
    """Text that a terminal can be given, whatever came."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def _number(value: Any, default: float = 0.0) -> float:
    if isinstance(value, (int, float)) and abs(value) < 1e15:
        return value
    return default


def _lines(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(printable(part) for line in value for part in str(line).splitlines())
