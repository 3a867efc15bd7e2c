# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels to boot: Debian's, by release or version, or an image of one's own.

Of a Debian kernel the cache keeps the image, unpacked where it can be booted so (an
emulated CPU takes seconds to unpack it), its configuration, and those modules that a
guest may need (zoo.MODULES) with what they depend on.
"""
import bz2
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Optional, Sequence

from .archive import Archive, ArchiveError, Package, Version, cache_dir, locked
from .archive import write_whole
from .zoo import MODULES

FORMAT = 1
SIGNED = b"~Module signature appended~\n"
TREE = "0.0"  # what kmod's tools are told that the release is
IMAGE = re.compile(r"linux-(image|binary)-([0-9]+\.[0-9].*-amd64)(-unsigned)?")
OTHER_FLAVOURS = ("-cloud-amd64", "-rt-amd64")
KMOD_FILES = ("modules.builtin", "modules.builtin.modinfo", "modules.order")
PVH_NOTE = 18  # XEN_ELFNOTE_PHYS32_ENTRY
KASAN = b"KernelAddressSanitizer initialized"  # what a kernel that has it says


class KernelError(Exception):
    """There is no such kernel, or it cannot be used; the text says why."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted. `boot` is what QEMU is given; `modules` a folder
    of unpacked modules with an `index` (see module_index); `config` may be empty. When
    it is not `vouched` for, the kernel itself must check its modules' signatures."""

    name: str
    release: str
    image: Path
    boot: Path
    digest: str
    modules: Optional[Path] = None
    config: bytes = field(default=b"", repr=False)
    vouched: bool = True

    def has(self, option: str) -> Optional[bool]:
        """Whether it was configured with CONFIG_`option` built in; None: unknown."""
        if not self.config:
            return None
        return f"\nCONFIG_{option}=y\n".encode() in self.config

    def check(self) -> None:
        """Look whether all that was cached is still whole; KernelError if not."""
        about = self.image.parent / "kernel.json"
        if not about.exists():
            return
        for name, digest in json.loads(about.read_text())["files"].items():
            path = about.parent / name
            if not path.exists() or _digest(path.read_bytes()) != digest:
                raise KernelError(
                    f"{path} is damaged: remove {about.parent} to fetch it again"
                )


@dataclass(frozen=True)
class Offer:
    """A kernel release that Debian has: its newest build, and in which suites."""

    release: str
    version: Version
    suites: tuple[str, ...]
    packages: tuple[Package, ...]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(package.size for package in self.packages)

    @property
    def vouched(self) -> bool:
        """Whether the signed index has all of its packages."""
        return all(package.sha256 for package in self.packages)

    @property
    def minor(self) -> str:
        """The series that it belongs to: "6.12"."""
        return minor_of(self.version.text)

    def matches(self, what: str) -> bool:
        """Whether `what` (of debian:WHAT) means this one, or its series or suite."""
        return matches(what, self.release, self.version.text) or any(
            suite in (what, f"{what}-security") for suite in self.suites
        )


def minor_of(version: str) -> str:
    """The series of a version: "6.12" of "6.12.107-1"."""
    found = re.match(r"[0-9]+\.[0-9]+", version)
    return found.group() if found else version


def matches(what: str, release: str, version: str) -> bool:
    """Whether `what` is this release, this version, or the beginning of it."""
    upstream = Version(version).upstream
    names = (release, version, upstream, upstream.replace("~rc", "-rc"))
    return what in names or re.match(re.escape(what) + r"[.~]", upstream) is not None


# --- what Debian offers, and what is cached ---


