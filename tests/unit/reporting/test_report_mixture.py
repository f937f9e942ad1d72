"""The report's words about the teacher's mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sample_run import fail, make_run
from test_report_page import Page

from daftt_core.reporting import collect, render
from daftt_core.workspace import Run, run_stage

TASK = {"source": "DAFTT", "license": "CC0-1.0", "size": 40, "overlapping": 0, "sha256": "ab" * 32}
SUMMARY = {
    "examples": 43,
    "target_examples": 128,
    "share": 0.7485,
    "tasks": [
        {"name": "headline_topic", "examples": 22, **TASK},
        {"name": "<b>", "examples": 21, **TASK},
    ],
    "excluded": {"task363_sst2": "excluded by 'sst2'"},
}


def mixed_run(folder: Path, **options: Any) -> Run:
    run = make_run(folder, settings={"mixture_tasks": 2}, **options)
    run_stage(run, "mixture", [], lambda _: SUMMARY)
    return run


def test_the_teacher_s_section_shows_the_mixture_and_claims_no_effect(tmp_path: Path) -> None:
    page = Page(render(collect(mixed_run(tmp_path / "run"))))
    assert (
        "Beside the target task, which makes 75% of what it learned from, the teacher was given 43 "
        "instances of 2 other tasks. Its accuracy on dev with this mixture is"
    ) in page.text
    assert (
        "only the same run with mixture_tasks 0 can tell: daftt sweep --mixtures 0,2" in page.text
    )
    assert f"headline_topic DAFTT CC0-1.0 22 {'ab' * 32}" in page.text
    assert f"<b> DAFTT CC0-1.0 21 {'ab' * 32}" in page.text
    assert "task363_sst2 excluded by 'sst2'" in page.text


def test_before_the_assessment_no_score_is_named(tmp_path: Path) -> None:
    page = Page(render(collect(mixed_run(tmp_path / "run", until="teacher"))))
    assert "43 instances of 2 other tasks." in page.text
    assert "on dev with this mixture" not in page.text


def test_a_mixture_of_other_settings_is_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run_stage(run, "mixture", [], lambda _: SUMMARY)
    found = collect(run)
    assert found.stage("mixture") is None
    assert found.missing == ()
    assert "Other tasks it learned" not in render(found)


def test_a_mixture_that_failed_is_the_reason_for_what_is_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="data", settings={"mixture_tasks": 2})
    fail(run, "mixture", "mixture_source: x: there is no such folder")
    reasons = {stage.name: stage.reason for stage in collect(run).missing}
    assert reasons["mixture"] == "mixture_source: x: there is no such folder"
    assert reasons["teacher"] == "not run, because mixture did not finish"
