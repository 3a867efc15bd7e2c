# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's programs under every fault: fio and QEMU.

Under a fault that a correct kernel may make at any time a program must finish, with
its data verified. Under an error it must end in bounded time, and report the error or
have its data right all the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Sequence

import click

from .faults import points
from .inject import PRELOAD, Fault, counts, environment

LIMIT = 100.0  # seconds; a run takes one or two, if the machine is not busy
KNOWN_LIMIT = 10.0  # of those that are known not to end
SEED = 1
SIZE = 4 << 20
BLOCK = 64 << 10
WRITES = 32


@dataclass(frozen=True)
class Victim:
    """A program, how it is run in a folder, and how its data is known to be right."""

    name: str
    tool: str
    command: Callable[[Path], list[str]]
    # Whether what it printed, and left, shows that all data is right.
    verified: Callable[[Path, str], bool]
    prepare: Callable[[Path], None] = lambda folder: None
    # Whether it said that something failed, when its status does not.
    reports: Callable[[str], bool] = lambda text: False

    def __str__(self) -> str:
        return self.name


def _fio(*more: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        return [
            *("fio", "--name=victim", f"--filename={folder / 'fio'}"),
            *(f"--size={SIZE}", "--rw=randwrite", "--bs=4k", "--direct=1"),
            *("--ioengine=libaio", "--iodepth=16", "--randseed=1"),
            *("--verify=crc32c", "--verify_fatal=1", *more),
        ]

    return command


def _fio_verified(_: Path, text: str) -> bool:
    return "err= 0" in text and "verify failed" not in text


def _qemu_io(folder: Path) -> list[str]:
    steps = [
        *(f"aio_write -P {i + 1} {i * BLOCK} {BLOCK}" for i in range(WRITES)),
        "aio_flush",
        *(f"read -P {i + 1} {i * BLOCK} {BLOCK}" for i in range(WRITES)),
    ]
    words = [word for step in steps for word in ("-c", step)]
    return [
        *("qemu-io", "-f", "raw", "-t", "none", "-i", "native"),
        *(*words, str(folder / "disk")),
    ]


def _qemu_io_verified(_: Path, text: str) -> bool:
    return text.count("\nread ") + text.startswith("read ") == WRITES and not any(
        word in text for word in ("failed", "Pattern verification")
    )


def _qemu_img(folder: Path) -> list[str]:
    options = "driver=raw,file.driver=file,file.aio=native,file.cache.direct=on"
    return [
        *("qemu-img", "convert", "-n", "--image-opts", "--target-image-opts"),
        *(f"{options},file.filename={folder / name}" for name in ("disk", "copy")),
    ]


def _disks(folder: Path) -> None:
    (folder / "disk").write_bytes(os.urandom(SIZE))
    with open(folder / "copy", "wb") as copy:
        copy.truncate(SIZE)


def _same(folder: Path, _: str) -> bool:
    return (folder / "disk").read_bytes() == (folder / "copy").read_bytes()


FIO = Victim("fio", "fio", _fio(), _fio_verified)
FIO_BATCHES = Victim(
    "fio-batches",
    "fio",
    _fio("--iodepth_batch_submit=8", "--iodepth_batch_complete_min=4"),
    _fio_verified,
)
FIO_RING = Victim(
    "fio-ring",
    "fio",
    _fio("--userspace_reap", "--iodepth_batch_complete_min=0"),
    _fio_verified,
)
QEMU_IO = Victim(
    "qemu-io",
    "qemu-io",
    _qemu_io,
    _qemu_io_verified,
    _disks,
    lambda text: "failed" in text or "can't open" in text,
)
QEMU_IMG = Victim("qemu-img", "qemu-img", _qemu_img, _same, _disks)


@dataclass(frozen=True)
class Trial:
    """A victim under a fault, or under none."""

    victim: Victim
    fault: str  # "": as it is, without the library
    legal: bool
    quick: bool = False  # one of the project's own tests
    known: str = ""  # why it does not do what it must

    def __str__(self) -> str:
        return f"{self.victim}-{self.fault or 'alone'}"


@dataclass
class Verdict:
    """What came of a trial."""

    good: bool
    what: str
    failed: int = 0
    asked: int = 0
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)


