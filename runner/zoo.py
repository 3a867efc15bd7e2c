# SPDX-License-Identifier: GPL-2.0-or-later
"""The zoo: the block devices and file systems of a guest, and what they need.

Which there are, and how a guest makes them, stands in lib/zoo.c; here is what the
machine must have for them.
"""
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from .archive import cache_dir, locked

# What a guest may load. What a kernel has built in, or lacks, is passed over; what
# these depend on comes along.
MODULES = frozenset(
    # the way in and out
    "virtio_pci virtio_mmio virtio_console pvpanic pvpanic_mmio "
    # disks
    "virtio_blk nvme virtio_scsi sd_mod scsi_debug loop null_blk brd zram nbd ublk_drv "
    "mq_deadline "
    "dm_mod dm_delay dm_flakey dm_dust dm_snapshot "
    # file systems, and what they ask the kernel's crypto for
    "configfs ext4 xfs btrfs f2fs overlay fuse "
    "crc32c_generic crc32c_cryptoapi crc32_generic libcrc32c xxhash_generic "
    "blake2b_generic sha256_generic lzo lzo_rle lz4 zstd "
    # endpoints that can be cancelled
    "dummy_hcd libcomposite usb_f_fs gadgetfs "
    # what else can be polled
    "tun uinput af_alg algif_hash algif_skcipher".split()
)

# The default first: cases that are not about devices run on it.
DEVICES = (
    "virtio nvme scsi4k loop nullblk nulltimer brd zram scsidebug linear delay flakey "
    "ext4 xfs btrfs f2fs tmpfs overlay"
).split()
DISK_SIZE = 64 << 20

# Ways to call mkfs, the first that works is taken: features that the oldest kernel does
# not know are switched off where this mkfs knows them.
FILE_SYSTEMS: dict[str, tuple[int, tuple[str, ...]]] = {
    "ext4": (
        256 << 20,
        (
            "mkfs.ext4 -q -O ^orphan_file,^metadata_csum_seed",
            "mkfs.ext4 -q -O ^metadata_csum_seed",
            "mkfs.ext4 -q",
        ),
    ),
    "xfs": (320 << 20, ("mkfs.xfs -q -i nrext64=0", "mkfs.xfs -q")),
    "btrfs": (256 << 20, ("mkfs.btrfs -q -O ^block-group-tree", "mkfs.btrfs -q")),
    "f2fs": (128 << 20, ("mkfs.f2fs -q",)),
}


# What /sbin/mkfs.NAME of a guest writes: as large as lib/own.c wants it.
TEMPLATES: dict[str, int] = {"ext4": 16 << 20}
TEMPLATE_BLOCK = 4096


class ZooError(Exception):
    """A device cannot be had; the text says why."""


@dataclass(frozen=True)
class Disk:
    """A disk of the machine, by the name that it has in the zoo. `image`: what is on
    it, never written to; None: nothing."""

    name: str
    image: Optional[Path] = None


def choose(names: Optional[str]) -> list[str]:
    """The devices of a list with commas between, `!` for all but; None: all."""
    if not names:
        return list(DEVICES)
    words = [word.strip() for word in names.split(",") if word.strip()]
    unknown = [word for word in words if word.lstrip("!") not in DEVICES]
    if unknown:
        raise ZooError(
            f"the zoo has no {', '.join(unknown)}; it has {', '.join(DEVICES)}"
        )
    left_out = {word[1:] for word in words if word.startswith("!")}
    wanted = [word for word in words if not word.startswith("!")] or DEVICES
    return [word for word in dict.fromkeys(wanted) if word not in left_out]


def disks(names: Sequence[str]) -> tuple[list[Disk], dict[str, str]]:
    """The disks that these devices need, and why some cannot be had."""
    found, lacking = [], {}
    for name in names:
        if name in FILE_SYSTEMS:
            try:
                found.append(Disk(name, file_system(name)))
            except ZooError as error:
                lacking[name] = str(error)
        elif name in ("virtio", "nvme", "scsi4k"):
            found.append(Disk(name))
    return found, lacking


def file_system(kind: str, size: int = 0) -> Path:
    """An image that carries an empty file system, made once."""
    usual, ways = FILE_SYSTEMS[kind]
    size = size or usual
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    tool = shutil.which(ways[0].split()[0], path=path)
    if not tool:
        raise ZooError(f"{ways[0].split()[0]} is not installed")
    stat = os.stat(tool)
    key = repr((size, ways, stat.st_size, stat.st_mtime_ns))
    folder = cache_dir() / "images"
    image = folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.img"
    with locked(folder / ".lock"):
        if not image.exists():
            _format(tool, ways, size, image)
    return image


def template(kind: str) -> bytes:
    """An empty file system without its zeroes: for each block that has any other byte
    its offset (eight bytes, little-endian) and its content."""
    parts = []
    with file_system(kind, TEMPLATES[kind]).open("rb") as image:
        while block := image.read(TEMPLATE_BLOCK):
            if block.count(0) != len(block):
                offset = image.tell() - len(block)
                parts += [struct.pack("<Q", offset), block]
    return b"".join(parts)


def _format(tool: str, ways: Sequence[str], size: int, image: Path) -> None:
    said = ""
    for way in ways:
        with tempfile.NamedTemporaryFile(dir=image.parent, prefix=".new-") as new:
            new.truncate(size)
            done = subprocess.run(
                [tool, *way.split()[1:], new.name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if done.returncode == 0:
                os.link(new.name, image)
                return
            said = re.sub(r"\s+", " ", done.stderr).strip()[:200]
    raise ZooError(f"{ways[-1]}: {said}")
