# SPDX-License-Identifier: GPL-2.0-or-later
"""From a changed fs/aio.c to a bootable kernel in seconds.

Everything of a built kernel but fs/aio.o is linked into one object, once.
After that a changed file costs one compiler run, with the command that kbuild
saved, and two links.  The object directory is only read, so that any number
of changed kernels can be made from it side by side.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ..archive import locked
from .build import KEY_FILE, Image, make_environment
from .sources import LabError, cache_dir

UNIT = "fs/aio.o"
_LAST_LINKED = ("init/version-timestamp.o", ".vmlinux.export.o")


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of a source text: an object, or complaints."""

    path: Path | None
    messages: str

    def digest(self) -> str:
        """Return a hash of the object: equal objects are equal kernels."""
        assert self.path is not None
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def _saved_command(path: Path) -> str:
    """Return the command in a .cmd file of kbuild's, as the shell takes it."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    command = first.split(":=", 1)[1].strip()
    return command.replace("$(pound)", "#").replace("$$", "$")


class Linker:
    """Makes bootable kernels that differ from ``image`` in fs/aio.c alone."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.objects = image.objects
        mark = self.objects / KEY_FILE
        if not mark.exists() or mark.read_text(encoding="utf-8") != image.key:
            raise LabError(f"{self.objects} is not what {image.kernel} was made of")
        self.place = cache_dir() / "prelinked" / image.kernel.parent.name
        self.rest = self.place / "rest.o"
        self.path = image.source / "fs/aio.c"
        self._compile_whole = self._compile_command()
        self._included = re.findall(r"-include (\S+)", self._compile_whole)
        # A precompiled header must come first, so it takes the others in.
        self._compile = re.sub(
            r"-include \S+", "", self._compile_whole.removeprefix("ccache ")
        )
        self._flags, self._libraries = self._link_flags()
        self._last = [
            str(self.objects / name)
            for name in _LAST_LINKED
            if (self.objects / name).exists()
        ]

    @property
    def original(self) -> str:
        """Return the text of the unchanged fs/aio.c."""
        return self.path.read_text(encoding="utf-8")

    def prepare(self) -> None:
        """Link the rest of the kernel, unless that was done before."""
        with locked(self.place.with_suffix(".lock")):
            if (self.place / "ready").exists():
                return
            self.place.mkdir(parents=True, exist_ok=True)
            listing = self._run(["ar", "t", "vmlinux.a"], cwd=self.objects)
            names = [
                name
                for name in dict.fromkeys(listing.split())
                if name not in (UNIT, *_LAST_LINKED)
            ]
            response = self.place / "objects.txt"
            response.write_text("\n".join(names), encoding="utf-8")
            self._run(
                ["ld", "-m", "elf_x86_64", "-r", "-o", str(self.rest), f"@{response}"],
                cwd=self.objects,
            )
            unit = self.objects / UNIT
            empty = None
            if ".tmp_vmlinux0.syms" in self._link_script():
                (self.place / "kallsyms.S").write_text(self._kallsyms(b""))
                empty = self._assemble(self.place / "kallsyms.S")
            _, symbols = self._link(unit, empty, self.place / "vmlinux")
            (self.place / "kallsyms.S").write_text(self._kallsyms(symbols))
            self._assemble(self.place / "kallsyms.S")
            self._precompile()
            (self.place / "ready").touch()

    def compile(self, text: str, out: Path, *extra: str) -> Compiled:
        """Compile ``text`` as fs/aio.c into ``out``.

        The text claims the name of the file it replaces, so that an object
        does not depend on where it was made.
        """
        place = out.with_suffix(".d")
        place.mkdir(parents=True, exist_ok=True)
        source = place / "aio.c"  # the object holds this name
        prelude, line = self._prelude()
        flags = [*extra]
        if text.startswith(prelude):
            flags += ["-include", str(self.place / "prelude.h"), "-Winvalid-pch"]
            text = text[len(prelude) :]
            command = self._compile
        else:
            line = 1
            command = self._compile_whole
        source.write_text(f'# {line} "{self.path}"\n{text}', encoding="utf-8")
        return self._compiler(command, source, out, flags)

    def _compiler(
        self, command: str, source: Path, out: Path, flags: list[str]
    ) -> Compiled:
        filled = command.format(
            out=shlex.quote(str(out)),
            source=shlex.quote(str(source)),
            extra=shlex.join(flags),
        )
        done = subprocess.run(
            filled,
            shell=True,
            cwd=self.objects,
            env=make_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return Compiled(out if done.returncode == 0 else None, done.stderr)

    def _prelude(self) -> tuple[str, int]:
        """Return the text up to the last #include, and the number of the next line."""
        text = self.original
        last = list(re.finditer(r"^#include .*\n", text, re.MULTILINE))[-1]
        return text[: last.end()], text.count("\n", 0, last.end()) + 1

    def _precompile(self) -> None:
        """Compile the headers: they are two thirds of the compiler's work."""
        header = self.place / "prelude.h"
        first = "".join(f'#include "{name}"\n' for name in self._included)
        header.write_text(f'{first}# 1 "{self.path}"\n{self._prelude()[0]}')
        done = self._compiler(
            self._compile.split(" ; ")[0],
            header,
            self.place / "prelude.h.gch",
            ["-x", "c-header"],
        )
        if done.path is None:
            raise LabError(f"the headers of fs/aio.c: {done.messages[-2000:]}")

    def link(self, unit: Path, out: Path) -> Path:
        """Link the object ``unit`` with the rest into ``out``, and return it."""
        table = self.place / "kallsyms.o"
        known = b""
        # Each round knows the addresses of the one before; a table of the
        # same size moves nothing, so the second or third has them right.
        for _ in range(4):
            kernel, symbols = self._link(unit, table, out)
            if symbols == known:
                self._sort_tables(kernel)
                return kernel
            known = symbols
            assembly = out.with_suffix(".kallsyms.S")
            assembly.write_text(self._kallsyms(symbols), encoding="utf-8")
            table = self._assemble(assembly)
        raise LabError(f"{out}: the symbol table does not settle")

    def _compile_command(self) -> str:
        saved = _saved_command(self.objects / "fs/.aio.o.cmd")
        original = re.search(r"\S*fs/aio\.c\b", saved)
        if original is None:
            raise LabError(f"{self.objects}: how fs/aio.c was compiled is not recorded")
        saved = re.sub(r"-Wp,-M\w+,\S+", "", saved)
        saved = saved.replace("{", "{{").replace("}", "}}")
        saved = saved.replace(original.group(), "{source}")
        here = shlex.quote(str(self.path.parent))
        saved = saved.replace(" -c ", f" -iquote {here} {{extra}} -c ", 1)
        return re.sub(r"(?<![\w./-])fs/aio\.o\b", "{out}", saved)

    def _link_flags(self) -> tuple[list[str], list[str]]:
        # later kernels link vmlinux.unstripped, and cut vmlinux out of that
        commands = [self.objects / f".vmlinux{end}.cmd" for end in (".unstripped", "")]
        saved = _saved_command(next(path for path in commands if path.exists()))
        match = re.search(r'link-vmlinux\.sh "([^"]*)" "([^"]*)" "([^"]*)"', saved)
        if match is None:
            raise LabError(f"{self.objects}: how vmlinux was linked is not recorded")
        flags = shlex.split(f"{match.group(2)} {match.group(3)}")
        libraries = [
            name
            for name in ("lib/lib.a", "arch/x86/lib/lib.a")
            if (self.objects / name).exists()
        ]
        return [match.group(1), *flags], libraries

    def _link_script(self) -> str:
        """Return the text of scripts/link-vmlinux.sh."""
        return (self.image.source / "scripts/link-vmlinux.sh").read_text()

    def _link(self, unit: Path, table: Path | None, out: Path) -> tuple[Path, bytes]:
        """Link a kernel; return it and its symbols as kallsyms wants them.

        Without a table its symbols are weak, in kernels in which one of nothing
        cannot be made.
        """
        command = [
            *self._flags,
            "--strip-debug",
            "--script=arch/x86/kernel/vmlinux.lds",
            *("-o", str(out)),
            *(str(self.rest), str(unit), *self._last),
            *("--start-group", *self._libraries, "--end-group"),
            *([str(table)] if table else []),
        ]
        self._run(command, cwd=self.objects)
        return out, self._symbols(out)

    def _symbols(self, kernel: Path) -> bytes:
        """Return the symbols that kallsyms gets, as scripts/mksysmap chooses them."""
        script = self.image.source / "scripts/mksysmap"
        listing = kernel.with_suffix(".symbols")
        if script.read_text(encoding="utf-8").startswith("#!/bin/sed"):
            listing.write_text(self._run(["nm", "-n", str(kernel)]), encoding="utf-8")
            return self._run(["sed", "-f", str(script), str(listing)]).encode()
        self._run(["env", "NM=nm", "sh", str(script), str(kernel), str(listing)])
        return listing.read_bytes()

    def _kallsyms(self, symbols: bytes) -> str:
        listing = self.place / f"symbols.{os.getpid()}.{id(symbols)}"
        listing.write_bytes(symbols)
        command = [str(self.objects / "scripts/kallsyms"), *self._kallsyms_options()]
        try:
            return self._run([*command, str(listing)], cwd=self.objects)
        finally:
            listing.unlink()

    def _kallsyms_options(self) -> list[str]:
        """Return the options that this kernel's link-vmlinux.sh gives kallsyms."""
        config = (self.objects / ".config").read_text(encoding="utf-8").splitlines()
        found = re.findall(
            r'if (is_enabled [^;]*); then\s+kallsymopt="\$\{kallsymopt\} (--[\w-]+)"',
            self._link_script(),
        )
        return [
            option
            for condition, option in found
            if any(
                f"{name}=y" in config for name in re.findall(r"CONFIG_\w+", condition)
            )
        ]

    def _assemble(self, assembly: Path) -> Path:
        """Assemble the symbol table ``assembly``; return the object."""
        includes = [
            word for word in shlex.split(self._compile) if word.startswith("-I")
        ]
        out = assembly.with_suffix(".o")
        command = ["gcc", "-nostdinc", *includes, "-D__ASSEMBLY__", "-D__KERNEL__"]
        command += ["-include", str(self.image.source / "include/linux/kconfig.h")]
        self._run([*command, "-c", "-o", str(out), str(assembly)], cwd=self.objects)
        return out

    def _sort_tables(self, kernel: Path) -> None:
        """Sort the exception table, as the kernel expects to find it."""
        command = [str(self.objects / "scripts/sorttable")]
        if "sorttable -s" in self._link_script():
            listing = kernel.with_suffix(".sizes")
            listing.write_text(self._run(["nm", "-S", str(kernel)]), encoding="utf-8")
            command += ["-s", str(listing)]
        self._run([*command, str(kernel)])

    @staticmethod
    def _run(command: Sequence[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LabError(f"{shlex.join(command)[:400]}\n{done.stderr[-2000:]}")
        return done.stdout
