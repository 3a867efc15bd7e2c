# SPDX-License-Identifier: GPL-2.0-or-later
"""`aioabi lava`: a job of LAVA's, and its device, that run the cases on a kernel.

Nobody of ours is there when LAVA boots the guest. It runs by itself, and says KTAP in
its kernel's log, out of which one of LAVA's monitors reads a test case an item.
"""
import gzip
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Sequence

import click

from .. import initramfs
from ..executor import ExecutorError
from ..guest import Plan, VmTarget
from ..items import Key, Pattern, select
from ..kernels import KernelError
from ..machine import QEMU, MachineError, board, drive
from ..matrix import Failure, say
from ..options import Options, click_options
from ..targets import read_catalogue
from ..zoo import DISK_SIZE, ZooError

# What a guest without a host says (lib/guest.c), and KTAP's line of an item
# (lib/record.c). A pass has nothing behind its name.
START = r"aioabi: KTAP version 1"
END = r"aioabi: ended with status [0-2]"
ITEM = (
    r"aioabi: (?:not )?ok \d+ (?P<test_case_id>[\w.]+\[[\w-]+)\]"
    r" ?(?P<result># SKIP|# XFAIL|# ERROR|#|)[^\r\n]*[\r\n]"
)
RESULTS = {"": "pass", "#": "fail", "# SKIP": "skip"}
RESULTS |= {"# XFAIL": "skip", "# ERROR": "unknown"}
# A disk that is empty whenever the machine is switched on, and has no file.
EMPTY = f"file.driver=null-co,file.size={DISK_SIZE},file.read-zeroes=on,snapshot=on"

DEVICE = """\
# What LAVA's worker runs: QEMU with {about}.
# Made by `aioabi lava`.
available_architectures: [x86_64]
constants: {{failure_retry: 1, boot_retry: 1, spawn_maxread: "4092"}}
parameters: {{}}
actions:
  deploy:
    methods:
      image: {{parameters: {{}}}}
    connections: {{}}
  boot:
    connections:
      serial: null
    methods:
      qemu:
        parameters:
          command: {command}
          options: {options}
timeouts:
  actions: {{}}
  connections: {{}}
"""
JOB = """\
# The cases of aioabi on {kernel}. Made by `aioabi lava`.
job_name: {name}
device_type: qemu
visibility: public
priority: medium
context: {{arch: x86_64}}
timeouts:
  job: {{minutes: {minutes}}}
  action: {{minutes: {minutes}}}
  connection: {{minutes: {minutes}}}
actions:
- deploy:
    to: tmpfs
    images:
{images}
- boot:
    method: qemu
    media: tmpfs
- test:
    monitors:
    - name: aioabi
      start: {start}
      end: {end}
      pattern: {item}
      fixupdict: {results}
"""


def device(plan: Plan) -> str:
    """The device file: the machine, its console, and its empty disks."""
    hardware = plan.hardware
    options = [*board(hardware), "-serial", "stdio", "-monitor", "none"]
    for disk in hardware.disks:
        if not disk.image:
            options += drive(disk, hardware.kind, EMPTY)
    about = f"{hardware.cpus} CPUs and {hardware.memory} MiB"
    return DEVICE.format(about=about, command=QEMU, options=_list(options, 10))


def job(plan: Plan, base: str, minutes: int) -> str:
    """The job file. `base` is the address of the folder with what is to be booted, as
    `files` names it."""
    options = {
        "kernel": ["-kernel", "{kernel}", "-append", _append(plan)],
        "initramfs": ["-initrd", "{initramfs}"],
    }
    for disk in plan.hardware.disks:
        if disk.image:
            source = f"file={{{disk.name}}},snapshot=on"
            options[disk.name] = drive(disk, plan.hardware.kind, source)
    images = ""
    for name, words in options.items():
        packed = name not in ("kernel", "initramfs")
        url = f"{base.rstrip('/')}/{name}" + ".gz" * packed
        images += f"      {name}:\n        url: {json.dumps(url)}\n"
        images += "        compression: gz\n" * packed
        images += f"        image_arg: {json.dumps(' '.join(words))}\n"
    return JOB.format(
        kernel=plan.kernel.name,
        name=json.dumps(f"aioabi on {plan.kernel.release or plan.kernel.name}"[:200]),
        minutes=minutes,
        images=images.rstrip("\n"),
        start=json.dumps(START),
        end=json.dumps(END),
        item=json.dumps(ITEM),
        results=json.dumps(RESULTS),
    )


