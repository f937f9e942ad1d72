"""The trigger: when a run trains, when it does not, and the sentence that says why."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from champions import add_event, decided

from daftt_core.config import DataConfig, PromotionConfig, TriggerConfig, from_flat
from daftt_core.errors import ConfigError
from daftt_core.notifications import ending_of
from daftt_core.reporting import summarize, write_report
from daftt_core.retraining import check_trigger
from daftt_core.tasks import Label, Task
from daftt_core.workspace import Run, StageResult

TASK = Task(
    id="sentiment",
    kind="classification",
    description="Sentiment.",
    definition="Decide.",
    writing_definition="Write.",
    labels=(Label(name="bad", verbalizer="bad"), Label(name="good", verbalizer="good")),
)
WORDS = ("film", "plot", "scene", "song", "cast", "light", "voice", "story")


def write(folder: Path, name: str, numbers: range, topic: str = "", label: str = "") -> None:
    rows = [
        {
            "text": f"{topic} {' '.join(random.Random(n).choices(WORDS, k=9))}",
            "label": label or ["bad", "good"][n % 2],
        }
        for n in numbers
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_of(folder: Path, week: int) -> Run:
    return Run(uri=str(folder / "runs" / f"week-{week}"), seed=13, task=TASK)


def check(folder: Path, week: int, **changes: Any) -> StageResult:
    settings: dict[str, Any] = {"when": "drift", "min_new_labels": 40, "min_new_share": 0.1}
    return check_trigger(
        run_of(folder, week),
        TriggerConfig(**settings | changes),
        DataConfig(train=str(folder / "*.jsonl")),
        PromotionConfig(),
    )


A, B = "a" * 12, "b" * 12


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    """A folder where week 1 has trained from 300 rows and was promoted."""
    write(tmp_path, "week-1", range(300))
    assert check(tmp_path, 1).summary["reason"] == "Training: sentiment has no champion yet."
    decided(run_of(tmp_path, 1), A)
    return tmp_path


def test_always_trains_because_it_was_asked_for(champion: Path) -> None:
    summary = check(champion, 2, when="always").summary
    assert summary["train"]
    assert summary["reason"] == "Training: requested by trigger_when: always."


def test_nothing_new_is_no_reason(champion: Path) -> None:
    summary = check(champion, 2).summary
    assert not summary["train"]
    assert summary["reason"] == (
        "No training: 0 new labelled rows (0.0% of 300) since champion aaaaaaaaaaaa (run week-1) "
        "(40 and 10% are needed), and no new input."
    )
    assert summary["new_labels"] == summary["new_inputs"] == 0


def test_new_labels_count_by_number_and_by_share(champion: Path) -> None:
    write(champion, "week-2", range(300, 345))
    found = check(champion, 2).summary
    assert found["train"]
    assert found["reason"] == (
        "Training: 45 new labelled rows (15.0% of 300) since champion aaaaaaaaaaaa (run week-1)."
    )
    assert not check(champion, 2, min_new_labels=46).summary["train"]
    assert not check(champion, 2, min_new_share=0.2).summary["train"]
    said = check(champion, 2, min_new_share=0.2).summary["reason"]
    assert "and no drift is found (inputs p = " in said


def test_changed_labels_are_new_ones(champion: Path) -> None:
    write(champion, "week-1", range(300), label="good")
    assert check(champion, 2, when="new-data").summary["new_labels"] == 150


def test_corrected_labels_are_new_ones(champion: Path) -> None:
    (champion / "corrected").mkdir()
    write(champion / "corrected", "review", range(40), label="good")  # as every other one is
    config = TriggerConfig(when="new-data", min_new_labels=20, min_new_share=0)
    data = DataConfig(train=str(champion / "*.jsonl"), corrections=str(champion / "corrected"))
    found = check_trigger(run_of(champion, 2), config, data, PromotionConfig()).summary
    assert (found["labelled_rows"], found["new_labels"], found["train"]) == (300, 20, True)


@pytest.mark.parametrize("what", [{"topic": "zyxw vuts"}, {"label": "good"}])
def test_drift_of_inputs_and_of_labels_is_a_reason_where_it_is_asked_for(
    champion: Path, what: dict[str, str]
) -> None:
    write(champion, "week-2", range(300, 336), **what)
    found = check(champion, 2).summary
    name = "the inputs differ" if "topic" in what else "the balance of labels differs"
    assert found["train"]
    assert found["reason"].startswith(f"Training: {name} from those of champion aaaaaaaaaaaa")
    assert not check(champion, 2, when="new-data").summary["train"]


def test_data_that_a_challenger_was_refused_with_are_not_tried_again(champion: Path) -> None:
    write(champion, "week-2", range(300, 400))
    assert check(champion, 2).summary["train"]
    decided(run_of(champion, 2), B, promoted=False)
    found = check(champion, 3).summary
    assert not found["train"]
    assert found["reason"].startswith(
        "No training: 0 new labelled rows (0.0% of 400) since challenger bbbbbbbbbbbb "
        "(run week-2), which was refused (40 and 10% are needed)"
    )
    write(champion, "week-3", range(400, 450))
    assert check(champion, 3).summary["train"]


def test_a_refused_first_student_is_not_trained_again_from_the_same_data(tmp_path: Path) -> None:
    write(tmp_path, "week-1", range(300))
    check(tmp_path, 1)
    decided(run_of(tmp_path, 1), A, promoted=False)
    found = check(tmp_path, 2).summary
    assert not found["train"]
    assert "since challenger aaaaaaaaaaaa (run week-1), which was refused" in found["reason"]
    write(tmp_path, "week-2", range(300, 350))
    assert check(tmp_path, 2).summary["train"]


def test_after_a_roll_back_the_same_data_do_not_bring_the_same_student_back(
    champion: Path,
) -> None:
    write(champion, "week-2", range(300, 400))
    check(champion, 2)
    decided(run_of(champion, 2), B)
    add_event(run_of(champion, 1), "rolled-back", A)
    found = check(champion, 3).summary
    assert not found["train"]
    assert "since challenger bbbbbbbbbbbb (run week-2), which was taken back" in found["reason"]


def test_a_champion_of_unknown_data_is_trained_against(tmp_path: Path) -> None:
    write(tmp_path, "week-1", range(300))
    decided(run_of(tmp_path, 1), A)  # its run had no trigger
    assert check(tmp_path, 2).summary["reason"] == (
        "Training: the data of champion aaaaaaaaaaaa (run week-1) are not known."
    )


def test_a_run_that_does_not_train_says_so_wherever_runs_are_shown(champion: Path) -> None:
    from daftt_core.cli.runs.stored_runs import find_runs

    reason = check(champion, 2).summary["reason"]
    run = run_of(champion, 2)
    assert write_report(run).summary == {"headline": reason, "missing": []}
    page = (run.folder / "report" / "report.html").read_text("utf-8")
    assert reason.removesuffix(".") in page
    assert "not complete" not in page
    assert reason in summarize(run, ending_of(run, "SUCCEEDED"))
    found = next(one for one in find_runs(str(champion / "runs")) if one.name == "week-2")
    assert (found.status, found.headline) == ("done", reason)


def test_comparing_needs_a_champion() -> None:
    with pytest.raises(ConfigError, match=r"'drift' compares with the champion, and without"):
        from_flat({"trigger_when": "drift", "promotion_enabled": False})
