# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs have of libaio beyond its calls: the versions of the symbols of the
shared library, old ones included, and the header in a C++ program."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import pytest

EINVAL = -22
LIBRARY = find_library("aio")

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no shared libaio")

# as the library's map has them
VERSIONS = {
    "LIBAIO_0.1": (
        "io_queue_init",
        "io_queue_run",
        "io_queue_wait",
        "io_queue_release",
        "io_cancel",
        "io_submit",
        "io_getevents",
    ),
    "LIBAIO_0.4": (
        "io_setup",
        "io_destroy",
        "io_cancel",
        "io_getevents",
        "io_queue_wait",
    ),
    "LIBAIO_0.5": ("io_pgetevents",),
}


class Timespec(ctypes.Structure):
    """struct timespec"""

    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class Event(ctypes.Structure):
    """struct io_event"""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    ]


class Iocb(ctypes.Structure):
    """struct iocb"""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("reqprio", ctypes.c_int16),
        ("fildes", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved2", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    ]


IOCB_CMD_PREAD = 0


def symbol(name: str, version: str, *types: Any) -> Callable[..., int]:
    """The function of this name and version."""
    library = ctypes.CDLL(LIBRARY)
    dlvsym = ctypes.CDLL(None).dlvsym
    dlvsym.restype = ctypes.c_void_p
    dlvsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    address = dlvsym(library._handle, name.encode(), version.encode())
    assert address, f"{name}@{version} is not there"
    function: Callable[..., int] = ctypes.CFUNCTYPE(ctypes.c_int, *types)(address)
    return function


@pytest.fixture
def context() -> Iterator[ctypes.c_void_p]:
    """A context for a few requests."""
    handle = ctypes.c_void_p()
    setup = symbol("io_setup", "LIBAIO_0.4", ctypes.c_int, ctypes.c_void_p)
    assert setup(4, ctypes.addressof(handle)) == 0
    yield handle
    assert symbol("io_destroy", "LIBAIO_0.4", ctypes.c_void_p)(handle) == 0


@pytest.fixture
def submitted(context: ctypes.c_void_p) -> Iterator[Iocb]:
    """A request that has completed: its event is in the ring."""
    with open("/dev/zero", "rb", buffering=0) as zero:
        iocb = Iocb(data=7, opcode=IOCB_CMD_PREAD, fildes=zero.fileno())
        listed = (ctypes.c_void_p * 1)(ctypes.addressof(iocb))
        submit = symbol(
            "io_submit", "LIBAIO_0.1", ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p
        )
        assert submit(context, 1, ctypes.addressof(listed)) == 1
        yield iocb


@pytest.mark.parametrize(
    ("version", "name"),
    [(version, name) for version, names in VERSIONS.items() for name in names],
)
def test_symbol_has_version(version: str, name: str) -> None:
    symbol(name, version)


def test_old_getevents_waits_for_one(context: ctypes.c_void_p, submitted: Iocb) -> None:
    types = (ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    getevents = symbol("io_getevents", "LIBAIO_0.1", *types)
    events = (Event * 4)()
    assert getevents(context, 4, ctypes.addressof(events), None) == 1
    assert events[0].data == submitted.data
    assert events[0].obj == ctypes.addressof(submitted)
    # none left: it waits, and for one, so no more than the time-out
    soon = Timespec(0, 1)
    assert getevents(context, 4, ctypes.addressof(events), ctypes.addressof(soon)) == 0
    # min_nr is 1: none at all are fewer
    assert (
        getevents(context, 0, ctypes.addressof(events), ctypes.addressof(soon))
        == EINVAL
    )


def test_old_cancel_answers_as_the_new_one(
    context: ctypes.c_void_p, submitted: Iocb
) -> None:
    address = ctypes.addressof(submitted)
    event = Event()
    old = symbol("io_cancel", "LIBAIO_0.1", ctypes.c_void_p, ctypes.c_void_p)
    new = symbol(
        "io_cancel", "LIBAIO_0.4", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
    )
    assert old(context, address) == EINVAL
    assert new(context, address, ctypes.addressof(event)) == EINVAL


@pytest.mark.parametrize("version", ["LIBAIO_0.1", "LIBAIO_0.4"])
def test_queue_wait_does_not_wait(context: ctypes.c_void_p, version: str) -> None:
    wait = symbol("io_queue_wait", version, ctypes.c_void_p, ctypes.c_void_p)
    hour = Timespec(3600, 0)
    assert wait(context, None) == 0
    assert wait(context, ctypes.addressof(hour)) == 0


CXX_PROGRAM = """
#include <libaio.h>

int main()
{
    io_context_t ctx = nullptr;
    struct iocb iocb;

    io_prep_pread(&iocb, 0, nullptr, 0, 0);
    io_set_callback(&iocb, nullptr);
    return io_queue_init(1, &ctx) || io_queue_run(ctx) || io_queue_release(ctx);
}
"""


@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"
)
@pytest.mark.skipif(not os.path.exists("/usr/include/libaio.h"), reason="no libaio.h")
def test_header_in_cxx(tmp_path: Path) -> None:
    source = tmp_path / "program.cc"
    source.write_text(CXX_PROGRAM)
    compiler = shutil.which("g++") or "clang++"
    subprocess.run(
        [compiler, "-x", "c++", "-Wall", "-Werror", "-c", source.name],
        cwd=tmp_path,
        check=True,
    )
    # by a C compiler's linker: nothing of C++'s own library is wanted
    subprocess.run(
        ["cc", "-o", "program", "program.o", "-laio"], cwd=tmp_path, check=True
    )
    assert subprocess.run([str(tmp_path / "program")]).returncode == 0
