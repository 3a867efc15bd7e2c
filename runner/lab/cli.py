# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of the lab: `aioabi lab build`, `aioabi lab list`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable

import click
from rich.console import Console
from rich.table import Table

from . import build as building
from . import sources


class Failure(click.ClickException):
    """What was asked for cannot be done."""

    exit_code = 2


def say(text: str) -> None:
    """Tell a person what goes on, beside the output."""
    print(text, file=sys.stderr, flush=True)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a kernel's source, for any command of the lab."""
    tree = click.option(
        "--tree",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="A kernel tree of your own, clean, in place of Debian's source.",
    )
    jobs = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Compilers side by side (default: one for each CPU).",
    )
    return tree(jobs(command))


@click.group()
def lab() -> None:
    """Build kernels to judge the suite by; nothing of it is needed for `run`."""


@lab.command()
@click.argument("version", required=False, default="6.12")
@click.option(
    "--profile",
    type=click.Choice([*building.PROFILES]),
    default="plain",
    show_default=True,
    help="; ".join(f"{name}: {text}" for name, text in building.PROFILES.items()),
)
@source_options
def build(version: str, profile: str, tree: Path | None, jobs: int | None) -> None:
    """Build a small kernel of VERSION (5.10, 6.1, 6.12, …), and say where it is.

    It boots in a QEMU microvm: `aioabi run --kernel IMAGE`.
    """
    try:
        source = sources.find(version, tree, say)
        image = building.build(source, profile, jobs=jobs, say=say)
    except sources.LabError as error:
        raise Failure(str(error)) from error
    if not image.cached:
        say(f"built in {image.seconds:.0f} s")
    click.echo(image.kernel)


@lab.command("list")
def list_() -> None:
    """List the kernels that are built, the latest last."""
    table = Table(box=None, pad_edge=False)
    for name in ("version", "profile", "built in", "image"):
        table.add_column(name, overflow="fold")
    for image in building.images():
        table.add_row(
            image.version, image.profile, f"{image.seconds:.0f} s", str(image.kernel)
        )
    Console().print(table)
