"""What stages hand on: their summaries as they always were, and numbers for Kubeflow."""

from __future__ import annotations

import json

import pytest

from daftt_core.stages import (
    DATA,
    POPULATIONS,
    STAGES,
    TEST,
    VERSIONS,
    ArmScores,
    EvaluationResult,
    LabelFunnel,
    numbers,
    stage_of,
    students_by_arm,
)


def test_every_finite_number_has_a_name_that_is_its_path() -> None:
    summary = {"a": 1, "b": {"c": 0.5}, "d": float("nan"), "e": True, "f": "text"}
    assert numbers(summary) == {"a": 1.0, "b.c": 0.5}


def test_runs_are_compared_in_percent_and_in_points_of_it() -> None:
    arms = {
        "real": ArmScores(mean=0.75),
        "real+both": ArmScores(mean=0.8125, gain=6.25, gain_low=3.0, gain_high=9.5),
        "real+annotated": ArmScores(mean=0.9, gain=15.0, gain_low=12.0, gain_high=18.0),
    }
    result = EvaluationResult(chosen_arm="real+both", arms=arms)
    assert result.percentages == {
        "student_percent": 81.25,
        "labels_alone_percent": 75.0,
        "gain_points": 6.25,
        "gain_low_points": 3.0,
        "gain_high_points": 9.5,
    }
    gold = EvaluationResult(chosen_arm="real", arms={**arms, "gold": ArmScores(mean=0.875)})
    assert gold.percentages == {
        "student_percent": 75.0,
        "labels_alone_percent": 75.0,
        "labels_all_true_percent": 87.5,
    }


def test_students_are_found_by_their_arm() -> None:
    given = ["students/real@12ab", "students/real+both@34cd"]
    assert students_by_arm(given) == {"real": "12ab", "real+both": "34cd"}


