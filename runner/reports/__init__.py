# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports: what changed between kernels, for people and for other programs."""
