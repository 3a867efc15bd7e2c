# SPDX-License-Identifier: GPL-2.0-or-later
"""The target "vm": a kernel in a virtual machine that the program is alone in.

The guest's death is an outcome of the case that killed it. It is booted again and the
rest goes on; where several cases ran side by side, they run again one by one.
"""
import json
import re
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Sequence

from . import initramfs
from .archive import cache_dir, write_whole
from .executor import Executor, ExecutorError, Ledger, Order, Splitter, note
from .items import Key, Record
from .kernels import Kernel, KernelError, find
from .machine import Hardware, Machine, MachineError
from .machine import accelerator, qemu_version, tsc_khz, wait_ended
from .options import Options
from .targets import Facts, Target
from .zoo import TEMPLATES, Disk, ZooError, choose, disks, template

# Seconds of processor time without a line of the console or a record: a kernel with
# KASAN and all its friends is quiet for long when it is emulated.
BOOT_CPU = {"tcg": 180.0, "kvm": 20.0}
BOOT_IDLE = 40.0  # seconds without any
BOOT_LIMIT = 900.0
SILENCE = 20.0  # the executor says something every second
SILENCE_BOOTS = 4.0  # or, on a slow machine, this many times what its boot took
PARTING = 3.0
FILES = 60.0  # seconds for files to come after the executor has left
LOST_MAX = 40  # guests: more would say nothing new of such a kernel
BARREN_MAX = 5  # guests in a row that were lost with nothing passed
CONSOLE_MAX = 400  # lines that an outcome carries
CONSOLE_TAIL = 40

REPORT = re.compile(
    r"Kernel panic - not syncing: (?!Fatal exception)|BUG: |BUG \w+ \(|kernel BUG at"
    r"|Oops: |WARNING: |general protection fault|KASAN|KCSAN|UBSAN|KFENCE|INFO: task"
    r"|soft lockup|rcu: INFO"
)
MARK = re.compile(r"aioabi: (start|end) (\d+) ")
STAMP = re.compile(r"^(<\d+>)?\[ *[0-9.]+\](\[ *[TC]\d+\])? ?")

# Each has a value: a word alone that a kernel does not know (without sysrq, say)
# is an argument of init for it.
COMMAND_LINE = (
    "console=ttyS0",
    "panic=-1",
    "printk.devkmsg=on",
    "sysrq_always_enabled=1",
    "oops=panic",
    # Faster, and no less of a kernel: there is nothing here to be protected.
    "mitigations=off",
    "cryptomgr.notests=1",
    "rcutree.jiffies_till_first_fqs=0",
    "rcutree.jiffies_till_next_fqs=0",
    # Under a loaded host a processor may stand still for long.
    "no_timer_check=1",
    "watchdog_thresh=60",
    "rcupdate.rcu_cpu_stall_timeout=120",
    "workqueue.watchdog_thresh=120",
    # Use after free and overruns of AIO's own objects.
    "slab_nomerge=1",
    "slub_debug=FZPU,aio_kiocb,kioctx",
    "kfence.sample_interval=10",
    # The zoo's.
    "brd.rd_nr=2",
    "brd.rd_size=196608",
    "null_blk.nr_devices=0",
    "scsi_debug.dev_size_mb=64",
    "scsi_debug.delay=0",
    "dummy_hcd.num=4",
    "zram.num_devices=0",
    "loop.max_loop=0",
    "syscall.x32=y",
)


class Flight(NamedTuple):
    """An order as the guest knows it: a round of an item."""

    order: Order
    round: int

    @property
    def seq(self) -> int:
        """The order's number."""
        return self.order.seq

    @property
    def key(self) -> Key:
        """The item."""
        return self.order.key


