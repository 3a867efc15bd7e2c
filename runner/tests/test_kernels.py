# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: what is offered, chosen, fetched, kept, and found to be damaged."""
import gzip
import itertools
import json
import multiprocessing
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from runner import kernels
from runner.archive import Archive, ArchiveError, Package, Version
from runner.initramfs import build
from runner.kernels import Image, KernelError

VERSIONS = (
    "6.1.192-2 6.1.192-10 6.12.1-1 6.12.117-1 6.12.117-1~deb12u1 6.12.117-1~bpo12+1 "
    "7.3~rc7-1~exp1 7.3~rc10-1 7.3-1 7.3.0-1 5.10.0-1 1:5.10-1 6.12.90-2 6.12.90+x-1 "
    "6.12 6.12a-1 6.12-1+b1"
).split()


@pytest.mark.skipif(not shutil.which("dpkg"), reason="there is no dpkg")
def test_versions_are_ordered_as_dpkg_orders_them():
    for one, other in itertools.combinations(VERSIONS, 2):
        less = ["dpkg", "--compare-versions", one, "lt", other]
        wanted = subprocess.run(less).returncode == 0
        assert (Version(one) < Version(other)) is wanted, (one, other)


def package(name, version, suite="trixie", depends="kmod", sha256="5a", **more):
    uri = f"file:///pool/main/l/linux-signed-amd64/{name}_{version}_amd64.deb"
    made = Package(name, version, suite, uri, 100, sha256, depends)
    return replace(made, **more)


PACKAGES = [
    package("linux-image-6.12.107+deb13-amd64", "6.12.107-1"),
    package("linux-image-6.12.107+deb13-amd64", "6.12.107-1", "trixie-security"),
    package("linux-image-6.12.107+deb13-amd64-unsigned", "6.12.107-1"),
    package("linux-image-6.12.107+deb13-cloud-amd64", "6.12.107-1"),
    package("linux-image-6.12.107+deb13-rt-amd64", "6.12.107-1"),
    package(
        "linux-image-6.12-amd64", "6.12.117-1", depends="linux-image-6.12.117-amd64"
    ),
    package("linux-image-6.12.95+deb12-amd64-unsigned", "6.12.95-1", "bookworm"),
    package("linux-image-5.10.0-46-amd64", "5.10.262-1", "bullseye"),
    package("linux-image-5.10.0-46-amd64", "5.10.261-1", "bullseye"),
    package(
        "linux-image-7.2.13+deb14-amd64",
        "7.2.13-1",
        "sid",
        depends="linux-binary-7.2.13+deb14-amd64 (= 7.2.13-1)",
    ),
    package("linux-binary-7.2.13+deb14-amd64", "7.2.13-1", "sid"),
    package("linux-modules-7.2.13+deb14-amd64", "7.2.13-1", "sid"),
    package("linux-base-7.2.13+deb14-amd64", "7.2.13-1", "sid"),
    package("linux-binary-7.1.13+deb13-amd64", "7.1.13-1", "trixie-backports"),
    package("linux-base-7.1.13+deb13-amd64", "7.1.13-1", "trixie-backports"),
    package("linux-binary-7.3-amd64", "7.3~rc7-1~exp1", "experimental"),
]


def chosen(what):
    """The offer that `what` means."""
    offer = kernels.choose(what, kernels.offers(PACKAGES))
    assert offer
    return offer


def test_one_offer_a_release():
    found = kernels.offers(PACKAGES)
    assert [offer.release for offer in found] == [
        "7.3-amd64",
        "7.2.13+deb14-amd64",
        "7.1.13+deb13-amd64",
        "6.12.107+deb13-amd64",
        "6.12.95+deb12-amd64",
        "5.10.0-46-amd64",
    ]
    by_release = {offer.release: offer for offer in found}
    assert by_release["6.12.107+deb13-amd64"].suites == ("trixie", "trixie-security")
    assert by_release["6.12.107+deb13-amd64"].packages[0].name.endswith("deb13-amd64")
    assert by_release["5.10.0-46-amd64"].version.text == "5.10.262-1"


def test_a_split_kernel_is_all_of_its_packages():
    offer = chosen("7.2")
    kinds = [part.name.split("-")[1] for part in offer.packages]
    assert kinds == ["binary", "modules", "base"]
    assert offer.vouched


def test_modules_that_the_index_lost_come_from_the_pool_and_are_not_vouched_for():
    offer = chosen("7.1")
    modules = offer.packages[1]
    assert modules.uri == (
        "file:///pool/main/l/linux/linux-modules-7.1.13+deb13-amd64_7.1.13-1_amd64.deb"
    )
    assert not modules.sha256 and not offer.vouched