SUMMARIES: dict[str, list[dict[str, object]]] = {
    "preflight": [{"versions": {"daftt": "1.2", "torch": "not installed"}}],
    "trigger": [
        {"train": True, "reason": "No champion.", "population": "ab", "labelled_rows": 9},
        {
            "train": False,
            "reason": "Nothing new.",
            "population": "ab",
            "labelled_rows": 9,
            "known_labels": 9,
            "new_labels": 0,
            "new_share": 0.0,
            "new_inputs": 3,
            "labels_p": 0.5,
        },
    ],
    "data": [
        {
            "sizes": {"labelled": 3, "dev": 1, "test": 1, "unlabelled": 0},
            "labels": {"labelled": {"no": 3}, "dev": {}, "test": {}},
            "rows": {"train": {"read": 6, "labelled": 3}},
            "dropped": {"train": {"empty": 1}},
            "source": "files",
            "license": None,
            "sha256": {"train": "12"},
            "gold_is_known": False,
        }
    ],
    "test": [{"size": 1, "labels": {}}],
    "mixture": [
        {
            "examples": 2,
            "target_examples": 3,
            "share": 0.6,
            "overlapping": 0,
            "tasks": [
                {
                    "name": "a",
                    "source": "b",
                    "license": "unknown",
                    "size": 4,
                    "overlapping": 0,
                    "examples": 2,
                    "sha256": "12",
                }
            ],
            "excluded": {"c": "shares the target's source"},
        }
    ],
    "teacher": [
        {
            "model": "m",
            "parameters": 5,
            "examples": 3,
            "mixed_in": 0,
            "tokens": 40,
            "cut": 0,
            "steps": 0,
        },
        {
            "model": "m",
            "parameters": 5,
            "examples": 3,
            "mixed_in": 0,
            "tokens": 40,
            "cut": 0,
            "steps": 8,
            "best_step": 6,
            "best_dev_loss": 0.25,
        },
    ],
    "assessment": [
        {
            "metric": "accuracy",
            "dev_examples": 9,
            "teacher": "the fine-tuned teacher",
            "dev_score": 1.0,
            "tuned_dev_score": None,
            "untuned_dev_score": 0.5,
            "baseline_dev_score": 0.75,
            "passed": True,
            "ece_before": None,
            "ece_after": None,
        }
    ],
    "synthetic/annotated-000-of-001": [{"examples": 4, "unusable": 1, "shortened": 0}],
    "synthetic/generated-000-of-001": [
        {
            "examples": 4,
            "unusable": 1,
            "shortened": 0,
            "not_written": 0,
            "demonstrations_left_out": 2,
        }
    ],
    "curated": [
        {
            "funnel": {
                "annotated": {
                    "read": 4,
                    "rejected": {"unusable": 1},
                    "kept": 3,
                    "redacted": 0,
                    "problems": {"unfinished": 1},
                    "shortened": 0,
                    "by_label": {"no": {"read": 4, "kept": 3}},
                    "diversity": {
                        "texts": 3,
                        "distinct_1": 0.5,
                        "distinct_2": 1.0,
                        "mean_similarity": 0.1,
                        "nearest_real": None,
                        "near_real_share": None,
                    },
                },
                "generated": {
                    "read": 0,
                    "rejected": {},
                    "kept": 0,
                    "redacted": 0,
                    "problems": {},
                    "shortened": 0,
                    "by_label": {},
                    "diversity": None,
                },
            },
            "label_agreement": None,
            "arms": ["real+annotated"],
            "left_out": {"gold": "why"},
        },
    ],
    "students/real": [
        {
            "arm": "real",
            "examples": {"real": 3},
            "steps": 4,
            "truncated": {"inputs": 0, "outputs": 0},
            "train_losses": [0.5],
            "kept_steps": [4],
            "dev_scores": [1.0],
            "metric": "accuracy",
            "way": "plain",
            "recipe": "all",
        },
        {
            "arm": "real",
            "examples": {"real": 3},
            "steps": 80,
            "truncated": {"inputs": 0, "outputs": 0},
            "train_losses": [0.5],
            "kept_steps": [80],
            "dev_scores": [1.0],
            "metric": "accuracy",
            "tried": {"plain": 0.5, "contrastive": 1.0},
            "way": "contrastive",
            "recipes": {"all": 0.5, "surest": 0.4},
            "recipe": "all",
            "start": "labels",
        },
    ],
    "predictions": [
        {"examples": 1, "seeds": 1, "arms": ["real"]},
        {"examples": 1, "seeds": 1, "arms": ["real"], "seconds_per_example": 0.002},
    ],
    "evaluation": [
        {
            "headline": "It helps.",
            "metric": "accuracy",
            "chosen_arm": "real+both",
            "arms": {
                "real": {"mean": 0.5, "dev_mean": 1.0},
                "real+both": {
                    "mean": 0.6,
                    "dev_mean": 1.0,
                    "gain": 10.0,
                    "gain_low": 1.0,
                    "gain_high": 20.0,
                },
            },
        }
    ],
    "promotion": [
        {"promoted": True, "reason": "First.", "version": "ab", "score": 0.5},
        {
            "promoted": False,
            "reason": "No.",
            "version": "ab",
            "score": 0.5,
            "gain": -1.0,
            "gain_low": -2.0,
            "gain_high": 0.0,
        },
    ],
    "report": [{"headline": "It helps.", "missing": ["promotion"]}],
    "review/sheet": [{"examples": 3, "curated": "ab"}],
    "review/marks": [{"all usable": 1, "all label_ok": 0, "corrections": 0}],
    "review/contested": [{"examples": 3, "curated": "ab"}],
    "review/corrected": [{"all usable": 1, "all label_ok": 2, "corrections": 2}],
    "versions/ab": [{"run": "one", "arm": "real", "score": 0.5}],
    "populations/ab": [{}],
}


def test_every_stage_of_the_catalogue_has_a_known_summary() -> None:
    assert {stage_of(name) for name in SUMMARIES} == {*STAGES, VERSIONS, POPULATIONS}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_typed_result_gives_the_summary_byte_for_byte(name: str) -> None:
    stage = stage_of(name)
    assert stage is not None
    for summary in SUMMARIES[name]:
        result = stage.parse(summary, name)
        assert json.dumps(result.model_dump(mode="json")) == json.dumps(summary)


def test_what_a_later_version_adds_is_passed_over() -> None:
    added = {"size": 1, "labels": {}, "languages": ["en"]}
    assert TEST.parse(added, "test").model_dump() == {"size": 1, "labels": {}}


def test_data_that_an_older_version_described_in_fewer_words_is_read() -> None:
    older = DATA.parse({"sizes": {"labelled": 3}}, "data")
    assert (older.sizes, older.rows, older.license) == ({"labelled": 3}, {}, None)


def test_rejections_by_label_are_left_out_of_a_summary_alone() -> None:
    part = LabelFunnel(read=4, rejected={"unusable": 1}, kept=3)
    assert list(part.model_dump()) == ["read", "rejected", "kept"]
    assert list(LabelFunnel(read=4, kept=3).model_dump()) == ["read", "kept"]
