# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine: one process of QEMU, its console, its port, and how it ended."""
import ctypes
import functools
import json
import mmap
import os
import selectors
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from .archive import cache_dir, write_whole
from .zoo import DISK_SIZE, Disk

QEMU = "qemu-system-x86_64"
PROBE_SECONDS = 5.0
TSC_SECONDS = 0.05  # long enough for five digits
STDERR_MAX = 4096
SEND_BREAK = b'{"execute": "chardev-send-break", "arguments": {"id": "console"}}\n'
QUIET = 0.7  # seconds without a line: it has said what it had to say
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # of util-linux


class MachineError(Exception):
    """There can be no machine; the text says why."""


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of. `kind` is QEMU's: q35, or microvm for a kernel that
    knows virtio only without PCI; without `acpi` it tells of its devices on the
    kernel's command line. `wire`: how the guest is talked to, by a virtio
    "port" or over the second "serial" line; both, when it is not known what it has."""

    kind: str = "q35"
    accelerator: str = "tcg"
    cpus: int = 2
    memory: int = 1024
    wire: tuple[str, ...] = ("port",)
    disks: tuple[Disk, ...] = ()
    acpi: bool = True


@dataclass
class Machine:
    """A running machine. Lines of its console and bytes of its port are handed to
    `on_console` and `on_port` while `wait` runs."""

    on_console: Callable[[str], None]
    on_port: Callable[[bytes], None]
    died: str = ""
    panicked: bool = False
    stuck: str = ""
    _process: Optional["subprocess.Popen[bytes]"] = None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _ports: list[socket.socket] = field(default_factory=list)
    _console: Optional[socket.socket] = None
    _monitor: Optional[socket.socket] = None
    _partial: bytes = b""
    _said: int = 0
    _unsent: bytes = b""
    _events: bytes = b""
    _why: str = ""
    _pidfd: int = -1
    _errors: Any = None

    def start(
        self,
        hardware: Hardware,
        kernel: Path,
        initramfs: bytes,
        command_line: Sequence[str],
    ) -> None:
        """Switch it on; MachineError when QEMU cannot be run."""
        passed: list[int] = []
        console = self._socket(passed, self._read_console)
        monitor = self._socket(passed, self._read_events)
        self._console, self._monitor = console[0], monitor[0]
        arguments = [
            *board(hardware),
            *("-kernel", str(kernel)),
            *("-initrd", f"/proc/self/fd/{_memory_file(initramfs, passed)}"),
            *("-append", " ".join(command_line)),
            *_chardev("console", console),
            *("-serial", "chardev:console"),
            *_chardev("monitor", monitor),
            *("-mon", "chardev=monitor,mode=control"),
        ]
        if "serial" in hardware.wire:
            arguments += _chardev("line", self._port(passed))
            if hardware.kind == "q35":
                arguments += ["-serial", "chardev:line"]
            else:
                arguments += ["-device", "isa-serial,chardev=line,iobase=0x2f8,irq=3"]
        if "port" in hardware.wire:
            bus = "pci" if hardware.kind == "q35" else "device"
            arguments += _chardev("port", self._port(passed))
            arguments += ["-device", f"virtio-serial-{bus}"]
            arguments += ["-device", "virtserialport,chardev=port,name=aioabi"]
        for disk in hardware.disks:
            arguments += _disk(disk, hardware.kind, passed)
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [*DIES_WITH_US, QEMU, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=passed,
                process_group=0,
            )
        except OSError as error:
            self.kill()
            raise MachineError(f"{error.filename}: {error.strerror}") from error
        finally:
            for number in passed:
                os.close(number)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ, self._reap)

    def say(self, text: str) -> None:
        """Send this to the guest, as it can take it, while `wait` runs."""
        self._unsent += text.encode()
        self._watch_port()

    def wait(self, seconds: float) -> None:
        """Until something came of the machine, or that time has passed."""
        for entry, mask in self._selector.select(max(0.0, seconds)):
            # One that came with it may have read it to its end, and closed it.
            if self._selector.get_map() and entry.fd in self._selector.get_map():
                entry.data(entry.fileobj, mask)

    def ask_for_traces(self, seconds: float = 10.0) -> None:
        """Have a kernel that does nothing any more say what it is at: what its
        processors do, and which tasks wait."""
        if not self._console or not self._monitor:
            return
        until = time.monotonic() + seconds
        for key in b"9lw":
            try:
                self._monitor.send(SEND_BREAK)
                self.wait(QUIET)
                self._console.send(bytes([key]))
            except OSError:
                return
            said = -1
            while self.alive and said != self._said and time.monotonic() < until:
                said = self._said
                quiet = time.monotonic() + QUIET
                while self.alive and time.monotonic() < quiet:
                    self.wait(quiet - time.monotonic())

    @property
    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process is not None and not self.died

    @property
    def process_id(self) -> int:
        """QEMU's; 0 when there is none."""
        return self._process.pid if self._process else 0

    def cpu_seconds(self) -> float:
        """The processor time that it has used; 0 when it is gone."""
        try:
            stat = Path(f"/proc/{self.process_id}/stat")
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def strike(self) -> None:
        """Have it die, from any thread; who drives it finds it dead, and kills it."""
        process = self._process
        if process:
            process.kill()

    def kill(self) -> None:
        """Switch it off, whatever it does; nothing of it is left."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._errors:
            self._errors.close()

    # Its wires

    def _socket(self, passed: list[int], reader: Any) -> tuple[socket.socket, int]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, reader)
        passed.append(theirs.detach())
        return ours, passed[-1]

    def _port(self, passed: list[int]) -> tuple[socket.socket, int]:
        ours, theirs = self._socket(passed, self._use_port)
        self._ports.append(ours)
        return ours, theirs

    def _watch_port(self) -> None:
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        for port in self._ports[:1]:
            if port in self._selector.get_map():
                mask = both if self._unsent else selectors.EVENT_READ
                self._selector.modify(port, mask, self._use_port)

    def _use_port(self, port: socket.socket, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and self._unsent:
            try:
                self._unsent = self._unsent[port.send(self._unsent) :]
            except OSError:
                self._unsent = b""
            self._watch_port()
        if mask & selectors.EVENT_READ:
            data = self._receive(port)
            if data:
                # Of two, it is the one that the guest speaks on.
                self._ports = [port]
                self.on_port(data)

    def _read_console(self, console: socket.socket, mask: int) -> None:
        data = self._partial + self._receive(console).replace(b"\r", b"")
        *lines, self._partial = data.split(b"\n")
        for line in lines:
            self._console_line(line)

    def _console_line(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._said += 1
        self.panicked |= "Kernel panic - not syncing" in text
        self.on_console(text)

    def _read_events(self, monitor: socket.socket, mask: int) -> None:
        *lines, self._events = (self._events + self._receive(monitor)).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if "QMP" in event:
                monitor.send(b'{"execute": "qmp_capabilities"}\n')
            data = event.get("data") or {}
            if event.get("event") == "GUEST_PANICKED":
                self.panicked = True
            elif event.get("event") == "SHUTDOWN":
                self._why = str(data.get("reason"))
            elif event.get("event") == "BLOCK_IO_ERROR":
                self.stuck = f"the host cannot hold its disks: {data.get('reason')}"
            elif event.get("event") == "STOP" and not self.stuck:
                self.stuck = "the machine was stopped"

    def _receive(self, wire: socket.socket) -> bytes:
        try:
            data = wire.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(wire)
            wire.close()
        return data

    def _reap(self, pidfd: int, mask: int) -> None:
        assert self._process
        status = self._process.wait()
        self._selector.unregister(pidfd)
        for key in list(self._selector.get_map().values()):
            # What it said last is still on the wires.
            while key.fd in self._selector.get_map():
                try:
                    key.data(key.fileobj, selectors.EVENT_READ)
                except (OSError, ValueError):
                    break
        if self._partial:
            self._console_line(self._partial)
        self.died = self._epitaph(status)

    def _epitaph(self, status: int) -> str:
        if self.panicked:
            return "the kernel panicked"
        if status < 0:
            return f"QEMU was killed by {signal.Signals(-status).name}"
        if self._why == "guest-reset":
            return "the machine was reset (by a triple fault, as likely as not)"
        if self._why == "guest-shutdown":
            return "the guest switched itself off"
        self._errors.seek(0)
        said = self._errors.read(STDERR_MAX).decode(errors="replace").strip()
        return f"QEMU ended with status {status}" + (f": {said}" if said else "")


def board(hardware: Hardware) -> list[str]:
    """QEMU's arguments for the machine without its kernel, wires and disks."""
    kvm = hardware.accelerator == "kvm"
    arguments = [
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-no-reboot", "-action", "panic=exit-failure"),
        *("-accel", "kvm" if kvm else "tcg,thread=multi"),
        # Five levels of page tables are more to walk.
        *("-cpu", "host" if kvm else "max,la57=off"),
        *("-m", str(hardware.memory)),
    ]
    cpus = hardware.cpus
    if hardware.kind == "microvm":
        acpi = "on" if hardware.acpi else "off"
        machine = f"microvm,rtc=on,acpi={acpi},pic=on,pit=on"
        return arguments + ["-M", machine, "-smp", str(cpus)]
    arguments += ["-M", "q35,usb=off,smbus=off,vmport=off", "-device", "pvpanic"]
    if cpus % 2 or hardware.memory % 2:
        return arguments + ["-smp", str(cpus)]
    # Two nodes are two sockets: a kernel warns of one socket on two nodes.
    arguments += ["-smp", f"{cpus},sockets=2,cores={cpus // 2}"]
    for node, first in enumerate((0, cpus // 2)):
        size, last = f"{hardware.memory // 2}M", first + cpus // 2 - 1
        arguments += ["-object", f"memory-backend-ram,id=node{node},size={size}"]
        numa = f"node,nodeid={node},memdev=node{node},cpus={first}-{last}"
        arguments += ["-numa", numa]
    return arguments


def _chardev(name: str, wire: tuple[socket.socket, int]) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={wire[1]}"]


def _memory_file(data: bytes, passed: list[int]) -> int:
    number = os.memfd_create("initramfs")
    passed.append(number)
    while data:
        data = data[os.write(number, data) :]
    return number


def _disk(disk: Disk, kind: str, passed: list[int]) -> list[str]:
    """A disk for this run only: nothing of it has a name on the host."""
    if disk.image:
        return drive(disk, kind, f"file={disk.image},snapshot=on")
    number = os.open(
        tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600
    )
    os.ftruncate(number, DISK_SIZE)
    passed.append(number)
    return drive(disk, kind, f"file=/proc/self/fd/{number}")


def drive(disk: Disk, kind: str, source: str) -> list[str]:
    """QEMU's arguments for a disk of a machine of this kind; `source` is what holds
    its content, as of -drive."""
    options = f"if=none,id={disk.name},{source},format=raw,cache=unsafe,werror=stop"
    device = {
        "nvme": f"nvme,drive={disk.name},serial={disk.name}",
        "scsi4k": f"scsi-hd,drive={disk.name},logical_block_size=4096,"
        "physical_block_size=4096",
    }.get(disk.name)
    bus = "pci" if kind == "q35" else "device"
    if not device:
        device = f"virtio-blk-{bus},drive={disk.name},serial={disk.name}"
    if disk.name == "nvme":  # it takes no policy for errors
        options = options.replace(",werror=stop", "")
    bus_of_scsi = ["-device", f"virtio-scsi-{bus}"] if disk.name == "scsi4k" else []
    return ["-drive", options, *bus_of_scsi, "-device", device]


# --- how fast it can be had ---


def accelerator() -> str:
    """What this host can run a machine with: "kvm" where a machine has been seen to
    run with it, else "tcg". Tried once, and remembered until the host is booted again:
    /dev/kvm opens on hosts on which a machine then hangs for ever."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    kept = cache_dir() / "kvm.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        known = json.loads(kept.read_text())
    except (OSError, ValueError):
        known = {}
    if known.get("boot") != boot:
        known = {"boot": boot, "works": _kvm_works()}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(known).encode())
    return "kvm" if known["works"] else "tcg"


def _kvm_works() -> bool:
    """Whether a program of a few bytes runs to its end under KVM."""
    port, value = 0xF4, 0x31
    code = b"\x66\xba" + struct.pack("<H", port)  # mov dx, port
    code += b"\xb0" + bytes([value])  # mov al, value
    code += b"\xee\xf4\xeb\xfd"  # out dx, al; hlt; jmp to the hlt
    base = 0x100000
    flags = 1 << 16  # multiboot: the addresses stand here
    magic = 0x1BADB002
    addresses = (base, base, base + 32 + len(code), 0, base + 32)
    header = struct.pack("<8I", magic, flags, -magic - flags & 0xFFFFFFFF, *addresses)
    with tempfile.NamedTemporaryFile() as program:
        program.write(header + code)
        program.flush()
        command = [
            *(QEMU, "-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "32"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-device", f"isa-debug-exit,iobase={port:#x},iosize=1"),
            *("-kernel", program.name),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == (value << 1 | 1)


@functools.lru_cache(maxsize=1)
def tsc_khz() -> int:
    """The frequency of this host's time-stamp counter, which is also an emulated
    guest's; 0 where it is not known. A guest that finds it out by itself on a loaded
    host may be wrong by a factor of ten, and its clock with it."""
    if os.uname().machine != "x86_64":
        return 0
    program = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"  # rdtsc, in one register
    protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    try:
        memory = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
    except OSError:
        return 0
    memory.write(program)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(start)

    def both() -> tuple[int, int]:
        """Nanoseconds and ticks at one moment: of some tries the tightest."""
        tries = []
        for _ in range(20):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            ticks = read()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            tries.append((after - before, (before + after) // 2, ticks))
        return min(tries)[1:]

    begin, first = both()
    time.sleep(TSC_SECONDS)
    end, last = both()
    return round((last - first) / (end - begin) * 1e6)


@functools.lru_cache(maxsize=1)
def qemu_version() -> str:
    """What QEMU says that it is; MachineError when there is none."""
    try:
        done = subprocess.run([QEMU, "--version"], capture_output=True, text=True)
    except OSError as error:
        raise MachineError(f"{QEMU}: {error.strerror}") from error
    return done.stdout.splitlines()[0] if done.stdout else ""


def wait_ended(machine: Machine, seconds: float) -> None:
    """Give it that time to end by itself."""
    until = time.monotonic() + seconds
    while machine.alive and time.monotonic() < until:
        machine.wait(until - time.monotonic())