def offers(packages: Iterable[Package]) -> list[Offer]:
    """One offer a kernel release, the newest first."""
    by_release: dict[str, dict[str, list[Package]]] = defaultdict(
        lambda: defaultdict(list)
    )
    by_name: dict[tuple[str, str], Package] = {}
    for package in packages:
        by_name.setdefault((package.name, package.version), package)
        found = IMAGE.fullmatch(package.name)
        if not found or found.group(2).endswith(OTHER_FLAVOURS):
            continue
        if "linux-image-" in package.depends or "linux-binary-" in package.depends:
            continue  # only points to the others
        by_release[found.group(2)][package.version].append(package)
    result = []
    for release, builds in by_release.items():
        version = max(builds, key=Version)
        # The signed one, where there is one: its name is the shorter.
        image = min(builds[version], key=lambda package: len(package.name))
        parts = [image]
        if image.name.startswith("linux-binary-"):
            for kind in ("modules", "base"):
                name = f"linux-{kind}-{release}"
                parts.append(by_name.get((name, version)) or _unlisted(name, image))
        suites = {package.suite for package in builds[version]}
        result.append(
            Offer(release, Version(version), tuple(sorted(suites)), tuple(parts))
        )
    return sorted(result, key=lambda offer: offer.version, reverse=True)


def _unlisted(name: str, image: Package) -> Package:
    """A package that the index has no more although it has the image. It is still in
    the pool, as long as anything of its source is; nobody vouches for it, so the guest
    is told to load nothing but what carries the kernel's own signature."""
    pool = re.sub(r"linux-signed-amd64/[^/]*$", "linux/", image.uri)
    uri = f"{pool}{name}_{image.version}_amd64.deb"
    return Package(name, image.version, image.suite, uri, 0, "", "")


def newest_of_each(found: Sequence[Offer]) -> list[Offer]:
    """The newest build of every series, the newest series first."""
    best: dict[str, Offer] = {}
    for offer in found:
        best.setdefault(offer.minor, offer)
    return list(best.values())


@dataclass(frozen=True)
class Cached:
    """A Debian kernel in the cache."""

    release: str
    version: str
    folder: Path

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sum(path.stat().st_blocks * 512 for path in files)


def kernels_dir() -> Path:
    """The folder of the cached kernels."""
    return cache_dir() / "kernels"


def cached() -> list[Cached]:
    """The Debian kernels in the cache, the newest first."""
    found = []
    for about in kernels_dir().glob("*/kernel.json"):
        facts = _read_facts(about)
        if facts:
            found.append(Cached(facts["release"], facts["version"], about.parent))
    return sorted(found, key=lambda kernel: Version(kernel.version), reverse=True)


# --- from a name to a kernel ---


def find(what: str, modules: Optional[Path] = None, say: Any = None) -> Kernel:
    """The kernel that `what` names: debian:RELEASE, VERSION or SUITE, or the path of
    an image (`modules`: what its `make modules_install` made). It is fetched if need
    be; `say` is called with a line for what takes time or is worth knowing.
    KernelError when there is none."""
    tell = say or (lambda text: None)
    if what.startswith("debian:"):
        if modules:
            raise KernelError("--modules is for an image of your own")
        return _debian(what.removeprefix("debian:"), tell)
    path = Path(what)
    if not path.exists() and re.fullmatch(r"[a-z]+:.*", what):
        raise KernelError(f"{what}: what is known is debian:… or the path of an image")
    return local(path, modules)


def _debian(what: str, say: Any) -> Kernel:
    have = cached()
    for kernel in have:
        if what in (kernel.release, kernel.version, Version(kernel.version).upstream):
            return load(kernel.folder)
    archive = Archive()
    near = [kernel for kernel in have if matches(what, kernel.release, kernel.version)]
    try:
        all_offers = offers(archive.packages())
    except ArchiveError as error:
        if not near:
            raise KernelError(f"debian:{what}: {error}") from error
        say(f"{error}; {near[0].release} is used, as it is cached")
        return load(near[0].folder)
    for text in archive.notes:
        say(text)
    chosen = choose(archive.aliases.get(what, what), all_offers)
    if chosen:
        return fetch(chosen, archive, say)
    if near:
        say(
            f"Debian has no {what} any more; {near[0].release} is used, as it is cached"
        )
        return load(near[0].folder)
    raise KernelError(_gone(what, all_offers))


def choose(what: str, found: Sequence[Offer]) -> Optional[Offer]:
    """The newest offer that `what` means; `latest` is the newest release."""
    if what == "latest":
        fitting = [o for o in found if "~" not in o.version.upstream] or list(found)
    else:
        fitting = [o for o in found if what in (o.release, o.version.text)]
        fitting = fitting or [o for o in found if o.matches(what)]
    return fitting[0] if fitting else None