@dataclass
class Plan:
    """How a kernel is booted; `boot` makes a machine of it. Where it is not known what
    the kernel can do with, `otherwise` is tried second."""

    kernel: Kernel
    hardware: Hardware
    program: Path
    otherwise: Optional[Hardware] = None
    devices: Sequence[str] = ()
    arguments: Sequence[str] = ()
    more: Sequence[str] = ()
    files: Sequence[str] = ()  # of the guest, sent when its executor leaves

    def command_line(self, loud: bool, here: bool = True) -> list[str]:
        """What the kernel is told; `here` when it runs on this host."""
        words = list(COMMAND_LINE)
        words.append("loglevel=7" if loud else "loglevel=5")
        if here and self.hardware.accelerator == "tcg" and self._takes_tsc_khz():
            words += ["tsc=reliable", f"tsc_early_khz={tsc_khz()}"]
        if not self.kernel.vouched:
            words.append("module.sig_enforce=1")
        # Without ACPI QEMU appends the devices, and nothing after -- is the kernel's.
        last = ["--", "guest"] if self.hardware.acpi else ["guest"]
        return [*words, *self.more, *last]

    def _takes_tsc_khz(self) -> bool:
        """Since 5.11. An older kernel is better off with another clock."""
        found = re.match(r"(\d+)\.(\d+)", self.kernel.release)
        version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
        return version >= (5, 11) and tsc_khz() > 0

    def content(self) -> dict[str, bytes]:
        """What else the guest holds: the program for 32-bit callers, which lies beside
        the other one, and what file systems are made from."""
        files = {}
        for kind in TEMPLATES:
            try:
                files[f"mkfs/{kind}"] = template(kind)
            except ZooError:
                continue  # the cases that want one say so
        compat32 = Path(f"{self.program}32")
        if compat32.exists():
            files["init32"] = initramfs.stripped(compat32)  # where /init looks for it
        return files

    def lacking(self) -> dict[str, str]:
        """The devices that this machine has no place for, and why."""
        if self.hardware.kind == "q35":
            return {}
        return {name: "the machine has no PCI" for name in ("nvme",)}

    def configuration(self, arguments: Sequence[str], alone: bool = False) -> list[str]:
        """The lines of /guest.conf; of one `alone`, `arguments` name cases, too."""
        pci = self.hardware.kind == "q35"
        lines = ["alone"] if alone else []
        lines += ["load virtio_pci" if pci else "load virtio_mmio"]
        lines += ["load virtio_console"] if "port" in self.hardware.wire else []
        lines += [
            f"device {name}" for name in self.devices if name not in self.lacking()
        ]
        lines += ["port aioabi"] if "port" in self.hardware.wire else []
        lines += ["port /dev/ttyS1"] if "serial" in self.hardware.wire else []
        lines += [f"arg {text}" for text in arguments]
        lines += [f"file {path}" for path in self.files]
        return lines + ["late pvpanic_mmio", "late pvpanic"]

    def boot(self, arguments: Sequence[str], loud: bool, machine: Machine) -> None:
        """Switch a machine on with this kernel."""
        archive = initramfs.build(
            initramfs.stripped(self.program),
            self.kernel.modules,
            self.configuration(arguments),
            self.content(),
        )
        machine.start(self.hardware, self.kernel.boot, archive, self.command_line(loud))


class Console:
    """Every line of the guest's console. The guest's executor has the kernel say which
    items start and end between its own lines, so that each line is below what ran."""

    def __init__(self) -> None:
        self._early: list[str] = []
        self._file: Any = None
        self._lines: deque[tuple[int, str]] = deque(maxlen=4000)
        self._count = 0
        self._starts: dict[int, int] = {}

    def attach(self, folder: Path) -> None:
        """Keep it in this folder from here on."""
        self._file = (folder / "console.log").open("w", errors="replace")
        for text in self._early:
            self._file.write(text + "\n")
        self._early.clear()
        self._file.flush()

    def mark(self, text: str) -> None:
        """A line of the runner's own."""
        self._keep(f"-- {text}")

    def line(self, text: str) -> None:
        """A line of the guest's."""
        self._keep(text)
        self._count += 1
        mark = MARK.search(text)
        if not mark:
            self._lines.append((self._count, text))
        elif mark.group(1) == "start":
            self._starts.setdefault(int(mark.group(2)), self._count)

    def since(self, numbers: Sequence[int]) -> list[str]:
        """The guest's lines since the first of these orders was started."""
        first = min((self._starts.get(n, 0) for n in numbers), default=0)
        return [text for at, text in self._lines if at > first]

    @property
    def count(self) -> int:
        """How many lines the guests have said."""
        return self._count

    def tail(self) -> list[str]:
        """The last lines."""
        return [text for _, text in self._lines][-CONSOLE_TAIL:]

    def close(self) -> None:
        """There is no more."""
        if self._file:
            self._file.close()
            self._file = None

    def _keep(self, text: str) -> None:
        if self._file:
            self._file.write(text + "\n")
            self._file.flush()
        else:
            self._early.append(text)


