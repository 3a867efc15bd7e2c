# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever ends a command ends it as ^C does: what it made is undone."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt in here.

    A signal that the caller has set to be ignored (nohup) stays so.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_running: set[subprocess.Popen[str]] = set()


def run_gently(command: Sequence[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """As subprocess.run(), whose SIGKILL would leave behind what the command made.

    An interrupt ends the command with one SIGTERM, and waits for it. ^C reaches it
    in no other way: a second signal would cut its cleaning up short.
    """
    with subprocess.Popen(command, text=True, process_group=0, **how) as running:
        _running.add(running)
        try:
            said, errors = running.communicate()
        except BaseException:
            running.terminate()
            running.wait()
            raise
        finally:
            _running.discard(running)
    return subprocess.CompletedProcess(command, running.returncode, said, errors)


def end_running() -> None:
    """Tell what other threads run gently to end; an interrupt comes to one thread."""
    for running in tuple(_running):
        running.terminate()
