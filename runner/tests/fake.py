#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An executor that behaves as it is told: `list --json` and `serve` of
lib/protocol.md. $FAKE_FILE is the file in which its cases stand, $FAKE its behaviour,
a list of words:

    two         there are two devices, a block device and a directory
    slow        a case takes 50 ms
    noise       lines that are no records, a huge one among them, unknown types
    refuse      no start: a message and status 2
    mute        no `run` record, ever
    forget      `end` comes without the outcomes
    guilt       a note for which the run fails
    twice       what was run is run again, and fails

The last segment of a case's id says what becomes of it: an outcome, the kind of a
failure, or `die` (the executor is killed), `stall` (it says nothing any more), `odd`
(an outcome that does not exist), `flap` (fails in its second round), `wait` (runs until
the file $FAKE_GATE is there).
"""
import json
import os
import select
import signal
import sys
import time

WORDS = os.environ.get("FAKE", "").split()
CASES = os.environ.get("FAKE_CASES", "verdict.pass verdict.fail").split()
KINDS = ("expectation", "stage", "crash", "hang", "leak", "kernel")
OUTCOMES = ("pass", "fail", "skip", "known", "fixed", "broken", "lost")
DEVICES = [
    {"name": "loop", "path": "/dev/loop7", "kind": "block", "default": True},
    {"name": "file", "path": "/var/tmp", "kind": "dir", "default": False},
]


def say(type_, **fields):
    """One record."""
    record = {"type": type_, "time": time.time(), **fields}
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def catalogue():
    """What `list --json` prints."""
    cases = [
        {
            "id": case,
            "clause": f"clause.{case}",
            "title": f"what {case} promises",
            "file": os.environ["FAKE_FILE"],
            "line": 10 + number,
            "flavours": ["raw", "libaio"],
            "needs": ["root"] if case.endswith("skip") else [],
            "on": "any" if "everywhere" in case else "",
            "every_device": "everywhere" in case,
            "time_limit": 0.05,
        }
        for number, case in enumerate(CASES)
    ]
    return {
        "format": 1,
        "suite": "f00d",
        "arch": "x86_64",
        "flavours": ["raw", "libaio"],
        "needs": {"root": "to be root"},
        "cases": cases,
    }


def outcome_of(case, round_):
    """What becomes of a case, as fields of its outcome."""
    word = case.rpartition(".")[2].partition("_")[0]
    if word == "flap" or "twice" in WORDS:
        word = "fail" if round_ == 2 else "pass"
    if word in KINDS:
        return {"outcome": "fail", "kind": word}
    if word == "fail":
        return {"outcome": "fail", "kind": "expectation"}
    if word == "odd":
        return {"outcome": "wonderful"}
    return {"outcome": word if word in OUTCOMES else "pass"}


def run(seq, case, flavour, device, round_):
    """Run one item."""
    item = dict(seq=seq, id=case, flavour=flavour, device=device, round=round_)
    say("start", **item)
    word = case.rpartition(".")[2].partition("_")[0]
    if word == "die":
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "stall":
        time.sleep(3600)
    while word == "wait" and not os.path.exists(os.environ["FAKE_GATE"]):
        stop_came()
        time.sleep(0.01)
    if "slow" in WORDS:
        time.sleep(0.05)
    fields = outcome_of(case, round_)
    if fields["outcome"] != "pass":
        fields["reason"] = f"{case} was told to"
        fields["diagnostics"] = ["io_setup(0, 0x0) = 0, expected EINVAL", "and more"]
        fields["output"] = ["some output"]
        fields["kernel_log"] = ["WARNING: at fs/aio.c:1"] if word == "kernel" else []
    say("outcome", **item, clause=f"clause.{case}", seconds=0.001, checks=1, **fields)
    return fields["outcome"]


def serve(args):
    """The orders, one after the other."""
    repeat = int(args[args.index("--repeat") + 1]) if "--repeat" in args else 1
    if "refuse" in WORDS:
        print("aioabi-cases: /dev/sda: it is mounted", file=sys.stderr)
        sys.exit(2)
    if "mute" in WORDS:
        time.sleep(3600)
    say(
        "run",
        format=1,
        suite="f00d",
        pid=os.getpid(),
        release="6.99-fake",
        version="#1 fake",
        arch="x86_64",
        cpus=2,
        jobs=1,
        timeout_scale=1,
        hangs_max=20,
        flavours=["raw", "libaio"],
        devices=DEVICES if "two" in WORDS else DEVICES[:1],
        args=args,
    )
    queue, stopped = [], False
    os.set_blocking(0, True)
    for line in sys.stdin:
        order, *words = line.split()
        if order == "case":
            queue.append(words)
        elif order == "quit":
            return
        elif order == "go":
            stopped = go(queue, repeat, stopped)
            queue = []


def stop_came():
    """Whether `stop` came while cases run; `quit` and end of file end it all."""
    if not select.select([0], [], [], 0)[0]:
        return False
    order = os.read(0, 4096).strip().splitlines()
    if not order or b"quit" in order:
        sys.exit(0)
    return True


def go(queue, repeat, stopped):
    """Run the queue."""
    say("plan", total=len(queue) * repeat)
    if "noise" in WORDS:
        sys.stdout.write('garbage\n[1, 2]\n{"type": 7}\n' + "x" * (5 << 20) + "\n\n")
        sys.stdout.write("\udcff\n".encode(errors="surrogateescape").decode("latin1"))
        say("weather", text="fine")
        say("outcome", seq=999, id="nobody", flavour="raw", device="loop")
        say("note", text="a note from the executor")
    if "guilt" in WORDS:
        say("note", text="the kernel said, beside any case: BUG", fails=True)
    counts: dict[str, int] = {}
    for round_ in range(1, repeat + 1):
        for seq, case, flavour, device in queue:
            stopped = stopped or stop_came()
            if stopped or "forget" in WORDS:
                outcome = "lost"
                if "forget" not in WORDS:
                    item = dict(id=case, flavour=flavour, device=device, round=round_)
                    say("outcome", seq=int(seq), outcome="lost", reason="stop", **item)
            else:
                outcome = run(int(seq), case, flavour, device, round_)
            counts[outcome] = counts.get(outcome, 0) + 1
    for seq, case, flavour, device in queue if "twice" in WORDS else ():
        run(int(seq), case, flavour, device, repeat + 1)
    complete = not stopped and "forget" not in WORDS
    say(
        "end",
        counts=counts,
        seconds=0.1,
        complete=complete,
        why="" if complete else "stop",
    )
    return stopped


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print(json.dumps(catalogue()))
    else:
        serve(sys.argv[2:])
