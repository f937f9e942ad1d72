from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from daftt_core.config import EvaluationConfig
from daftt_core.errors import DataError, StorageError
from daftt_core.evaluation import (
    ArmResult,
    Evaluation,
    evaluate,
    expected_calibration_error,
    read_evaluation,
)
from daftt_core.evaluation.statistics import holm, mcnemar_mid_p
from daftt_core.records import Prediction, write_jsonl
from daftt_core.tasks import Task, load_task
from daftt_core.workspace import Run, StageResult, run_stage

TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)
LABELS = load_task("movie-reviews").label_names
CONFIG = EvaluationConfig(bootstrap_samples=500)
Predictions = dict[str, list[Prediction]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path), seed=7, task=load_task("movie-reviews"))


def answer(
    arm: str, seed: int, number: int, right: bool, gold: str | None = None, sure: float = 0.8
) -> Prediction:
    true = gold or LABELS[number % 2]
    other = next(label for label in LABELS if label != true)
    output = true if right else other
    distribution = {label: sure if label == output else 1 - sure for label in LABELS}
    return Prediction(
        id=f"{number:04d}", arm=arm, seed=seed, gold=true, output=output, distribution=distribution
    )


def answers(arm: str, accuracy: float, count: int = 100, seeds: int = 2) -> list[Prediction]:
    """Each seed is right on the first examples and wrong on the rest."""
    return [
        answer(arm, seed, number, number < round(accuracy * count))
        for seed in range(seeds)
        for number in range(count)
    ]


def run_evaluate(
    run: Run,
    predictions: Mapping[str, Sequence[Prediction]],
    dev: Mapping[str, Sequence[float]] | None = None,
    metric: str = "accuracy",
    config: EvaluationConfig = CONFIG,
) -> StageResult:
    def write(folder: Path) -> dict[str, object]:
        for arm, some in predictions.items():
            write_jsonl(folder / f"{arm}.jsonl", some)
        return {}

    def train(arm: str) -> str:
        scores = list((dev or {}).get(arm, [0.5, 0.5]))
        summary = {"arm": arm, "examples": COUNTS[arm], "dev_scores": scores, "metric": metric}
        return run_stage(run, f"students/{arm}", [scores, metric], lambda _: summary).digest

    key = [[p.model_dump() for p in some] for some in predictions.values()]
    predicted = run_stage(run, "predictions", key, write).digest
    return evaluate(run, config, predicted, {arm: train(arm) for arm in predictions})


def read(run: Run) -> Evaluation:
    return read_evaluation(run)


COUNTS = {
    "real": {"real": 64},
    "real+annotated": {"real": 64, "annotated": 900},
    "real+generated": {"real": 64, "generated": 1520},
    "real+both": {"real": 64, "annotated": 900, "generated": 1520},
    "gold": {"real": 64, "gold": 1500},
}
FOUR: Predictions = {
    "gold": answers("gold", 0.90),
    "real+generated": answers("real+generated", 0.72),
    "real": answers("real", 0.70),
    "real+annotated": answers("real+annotated", 0.80),
}
DEV = {
    "gold": [0.95, 0.95],
    "real": [0.7, 0.72],
    "real+annotated": [0.8, 0.8],
    "real+generated": [0.7, 0.72],
}


def test_arms_are_compared_with_real(run: Run) -> None:
    result = run_evaluate(run, FOUR, DEV)
    found = read(run)
    assert [arm.arm for arm in found.arms] == ["real", "real+annotated", "real+generated", "gold"]
    assert [arm.mean for arm in found.arms] == pytest.approx([0.7, 0.8, 0.72, 0.9])
    annotated, gold = found.arm("real+annotated"), found.arm("gold")
    assert annotated.comparison is not None
    assert gold.comparison is not None
    assert annotated.comparison.gain == pytest.approx(10)
    assert annotated.comparison.gap_closed == pytest.approx(0.5)
    assert annotated.comparison.significant
    assert 0 < annotated.comparison.interval.low < 10 < annotated.comparison.interval.high < 20
    assert found.arm("real").comparison is None
    assert gold.comparison.gap_closed is None
    assert annotated.training_examples == {"real": 64, "annotated": 900}
    assert (found.test_examples, found.seeds, found.metric) == (100, (0, 1), "accuracy")
    assert result.summary["arms"]["real+annotated"]["gain"] == pytest.approx(10)
    assert result.summary["arms"]["real"] == {
        "mean": pytest.approx(0.7),
        "dev_mean": pytest.approx(0.71),
    }
    assert result.summary["headline"] == found.headline


