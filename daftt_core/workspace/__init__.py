"""A run's folder, and the one way in which a stage does its work there.

    <run>/<stage>/               the stage's files; it exists once its manifest.json does
    <run>/.status/<stage>.json   its progress, for the command line
    <run>/.locks/                one process at a time works on a stage

A stage's *key* is a digest of its settings and inputs. A stage that is committed under the same key
is not done again; an unfinished folder of the same key is resumed; a folder of another key is
cleared first.

A remote run (``gs://``) has the same stages. Each is worked on in a scratch folder on this machine
(``DAFTT_SCRATCH``, or under the cache), stored when it is done, and read through a cache
(``DAFTT_CACHE``, at most ``DAFTT_CACHE_GB``). Of several processes at one stage, the first to
finish wins. Progress of unfinished stages is stored too (:mod:`daftt_core.workspace.progress`), so
that another machine can resume them.
"""

from __future__ import annotations

from daftt_core.workspace.reading import (
    CONFIG_FILE,
    RUN_FILE,
    content_uri,
    finished_stages,
    load_run,
    read_examples,
    read_file,
    read_forms,
    read_result,
    read_stage,
    require_stage,
    run_statuses,
    stage_manifest,
)
from daftt_core.workspace.run import Run, check_run, is_remote, working_folder
from daftt_core.workspace.stage import StageResult, joined_stage, record_artifact, run_stage
from daftt_core.workspace.status import StageStatus, current_attempt, mark_stopped, read_statuses
from daftt_core.workspace.usage import unfinished_usage

__all__ = [
    "CONFIG_FILE",
    "RUN_FILE",
    "Run",
    "StageResult",
    "StageStatus",
    "check_run",
    "content_uri",
    "current_attempt",
    "finished_stages",
    "is_remote",
    "joined_stage",
    "load_run",
    "mark_stopped",
    "read_examples",
    "read_file",
    "read_forms",
    "read_result",
    "read_stage",
    "read_statuses",
    "record_artifact",
    "require_stage",
    "run_stage",
    "run_statuses",
    "stage_manifest",
    "unfinished_usage",
    "working_folder",
]