@pytest.mark.parametrize(
    ("what", "release"),
    [
        ("6.12", "6.12.107+deb13-amd64"),
        ("6.12.107", "6.12.107+deb13-amd64"),
        ("6.12.95-1", "6.12.95+deb12-amd64"),
        ("6.12.95+deb12-amd64", "6.12.95+deb12-amd64"),
        ("6", "6.12.107+deb13-amd64"),
        ("7.3", "7.3-amd64"),
        ("7.3-rc7", "7.3-amd64"),
        ("bookworm", "6.12.95+deb12-amd64"),
        ("trixie", "6.12.107+deb13-amd64"),
        ("sid", "7.2.13+deb14-amd64"),
        ("latest", "7.2.13+deb14-amd64"),
    ],
)
def test_choosing(what, release):
    assert chosen(what).release == release


@pytest.mark.parametrize("what", ["6.1", "6.12.1", "6.12.10", "4.19", "nonsense"])
def test_nothing_is_chosen_for_what_is_not_there(what):
    assert kernels.choose(what, kernels.offers(PACKAGES)) is None


# --- images ---


def note(kind, description=b"\0" * 8, name=b"Xen\0"):
    return struct.pack("<III", len(name), len(description), kind) + name + description


def vmlinux(notes=b"", text=b"Linux version 6.99-test (me)\0"):
    """An ELF file as small as one can be."""
    start = 64 + 2 * 56
    body = text + bytes(-len(text) % 8)
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2)
    header += bytes(64 - len(header))
    for kind, at, size in (
        (1, start, len(body)),
        (4, start + len(body), len(notes)),
    ):
        header += struct.pack("<IIQQQQQQ", kind, 0, at, 0, 1 << 24, size, size, 8)
    return header + body + notes


def bzimage(elf, release=b"6.99-test"):
    """A vmlinuz of a vmlinux."""
    payload = gzip.compress(elf, mtime=0)
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x20E, 0x100)
    setup[0x300 : 0x300 + len(release) + 6] = release + b" (me)\0"
    struct.pack_into("<II", setup, 0x248, 16, len(payload))
    body = bytes(16) + payload
    body += bytes(-len(body) % 16)
    struct.pack_into("<I", setup, 0x1F4, len(body) // 16)
    return bytes(setup) + body


def test_an_image_says_what_it_is(tmp_path):
    config = b"IKCFG_ST" + gzip.compress(b"\nCONFIG_PCI=y\n") + b"IKCFG_ED"
    elf = vmlinux(
        note(1) + note(kernels.PVH_NOTE), b"Linux version 6.99-test " + config
    )
    (tmp_path / "vmlinuz").write_bytes(bzimage(elf))
    image = Image(tmp_path / "vmlinuz")
    assert image.release == "6.99-test"
    assert image.unpacked() == elf
    assert kernels.has_pvh_entry(elf)
    assert not kernels.has_pvh_entry(vmlinux(note(1)))


def test_a_kernel_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path / "cache"))
    config = b"IKCFG_ST" + gzip.compress(b"#\nCONFIG_PCI=y\n") + b"IKCFG_ED"
    elf = vmlinux(note(kernels.PVH_NOTE), b"Linux version 6.99-test " + config)
    (tmp_path / "bzImage").write_bytes(bzimage(elf))
    kernel = kernels.find(str(tmp_path / "bzImage"))
    assert kernel.release == "6.99-test"
    assert kernel.has("PCI") and not kernel.has("ACPI")
    assert kernel.boot.read_bytes() == elf
    assert kernel.modules is None
    (tmp_path / "vmlinux").write_bytes(vmlinux())
    kernel = kernels.find(str(tmp_path / "vmlinux"))
    assert kernel.boot == tmp_path / "vmlinux"
    assert kernel.has("PCI") is None


def test_a_kernel_with_kasan_takes_the_long_way(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path / "cache"))
    elf = vmlinux(note(kernels.PVH_NOTE), b"Linux version 6.99 " + kernels.KASAN)
    (tmp_path / "bzImage").write_bytes(bzimage(elf))
    assert kernels.find(str(tmp_path / "bzImage")).boot == tmp_path / "bzImage"


def test_the_tree_of_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path / "cache"))
    tree = tmp_path / "linux"
    tree.mkdir()
    with pytest.raises(KernelError, match="make bzImage"):
        kernels.find(str(tree))
    boot = tree / "arch" / "x86" / "boot"
    boot.mkdir(parents=True)
    (boot / "bzImage").write_bytes(bzimage(vmlinux(b"", b"Linux version 6.99-test ")))
    (tree / ".config").write_text("#\nCONFIG_PCI=y\n")
    kernel = kernels.find(str(tree))
    assert (kernel.release, kernel.has("PCI")) == ("6.99-test", True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bzimage(vmlinux())[:1100], "is cut short: 1100 bytes of"),
        (vmlinux()[:190], "is cut short: 190 bytes of"),
        (b"#!/bin/sh\n", "is no kernel"),
        (b"", "is no kernel"),
    ],
)
def test_an_image_that_is_none(tmp_path, content, said):
    (tmp_path / "vmlinuz").write_bytes(content)
    with pytest.raises(KernelError, match=said):
        kernels.find(str(tmp_path / "vmlinuz"))