class Guest:
    """One life of the guest, from boot to its end."""

    def __init__(self, console: Console):
        self.console = console
        self.machine = Machine(console.line, self._take)
        self.records: list[Record] = []
        self.heard = time.monotonic()
        self._splitter = Splitter()

    def _take(self, data: bytes) -> None:
        self.heard = time.monotonic()
        self.records += self._splitter.feed(data)

    def receive(self, until: float) -> list[Record]:
        """What came; [] when the time has come, or the machine is dead."""
        while not self.records and self.machine.alive and not self.machine.stuck:
            left = until - time.monotonic()
            if left <= 0:
                break
            self.machine.wait(left)
        records, self.records = self.records, []
        return records


def headline(lines: Sequence[str], otherwise: str) -> str:
    """What a console says of the kernel's end, in one line."""
    for line in lines:
        if REPORT.search(line):
            return STAMP.sub("", line).strip()[:200]
    return otherwise


class GuestExecutor(Executor):
    """Drives the executor in a guest, and a new guest where one was lost."""

    def __init__(self, plan: Plan, options: Options):
        self.plan = plan
        self.console = Console()
        self.boots: list[dict[str, Any]] = []
        self.absent: dict[str, str] = {}
        self.files: list[Record] = []  # that the guests sent when they left
        repeat = int(options.get("repeat") or 1)
        self._repeat = repeat
        self._ledger = Ledger(repeat)
        self._deadline = options.get("deadline")
        self._begun = time.monotonic()
        self._guest: Optional[Guest] = None
        self._todo: deque[Flight] = deque()
        self._suspects: deque[Flight] = deque()
        self._suspicion = ""
        self._sent: dict[int, Flight] = {}
        self._done: set[int] = set()
        self._flying: set[int] = set()
        self._early: list[Record] = []
        self._next = 0
        self._guests_lost = 0
        self._barren = 0  # of these, the last ones, in which nothing passed
        self._passed = False
        self._unwell = ""
        self._told_to_stop = ""
        self._patience = SILENCE
        self._hangs = 0  # items that hung, and how many may: all guests count
        self._hangs_max = 1

    @property
    def machine(self) -> Optional[Machine]:
        """The machine that runs now, if there is one."""
        return self._guest.machine if self._guest else None

    # Booting

    def start(self) -> Record:
        self._guest, record, said = self._boot()
        self._early = said
        return record

    def _boot(self) -> tuple[Guest, Record, list[Record]]:
        """A guest that has said `run`, that record, and what came beside it. A boot
        that fails is tried once more, more slowly and loudly."""
        why = ""
        said: list[Record] = []
        for attempt in (1, 2):
            plan, begun = self.plan, time.monotonic()
            if attempt == 2:
                hardware = plan.otherwise or plan.hardware
                plan.hardware = replace(hardware, accelerator="tcg")
            kind, speed = plan.hardware.kind, plan.hardware.accelerator
            guest = Guest(self.console)
            self.console.mark(f"boot {len(self.boots) + 1}: {kind}, {speed}")
            try:
                plan.boot(self._arguments(), attempt == 2, guest.machine)
                run, early, why = self._await_run(guest, begun)
            except (MachineError, OSError) as error:
                guest.machine.kill()
                raise ExecutorError(str(error)) from error
            except BaseException:
                guest.machine.kill()
                raise
            seconds = round(time.monotonic() - begun, 3)
            boot = {"seconds": seconds, "machine": kind, "accelerator": speed}
            self.boots.append(boot | ({"failed": why} if why else {}))
            said += early
            if run:
                plan.otherwise = None
                self._patience = max(SILENCE, SILENCE_BOOTS * seconds)
                self._passed, self._unwell = False, ""
                self._hangs_max = int(run["hangs_max"])
                return guest, run, said
            guest.machine.kill()
            said.append(note(f"the guest did not boot: {why}"))
        tail = self.console.tail()
        try:
            self.plan.kernel.check()
        except KernelError as error:
            why = str(error)
        raise ExecutorError(
            "\n".join([f"{self.plan.kernel.name} does not boot: {why}", *tail])
        )

    def _await_run(
        self, guest: Guest, begun: float
    ) -> tuple[Optional[Record], list[Record], str]:
        machine, early = guest.machine, list[Record]()
        limit = BOOT_CPU[self.plan.hardware.accelerator]
        used, moved = 0.0, begun
        heard, heard_at = self.console.count, 0.0
        while True:
            records = guest.receive(time.monotonic() + 1)
            for number, record in enumerate(records):
                if record["type"] == "run":
                    guest.records = records[number + 1 :] + guest.records
                    return record, early, ""
                if record["type"] == "absent":
                    self.absent[str(record.get("name"))] = str(record.get("why"))
                else:
                    early.append(record)
            now = time.monotonic()
            if not machine.alive or machine.stuck:
                return None, early, machine.died or machine.stuck
            cpu = machine.cpu_seconds()
            if cpu > used + 0.1:
                used, moved = cpu, now
            if records or self.console.count > heard:
                heard, heard_at = self.console.count, cpu
            if cpu > heard_at + limit or now - begun > BOOT_LIMIT:
                return None, early, f"no word of it after {now - begun:.0f} s"
            if now - moved > BOOT_IDLE:
                return None, early, f"it has stood still for {now - moved:.0f} s"

    def _arguments(self) -> list[str]:
        arguments = list(self.plan.arguments)
        if self._deadline:
            left = max(1.0, self._deadline - (time.monotonic() - self._begun))
            arguments += ["--deadline", f"{left:.1f}"]
        if self._hangs:
            arguments += ["--hung", str(self._hangs)]
        return arguments

    # The interface

    def attach(self, folder: Path) -> None:
        self.console.attach(folder)

    def send(self, orders: Sequence[Order]) -> None:
        self._ledger.add(orders)
        for number in range(1, self._repeat + 1):
            self._todo += (Flight(order, number) for order in orders)

    def stop(self) -> None:
        self._halt("told to stop")

    def cut(self) -> None:
        """From another thread: stop, and wait for nothing that runs."""
        self._halt("told to stop")
        machine = self.machine
        if machine:
            machine.strike()

    def _halt(self, why: str) -> None:
        if not self._told_to_stop:
            self._told_to_stop = why
            if self._guest and self._sent:
                self._guest.machine.say("stop\n")

    def close(self) -> None:
        if self._guest:
            self._leave(self._guest)
        self.console.close()

    def abandon(self) -> None:
        """Leave at once: nobody wants to know any more."""
        guest, self._guest = self._guest, None
        if guest:
            guest.machine.kill()
        self.console.close()

    def batches(self) -> Iterator[list[Record]]:
        begun, counts = time.monotonic(), dict[str, int]()
        early, self._early = [*self._early, *self._say_absent()], []
        if early:
            yield early
        while self._todo or self._suspects:
            if self._told_to_stop:
                break
            try:
                for records in self._life():
                    for record in records:
                        if record["type"] == "outcome":
                            word = str(record.get("outcome"))
                            counts[word] = counts.get(word, 0) + 1
                    if records:
                        yield records
            except ExecutorError as error:
                self._told_to_stop = str(error).splitlines()[0]
                yield [note(text) for text in str(error).splitlines()]
        why = self._told_to_stop or "the guest forgot it"
        lost = self._ledger.settle(why)
        if lost:
            counts["lost"] = counts.get("lost", 0) + len(lost)
        yield [
            *lost,
            {
                "type": "end",
                "by": "runner",
                "counts": counts,
                "seconds": round(time.monotonic() - begun, 3),
                "complete": not lost,
                "boots": self.boots,
                "time": time.time(),
            }
            | ({"why": why} if lost else {}),
        ]

    def _lacking(self) -> dict[str, str]:
        lacking = self.plan.lacking()
        return {name: lacking[name] for name in self.plan.devices if name in lacking}

    def _say_absent(self) -> list[Record]:
        return [
            note(f"not in this guest: {name}: {why}")
            for name, why in {**self.absent, **self._lacking()}.items()
        ]

    # One life of the guest

    def _life(self) -> Iterator[list[Record]]:
        """Send the guest what is to be run, until it has ended it or is lost."""
        if not self._guest:
            self._guest, _, said = self._boot()
            yield said
        guest = self._guest
        if self._suspects:
            flights = [self._suspects.popleft()]
        else:
            flights = self._next_wave()
        self._dispatch(guest, flights)
        guest.heard = time.monotonic()
        while True:
            records = guest.receive(self._next_look(guest))
            ended = any(record["type"] == "end" for record in records)
            yield [r for record in records for r in self._translate(record)]
            if ended:
                yield self._after_end(guest)
                return
            why = self._lost(guest)
            if why:
                yield self._after_death(guest, why)
                return
            self._check_deadline()

    def _next_wave(self) -> list[Flight]:
        """Every case once, by its plain calls, and only then the other flavours.

        Emulated, with KASAN, all takes hours: most that is broken shows in the first.
        """
        plain = [flight for flight in self._todo if flight.key.flavour == "raw"]
        others = [flight for flight in self._todo if flight.key.flavour != "raw"]
        self._todo = deque(others if plain else ())
        return plain or others

    def _dispatch(self, guest: Guest, flights: Sequence[Flight]) -> None:
        self._forget()
        lines = []
        for flight in flights:
            self._next += 1
            self._sent[self._next] = flight
            lines.append(flight.order.line(self._next))
        guest.machine.say("".join(lines) + "go\n")

    def _forget(self) -> None:
        self._sent.clear()
        self._done.clear()
        self._flying.clear()

    def _next_look(self, guest: Guest) -> float:
        until = guest.heard + self._patience
        if self._deadline:
            until = min(until, max(self._begun + self._deadline, time.monotonic() + 1))
        return until

    def _check_deadline(self) -> None:
        if self._deadline and time.monotonic() - self._begun > self._deadline:
            self._halt("the deadline of the run has passed")

    def _lost(self, guest: Guest) -> str:
        machine = guest.machine
        if machine.stuck:
            return machine.stuck
        if not machine.alive:
            return machine.died
        silent = time.monotonic() - guest.heard
        if silent > self._patience:
            return f"the guest froze: nothing was heard of it for {silent:.0f} s"
        return ""

    def _translate(self, record: Record) -> list[Record]:
        """The guest's record as one of the run's; none, for what is between the guest
        and this side."""
        kind = record["type"]
        if kind in ("alive", "plan", "end", "run", "absent"):
            return []
        if kind not in ("start", "outcome"):
            return [record]
        number = record.get("seq")
        flight = self._sent.get(number) if isinstance(number, int) else None
        if not flight or not isinstance(number, int):
            return [note("a record of no item of this run")]
        again = bool(record.get("again"))
        record = {**record, "seq": flight.seq, "round": flight.round + again}
        if kind == "start":
            self._flying.add(number)
            self._ledger.see(record)
            return [record]
        if record.get("outcome") == "lost" and not self._told_to_stop:
            # The guest gave up, not the run: it goes on in the next one.
            self._todo.append(flight)
            return []
        self._flying.discard(number)
        self._passed |= record.get("outcome") == "pass"
        if record.get("unwell") and not self._unwell:
            self._unwell = str(record["unwell"])
            if self._guest:
                self._guest.machine.say("stop\n")
        self._ledger.see(record)
        self._done.add(number)
        self._count_hang(record)
        return [record]

    def _after_end(self, guest: Guest) -> list[Record]:
        said: list[Record] = []
        if self._suspicion and not self._suspects:
            text = "no case loses the guest alone, several did together"
            said.append(note(f"{text}: {self._suspicion}") | {"fails": True})
            self._suspicion = ""
        self._todo.extendleft(
            flight for number, flight in self._sent.items() if number not in self._done
        )
        self._forget()
        if self._unwell and (self._todo or self._suspects) and not self._told_to_stop:
            said.append(note(f"a fresh guest, since {self._unwell}"))
            self._leave(guest)
            self._count_lost()
        return said

    def _leave(self, guest: Guest) -> None:
        guest.machine.say("quit\n")
        wait_ended(guest.machine, FILES if self.plan.files else PARTING)
        self.files += [r for r in guest.records if r["type"] == "file"]
        guest.machine.kill()
        self._guest = None

    def _count_hang(self, record: Record) -> None:
        self._hangs += record.get("kind") == "hang"
        if self._hangs >= self._hangs_max:
            self._halt(f"{self._hangs} cases hung: no more are tried")

    def _count_lost(self) -> None:
        self._guests_lost += 1
        if self._guests_lost >= LOST_MAX:
            self._halt(f"{LOST_MAX} guests were lost: no more are booted")
        self._barren = 0 if self._passed else self._barren + 1
        if self._barren >= BARREN_MAX:
            self._halt(f"{BARREN_MAX} guests in a row were lost, and nothing passed")

    def _after_death(self, guest: Guest, why: str) -> list[Record]:
        """Whom it is laid to, and what is to be run again."""
        frozen, stuck = guest.machine.alive, guest.machine.stuck
        if frozen and not stuck:
            guest.machine.ask_for_traces()
        guest.machine.kill()
        self._guest = None
        self._count_lost()
        flying = [self._sent[number] for number in sorted(self._flying)]
        rest = [
            flight
            for number, flight in self._sent.items()
            if number not in self._done and number not in self._flying
        ]
        self._todo.extendleft(reversed(rest))
        lines = self.console.since(sorted(self._flying))
        lines = lines[:CONSOLE_MAX] if flying else lines[-CONSOLE_TAIL:]
        self._forget()
        what = headline(lines, why)
        self.console.mark(f"lost: {why}")
        if stuck:
            raise ExecutorError(stuck)
        if not flying:
            record = note(f"the guest was lost while no case ran: {what}")
            return [record | {"fails": True, "kernel_log": lines}]
        if len(flying) == 1:
            self._suspicion = ""
            kind = "hang" if frozen else "crash"
            return [self._killed(flying[0], kind, why, what, lines)]
        self._suspicion = what
        self._suspects.extend(flying)
        text = f"the guest was lost ({what}) while {len(flying)} cases ran"
        suspects = [list(flight.key) for flight in flying]
        return [note(f"{text}: each is run again, alone") | {"suspects": suspects}]

    def _killed(
        self, flight: Flight, kind: str, why: str, what: str, lines: Sequence[str]
    ) -> Record:
        record: Record = {
            "type": "outcome",
            "by": "runner",
            "seq": flight.seq,
            **flight.key._asdict(),
            "round": flight.round,
            "outcome": "fail",
            "kind": kind,
            "reason": f"{why}: {what}" if what != why else why,
            "kernel_log": list(lines),
            "time": time.time(),
        }
        self._ledger.see(record)
        self._count_hang(record)
        return record


