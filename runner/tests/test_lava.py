# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs of LAVA's: what is in their files, and a guest that they boot, in the way that
LAVA's dispatcher does it."""
import gzip
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from runner import ROOT
from runner.guest import Plan
from runner.items import OUTCOMES
from runner.kernels import Kernel
from runner.machine import Hardware
from runner.reports import lava
from runner.zoo import Disk

from .test_guest import HARNESS, real, some_kernel

TIMEOUTS = {"job", "action", "connection"}


def plan(folder: Path) -> Plan:
    """A kernel and a program that are no such things."""
    for name in ("vmlinux", "image", "program"):
        (folder / name).write_text(f"{name} $(true) '\"")
    kernel = Kernel("debian 6.99", "6.99", folder, folder / "vmlinux", "5a")
    disks = (Disk("virtio"), Disk("scsi4k"), Disk("ext4", folder / "image"))
    hardware = Hardware("q35", "tcg", wire=(), disks=disks)
    devices = ["virtio", "scsi4k", "ext4"]
    return Plan(kernel, hardware, folder / "program", devices=devices)


def monitor(job: Any) -> Any:
    """The monitor of a job's test action."""
    (found,) = (action["test"] for action in job["actions"] if "test" in action)
    return found["monitors"][0]


def read(job: Any, said: str) -> dict[str, str]:
    """What LAVA's monitor makes of a console: results by test case."""
    about = monitor(job)
    begin = re.search(about["start"], said)
    end = re.search(about["end"], said)
    assert begin and end
    found = {}
    for match in re.finditer(about["pattern"], said[begin.end() : end.start()]):
        name = re.sub(r"\W+", "_", match["test_case_id"].strip().lower())
        found[name] = about["fixupdict"][match["result"]]
    return found


def test_files(tmp_path: Path) -> None:
    """They have what LAVA asks for, and name what is there."""
    made = plan(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    lava.write(made, ["io_setup", "!*.x"], out)
    job = yaml.safe_load(lava.job(made, "https://host/dir/", 30))
    device = yaml.safe_load(lava.device(made))

    assert {"job_name", "device_type", "visibility", "timeouts", "actions"} <= set(job)
    assert set(job["timeouts"]) == TIMEOUTS
    assert job["context"]["arch"] in device["available_architectures"]
    assert [next(iter(action)) for action in job["actions"]] == [
        *("deploy", "boot", "test")
    ]
    assert job["actions"][1]["boot"]["method"] in device["actions"]["boot"]["methods"]
    assert "image" in device["actions"]["deploy"]["methods"]
    assert {"constants", "parameters", "timeouts"} <= set(device)
    images = job["actions"][0]["deploy"]["images"]
    assert set(images) == {"kernel", "initramfs", "ext4"}
    for name, image in images.items():
        path = out / image["url"].removeprefix("https://host/dir/")
        data = path.read_bytes()
        if image.get("compression") == "gz":
            data = gzip.decompress(data)
        assert data
        assert f"{{{name}}}" in image["image_arg"]
    options = device["actions"]["boot"]["methods"]["qemu"]["parameters"]["options"]
    assert options[options.index("-serial") + 1] == "stdio"
    assert "snapshot=on" in options[options.index("-drive") + 1]
    conf = (out / "initramfs").read_bytes()
    assert b"\0alone\nload" in conf
    assert b"arg io_setup\narg !*.x\n" in conf and b"port" not in conf
    # This host's clock is not that of LAVA's worker.
    assert "tsc" not in images["kernel"]["image_arg"]


def test_every_outcome_is_read(tmp_path: Path) -> None:
    """As lib/record.c writes them, between the kernel's own lines."""
    lines = {
        "pass": "ok 1 a.pass[raw-loop]",
        "skip": "ok 2 a.skip[raw-loop] # SKIP no such device",
        "known": "not ok 3 a.known[raw-loop] # XFAIL expectation: it is so",
        "fail": "not ok 4 a.fail[raw-loop] # hang: 1 of # SKIP",
        "fixed": "not ok 5 a.fixed[compat32-scsi4k] # fixed a known failure",
        "broken": "not ok 6 a.broken[raw-loop] # ERROR no memory",
        "lost": "not ok 7 a.lost[raw-loop] # ERROR told to stop",
    }
    assert set(lines) == set(OUTCOMES)
    job = yaml.safe_load(lava.job(plan(tmp_path), "file:///x", 30))
    said = ["Linux version", "aioabi: KTAP version 1", "aioabi: 1..7"]
    said += ["aioabi: # ok 9 a.diagnostics[raw-loop]"]
    for line in lines.values():
        said += ["aioabi: start 1 a.b[raw-loop]", f"aioabi: {line}", "aioabi: end 1 x"]
    said += ["aioabi: # pass 1 (0.1 s)", "aioabi: ended with status 1", ""]
    text = "\r\n".join(f"[    1.234567] {line}" for line in said)
    assert read(job, text) == {
        "a_pass_raw_loop": "pass",
        "a_skip_raw_loop": "skip",
        "a_known_raw_loop": "skip",
        "a_fail_raw_loop": "fail",
        "a_fixed_compat32_scsi4k": "fail",
        "a_broken_raw_loop": "unknown",
        "a_lost_raw_loop": "unknown",
    }
    # Of a line that has not come whole nothing is believed.
    cut = f"aioabi: {lines['skip']}"
    for length in range(len(cut)):
        assert not re.search(monitor(job)["pattern"], cut[:length])


@real
def test_real_guest_alone(tmp_path: Path) -> None:
    """QEMU as LAVA calls it: a guest says what becomes of its cases to whoever reads
    the console, and switches itself off."""
    kernel = some_kernel()
    assert kernel
    command = [str(ROOT / "runner/aioabi"), "lava", "-o", str(tmp_path)]
    command += ["--kernel", kernel, "--devices", "virtio,ext4", "--flavour", "raw"]
    command += ["--program", str(HARNESS), "lethal.passes", "harness.stage"]
    command += ["harness.skipped", "harness.kernel_warns", "harness.broken"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=300)
    job = yaml.safe_load((tmp_path / "job.yaml").read_text())
    device = yaml.safe_load((tmp_path / "device.yaml").read_text())
    qemu = device["actions"]["boot"]["methods"]["qemu"]["parameters"]
    words = [qemu["command"], *qemu["options"]]
    for name, image in job["actions"][0]["deploy"]["images"].items():
        path = Path(image["url"].removeprefix("file://"))
        if image.get("compression") == "gz":
            packed, path = path, path.with_suffix("")
            path.write_bytes(gzip.decompress(packed.read_bytes()))
        words += shlex.split(image["image_arg"].replace(f"{{{name}}}", str(path)))
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
    )
    said = done.stdout.decode(errors="replace")
    found = read(job, said)
    assert found == {
        "lethal_passes_raw_virtio": "pass",
        "harness_stage_raw_virtio": "fail",
        "harness_skipped_raw_virtio": "skip",
        "harness_kernel_warns_raw_virtio": "fail",
        "harness_broken_raw_virtio": "unknown",
    }, said
    # What is told of a warning is no warning again.
    assert "aioabi: # WARNING: CPU: 0" in said
    assert "aioabi: ended with status 1" in said
