# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: kernels built here, whole or broken on purpose, to judge the suite."""
