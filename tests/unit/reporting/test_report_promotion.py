"""The report's section about the champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sample_run import make_run

from daftt_core.reporting import collect, render
from daftt_core.workspace import Run, read_stage, run_stage

HOSTILE = "</section><script>alert(1)</script>\u202e"


def decide(run: Run, promoted: bool, reason: str, evaluation: str = "") -> None:
    slices = [
        {"name": f"class {HOSTILE}", "examples": 500, "champion": 0.9, "challenger": 0.8,
         "judged": True, "passed": False, "p": 0.0042},
        {"name": "up to 4 words", "examples": 12, "champion": 0.5, "challenger": 0.4,
         "judged": False, "passed": True},
    ]  # fmt: skip
    found = {
        "promoted": promoted,
        "reason": reason,
        "evaluation": evaluation or read_stage(run, "evaluation")[1].digest,
        "floors": [{"metric": "macro_f1", "score": 0.7, "floor": 0.75}],
        "slices": slices,
    }

    def work(folder: Path) -> dict[str, Any]:
        (folder / "promotion.json").write_text(json.dumps(found))
        return {}

    run_stage(run, "promotion", [found], work)


def test_a_refusal_is_shown_with_what_it_was_decided_by(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    decide(run, False, f"Not promoted: real+both {HOSTILE} falls by 10 points.")
    page = render(collect(run))
    assert "Not promoted</span> <bdi>real+both &lt;/section&gt;&lt;script&gt;alert(1)" in page
    assert "<script>" not in page
    assert "\u202e" not in page
    for words in (
        "falls too far",
        "too few to judge",
        "not reached",
        "\u221210.0",
        "macro F1",
        "0.004",
    ):
        assert words in page
    assert '<a href="#promotion">Promotion</a>' in page
    assert "This run is not complete" not in page


def test_a_run_without_promotion_is_complete_and_says_nothing_of_it(tmp_path: Path) -> None:
    page = render(collect(make_run(tmp_path)))
    assert 'id="promotion"' not in page
    assert "This run is not complete" not in page


def test_a_decision_about_an_earlier_evaluation_is_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    decide(run, True, "Promoted: it is better.", evaluation="another")
    assert 'id="promotion"' not in render(collect(run))
