"""The champion in a bucket: compare-and-swap by generation, and files that must verify."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy

from daftt_core.errors import StorageError
from daftt_core.registry import TaskRegistry, read_version, registered_tasks
from daftt_core.registry.models import Ledger
from daftt_core.storage import open_storage

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "registry"))
from finished_run import finished_run, promoted
from test_registry_ledger import A, B, C, check_race, decision, make_version, race