class VmTarget(Target):
    """A kernel in a virtual machine on this host."""

    name = "vm"

    def __init__(self, options: Options):
        super().__init__(options)
        self._plan: Optional[Plan] = None
        self._lacking: dict[str, str] = {}

    def executor(self, patience: float) -> Executor:
        for name in ("device", "destroy", "dir"):
            if self.options.get(name):
                raise ExecutorError(
                    f"--{name} is for this machine: a guest has its own devices "
                    "(--devices chooses)"
                )
        try:
            qemu_version()
            self._plan = self.plan()
        except (KernelError, MachineError, ZooError) as error:
            raise ExecutorError(str(error)) from error
        executor = GuestExecutor(self._plan, self.options)
        executor.absent.update(self._lacking)
        return executor

    def plan(self) -> Plan:
        """How the kernel that the options name is to be booted."""
        get = self.options.get
        modules = get("modules")
        kernel = find(get("kernel"), Path(modules) if modules else None, say)
        names = choose(get("devices"))
        needed, self._lacking = disks(names)
        known, otherwise = hardware_for(kernel)
        common: dict[str, Any] = {
            "accelerator": get("accel") or accelerator(),
            "cpus": int(get("cpus") or 2),
            "memory": int(get("memory") or 1024),
        }
        leave = ("--device", "--destroy", "--dir", "--repeat", "--deadline")
        return Plan(
            kernel,
            with_disks(replace(known, **common), needed),
            self.options.program,
            otherwise and with_disks(replace(otherwise, **common), needed),
            [name for name in names if name not in self._lacking],
            self.options.argv(executor_only=True, leave=leave),
        )

    def facts(self, run: Mapping[str, Any]) -> Facts:
        assert self._plan
        kernel, hardware = self._plan.kernel, self._plan.hardware
        remember(kernel, hardware)
        about = {
            "kernel": {"name": kernel.name, "sha256": kernel.digest},
            "machine": {
                "kind": hardware.kind,
                "accelerator": hardware.accelerator,
                "qemu": qemu_version(),
            },
        }
        return Facts(kernel.config or None, about)