def test_no_image_at_all(tmp_path):
    with pytest.raises(KernelError, match="No such file"):
        kernels.find(str(tmp_path / "vmlinuz"))
    with pytest.raises(KernelError, match="what is known is debian:"):
        kernels.find("fedora:42")


# --- modules ---

needs_kmod = pytest.mark.skipif(
    not shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin:/bin")
    or not shutil.which("gcc"),
    reason="kmod or gcc is missing",
)


def make_module(path, name, info, source=""):
    """An object file that kmod takes for a module."""
    fields = "".join(f"{line}\\0" for line in (f"name={name}", *info))
    code = (
        'static const char info[] __attribute__((used, section(".modinfo"))) = '
        f'"{fields}";\n{source}'
    )
    subprocess.run(
        ["gcc", "-c", "-xc", "-", "-o", str(path)], input=code, text=True, check=True
    )


def module_tree(folder):
    """A tree with brd, which needs helper, and one that no guest wants."""
    drivers = folder / "kernel/drivers/block"
    drivers.mkdir(parents=True)
    make_module(
        drivers / "helper-mod.ko",
        "helper_mod",
        ["depends="],
        'static const char s[] __attribute__((used, section("__ksymtab_strings"))) = '
        '"helping";\nint helping;',
    )
    make_module(
        drivers / "brd.ko",
        "brd",
        ["depends=helper-mod", "alias=block-major-1-*"],
        "extern int helping; int *use = &helping;",
    )
    make_module(drivers / "other.ko", "other", ["depends="])
    (folder / "modules.order").write_text("kernel/drivers/block/brd.ko\n")
    (folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    return folder


@needs_kmod
def test_modules_that_a_guest_may_need_and_those_they_need(tmp_path):
    tree = module_tree(tmp_path / "6.99-test")
    subprocess.run(["xz", str(tree / "kernel/drivers/block/brd.ko")], check=True)
    kernels.take_modules(tree, tmp_path / "taken")
    names = {path.name for path in (tmp_path / "taken").iterdir()}
    assert names == {"brd.ko", "helper_mod.ko", "index"}
    index = (tmp_path / "taken/index").read_text().splitlines()
    assert "module brd helper_mod.ko brd.ko" in index
    assert "alias block-major-1-* brd" in index
    assert "builtin ext4" in index
    assert (tmp_path / "taken/brd.ko").read_bytes().startswith(b"\x7fELF")


@needs_kmod
def test_a_module_that_is_missing_is_named(tmp_path):
    tree = module_tree(tmp_path / "6.99-test")
    (tree / "kernel/drivers/block/helper-mod.ko").unlink()
    with pytest.raises(KernelError, match="modules are missing: helper_mod"):
        kernels.take_modules(tree, tmp_path / "taken")


@needs_kmod
def test_signatures_are_kept_only_where_nobody_else_vouches(tmp_path):
    tree = module_tree(tmp_path / "6.99-test")
    path = tree / "kernel/drivers/block/brd.ko"
    plain = path.read_bytes()
    signature = b"s" * 100 + bytes(8) + struct.pack(">I", 100) + kernels.SIGNED
    path.write_bytes(plain + signature)
    kernels.take_modules(tree, tmp_path / "vouched")
    kernels.take_modules(tree, tmp_path / "not", vouched=False)
    assert (tmp_path / "vouched/brd.ko").read_bytes() == plain
    assert (tmp_path / "not/brd.ko").read_bytes() == plain + signature


# --- fetching ---

needs_apt = pytest.mark.skipif(
    not Path("/usr/lib/apt/apt-helper").exists() or not shutil.which("dpkg-deb"),
    reason="there is no apt",
)


def make_deb(folder, release, image, module_folder=None):
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: linux-image-{release}\nVersion: 1\nArchitecture: amd64\n"
        "Maintainer: x <x@example.org>\nDescription: x\n"
    )
    (root / "boot").mkdir()
    (root / f"boot/vmlinuz-{release}").write_bytes(image)
    (root / f"boot/config-{release}").write_text("\nCONFIG_PCI=y\n")
    tree = root / "lib/modules" / release
    if module_folder:
        shutil.copytree(module_folder, tree)
    deb = folder / "kernel.deb"
    build_deb = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", str(root), str(deb)]
    subprocess.run(build_deb, check=True, capture_output=True)
    return deb


