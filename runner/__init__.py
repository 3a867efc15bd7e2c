# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner of aioabi: drives the executor, stores and reports what it says."""
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
