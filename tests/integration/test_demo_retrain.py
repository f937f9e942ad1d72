"""The example of recurring runs, with tiny models and a shorter quarter."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_run import toy_config
from toy_task import remarks

from daftt_core.config import to_flat
from daftt_core.records import Example
from examples.demo_retrain import QUARTER, SurpriseError, Week, run_quarter

WEEKS = (
    Week("the first labels", "trained", labelled=32, pool=60),
    Week("nothing", "quiet"),
    Week("inputs about fish", "trained", pool=60, odd=True),
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_short_quarter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"name", "output", "data_train", "data_dev", "data_test", "data_unlabelled"}
    settings = {
        name: value for name, value in to_flat(toy_config(tmp_path)).items() if name not in own
    }
    settings |= {"data_labelled_count": 500, "student_seeds": 1, "student_gold_arm": False}
    settings |= {"synthesis_mode": "annotate", "trigger_when": "drift", "teacher_epochs": 5}
    rows = [Example.of(text, output=label) for text, label in remarks()]
    run_quarter(tmp_path / "quarter", settings, rows, lambda one: "fish" in one.text, WEEKS)
    said = capsys.readouterr().out
    assert "Training: meals has no champion yet." in said
    assert "No training: 0 new labelled rows (0.0% of 32) since " in said
    assert "Training: the inputs differ from those of " in said
    for name in ("week-01", "week-02", "week-03"):
        assert name in said.partition("Its history:")[2]


def test_the_quarter_is_a_quarter() -> None:
    assert len(QUARTER) == 13
    assert {week.ends for week in QUARTER} == {"promoted", "quiet", "refused", "trained"}
    assert issubclass(SurpriseError, Exception)
