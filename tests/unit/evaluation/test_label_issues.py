"""Labels that the students contradict, against cleanlab and through the stage that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daftt_core.config import EvaluationConfig
from daftt_core.evaluation import LABEL_ISSUES, LabelIssue, evaluate, find_label_issues
from daftt_core.evaluation.answers import read_answers
from daftt_core.records import Prediction, read_jsonl, write_jsonl
from daftt_core.tasks import Task
from daftt_core.workspace import Run, run_stage

COLOURS = Task(
    id="colours",
    kind="classification",
    description="Colours.",
    definition="Name the colour.",
    writing_definition="Write a text of this colour.",
    labels=[{"name": name, "verbalizer": name} for name in ("red", "green", "blue")],
)
ROWS = (
    ("red", (0.90, 0.06, 0.04)),
    ("red", (0.80, 0.15, 0.05)),
    ("red", (0.05, 0.90, 0.05)),
    ("red", (0.45, 0.50, 0.05)),
    ("red", (0.10, 0.20, 0.70)),
    ("green", (0.10, 0.85, 0.05)),
    ("green", (0.20, 0.70, 0.10)),
    ("green", (0.55, 0.40, 0.05)),
    ("green", (0.40, 0.35, 0.25)),
    ("green", (0.10, 0.30, 0.60)),
    ("blue", (0.05, 0.05, 0.90)),
    ("blue", (0.30, 0.10, 0.60)),
    ("blue", (0.15, 0.65, 0.20)),
    ("blue", (0.34, 0.33, 0.33)),
)
CLEANLAB = ["02", "04", "12", "09", "07"]
"""What cleanlab 2.9.0 returns for ROWS: ``find_label_issues(labels, pred_probs,
filter_by="confident_learning", return_indices_ranked_by="self_confidence")``."""


def predictions(arm: str, seeds: int = 2) -> list[Prediction]:
    """Answers of students that differ by as much as their mean takes away again."""
    found = []
    for seed in range(seeds):
        shift = 0.04 * (seed - (seeds - 1) / 2)
        for place, (given, probs) in enumerate(ROWS):
            shifted = [probs[0] + shift, probs[1] - shift, probs[2]]
            distribution = dict(zip(COLOURS.label_names, shifted, strict=True))
            output = max(distribution, key=distribution.__getitem__)
            found.append(
                Prediction(
                    id=f"{place:02d}",
                    arm=arm,
                    seed=seed,
                    gold=given,
                    output=output,
                    distribution=distribution,
                )
            )
    return found


def test_they_are_those_of_cleanlab(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "real.jsonl", predictions("real"))
    issues = find_label_issues("test", read_answers(tmp_path, COLOURS, ["real"]), "real")
    assert [issue.id for issue in issues] == CLEANLAB


def test_a_label_that_no_example_has_is_never_suggested(tmp_path: Path) -> None:
    rows = [row.model_copy(update={"gold": "green"}) for row in predictions("real")]
    write_jsonl(tmp_path / "real.jsonl", rows)
    assert not find_label_issues("test", read_answers(tmp_path, COLOURS, ["real"]), "real")


def test_the_evaluation_lists_those_of_the_chosen_arm_dev_first(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path), seed=7, task=COLOURS)
    issues = _evaluated(run, {"real": 0.5, "real+annotated": 0.6})
    assert [(issue.split, issue.id) for issue in issues] == [
        (split, id_) for split in ("dev", "test") for id_ in CLEANLAB
    ]
    assert issues[1] == LabelIssue(
        split="dev",
        id="04",
        given="red",
        suggested="blue",
        probability=0.7,
        given_probability=0.1,
    )


def test_without_kept_answers_to_dev_only_test_is_looked_at(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path), seed=7, task=COLOURS)
    issues = _evaluated(run, {"real": 0.5}, keeps_dev=False)
    assert {issue.split for issue in issues} == {"test"}


def _evaluated(
    run: Run, dev_scores: Mapping[str, float], keeps_dev: bool = True
) -> list[LabelIssue]:
    """Return what the stage lists; only the arm that is best on dev contradicts any label."""
    best = max(dev_scores, key=dev_scores.__getitem__)

    def answered(arm: str) -> list[Prediction]:
        return [
            row
            if arm == best
            else row.model_copy(update={"distribution": _certain(row.gold), "output": row.gold})
            for row in predictions(arm)
        ]

    def train(arm: str) -> str:
        def work(folder: Path) -> dict[str, object]:
            if keeps_dev:
                write_jsonl(folder / "dev-predictions.jsonl", answered(arm))
            scores = [dev_scores[arm]] * 2
            return {
                "arm": arm,
                "examples": {"real": 5},
                "dev_scores": scores,
                "metric": COLOURS.primary_metric,
            }

        return run_stage(run, f"students/{arm}", [], work).digest

    def predict(folder: Path) -> dict[str, object]:
        for arm in dev_scores:
            write_jsonl(folder / f"{arm}.jsonl", answered(arm))
        return {}

    predicted = run_stage(run, "predictions", [], predict).digest
    evaluate(
        run, EvaluationConfig(bootstrap_samples=100), predicted, {a: train(a) for a in dev_scores}
    )
    return read_jsonl(run.folder / "evaluation" / LABEL_ISSUES, LabelIssue)


def _certain(label: str) -> dict[str, float]:
    return {name: 0.98 if name == label else 0.01 for name in COLOURS.label_names}