def plan_of(options: Options) -> Plan:
    """How the kernel that the options name is booted where nobody of ours is."""
    plan = VmTarget(options).plan()
    plan.hardware = replace(plan.hardware, wire=())
    leave = ("--device", "--destroy", "--dir")
    plan.arguments = options.argv(executor_only=True, leave=leave)
    return plan


def write(plan: Plan, patterns: Sequence[str], folder: Path) -> None:
    """Put what the job boots into a folder."""
    archive = initramfs.build(
        initramfs.stripped(plan.program),
        plan.kernel.modules,
        plan.configuration([*plan.arguments, *patterns], alone=True),
        plan.content(),
    )
    (folder / "initramfs").write_bytes(archive)
    shutil.copyfile(plan.kernel.boot, folder / "kernel")
    for disk in plan.hardware.disks:
        if disk.image:
            # Nearly all of it are zeroes.
            with disk.image.open("rb") as image:
                with gzip.open(folder / f"{disk.name}.gz", "wb", 1) as packed:
                    shutil.copyfileobj(image, packed, 1 << 20)


def _append(plan: Plan) -> str:
    return '"' + " ".join(plan.command_line(loud=False, here=False)) + '"'


def _list(words: Sequence[str], indent: int) -> str:
    """A list of YAML: an option and its value on a line."""
    lines: list[str] = []
    for word in words:
        if word.startswith("-") or not lines:
            lines.append(json.dumps(word))
        else:
            lines[-1] += f", {json.dumps(word)}"
    pad = "\n" + " " * (indent + 2)
    return "[" + pad + ("," + pad).join(lines) + "\n" + " " * indent + "]"


ABOUT = """Write a LAVA job and its device file that run cases on a kernel.

They stand in DIR, job.yaml and device.yaml, with what they boot. PATTERN and the
options are those of `aioabi run`. Without a server:

    lava-run --device DIR/device.yaml --job-id 1 --output-dir /tmp/lava DIR/job.yaml

A known failure is a skipped test case, what is broken or lost an unknown one. A guest
that dies ends the job, as incomplete: `aioabi run` would boot it again.
"""


@click.command("lava", help=ABOUT)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Where to.",
)
@click.option(
    "--url",
    metavar="URL",
    help="Where LAVA's workers find DIR (default: in their file system).",
)
@click.option(
    "--minutes",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="N",
    help="How long the job may take.",
)
@click_options
def lava_command(
    patterns: Sequence[str],
    output: Path,
    url: Optional[str],
    minutes: int,
    **values: Any,
) -> None:
    """Write a job; the help text is ABOUT."""
    if not values.get("kernel"):
        raise Failure("name the kernel with --kernel")
    for name in ("device", "destroy", "dir"):
        if values.get(name):
            raise Failure(f"--{name} is for this machine: --devices chooses")
    options = Options(values)
    try:
        cases = read_catalogue(options.program).cases
        keys = [Key(case.id, "", "") for case in cases]
        if not select(keys, [Pattern(text) for text in patterns]):
            raise Failure("no case is named so")
        plan = plan_of(options)
        output.mkdir(parents=True, exist_ok=True)
        write(plan, patterns, output)
        base = url or output.resolve().as_uri()
        (output / "device.yaml").write_text(device(plan))
        (output / "job.yaml").write_text(job(plan, base, minutes))
    except (ExecutorError, KernelError, MachineError, ZooError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {os.strerror(error.errno or 0)}") from error
    for name, why in plan.lacking().items():
        say(f"not in this guest: {name}: {why}")
    click.echo(f"{output / 'job.yaml'}: {plan.kernel.name}")
