"""What a change of structure must leave as it is: a report's page and the digests of stages.

    DAFTT_WRITE_GOLDEN=1 pytest tests/integration/test_golden.py

writes the files anew where a change means to change them; the changelog then says why.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from toy_run import toy_config

from daftt_core.data import prepare
from daftt_core.preflight import resolve
from daftt_core.reporting import write_report
from daftt_core.workspace import Run, finished_stages, stage_manifest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "reporting"))
from sample_run import make_run

GOLDEN = Path(__file__).parents[1] / "golden"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("DAFTT_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def digests(run: Run) -> dict[str, str]:
    manifests = {name: stage_manifest(run, name) for name in sorted(finished_stages(run))}
    return {name: manifest.digest for name, manifest in manifests.items() if manifest}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # the page names the run's folder
    return Path("sample")


def test_the_report_of_a_run_is_the_same_page(here: Path) -> None:
    run = make_run(here)
    write_report(run)
    check("report.html", (here / "report" / "report.html").read_text(encoding="utf-8"))


def test_stages_that_use_no_model_have_the_same_digests(here: Path) -> None:
    sample = digests(make_run(here))
    config = toy_config(Path("toy"))
    toy = resolve(config)
    prepare(toy, config.data)
    found = {"sample": sample, "toy": digests(toy)}
    check("digests.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
