"""A whole run fits the one object that Argo keeps it in, and a sweep of as many cells as may be."""

from __future__ import annotations

from workflow_size import workflow_size

from daftt_core.cli.local.launch import compiled_pipeline
from daftt_core.sweep.plan import MOST_CELLS_OF_A_WORKFLOW

LIMIT = 2**20  # workflow/packer/packer.go of Argo 4.0.5
SHARDS, ARMS = "Synthetic shards", "Augmented arms"
LOOPS = {SHARDS: 2, ARMS: 3}


def test_a_whole_run_is_never_compressed() -> None:
    size = workflow_size(compiled_pipeline(), LOOPS)
    assert size.count > 80  # the loops were found
    assert size.specification + size.nodes < LIMIT


def test_a_run_that_annotates_takes_25_pods_at_most() -> None:
    assert workflow_size(compiled_pipeline(), {SHARDS: 1, ARMS: 1}).pods <= 25


def test_a_sweep_fits_though_it_is_compressed() -> None:
    cells = LOOPS | {"Cells": MOST_CELLS_OF_A_WORKFLOW}
    size = workflow_size(compiled_pipeline("sweep"), cells)
    assert size.count > MOST_CELLS_OF_A_WORKFLOW * 80
    assert size.specification + size.packed < LIMIT