@pytest.fixture(name="offer")
def offer_(tmp_path, monkeypatch):
    """An offer of a kernel in a package that is a file here."""
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIRROR", "file:///nowhere/debian")
    tree = module_tree(tmp_path / "tree")
    image = bzimage(vmlinux(note(kernels.PVH_NOTE)))
    deb = make_deb(tmp_path, "6.99-amd64", image, tree)
    digest = subprocess.run(["sha256sum", str(deb)], capture_output=True, text=True)
    parcel = package(
        "linux-image-6.99-amd64",
        "6.99-1",
        uri=f"file://{deb}",
        size=deb.stat().st_size,
        sha256=digest.stdout.split()[0],
    )
    return kernels.Offer("6.99-amd64", Version("6.99-1"), ("sid",), (parcel,))


def quiet(text):
    """Nobody is told."""


def left_behind(folder):
    """What should not be there."""
    return [path.name for path in folder.glob(".new-*")]


@needs_apt
@needs_kmod
def test_a_kernel_is_fetched_once(offer, tmp_path):
    kernel = kernels.fetch(offer, Archive(), quiet)
    assert kernel.release == "6.99-amd64"
    assert kernel.boot.name == "vmlinux"
    assert kernel.has("PCI")
    assert kernel.modules and (kernel.modules / "brd.ko").exists()
    kernel.check()
    (tmp_path / "kernel.deb").unlink()
    assert kernels.fetch(offer, Archive(), quiet) == kernel
    assert [k.release for k in kernels.cached()] == ["6.99-amd64"]
    # What is pinned and cached is not looked for anywhere.
    assert kernels.find("debian:6.99-amd64") == kernel
    assert not left_behind(kernels.kernels_dir())


def _fetch(offer, queue):
    told: list[str] = []
    kernels.fetch(offer, Archive(), told.append)
    queue.put(len(told))


@needs_apt
@needs_kmod
def test_two_that_fetch_the_same_kernel_do_it_once(offer):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    both = [context.Process(target=_fetch, args=(offer, queue)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert sorted(queue.get() for _ in both) == [0, 1]


@needs_apt
@needs_kmod
def test_what_a_killed_fetch_left_is_removed(offer):
    left = kernels.kernels_dir() / ".new-6.99-amd64_6.99-1"
    (left / "tree").mkdir(parents=True)
    (left / "tree/rubbish").write_text("x")
    kernels.fetch(offer, Archive(), quiet)
    assert not left_behind(kernels.kernels_dir())


@needs_apt
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_package_is_refused(offer, tmp_path, damage):
    deb = tmp_path / "kernel.deb"
    data = deb.read_bytes()
    if damage == "cut":
        deb.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        deb.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        deb.unlink()
    with pytest.raises(KernelError, match="6.99-amd64"):
        kernels.fetch(offer, Archive(), quiet)
    assert not kernels.cached()
    assert not left_behind(kernels.kernels_dir())


@needs_apt
@needs_kmod
def test_a_damaged_cache_is_noticed_and_mended(offer):
    kernel = kernels.fetch(offer, Archive(), quiet)
    kernel.image.write_bytes(b"damaged")
    with pytest.raises(KernelError, match="is damaged: remove"):
        kernel.check()
    kernel.image.unlink()
    assert not kernels.cached()
    kernels.fetch(offer, Archive(), quiet).check()


@needs_apt
def test_no_mirror_can_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path))
    monkeypatch.setenv("MIRROR", "file:///nowhere/debian")
    monkeypatch.setenv("MIRROR_SECURITY", "file:///nowhere/debian-security")
    with pytest.raises(ArchiveError, match="no list could be fetched"):
        Archive(suites=("bookworm",)).packages()
    with pytest.raises(KernelError, match="debian:6.1: "):
        kernels.find("debian:6.1")


# --- what a guest is given ---


@pytest.mark.skipif(not shutil.which("cpio"), reason="there is no cpio")
def test_the_archive_is_one_that_cpio_reads(tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "brd.ko").write_bytes(b"module")
    data = build(b"program", modules, ["port aioabi", "device brd"])
    listed = subprocess.run(
        ["cpio", "-tv", "--quiet", "--numeric-uid-gid"],
        input=data,
        capture_output=True,
        check=True,
    ).stdout.decode()
    lines = {line.split()[-1]: line for line in listed.splitlines()}
    assert lines["init"].startswith("-rwxr-xr-x")
    assert lines["dev/console"].startswith("crw") and "5,   1" in lines["dev/console"]
    assert lines["../init"].startswith("lrwx")
    shown = subprocess.run(
        ["cpio", "-i", "--to-stdout", "--quiet", "guest.conf", "modules/brd.ko"],
        input=data,
        capture_output=True,
        check=True,
    ).stdout
    assert shown == b"moduleport aioabi\ndevice brd\n"


def test_the_cache_says_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOABI_CACHE", str(tmp_path))
    folder = tmp_path / "kernels/old"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"format": 0}))
    assert kernels.cached() == []