def test_mcnemar_is_corrected_over_the_arms_with_synthetic_examples(run: Run) -> None:
    run_evaluate(run, FOUR, DEV)
    comparisons = {arm.arm: arm.comparison for arm in read(run).arms if arm.comparison}
    right = {arm: np.arange(100) < round(share * 100) for arm, share in SHARES.items()}
    expected = {arm: mcnemar_mid_p(right["real"], right[arm]) for arm in comparisons}
    assert {arm: c.mcnemar_p for arm, c in comparisons.items()} == pytest.approx(expected)
    corrected = holm([expected["real+annotated"], expected["real+generated"]])
    assert comparisons["real+annotated"].mcnemar_p_holm == pytest.approx(corrected[0])
    assert comparisons["real+generated"].mcnemar_p_holm == pytest.approx(corrected[1])
    assert comparisons["gold"].mcnemar_p_holm is None


SHARES = {"real": 0.7, "real+annotated": 0.8, "real+generated": 0.72, "gold": 0.9}


def test_the_spread_over_seeds_is_the_sample_standard_deviation(run: Run) -> None:
    real = [answer("real", s, n, n < (6, 8, 7)[s]) for s in range(3) for n in range(10)]
    run_evaluate(run, {"real": real}, {"real": [0.5, 0.6, 0.7]})
    arm = read(run).arm("real")
    assert arm.scores == pytest.approx((0.6, 0.8, 0.7))
    assert arm.sd == pytest.approx(0.1)
    assert arm.dev_mean == pytest.approx(0.6)


def test_one_seed_has_no_spread(run: Run) -> None:
    run_evaluate(run, {"real": answers("real", 0.7, seeds=1)}, {"real": [0.5]})
    assert read(run).arm("real").sd is None


def test_tables_by_label_agree_with_sklearn(run: Run) -> None:
    rng = np.random.default_rng(1)
    real = [
        answer("real", s, n, rng.random() < 0.7, sure=0.5 + rng.random() / 2)
        for s in range(2)
        for n in range(60)
    ]
    run_evaluate(run, {"real": real})
    arm = read(run).arm("real")
    by_seed = [[p for p in real if p.seed == seed] for seed in range(2)]
    gold = [p.gold for p in by_seed[0]]
    tables = [confusion_matrix(gold, [p.output for p in some], labels=LABELS) for some in by_seed]
    assert np.asarray(arm.confusion).tolist() == sum(tables).tolist()
    _, recall, _, support = np.mean(
        [
            precision_recall_fscore_support(gold, [p.output for p in some], labels=LABELS)
            for some in by_seed
        ],
        axis=0,
    )
    assert [arm.per_class[label].recall for label in LABELS] == pytest.approx(list(recall))
    assert [arm.per_class[label].support for label in LABELS] == list(support)
    errors = [
        expected_calibration_error(
            [[p.distribution[label] for label in LABELS] for p in some],
            [LABELS.index(g) for g in gold],
        )
        for some in by_seed
    ]
    assert arm.expected_calibration_error == pytest.approx(np.mean(errors))
    assert set(arm.metrics) == {"accuracy", "macro_f1", "matthews"}
    assert arm.metrics["accuracy"] == pytest.approx(arm.mean)


def test_a_gain_is_told_with_both_ends_and_its_interval(run: Run) -> None:
    run_evaluate(run, FOUR, DEV)
    found = read(run)
    comparison = found.arm("real+annotated").comparison
    assert comparison is not None
    low, high = comparison.interval.low, comparison.interval.high
    assert found.headline == (
        "64 labels and 900 annotated by the teacher reach 80.0% accuracy, 10.0 points above the "
        f"64 labels alone (95% interval {low:.1f} to {high:.1f}) and 10.0 points below all 1,564 "
        "true labels."
    )


