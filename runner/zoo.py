# SPDX-License-Identifier: GPL-2.0-or-later
"""The zoo: the block devices and file systems of a guest, and what they need."""

# What a guest may load. What a kernel has built in, or lacks, is passed over; what
# these depend on comes along.
MODULES = frozenset(
    # the way in and out
    "virtio_pci virtio_mmio virtio_console pvpanic pvpanic_pci "
    # disks
    "virtio_blk nvme virtio_scsi sd_mod scsi_debug loop null_blk brd zram nbd ublk_drv "
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