def _gone(what: str, found: Sequence[Offer]) -> str:
    series = [o for o in found if o.minor == minor_of(what)]
    if series:
        names = ", ".join(offer.version.upstream for offer in series[:8])
        return (
            f"debian:{what} is not offered (any more): Debian keeps only some builds "
            f"of each kernel. Of {minor_of(what)} it has {names}"
        )
    names = ", ".join(offer.minor for offer in newest_of_each(found))
    return f"debian:{what} is not offered: Debian has {names} (see `aioabi kernels`)"


def fetch(offer: Offer, archive: Archive, say: Any) -> Kernel:
    """The kernel of an offer, from the cache, or fetched into it."""
    folder = kernels_dir() / f"{offer.release}_{offer.version.text.replace(':', '.')}"
    with locked(kernels_dir() / f".{folder.name}.lock"):
        if _read_facts(folder / "kernel.json"):
            return load(folder)
        work = kernels_dir() / f".new-{folder.name}"
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        work.mkdir()
        try:
            say(f"fetching {offer.release} ({offer.size / 1e6:.0f} MB)")
            for package in offer.packages:
                deb = archive.download(package, work)
                _unpack(deb, work / "tree")
                deb.unlink()
            made = work / "kernel"
            made.mkdir()
            _import(offer, work / "tree", made)
            shutil.rmtree(folder, ignore_errors=True)  # damaged, or of an old format
            made.rename(folder)
        except (ArchiveError, OSError) as error:
            raise KernelError(f"{offer.release}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return load(folder)


def _unpack(deb: Path, tree: Path) -> None:
    """Take the kernel, its configuration and its modules out of a package, side by
    side. The package's own tree of folders is not made: who wrote a package that no
    index vouches for could lead it anywhere."""
    tree.mkdir(exist_ok=True)
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as unpacker:
        assert unpacker.stdout and unpacker.stderr
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as members:
                for member in members:
                    name = _wanted_file(member.name)
                    content = members.extractfile(member) if name else None
                    if content and member.isfile():
                        with (tree / name).open("wb") as copy:
                            shutil.copyfileobj(content, copy)
        except tarfile.TarError as error:
            unpacker.kill()
            raise KernelError(f"{deb.name} cannot be unpacked: {error}") from error
        said = unpacker.stderr.read().decode(errors="replace").strip()
    if unpacker.returncode:
        raise KernelError(f"{deb.name} cannot be unpacked: {said}")


def _wanted_file(name: str) -> str:
    """What a file of a kernel package is kept as; "" if it is not."""
    base = name.rpartition("/")[2]
    if "/modules/" in name and (
        re.fullmatch(r"[\w.-]+\.ko(\.xz|\.gz|\.zst)?", base)
        or base in (*KMOD_FILES, "vmlinuz", "config")
    ):
        return base
    found = re.match(r"(\./)?boot/(vmlinuz|config)-", name)
    return found.group(2) if found else ""


def _import(offer: Offer, tree: Path, made: Path) -> None:
    if not (tree / "vmlinuz").exists():
        raise KernelError(f"{offer.release}: the package has no kernel image")
    for name in ("vmlinuz", "config"):
        if (tree / name).exists():
            shutil.copyfile(tree / name, made / name)
    unpacked = Image(made / "vmlinuz").unpacked()
    if unpacked and has_pvh_entry(unpacked):
        _write_sparse(made / "vmlinux", unpacked)
    take_modules(tree, made / "modules", offer.vouched)
    files = [path for path in made.rglob("*") if path.is_file()]
    facts = {
        "format": FORMAT,
        "release": offer.release,
        "version": offer.version.text,
        "modules": sorted(MODULES),
        "vouched": offer.vouched,
        "files": {
            str(path.relative_to(made)): _digest(path.read_bytes()) for path in files
        },
    }
    write_whole(made / "kernel.json", json.dumps(facts, indent=1).encode())


def load(folder: Path) -> Kernel:
    """The cached kernel in this folder."""
    facts = _read_facts(folder / "kernel.json")
    if not facts:
        raise KernelError(f"{folder} holds no kernel")
    image, unpacked = folder / "vmlinuz", folder / "vmlinux"
    config = folder / "config"
    try:
        return Kernel(
            name=f"debian {facts['version']}",
            release=facts["release"],
            image=image,
            boot=unpacked if unpacked.exists() else image,
            digest=facts["files"]["vmlinuz"],
            modules=folder / "modules",
            config=config.read_bytes() if config.exists() else b"",
            vouched=facts["vouched"],
        )
    except OSError as error:
        raise KernelError(f"{folder}: {error}; remove it to fetch it again") from error


def _read_facts(about: Path) -> dict[str, Any]:
    """What is known of a cached kernel; {} unless it is whole and up to date."""
    try:
        facts = json.loads(about.read_text())
    except (OSError, ValueError):
        return {}
    if facts.get("format") != FORMAT or facts.get("modules") != sorted(MODULES):
        return {}
    if not all((about.parent / name).exists() for name in facts["files"]):
        return {}
    return dict(facts)


def local(path: Path, modules: Optional[Path] = None) -> Kernel:
    """A kernel from an image of one's own, and the modules that go with it."""
    if path.is_dir():
        path = _image_in(path)
    try:
        image = Image(path)
    except OSError as error:
        raise KernelError(f"{path}: {error.strerror}") from error
    unpacked = image.unpacked()
    release = image.release or _release_in(unpacked or b"")
    folder = None
    if modules:
        tree = _modules_tree(modules, release)
        digest = _digest(repr(sorted(_listing(tree))).encode())[:16]
        folder = cache_dir() / "modules" / digest
        with locked(folder.parent / f".{digest}.lock"):
            if not (folder / "index").exists():
                shutil.rmtree(folder, ignore_errors=True)
                take_modules(tree, folder)
    config = _embedded_config(unpacked or b"")
    beside = [path.parent / "config", path.parent / ".config"]
    if path.name == "bzImage":
        beside.append(path.parent / "../../../.config")
    for candidate in beside:
        if not config and candidate.is_file():
            config = candidate.read_bytes()
    return Kernel(
        name=str(path),
        release=release,
        image=path,
        boot=_bootable(path, image, unpacked),
        digest=image.digest,
        modules=folder,
        config=config,
    )


def _image_in(tree: Path) -> Path:
    """The image that was built in a kernel's source tree."""
    for name in ("arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage", "vmlinux"):
        if (tree / name).exists():
            return tree / name
    raise KernelError(f"{tree} has no arch/x86/boot/bzImage: make bzImage")


def _bootable(path: Path, image: "Image", unpacked: Optional[bytes]) -> Path:
    if not unpacked or not has_pvh_entry(unpacked) or image.is_elf:
        return path
    if KASAN in unpacked:
        return path  # 6.1's is used before it is there, on the way from that entry
    kept = cache_dir() / "images" / f"{image.digest[:32]}.vmlinux"
    with locked(kept.parent / ".lock"):
        if not kept.exists():
            _write_sparse(kept, unpacked)
    return kept


def _first(*paths: Path) -> Optional[Path]:
    return next((path for path in paths if path.exists()), None)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_sparse(path: Path, data: bytes) -> None:
    """Write a file with holes where there are only zeros."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    step = 1 << 16
    with new.open("wb") as file:
        for at in range(0, len(data), step):
            block = data[at : at + step]
            if block.count(0) == len(block):
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
        file.truncate(len(data))
    new.rename(path)


# --- images ---


class Image:
    """A kernel image: a bzImage (vmlinuz), or the ELF file vmlinux. KernelError when
    it is neither, or not all of it is there."""

    def __init__(self, path: Path):
        self.path = path
        self.data = path.read_bytes()
        self.digest = _digest(self.data)
        self.is_elf = self.data.startswith(b"\x7fELF")
        self.release = ""
        if self.is_elf:
            self._check_elf()
            self.release = _release_in(self.data)
        elif self.data[0x202:0x206] == b"HdrS":
            self._check_bzimage()
        else:
            raise KernelError(f"{path} is no kernel: neither a bzImage nor an ELF file")

    def _check_elf(self) -> None:
        if len(self.data) < 64 or self.data[4] != 2:
            raise KernelError(f"{self.path} is no 64-bit kernel")
        for kind, _, offset, size in _program_headers(self.data):
            if kind == 1 and offset + size > len(self.data):
                self._cut(offset + size)

    def _check_bzimage(self) -> None:
        self._setup = ((self.data[0x1F1] or 4) + 1) * 512
        (paragraphs,) = struct.unpack_from("<I", self.data, 0x1F4)
        if self._setup + paragraphs * 16 > len(self.data):
            self._cut(self._setup + paragraphs * 16)
        (at,) = struct.unpack_from("<H", self.data, 0x20E)
        text = self.data[at + 0x200 : at + 0x200 + 128].split(b"\0")[0] if at else b""
        self.release = text.decode(errors="replace").split(" ")[0]

    def _cut(self, whole: int) -> None:
        size = len(self.data)
        raise KernelError(f"{self.path} is cut short: {size} bytes of {whole}")

    def unpacked(self) -> Optional[bytes]:
        """The ELF file within; None when it cannot be had."""
        if self.is_elf:
            return self.data
        offset, length = struct.unpack_from("<II", self.data, 0x248)
        start = self._setup + offset
        elf = _decompress(self.data[start : start + length])
        return elf if elf and elf.startswith(b"\x7fELF") else None


def _decompress(payload: bytes) -> Optional[bytes]:
    """Unpack what the kernel's build packed. Its last four bytes are the size."""
    if len(payload) < 8:
        return None
    (size,) = struct.unpack("<I", payload[-4:])
    tools = {
        b"\x28\xb5\x2f\xfd": "zstd",
        b"\x02\x21\x4c\x18": "lz4",
        b"\x89LZO": "lzop",
    }
    try:
        if payload.startswith(b"\x1f\x8b"):
            data = zlib.decompressobj(wbits=31).decompress(payload)
        elif payload.startswith(b"BZh"):
            data = bz2.BZ2Decompressor().decompress(payload)
        elif payload.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
            data = lzma.LZMADecompressor().decompress(payload)
        elif payload[:4] in tools:
            tool = [tools[payload[:4]], "-dc"]
            done = subprocess.run(tool, input=payload[:-4], capture_output=True)
            data = done.stdout
        else:
            return None
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return None
    return data if len(data) == size else None


def _program_headers(elf: bytes) -> list[tuple[int, int, int, int]]:
    """Kind, address, offset and size in the file of each segment."""
    (start,) = struct.unpack_from("<Q", elf, 0x20)
    each, number = struct.unpack_from("<HH", elf, 0x36)
    found = []
    for i in range(number):
        at = start + i * each
        if at + 56 > len(elf):
            break
        kind, _, offset, _, physical, size = struct.unpack_from("<IIQQQQ", elf, at)
        found.append((kind, physical, offset, size))
    return found


def has_pvh_entry(elf: bytes) -> bool:
    """Whether QEMU can start this vmlinux directly."""
    for kind, _, offset, size in _program_headers(elf):
        notes = elf[offset : offset + size] if kind == 4 else b""
        while len(notes) >= 12:
            name_size, desc_size, note = struct.unpack_from("<III", notes)
            name = notes[12 : 12 + name_size]
            if name == b"Xen\0" and note == PVH_NOTE:
                return True
            notes = notes[12 + (name_size + 3 & ~3) + (desc_size + 3 & ~3) :]
    return False


def _release_in(elf: bytes) -> str:
    found = re.search(rb"Linux version ([0-9][^ \0]*) ", elf)
    return found.group(1).decode(errors="replace") if found else ""


def _embedded_config(elf: bytes) -> bytes:
    """The configuration that CONFIG_IKCONFIG puts into a kernel."""
    at = elf.find(b"IKCFG_ST\x1f\x8b")
    if at < 0:
        return b""
    try:
        return zlib.decompressobj(wbits=31).decompress(elf[at + 8 :])
    except zlib.error:
        return b""


# --- modules ---


def _modules_tree(folder: Path, release: str) -> Path:
    """The folder below (or at) `folder` in which the modules of `release` are."""
    for base in (folder, folder / "lib/modules", folder / "usr/lib/modules"):
        if (base / release).is_dir():
            return base / release
    if (folder / "kernel").is_dir() or (folder / "modules.order").exists():
        return folder
    raise KernelError(
        f"{folder} has no modules of {release or 'this kernel'}: give what `make "
        "INSTALL_MOD_PATH=DIR modules_install` made"
    )


def _module_name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def _listing(tree: Path) -> list[tuple[str, int, int]]:
    listing = []
    for path in tree.rglob("*.ko*"):
        stat = path.stat()
        listing.append((str(path), stat.st_size, stat.st_mtime_ns))
    return listing


def take_modules(tree: Path, made: Path, vouched: bool = True) -> None:
    """Copy the modules that a guest may need, and those that they need, out of a
    release's tree of modules: unpacked, side by side, with an index. Where they are
    `vouched` for their signatures are left out, which would take an emulated CPU
    seconds to check."""
    paths = {_module_name(path): path for path in tree.rglob("*.ko*")}
    wanted: dict[str, Path] = {}
    todo = sorted(name for name in MODULES if name in paths)
    while todo:
        wanted |= {name: paths[name] for name in todo}
        needed = _depends([paths[name] for name in todo])
        missing = needed - set(paths)
        if missing:
            raise KernelError(f"modules are missing: {', '.join(sorted(missing))}")
        todo = sorted(needed - set(wanted))
    with tempfile.TemporaryDirectory(prefix="aioabi-") as scratch:
        # kmod works out the order; its tools need the tree's usual shape.
        copy = Path(scratch) / "lib/modules" / TREE / "kernel"
        copy.mkdir(parents=True)
        for name, path in wanted.items():
            data = _unpacked_module(path)
            data = _unsigned(data) if vouched else data
            (copy / f"{name}.ko").write_bytes(data)
        for name in KMOD_FILES:
            source = tree / name
            (copy.parent / name).write_bytes(
                source.read_bytes() if source.exists() else b""
            )
        _kmod("depmod", "-b", scratch, TREE)
        new = made.with_name(f".{made.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(copy, new)
        index = module_index(Path(scratch), sorted(wanted), copy.parent)
        (new / "index").write_text(index)
        new.rename(made)


def module_index(root: Path, names: Sequence[str], tree: Path) -> str:
    """The index that a guest reads, a line an entry:

    module NAME FILE…          what to load for it, in this order
    alias PATTERN NAME         the kernel asks for modules by such names
    node NAME TYPE MAJOR MINOR a device that loads its module when it is opened
    builtin NAME               what needs no loading
    """
    lines = []
    for name in names:
        shown = _kmod("modprobe", "-d", root, "-S", TREE, "--show-depends", "-a", name)
        files = [
            Path(line.split()[1]).name
            for line in shown.splitlines()
            if line.startswith("insmod ")
        ]
        lines.append(f"module {name} {' '.join(files)}")
    for line in (tree / "modules.alias").read_text().splitlines():
        words = line.split()
        if words[:1] == ["alias"] and not words[1].startswith("of:"):
            lines.append(f"alias {words[1]} {words[2]}")
    for line in (tree / "modules.devname").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and not line.startswith("#"):
            major, minor = words[2][1:].split(":")
            lines.append(f"node {words[1]} {words[2][0]} {major} {minor}")
    builtin = (tree / "modules.builtin").read_text().split()
    lines += [
        f"builtin {name}" for name in sorted(map(_module_name, map(Path, builtin)))
    ]
    return "\n".join(lines) + "\n"


def _depends(paths: Sequence[Path]) -> set[str]:
    said = _kmod("modinfo", "-F", "depends", *paths)
    return {name.replace("-", "_") for name in re.split(r"[,\s]+", said) if name}


def _kmod(tool: str, *args: Any) -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    done = subprocess.run(
        [tool, *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, "MODPROBE_OPTIONS": "-C /dev/null"},
    )
    if done.returncode:
        raise KernelError(f"{tool}: {done.stderr.strip()[:300]}")
    return done.stdout


def _unsigned(module: bytes) -> bytes:
    if not module.endswith(SIGNED):
        return module
    (length,) = struct.unpack(">I", module[-len(SIGNED) - 4 : -len(SIGNED)])
    return module[: -len(SIGNED) - 12 - length]


def _unpacked_module(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(
            ["zstd", "-dc"], input=data, capture_output=True, check=True
        ).stdout
    return data
