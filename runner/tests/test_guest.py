# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests: whom a guest's death is laid to, and what runs again. First with a machine
that is told what to do, then with real ones."""
import json
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner import ROOT, guest, initramfs, kernels, machine, zoo
from runner.executor import ExecutorError, Order
from runner.guest import GuestExecutor, Plan, hardware_for, headline
from runner.items import Key
from runner.kernels import Kernel
from runner.machine import Hardware, Machine
from runner.options import Options
from runner.store import Store

from .conftest import wait_for

KERNEL = Kernel("test", "6.99", Path("vmlinuz"), Path("vmlinux"), "5a")


class FakeMachine:
    """A guest without a machine. The last segment of a case's id says what comes of
    it: a word for the outcome, or

    panic, freeze     the machine dies, or says nothing any more
    together          it dies when another of these is running
    unwell            fails, and leaves the kernel unwell
    slow              runs until everything else has been started
    full              the host's disk is full
    """

    boots: list["FakeMachine"] = []
    bad_boots = 0

    def __init__(self, on_console, on_port):
        self.on_console, self.on_port = on_console, on_port
        self.died = self.stuck = ""
        self.panicked = False
        self.said = []
        self.on = False
        self.asked = self.frozen = False

    def start(self, hardware, kernel, archive, command_line):
        self.hardware, self.command_line = hardware, command_line
        self.configuration = archive
        self.boots.append(self)
        self.on = True
        self.orders = []
        self.on_console("[    0.000000] Linux version 6.99")
        if len(self.boots) <= self.bad_boots:
            self.on_console("[    0.100000] Kernel panic - not syncing: no init")
            self.died = "the kernel panicked"
            return
        self._record(type="absent", name="f2fs", why="this kernel has no f2fs")
        devices = [{"name": "virtio"}]
        self._record(type="run", release="6.99", hangs_max=3, devices=devices)

    def _record(self, **fields):
        self.on_port(json.dumps(fields).encode() + b"\n")

    @property
    def alive(self):
        return self.on and not self.died

    def cpu_seconds(self):
        return 0.0

    def strike(self):
        self.died = "it was struck"

    def kill(self):
        self.on = False

    def ask_for_traces(self):
        self.asked = True
        self.on_console("[   60.000000] sysrq: Show Blocked State")

    def wait(self, seconds):
        if self.said:
            self._obey(self.said.pop(0))
        else:
            time.sleep(min(max(seconds, 0), 0.02))

    def say(self, text):
        self.said += text.split("\n")

    def _obey(self, line):
        order, *words = line.split() or [""]
        if order == "case":
            self.orders.append(words)
        elif order == "go":
            self._go()
        elif order == "quit":
            self.died = "the guest switched itself off"

    def _go(self):
        orders, self.orders = self.orders, []
        flying, stopped = [], False
        for seq, case, flavour, device in orders:
            item = dict(seq=int(seq), id=case, flavour=flavour, device=device, round=1)
            if stopped:
                self._record(type="outcome", outcome="lost", **item)
                continue
            word = case.rpartition(".")[2].partition("_")[0]
            self._record(type="start", **item)
            self.on_console(f"[    8.000000] aioabi: start {seq} {case}[raw-virtio]")
            if word in ("slow", "together") and len(orders) > 1:
                flying.append(item)
            if word == "together":
                if sum("together" in i["id"] for i in flying) > 1:
                    return self._panic(case)
                if len(orders) > 1:
                    continue
            if word == "panic":
                return self._panic(case)
            if word == "freeze":
                self.frozen = True
                return None
            if word == "full":
                self.stuck = "the host cannot hold its disks: nospace"
                return None
            if word == "slow" and len(orders) > 1:
                continue
            more = {"unwell": "process 7 cannot be killed"} if word == "unwell" else {}
            more |= {"kind": "hang"} if word == "hang" else {}
            outcome = "fail" if word in ("unwell", "fail", "hang") else "pass"
            self._record(type="outcome", outcome=outcome, **item, **more)
            self.on_console(f"[    8.100000] aioabi: end {seq} {outcome}")
            stopped |= word == "unwell"
        for item in flying:
            self._record(type="outcome", outcome="pass", **item)
        self._record(type="end", complete=not stopped)
        return None

    def _panic(self, case):
        self.on_console("[    9.000000] BUG: unable to handle page fault")
        self.on_console(f"[    9.000001] RIP: 0010:aio_complete+0x1/0x2 ({case})")
        self.on_console("[    9.000002] Kernel panic - not syncing: Fatal exception")
        self.panicked, self.died = True, "the kernel panicked"


@pytest.fixture(name="drive")
def drive_(monkeypatch, tmp_path):
    """Drive cases of these names through guests; gives records and the machines."""
    monkeypatch.setattr(guest, "Machine", FakeMachine)
    monkeypatch.setattr(guest, "SILENCE", 0.3)
    monkeypatch.setattr(initramfs, "stripped", lambda path: b"")
    monkeypatch.setattr(initramfs, "build", lambda *given: given[2])
    monkeypatch.setattr(FakeMachine, "boots", [])
    monkeypatch.setattr(FakeMachine, "bad_boots", 0)

    def drive(*names, meanwhile=None, flavours=None, **options):
        def flavour(name):
            return (flavours or {}).get(name, "raw")

        plan = Plan(
            KERNEL, Hardware(accelerator="kvm"), Path("program"), None, ["f2fs"]
        )
        executor = GuestExecutor(plan, Options(options))
        try:
            assert executor.start()["type"] == "run"
            executor.attach(tmp_path)
            executor.send(
                [
                    Order(number, Key(f"case.{name}", flavour(name), "virtio"))
                    for number, name in enumerate(names)
                ]
            )
            if meanwhile:
                threading.Thread(target=meanwhile, args=(executor,)).start()
            records = [r for batch in executor.batches() for r in batch]
        finally:
            executor.close()
        assert not any(fake.alive for fake in FakeMachine.boots)
        return records

    return drive


def outcomes(records):
    """The outcome of each item, with the kind of a fail."""
    return {
        r["id"].removeprefix("case."): " ".join(
            filter(None, (r["outcome"], r.get("kind")))
        )
        for r in records
        if r["type"] == "outcome"
    }


def notes(records):
    return [r["text"] for r in records if r["type"] == "note"]


def guilty(records):
    return [r["text"] for r in records if r.get("fails")]


def test_all_is_well(drive):
    records = drive("a", "b", "fail")
    assert outcomes(records) == {"a": "pass", "b": "pass", "fail": "fail"}
    assert records[-1]["type"] == "end" and records[-1]["complete"]
    assert len(FakeMachine.boots) == 1
    assert notes(records) == ["not in this guest: f2fs: this kernel has no f2fs"]


def test_plain_calls_come_first(drive):
    """Of all cases, before any other flavour: on a slow machine that is what counts."""
    flavours = {"a": "libaio", "b": "raw", "c": "compat32", "d": "raw"}
    records = drive(*flavours, flavours=flavours)
    order = [r["id"][-1] for r in records if r["type"] == "outcome"]
    assert order == ["b", "d", "a", "c"]


def test_rounds(drive):
    records = drive("a", "panic", repeat=2)
    rounds = sorted(
        (r["id"], r["round"], r["outcome"]) for r in records if r["type"] == "outcome"
    )
    assert rounds == [
        ("case.a", 1, "pass"),
        ("case.a", 2, "pass"),
        ("case.panic", 1, "fail"),
        ("case.panic", 2, "fail"),
    ]


def test_a_death_is_laid_to_the_case_that_ran(drive):
    records = drive("a", "panic", "b")
    assert outcomes(records) == {"a": "pass", "panic": "fail crash", "b": "pass"}
    killed = next(r for r in records if r.get("kind") == "crash")
    assert killed["reason"] == ("the kernel panicked: BUG: unable to handle page fault")
    assert killed["kernel_log"][0].endswith("BUG: unable to handle page fault")
    assert len(FakeMachine.boots) == 2
    assert not guilty(records)


def test_of_several_that_ran_each_is_run_again_alone(drive):
    records = drive("slow_a", "slow_b", "panic", "c")
    assert outcomes(records) == {
        "slow_a": "pass",
        "slow_b": "pass",
        "panic": "fail crash",
        "c": "pass",
    }
    assert any(
        "while 3 cases ran: each is run again" in text for text in notes(records)
    )
    assert not guilty(records)


def test_cut_from_another_thread(drive, monkeypatch):
    """What runs is not waited for, and no other guest is booted."""
    monkeypatch.setattr(guest, "SILENCE", 60)

    def cut(executor):
        wait_for(lambda: executor.machine.frozen)
        executor.cut()

    records = drive("a", "freeze", "b", meanwhile=cut)
    assert outcomes(records) == {"a": "pass", "freeze": "fail crash", "b": "lost"}
    assert len(FakeMachine.boots) == 1 and not records[-1]["complete"]


def test_too_many_hangs_end_the_run(drive):
    """Those of all guests count, and each guest is told of those before it."""
    records = drive("hang_a", "freeze", "hang_b", "panic", "a")
    assert outcomes(records) == {
        "hang_a": "fail hang",
        "freeze": "fail hang",
        "hang_b": "fail hang",
        "panic": "fail crash",
        "a": "lost",
    }
    assert not records[-1]["complete"]
    assert "3 cases hung" in records[-1]["why"]
    first, second = (fake.configuration for fake in FakeMachine.boots)
    assert "arg --hung" not in first
    assert second[second.index("arg --hung") + 1] == "arg 2"


def test_too_many_lost_guests_end_the_run(drive, monkeypatch):
    monkeypatch.setattr(guest, "LOST_MAX", 2)
    records = drive("panic_a", "b", "panic_c", "d")
    kinds = outcomes(records)
    assert kinds["panic_a"] == kinds["panic_c"] == "fail crash"
    assert kinds["d"] == "lost"
    assert "2 guests were lost" in records[-1]["why"]


def test_what_no_case_does_alone_fails_the_run(drive):
    records = drive("together_a", "together_b", "c")
    assert set(outcomes(records).values()) == {"pass"}
    assert len(guilty(records)) == 1
    assert "no case loses the guest alone, several did together" in guilty(records)[0]


def test_a_frozen_guest_hangs(drive):
    records = drive("a", "freeze", "b")
    assert outcomes(records) == {"a": "pass", "freeze": "fail hang", "b": "pass"}
    frozen = next(r for r in records if r.get("kind") == "hang")
    assert frozen["reason"].startswith("the guest froze: nothing was heard of it")
    assert FakeMachine.boots[0].asked
    assert frozen["kernel_log"][-1].endswith("sysrq: Show Blocked State")


def test_a_guest_that_is_unwell_is_left(drive):
    records = drive("a", "unwell", "b", "c")
    assert outcomes(records) == {
        "a": "pass",
        "unwell": "fail",
        "b": "pass",
        "c": "pass",
    }
    assert len(FakeMachine.boots) == 2
    assert "a fresh guest, since process 7 cannot be killed" in notes(records)


def test_a_kernel_that_dies_of_everything_ends_the_run(drive):
    names = [f"panic_{number}" for number in range(9)]
    records = drive(*names)
    said = list(outcomes(records).values())
    assert said.count("fail crash") == guest.BARREN_MAX
    assert said.count("lost") == len(names) - guest.BARREN_MAX
    assert records[-1]["why"] == "5 guests in a row were lost, and nothing passed"


def test_a_full_host_ends_the_run(drive):
    records = drive("a", "full", "b")
    assert outcomes(records) == {"a": "pass", "full": "broken", "b": "lost"}
    assert "cannot hold its disks" in records[-1]["why"]


def test_a_boot_that_fails_is_tried_once_more(drive):
    FakeMachine.bad_boots = 1
    records = drive("a")
    assert outcomes(records) == {"a": "pass"}
    assert "the guest did not boot: the kernel panicked" in notes(records)
    first, second = FakeMachine.boots
    assert "loglevel=5" in first.command_line and "loglevel=7" in second.command_line
    assert first.hardware.accelerator == "kvm"
    assert second.hardware.accelerator == "tcg"
    assert [boot.get("failed") for boot in records[-1]["boots"]] == [
        "the kernel panicked",
        None,
    ]


def test_a_kernel_that_does_not_boot_is_no_run(drive):
    FakeMachine.bad_boots = 2
    with pytest.raises(
        ExecutorError, match="test does not boot: the kernel pan"
    ) as told:
        drive("a")
    assert "Kernel panic - not syncing: no init" in str(told.value)
    assert len(FakeMachine.boots) == 2


def test_the_console_is_kept_with_the_cases_in_it(drive, tmp_path):
    drive("a", "panic")
    lines = (tmp_path / "console.log").read_text().splitlines()
    assert lines[0].startswith("-- boot 1: q35")
    ended = lines.index("[    8.100000] aioabi: end 1 pass")
    assert lines[ended + 1].endswith("aioabi: start 2 case.panic[raw-virtio]")
    assert "BUG: unable" in lines[ended + 2]
    assert lines[ended + 5] == "-- lost: the kernel panicked"


def test_headlines():
    console = [
        "[    1.0] random: crng init done",
        "[    2.0][  T12] BUG: kernel NULL pointer dereference",
        "[    2.1] Oops: 0000 [#1]",
    ]
    assert headline(console, "x") == "BUG: kernel NULL pointer dereference"
    assert headline(console[:1], "x") == "x"
    assert headline(["[ 1.0] Kernel panic - not syncing: Fatal exception"], "x") == "x"


@pytest.mark.parametrize(
    ("config", "modules", "kind", "wire"),
    [
        ("PCI=y VIRTIO_PCI=y VIRTIO_CONSOLE=y", None, "q35", "port"),
        ("PCI=y VIRTIO_PCI=m VIRTIO_CONSOLE=m", Path("modules"), "q35", "port"),
        ("PCI=y VIRTIO_PCI=m VIRTIO_CONSOLE=m", None, "q35", "serial"),
        ("VIRTIO_MMIO=y VIRTIO_CONSOLE=y", None, "microvm", "port"),
        ("VIRTIO_MMIO=y", None, "microvm", "serial"),
        ("SERIAL_8250=y", None, "q35", "serial"),
    ],
)
def test_the_machine_follows_from_the_configuration(config, modules, kind, wire):
    text = "#\n" + "".join(f"CONFIG_{word}\n" for word in config.split())
    kernel = Kernel("x", "x", Path("x"), Path("x"), "x", modules, text.encode())
    hardware, otherwise = hardware_for(kernel)
    assert (hardware.kind, hardware.wire) == (kind, (wire,))
    assert otherwise is None


def test_a_machine_that_worked_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path))
    hardware, otherwise = hardware_for(KERNEL)
    assert otherwise
    assert (hardware.kind, otherwise.kind) == ("q35", "microvm")
    guest.remember(KERNEL, otherwise)
    assert hardware_for(KERNEL) == (Hardware("microvm", wire=otherwise.wire), None)


def test_choosing_from_the_zoo():
    assert zoo.choose(None) == zoo.DEVICES
    assert zoo.choose("nvme, ext4") == ["nvme", "ext4"]
    assert "xfs" not in zoo.choose("!xfs") and "ext4" in zoo.choose("!xfs")
    with pytest.raises(zoo.ZooError, match="the zoo has no zebra; it has virtio"):
        zoo.choose("zebra")


def test_the_zoo_is_the_same_in_c():
    source = (ROOT / "lib/zoo.c").read_text()
    for name in zoo.DEVICES:
        assert f'{{ "{name}",' in source


def test_the_end_of_qemu_and_of_its_wires_at_once():
    for _ in range(20):
        lines: list[str] = []
        machine = Machine(lines.append, lambda data: None)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        machine._process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, machine._process.pid, os.WEXITED | os.WNOWAIT)
        pidfd = os.pidfd_open(machine._process.pid)
        register = machine._selector.register
        register(ours, selectors.EVENT_READ, machine._read_console)
        register(pidfd, selectors.EVENT_READ, machine._reap)
        theirs.send(b"its last words\n")
        theirs.close()
        machine._errors = tempfile.TemporaryFile()
        while not machine.died:
            machine.wait(10)
        assert lines == ["its last words"]
        machine.kill()
        os.close(pidfd)


def test_a_machine_that_cannot_be(tmp_path):
    lines: list[str] = []
    broken = Machine(lines.append, lambda data: None)
    (tmp_path / "kernel").write_bytes(b"no kernel")
    broken.start(Hardware(), tmp_path / "kernel", b"", ["console=ttyS0"])
    machine.wait_ended(broken, 20)
    assert "QEMU ended with status 1" in broken.died
    broken.kill()


# --- real ones ---


def some_kernel():
    """A kernel that is here already: nothing is fetched for a test."""
    have = kernels.cached()
    return f"debian:{have[-1].release}" if have else None


def have_qemu():
    try:
        return bool(machine.qemu_version())
    except machine.MachineError:
        return False


HARNESS = ROOT / "build/aioabi-harness"
real = pytest.mark.skipif(
    not some_kernel() or not have_qemu() or not HARNESS.exists(),
    reason="needs QEMU, build/aioabi-harness and a cached kernel",
)


def run_real(results, *patterns):
    """`aioabi run --kernel` of the lethal cases; gives status, outcomes and output."""
    command = [
        *("/usr/bin/python3", str(ROOT / "runner/aioabi"), "run"),
        *("--kernel", some_kernel(), "--devices", "virtio,ext4", "--flavour", "raw"),
        *("--program", str(HARNESS), "--cases", str(ROOT / "lib/tests")),
        *("--timeout-scale", "2", "--results", str(results), *patterns),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
    )
    runs = [Store(results).find("last")] if results.exists() else []
    found = {o.key.id: o for run in runs for o in run.outcomes()}
    return done.returncode, found, done.stdout + done.stderr


@real
def test_real_deaths(tmp_path):
    status, found, output = run_real(
        tmp_path / "results",
        *("lethal.passes", "lethal.panics", "lethal.resets", "lethal.waits"),
    )
    assert status == 1, output
    assert found["lethal.passes"].outcome == "pass"
    assert found["lethal.waits"].outcome == "pass"
    assert found["lethal.panics"].headline() == (
        "crash: the kernel panicked: Kernel panic - not syncing: sysrq triggered crash"
    )
    assert any("write_sysrq" in line for line in found["lethal.panics"].kernel_log)
    assert found["lethal.resets"].headline().startswith("crash: the machine was reset")


@real
def test_real_process_that_nothing_ends(tmp_path):
    status, found, output = run_real(
        tmp_path / "results", "lethal.stuck[raw-ext4]", "lethal.passes"
    )
    assert status == 1, output
    assert found["lethal.stuck"].kind == "hang"
    assert "SIGKILL does not end it" in found["lethal.stuck"].reason
    assert found["lethal.passes"].outcome == "pass"


@real
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, 0])
def test_real_machine_that_is_killed_or_stopped(monkeypatch, number):
    """By a signal; 0: its processors are, by the monitor."""
    monkeypatch.setattr(guest, "SILENCE", 5.0)
    monkeypatch.setattr(guest, "SILENCE_BOOTS", 0.5)
    options = {"kernel": some_kernel(), "program": str(HARNESS), "devices": "virtio"}
    executor = guest.VmTarget(Options(options)).executor(60)
    assert isinstance(executor, GuestExecutor)
    struck: list[int] = []
    records: list[dict[str, Any]] = []
    try:
        executor.start()
        executor.send([Order(0, Key("lethal.long", "raw", "virtio"))])
        executor.send([Order(1, Key("lethal.passes", "raw", "virtio"))])
        for batch in executor.batches():
            records += batch
            running = any(r["type"] == "start" and r["seq"] == 0 for r in records)
            if running and "lethal.passes" in str(outcomes(records)) and not struck:
                assert executor.machine
                struck.append(executor.machine.process_id)
                if number:
                    os.kill(struck[0], number)
                else:
                    assert executor.machine._monitor
                    executor.machine._monitor.send(b'{"execute": "stop"}\n')
    finally:
        executor.close()
    found = {r["id"]: r for r in records if r["type"] == "outcome"}
    assert not Path(f"/proc/{struck[0]}").exists()
    assert found["lethal.passes"]["outcome"] == "pass"
    if not number:
        # Somebody did that on the host: it says nothing of the kernel.
        assert found["lethal.long"]["outcome"] == "broken"
        assert "the machine was stopped" in found["lethal.long"]["reason"]
        return
    wanted = "crash" if number == signal.SIGKILL else "hang"
    assert found["lethal.long"]["kind"] == wanted
    if number == signal.SIGKILL:
        assert found["lethal.long"]["reason"] == "QEMU was killed by SIGKILL"