def attempt(trial: Trial, folder: Path) -> Verdict:
    """Run the victim under its fault, in a folder that is there for it."""
    victim = trial.victim
    victim.prepare(folder)
    table = points()
    shared = folder / "counts"
    more = {}
    if trial.fault:
        fault = Fault.parse(trial.fault)
        more = environment([fault], table, PRELOAD, SEED)
        more["AIOFAULT_COUNTS"] = str(shared)
    limit = KNOWN_LIMIT if trial.known else LIMIT
    begun = time.monotonic()
    process = subprocess.Popen(
        victim.command(folder),
        env={**os.environ, **more},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=limit)
        ended = True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        ended = False
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    asked = failed = 0
    if trial.fault:
        asked, failed = counts(shared.read_bytes(), table)[fault.name]
    status = process.returncode
    success = ended and status == 0 and not victim.reports(text)
    right = success and victim.verified(folder, text)
    if not ended:
        good, what = False, f"did not end in {limit:.0f} s"
    elif status < 0 and status != -signal.SIGABRT:
        good, what = False, f"died of signal {-status}"
    elif trial.fault and not asked:
        good, what = True, "never came to the point"
    elif trial.fault and not failed:
        good, what = not trial.legal or right, "nothing failed"
    elif right:
        good, what = True, "finished, data verified"
    elif success:
        good, what = False, "said that all is well, and it is not"
    else:
        # a program that aborts, says why
        aborted = " and aborted" if status < 0 else ""
        good, what = not trial.legal and bool(text), f"reported an error{aborted}"
    return Verdict(
        good,
        what,
        failed,
        asked,
        time.monotonic() - begun,
        text.splitlines()[-40:],
    )


LEGAL = (
    "aio/io_submit=EAGAIN@20%",
    "aio/io_submit/short@30%",
    "aio/io_getevents=EINTR@20%",
    "aio/io_getevents/short@20%",
    "aio/event/late@5%",
    "aio/event/reorder@30%",
    "aio/event/spread@10%",
)
ERRORS = (
    *(f"aio/io_setup={e}" for e in ("EAGAIN", "EINVAL", "EFAULT", "ENOMEM", "ENOSYS")),
    *("aio/io_setup=EPERM", "aio/io_setup=EINTR"),
    *(f"aio/io_submit={e}@3" for e in ("EINVAL", "EBADF", "EFAULT", "ENOMEM")),
    "aio/io_submit=ENOSYS",
    *(f"aio/io_getevents={e}@3" for e in ("EINVAL", "EFAULT", "ENOSYS")),
    "aio/io_getevents/early@3",
    *(f"aio/event={e}@3" for e in ("EIO", "ENOSPC", "EINTR", "EAGAIN")),
    "aio/event=EIO@5%",
    "aio/event/short@3",
    "aio/io_destroy=EINVAL",
    *("libc/eventfd@1", "libc/posix_memalign@1"),
)
_WAITS = (
    "when io_submit() says EAGAIN and nothing is in flight, it waits for an event, "
    "and none comes (QEMU 7.2)"
)
VICTIMS = (FIO, FIO_BATCHES, FIO_RING, QEMU_IO, QEMU_IMG)
_QUICK = {
    (FIO_BATCHES, "aio/io_submit/short@30%"),
    (FIO_RING, "aio/event=EIO@3"),
    (FIO, "aio/event/reorder@30%"),
    *((QEMU_IO, fault) for fault in ("aio/event/reorder@30%", "aio/event=EIO@3")),
    (QEMU_IMG, "aio/event=ENOSPC@3"),
}
_KNOWN = {
    (QEMU_IO, "aio/io_submit=EAGAIN@20%"): _WAITS,
    (QEMU_IMG, "aio/io_submit=EAGAIN@20%"): _WAITS,
}
TRIALS = [Trial(victim, "", True, True) for victim in VICTIMS] + [
    Trial(
        victim,
        fault,
        fault in LEGAL,
        (victim, fault) in _QUICK,
        _KNOWN.get((victim, fault), ""),
    )
    for victim in VICTIMS
    for fault in (*LEGAL, *ERRORS)
]


def campaign(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Verdict]]:
    """Try all, one after the other, each in a folder of its own."""
    for trial in trials:
        if not shutil.which(trial.victim.tool):
            yield trial, Verdict(True, f"{trial.victim.tool} is not installed")
            continue
        with tempfile.TemporaryDirectory(prefix="aioabi-victim-", dir="/var/tmp") as at:
            yield trial, attempt(trial, Path(at))


@click.command()
@click.argument("names", metavar="[VICTIM]...", nargs=-1)
def main(names: Sequence[str]) -> None:
    """Put fio and QEMU to every fault, and say what they do.

    Exit status: 0 all do what they must, or what is known of them; 1 not.
    """
    chosen = [t for t in TRIALS if not names or t.victim.name in names]
    wrong = 0
    for trial, verdict in campaign(chosen):
        mark = "ok" if verdict.good else "known" if trial.known else "FAIL"
        kind = "legal" if trial.legal else "error"
        click.echo(
            f"{mark:5} {verdict.seconds:5.1f}s {trial.victim.name:11} {kind} "
            f"{trial.fault or '(none)':28} {verdict.failed:4} of {verdict.asked:5}  "
            f"{verdict.what}"
        )
        if mark == "known":
            click.echo(f"      {trial.known}")
        if mark == "FAIL":
            wrong += 1
            for line in verdict.output:
                click.echo(f"      {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
