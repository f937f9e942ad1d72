"""The commands for a cluster as a shell script calls them: one process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp_api import TOKEN, kfp_server


@pytest.mark.slow
def test_upload_submit_schedule_and_list(tmp_path: Path) -> None:
    with kfp_server() as server:
        server.needs_token = True
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "DAFTT_KFP_HOST": server.url,
            "DAFTT_KFP_TOKEN": TOKEN,
        }

        def daftt(*words: str) -> Any:
            done = subprocess.run(
                [sys.executable, "-m", "daftt_core.cli", *words, "--json"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert TOKEN not in done.stdout + done.stderr
            return json.loads(done.stdout)

        uploaded = daftt("upload")
        started = daftt("submit", "--output", "gs://bucket/daftt")
        assert daftt("schedule", "--output", "gs://bucket/daftt", "--cron", "0 3 * * 1")["changed"]
        (listed,) = daftt("runs", "--remote")
        assert listed["run_id"] == started["run_id"]
        (run,) = server.tables["runs"]
        assert run["pipeline_version_reference"]["pipeline_version_id"] == uploaded["version_id"]
