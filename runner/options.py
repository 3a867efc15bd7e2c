# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of a run: one table for the command line, for pytest and for the
executor, so that an option is described in one place only."""
import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

import click

from . import ROOT

TEXT, NUMBER, FLOAT, FLAG = str, int, float, bool


@dataclass(frozen=True)
class Option:
    """One option of a run. `least` is the smallest number that is allowed; `many`
    options may be given again; `executor` ones go on to the executor as they are."""

    name: str
    help: str
    kind: Callable[[Any], Any] = TEXT
    metavar: str = ""
    many: bool = False
    least: Optional[float] = None
    executor: bool = False
    hidden: bool = False

    @property
    def key(self) -> str:
        """The option's name as an attribute: `timeout_scale`."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def dest(self) -> str:
        """Its name among pytest's options, where it must not meet another one's."""
        return "aioabi_" + self.key


OPTIONS = (
    Option(
        "--device",
        "test on this block device or directory; may be given again "
        "(default: a loop device made for the run; without root, a file)",
        metavar="[NAME=]PATH",
        many=True,
        executor=True,
    ),
    Option(
        "--destroy",
        "a named device may be written to although it carries a signature or "
        "partitions (never if it is in use)",
        FLAG,
        executor=True,
    ),
    Option(
        "--dir",
        "where scratch files go (default: /var/tmp)",
        metavar="DIR",
        executor=True,
    ),
    Option(
        "--flavour",
        "only this way to make the calls (raw, libaio, …); may be given again",
        metavar="NAME",
        many=True,
        executor=True,
    ),
    Option(
        "--jobs",
        "cases side by side (default: eight for each CPU, four of a guest; at most 16)",
        NUMBER,
        "N",
        least=1,
        executor=True,
    ),
    Option("--repeat", "every item N times", NUMBER, "N", least=1, executor=True),
    Option(
        "--shuffle",
        "order by this seed; 0 takes one from the clock and says which",
        NUMBER,
        "SEED",
        least=0,
        executor=True,
    ),
    Option(
        "--timeout-scale",
        "multiply every time limit (default: measured at the start)",
        FLOAT,
        "X",
        least=0.001,
        executor=True,
    ),
    Option(
        "--deadline",
        "what has not run after S seconds is lost",
        FLOAT,
        "S",
        least=0.001,
        executor=True,
    ),
    Option(
        "--kernel",
        "boot this kernel in a virtual machine and run there: debian:VERSION "
        "(`aioabi kernels` lists them), the path of an image, or the tree of one",
        metavar="WHAT",
    ),
    Option(
        "--modules",
        "the modules of a kernel of your own (make INSTALL_MOD_PATH=DIR "
        "modules_install)",
        metavar="DIR",
    ),
    Option(
        "--devices",
        "only these devices of the virtual machine, with commas between; !NAME: not it",
        metavar="NAME,…",
    ),
    Option("--cpus", "CPUs of the virtual machine (default: 2)", NUMBER, "N", least=1),
    Option(
        "--memory",
        "MiB of memory of the virtual machine (default: 1024)",
        NUMBER,
        "MIB",
        least=256,
    ),
    Option(
        "--accel",
        "how the virtual machine is run: kvm or tcg (default: kvm where a machine "
        "has been seen to run with it)",
        metavar="NAME",
    ),
    Option(
        "--results",
        "where runs are kept (default: $AIOABI_RESULTS, else results/)",
        metavar="DIR",
    ),
    Option(
        "--program",
        "the executor (default: build/aioabi-cases)",
        metavar="FILE",
    ),
    Option("--select", "a PATTERN of `aioabi run`", many=True, hidden=True),
)


class Options:
    """The options of one run, by name, with their defaults filled in."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = dict(values)

    def get(self, name: str) -> Any:
        """The value of --NAME; None, False or () where it was not given."""
        return self._values.get(name.replace("-", "_"))

    def replaced(self, values: Mapping[str, Any]) -> "Options":
        """The same but for these."""
        return Options(self._values | dict(values))

    @property
    def results(self) -> Path:
        """The folder of all runs."""
        return Path(self.get("results") or default_results())

    @property
    def program(self) -> Path:
        """The executor's program."""
        return Path(self.get("program") or ROOT / "build" / "aioabi-cases")

    def argv(self, executor_only: bool = False, leave: Sequence[str] = ()) -> list[str]:
        """The options that were given, as arguments; without those in `leave`."""
        args: list[str] = []
        for option in OPTIONS:
            if (executor_only and not option.executor) or option.name in leave:
                continue
            value = self.get(option.key)
            if option.kind is FLAG:
                args += [option.name] if value else []
            elif option.many:
                for one in value or ():
                    args += [option.name, str(one)]
            elif value is not None:
                args += [option.name, str(value)]
        return args


def default_results() -> Path:
    """Where runs are kept unless --results says otherwise."""
    return Path(os.environ.get("AIOABI_RESULTS") or ROOT / "results")


def click_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command the options of the table."""
    for option in reversed(OPTIONS):
        if option.hidden:
            continue
        kind: Any = option.kind
        if option.kind is NUMBER:
            kind = click.IntRange(min=option.least)
        elif option.kind is FLOAT:
            kind = click.FloatRange(min=option.least)
        function = click.option(
            option.name,
            option.key,
            help=option.help + ".",
            metavar=option.metavar or None,
            multiple=option.many,
            is_flag=option.kind is FLAG,
            type=None if option.kind is FLAG else kind,
        )(function)
    return function


def add_to_pytest(parser: Any) -> None:
    """Add the options of the table to pytest's parser."""
    group = parser.getgroup("aioabi", "cases of the AIO ABI")
    for option in OPTIONS:
        hint = argparse.SUPPRESS if option.hidden else option.help
        if option.kind is FLAG:
            group.addoption(
                option.name, dest=option.dest, action="store_true", help=hint
            )
            continue
        group.addoption(
            option.name,
            dest=option.dest,
            action="append" if option.many else "store",
            type=_checked(option),
            metavar=option.metavar or None,
            default=None,
            help=hint,
        )


def from_pytest(config: Any) -> Options:
    """The options that pytest parsed."""
    return Options({o.key: config.getoption(o.dest, None) for o in OPTIONS})


def _checked(option: Option) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        value = option.kind(text)
        if option.least is not None and value < option.least:
            raise argparse.ArgumentTypeError(f"{text} is less than {option.least:g}")
        return value

    convert.__name__ = getattr(option.kind, "__name__", "value")
    return convert
