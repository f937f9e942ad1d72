"""A run's folder, and the one way in which a stage does its work there.

    <run>/<stage>/            what the stage made; it exists once its manifest.json does
    <run>/.status/<stage>.json   how far it is, for the command line
    <run>/.locks/             one process at a time works on a stage

A stage's *key* is a digest of its settings and of what it reads. A stage that is committed under
the same key is not done again; an unfinished folder of the same key is gone on with; a folder of
another key is cleared first.

A run at a distance (``gs://``) has the same stages. Each is worked on in a scratch folder on this
machine (``DAFTT_SCRATCH``, or under the cache), stored when it is done, and read through a cache
(``DAFTT_CACHE``, at most ``DAFTT_CACHE_GB``). Who finishes a stage first has made it. What a stage
has done so far is kept there too (:mod:`daftt_core.workspace.progress`), so that another machine
resumes it.
"""

from __future__ import annotations

from daftt_core.workspace.reading import (
    finished_stages,
    read_examples,
    read_file,
    read_forms,
    read_result,
    read_stage,
    run_statuses,
    stage_manifest,
)
from daftt_core.workspace.run import Run, check_run, is_distant, working_folder
from daftt_core.workspace.settings import CONFIG_FILE, RUN_FILE, load_run
from daftt_core.workspace.stage import StageResult, joined_stage, run_stage
from daftt_core.workspace.status import StageStatus, current_attempt, read_statuses
from daftt_core.workspace.usage import unfinished_usage

__all__ = [
    "CONFIG_FILE",
    "RUN_FILE",
    "Run",
    "StageResult",
    "StageStatus",
    "check_run",
    "current_attempt",
    "finished_stages",
    "is_distant",
    "joined_stage",
    "load_run",
    "read_examples",
    "read_file",
    "read_forms",
    "read_result",
    "read_stage",
    "read_statuses",
    "run_stage",
    "run_statuses",
    "stage_manifest",
    "unfinished_usage",
    "working_folder",
]