def test_without_gold_the_headline_has_one_end(run: Run) -> None:
    arms = {name: answers(name, 0.72) for name in ("real", "real+both")}
    run_evaluate(run, arms, {"real+both": [0.9, 0.9]})
    assert read(run).headline == (
        "No gain was shown: 64 labels, 900 annotated and 1,520 written by the teacher reach "
        "72.0% accuracy, level with the 64 labels alone (95% interval 0.0 to 0.0, which includes "
        "zero)."
    )


def test_the_headline_is_about_the_arm_that_is_best_on_dev_not_on_test(run: Run) -> None:
    run_evaluate(run, FOUR, {**DEV, "real+generated": [0.9, 0.9]})
    found = read(run)
    assert found.chosen_arm == "real+generated"
    assert found.headline.startswith(
        "No gain was shown: 64 labels and 1,520 written by the teacher reach 72.0% accuracy, 2.0 "
        "points above the 64 labels alone (95% interval"
    )
    assert found.headline.endswith(
        ", which includes zero) and 18.0 points below all 1,564 true labels."
    )


def test_real_is_best_on_dev(run: Run) -> None:
    run_evaluate(run, FOUR, {**DEV, "real": [0.81, 0.81]})
    assert read(run).headline == (
        "No gain was shown: the 64 labels alone, which were best on dev, reach 70.0% accuracy, "
        "20.0 points below all 1,564 true labels."
    )


def test_of_equals_on_dev_the_arm_with_less_in_it_is_chosen(run: Run) -> None:
    run_evaluate(run, FOUR)
    assert read(run).chosen_arm == "real"


def test_a_loss_is_called_a_loss(run: Run) -> None:
    worse = {"real": answers("real", 0.7), "real+both": answers("real+both", 0.4)}
    run_evaluate(run, worse, {"real+both": [0.9, 0.9]})
    assert read(run).headline.startswith(
        "A loss was shown: 64 labels, 900 annotated and 1,520 written by the teacher reach "
        "40.0% accuracy, 30.0 points below the 64 labels alone (95% interval"
    )


def test_gold_alone_is_nothing_to_compare_with(run: Run) -> None:
    run_evaluate(run, {"real": FOUR["real"], "gold": FOUR["gold"]})
    assert read(run).headline == (
        "The 64 labels alone reach 70.0% accuracy, 20.0 points below all 1,564 true labels; there "
        "is no arm with synthetic examples to compare them with."
    )


def test_texts_are_compared_by_rouge(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path), seed=7, task=TITLES)

    def titles(arm: str, said: str) -> list[Prediction]:
        return [
            Prediction(
                id=f"{n:03d}", arm=arm, seed=s, gold=f"title of film {n}", output=said.format(n)
            )
            for s in range(2)
            for n in range(20)
        ]

    both = {"real": titles("real", "film"), "real+annotated": titles("real+annotated", "film {}")}
    run_evaluate(run, both, {"real+annotated": [0.9, 0.9]}, metric="rougeL")
    found = read(run)
    arm = found.arm("real+annotated")
    assert found.metric == "rougeL"
    assert arm.mean == pytest.approx(2 / 3)  # 2 of 2 words said, 2 of 4 words found
    assert arm.comparison is not None
    assert arm.comparison.mcnemar_p is None
    assert arm.comparison.gain == pytest.approx(100 * (2 / 3 - 2 / 5))
    assert (arm.confusion, arm.per_class, arm.expected_calibration_error) == ((), {}, None)
    assert set(arm.metrics) == {"rouge1", "rouge2", "rougeL", "bleu", "exact_match"}
    assert found.headline.startswith(
        "64 examples and 900 annotated by the teacher reach 66.7 ROUGE-L, 26.7 points above the 64 "
        "examples alone (95% interval"
    )


