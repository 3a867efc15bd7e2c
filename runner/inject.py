# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures under other people's programs: `aioabi inject`, by libaiofault.so.

A fault is written NAME[=VALUE][@WHEN]: a point of `aioabi faults`, what it fails
with (an errno by name, or a number), and when (10% of the times, the 3rd time, or
once: the next time).
"""

from __future__ import annotations

import errno
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional, Sequence

import click

from . import ROOT
from .faults import PROGRAM, Point, points

PRELOAD = ROOT / "build" / "libaiofault.so"
POSIX = Path("/usr/lib/fiu/fiu_posix_preload.so")
OURS = ("call", "event", "preload")
_FAULT = re.compile(
    r"(?P<name>[a-z0-9_/]+)(?:=(?P<value>\w+))?(?:@(?P<when>\d+%?|\d*\.\d+%|once))?"
)
HITS_MAX = 64


class InjectError(click.ClickException):
    """What was asked for cannot be injected."""

    exit_code = 2


@dataclass(frozen=True)
class Fault:
    """A point that is to fail."""

    name: str
    value: int = 0  # 0: the point's own
    percent: float = 0  # 0: always
    nth: int = 0  # 0: any
    once: bool = False

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault of a text like ``aio/io_submit=EAGAIN@10%``."""
        match = _FAULT.fullmatch(text)
        if not match:
            raise InjectError(f"{text}: not of the form NAME[=VALUE][@WHEN]")
        value, when = match["value"] or "0", match["when"] or ""
        if not value.isdigit() and not hasattr(errno, value):
            raise InjectError(f"{text}: no errno and no number: {value}")
        number = int(value) if value.isdigit() else getattr(errno, value)
        percent = float(when[:-1]) if when.endswith("%") else 0
        nth = int(when) if when.isdigit() else 0
        if when.isdigit() and not 0 < nth <= HITS_MAX:
            raise InjectError(f"{text}: a time from 1 to {HITS_MAX}, not {when}")
        if when.endswith("%") and not 0 < percent <= 100:
            raise InjectError(f"{text}: a percentage above 0, not {when}")
        return cls(match["name"], number, percent, nth, when == "once")

    @property
    def command(self) -> str:
        """The command of libfiu's that enables it; not for an nth time."""
        words = [f"name={self.name}"]
        if self.value:
            words.append(f"failinfo={self.value}")
        if self.once:
            words.append("onetime")
        if self.percent:
            words.append(f"probability={self.percent / 100}")
        return f"enable{'_random' if self.percent else ''} {','.join(words)}"


def environment(
    faults: Sequence[Fault],
    table: Mapping[str, Point],
    preload: Path = PRELOAD,
    seed: Optional[int] = None,
    ring: Optional[bool] = None,
    ctrl: str = "",
) -> dict[str, str]:
    """Return the variables under which a program meets these faults.

    ``ring`` says whether contexts get a ring of ours; by default they do if an
    event is to fail, or if that can be asked for later, through ``ctrl``.
    """
    libraries = [preload]
    for fault in faults:
        point = table.get(fault.name)
        if not point:
            raise InjectError(f"no failure point {fault.name}; see aioabi faults")
        if point.name.startswith("posix/"):
            libraries.append(POSIX)
        elif point.mechanism not in OURS:
            raise InjectError(f"{fault.name} is for cases: by {point.mechanism}")
    for library in libraries:
        if not library.exists():
            what = "install fiu-utils" if library == POSIX else "make build"
            raise InjectError(f"{library} is not there: {what}")
    present = os.environ.get("LD_PRELOAD", "")
    found = {
        "LD_PRELOAD": ":".join([*dict.fromkeys(map(str, libraries)), present]).rstrip(
            ":"
        ),
        "FIU_ENABLE": "\n".join(f.command for f in faults if not f.nth),
        "AIOFAULT_HITS": ";".join(
            f"{f.name}={f.nth}:{f.value}" for f in faults if f.nth
        ),
    }
    if seed is not None:
        found["FIU_PRNG_SEED"] = str(seed)
    if ctrl:
        found["FIU_CTRL_FIFO"] = ctrl
    if ring is None and ctrl:
        ring = True
    if ring is not None:
        found["AIOFAULT_RING"] = str(int(ring))
    return found


def counts(data: bytes, table: Mapping[str, Point]) -> dict[str, tuple[int, int]]:
    """Return of each point how often it was asked and how often it failed.

    ``data`` is what AIOFAULT_COUNTS names; it is in the order of the list, whose
    first points are those of the library.
    """
    numbers = list(struct.iter_unpack("=II", data))
    return {name: (n[0], n[1]) for name, n in zip(table, numbers)}


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--fail", "texts", metavar="FAULT", multiple=True, help="May be given again."
)
@click.option("--seed", type=int, metavar="N", help="Of what fails at random.")
@click.option(
    "--ring/--no-ring",
    default=None,
    help="A ring of ours for each context, as failing events need it.",
)
@click.option("--ctrl", metavar="PATH", default="", help="A pipe for fiu-ctrl.")
@click.option("-q", "--quiet", is_flag=True, help="Do not say what failed.")
@click.argument("command", metavar="PROGRAM [ARG]...", nargs=-1, type=click.UNPROCESSED)
def inject(
    texts: Sequence[str],
    seed: Optional[int],
    ring: Optional[bool],
    ctrl: str,
    quiet: bool,
    command: Sequence[str],
) -> None:
    """Run a program of anybody's with failures in its native AIO.

    A FAULT is NAME[=VALUE][@WHEN], as 'aio/io_submit=EAGAIN@10%',
    'aio/event=EIO@3' (the third alone) or 'aio/event/reorder'; `aioabi faults`
    lists the names. The program is to use libaio or syscall(2), not its own
    instructions.

    Exit status: the program's; 2 if that is 0 and nothing that was to fail did.
    """
    if not command:
        raise click.UsageError("what is to be run?")
    table = points(PROGRAM)
    faults = [Fault.parse(text) for text in texts]
    with tempfile.NamedTemporaryFile(prefix="aioabi-inject-") as shared:
        more = environment(faults, table, PRELOAD, seed, ring, ctrl)
        try:
            status = subprocess.call(
                command, env={**os.environ, **more, "AIOFAULT_COUNTS": shared.name}
            )
        except OSError as error:
            raise InjectError(f"{command[0]}: {error.strerror}") from error
        seen = counts(Path(shared.name).read_bytes(), table)
    fired = False
    for name in dict.fromkeys(fault.name for fault in faults):
        asked, failed = seen.get(name, (0, 0))
        if name.startswith("posix/"):
            fired = True  # libfiu does not say
            continue
        fired |= failed > 0
        if not quiet:
            click.echo(f"aioabi inject: {name}: {failed} of {asked} failed", err=True)
    if status < 0:
        click.echo(f"aioabi inject: {signal.Signals(-status).name}", err=True)
    if faults and not fired and not status:
        click.echo("aioabi inject: nothing failed", err=True)
        status = 2
    sys.exit(128 - status if status < 0 else status)
