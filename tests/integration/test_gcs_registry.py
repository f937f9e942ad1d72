"""The champion in a bucket: compare-and-swap by generation, and files that must verify."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "registry"))