@pytest.mark.parametrize("labels", [3, 50, 51, 1000])
def test_the_confusion_of_many_labels_takes_little_room(run: Run, labels: int) -> None:
    run_evaluate(run, FOUR, DEV)
    counts = np.zeros((labels, labels), dtype=int)
    counts[0, 1], counts[labels - 1, 0], counts[1, 1] = 3, 4, 5
    confusion = tuple(tuple(map(int, row)) for row in counts)
    arm = read(run).arms[0].model_copy(update={"confusion": confusion})
    text = arm.model_dump_json()
    assert ArmResult.model_validate_json(text) == arm
    assert len(text) < 10_000
    assert ('"cells":[[0,1,3],[1,1,5],' in text) == (labels > 50)
    if labels > 50:
        with pytest.raises(ValidationError, match="is not a matrix in cells"):
            ArmResult.model_validate_json(text.replace('"labels":', '"label":'))


def test_the_order_of_the_predictions_does_not_matter(run: Run) -> None:
    run_evaluate(run, FOUR, DEV)
    first = read(run)
    run_evaluate(run, {arm: some[::-1] for arm, some in reversed(FOUR.items())}, DEV)
    assert read(run) == first


def test_a_second_call_does_nothing_again(run: Run) -> None:
    first = run_evaluate(run, FOUR, DEV)
    written = (run.folder / "evaluation" / "evaluation.json").stat().st_mtime_ns
    assert run_evaluate(run, FOUR, DEV) == first
    assert (run.folder / "evaluation" / "evaluation.json").stat().st_mtime_ns == written


def test_an_evaluation_is_read_by_its_digest(run: Run) -> None:
    result = run_evaluate(run, FOUR, DEV)
    assert read_evaluation(run, result.digest).headline == result.summary["headline"]
    with pytest.raises(StorageError, match="was rebuilt"):
        read_evaluation(run, "0123")


def test_the_evaluation_of_another_version_is_not_an_evaluation(run: Run) -> None:
    def work(folder: Path) -> dict[str, object]:
        (folder / "evaluation.json").write_text('{"headline": "Fine"}')
        return {}

    run_stage(run, "evaluation", [], work)
    with pytest.raises(StorageError, match="is not an evaluation"):
        read_evaluation(run)


def _changed(**fields: object) -> list[Prediction]:
    last = FOUR["real+annotated"][-1].model_copy(update=fields)
    return [*FOUR["real+annotated"][:-1], last]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (answers("real+annotated", 0.8, seeds=1), "all arms must have the same seeds"),
        (answers("real+annotated", 0.8, count=99), "not the same test examples"),
        (_changed(id="other"), "seed 1: not the same test examples as arm 'real': 2 differ"),
        (_changed(id="0000"), "line 200: a second answer of seed 1 to 0000"),
        (_changed(gold="negative", id="0099"), "has the true output 'negative'"),
        (_changed(output="great"), "line 200: output: 'great' is not one of negative, positive"),
        (_changed(gold="great"), "line 200: gold: 'great'"),
        (_changed(distribution={}), "distribution: must be over negative, positive, found nothing"),
        (_changed(arm="gold"), "line 200: arm: 'gold' in the file of 'real\\+annotated'"),
        ([], "holds no predictions"),
    ],
)
def test_arms_that_were_not_tested_alike_are_refused(
    run: Run, predictions: list[Prediction], message: str
) -> None:
    fine = {"real": [*FOUR["real"]], "real+annotated": predictions}
    with pytest.raises(DataError, match=message):
        run_evaluate(run, fine)
    assert not (run.folder / "evaluation" / "manifest.json").exists()


def test_without_real_there_is_nothing_to_compare_with(run: Run) -> None:
    with pytest.raises(DataError, match="'real' must be among them"):
        run_evaluate(run, {"gold": FOUR["gold"]})


def test_students_that_were_not_all_tested_are_noticed(run: Run) -> None:
    with pytest.raises(DataError, match="3 students were trained, but the predictions are of 2"):
        run_evaluate(run, FOUR, {**DEV, "gold": [0.9, 0.9, 0.9]})


def test_dev_scores_of_another_metric_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="its dev scores are rougeL"):
        run_evaluate(run, FOUR, DEV, metric="rougeL")


def test_predictions_that_were_made_anew_are_refused(run: Run) -> None:
    run_evaluate(run, FOUR, DEV)
    with pytest.raises(StorageError, match="was rebuilt"):
        evaluate(run, CONFIG, "0123", {"real": "4567"})