def say(text: str) -> None:
    """Tell whoever waits that something takes time."""
    print(text, file=sys.stderr, flush=True)


def with_disks(hardware: Hardware, needed: Sequence[Disk]) -> Hardware:
    """The machine with those of the disks that it has buses for."""
    if hardware.kind != "q35":
        needed = [disk for disk in needed if disk.name != "nvme"]
    return replace(hardware, disks=tuple(needed))


def hardware_for(kernel: Kernel) -> tuple[Hardware, Optional[Hardware]]:
    """The machine that this kernel can do with, and another to try when that is not
    certain: by its configuration, or by what was seen to work."""
    known = _remembered().get(kernel.digest)
    if known:
        return Hardware(kind=known["kind"], wire=tuple(known["wire"])), None
    if kernel.config:
        return _by_configuration(kernel), None
    both = ("port", "serial")
    return Hardware("q35", wire=both), Hardware("microvm", wire=both)


def _by_configuration(kernel: Kernel) -> Hardware:
    def has(option: str) -> bool:
        module = f"\nCONFIG_{option}=m\n".encode() in kernel.config
        return bool(kernel.has(option)) or (module and kernel.modules is not None)

    pci = has("PCI") and has("VIRTIO_PCI")
    mmio = has("VIRTIO_MMIO") and not pci
    port = has("VIRTIO_CONSOLE") and (pci or mmio)
    return Hardware(
        "microvm" if mmio else "q35",
        wire=("port" if port else "serial",),
        acpi=has("ACPI") or not has("VIRTIO_MMIO_CMDLINE_DEVICES"),
    )


def _remembered() -> dict[str, Any]:
    try:
        return dict(json.loads((cache_dir() / "machines.json").read_text()))
    except (OSError, ValueError):
        return {}


def remember(kernel: Kernel, hardware: Hardware) -> None:
    """This kernel came up on this machine: the next time it is not tried out."""
    if kernel.config:
        return
    known = _remembered() | {
        kernel.digest: {"kind": hardware.kind, "wire": hardware.wire}
    }
    few = dict(list(known.items())[-100:])
    write_whole(cache_dir() / "machines.json", json.dumps(few).encode())
