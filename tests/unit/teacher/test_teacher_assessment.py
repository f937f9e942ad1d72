"""The gate: a teacher that is clearly no better than the baseline does not teach unless told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from completions_server import CompletionsServer
from scipy.stats import binomtest, bootstrap
from toy_run import assessment_of, toy_config

from daftt_core.data import prepare
from daftt_core.errors import DataError, GateError
from daftt_core.evaluation import Assessment, Calibration, Opinion
from daftt_core.evaluation.arms import gain_over
from daftt_core.evaluation.calibration import Committee
from daftt_core.preflight import resolve
from daftt_core.records import Example, Prediction, read_jsonl, write_jsonl
from daftt_core.storage import read_manifest
from daftt_core.teacher import assess, assessment, train
from daftt_core.workspace import StageResult, read_examples, run_stage


def answers(right: list[bool], seed: int = 0) -> list[Prediction]:
    return [
        Prediction(id=f"e{i}", arm="real", seed=seed, gold="a", output="a" if one else "b")
        for i, one in enumerate(right)
    ]


def judge(
    folder: Path,
    baseline_score: float,
    stored: Callable[[list[Prediction]], list[Prediction]] = list,
    **settings: object,
) -> tuple[Path, StageResult]:
    """Assess a teacher beside a baseline that is right on the first examples of dev.

    ``stored`` makes what is stored of the baseline's answers. The teacher's answers are all that
    counts unless ``settings`` let others have a say.
    """
    torch.set_num_threads(1)
    alone = {"synthesis_second_opinion": False, "synthesis_channel_labels": 0}
    config = toy_config(folder, **{"name": f"baseline-{baseline_score}"} | alone | settings)
    run = resolve(config)
    data = prepare(run, config.data)
    teacher = train(run, config.teacher, data.digest)
    dev = read_examples(run, "data", data.digest, "dev")
    labels = run.task.label_names

    def output(index: int, example: Example) -> str:
        wrong = labels[1 - labels.index(str(example.output))]
        return str(example.output) if index < baseline_score * len(dev) else wrong

    def work(stage: Path) -> dict[str, object]:
        rows = []
        for seed in (0, 1):
            for index, one in enumerate(dev):
                given = output(index, one)
                probabilities = {label: 0.9 if label == given else 0.1 for label in labels}
                rows.append(
                    Prediction(
                        id=one.id,
                        arm="real",
                        seed=seed,
                        gold=str(one.output),
                        output=given,
                        distribution=probabilities,
                    )
                )
        write_jsonl(stage / "dev-predictions.jsonl", stored(rows))
        return {"dev_scores": [baseline_score] * 2}

    baseline = run_stage(run, "students/real", [], work)
    result = assess(
        run, config.teacher, config.synthesis, data.digest, teacher.digest, baseline.digest
    )
    return run.folder / "assessment", result


def test_a_better_teacher_passes_and_is_calibrated(tmp_path: Path) -> None:
    folder, result = judge(tmp_path, 0.25, on_gate_fail="stop")
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.passed
    assert found.gain_low is not None
    assert found.gain_high is not None
    assert 0 < found.gain_low < 100 * (found.dev_score - 0.25) < found.gain_high
    assert found.dev_score > found.untuned_dev_score
    assert found.dev_examples == 24
    assert sum(one.count for one in found.bins_after) == 24
    assert found.calibration is not None
    assert len(found.calibration.weights) == 1
    assert found.labels_dev_score is None
    assert result.summary["dev_score"] == found.dev_score
    answers = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    assert len({one.id for one in answers}) == found.dev_examples
    assert sum(one.output == one.gold for one in answers) / 24 == pytest.approx(found.dev_score)
    assert all(max(one.distribution, key=one.distribution.get) == one.output for one in answers)


def test_a_teacher_that_is_not_better_stops_the_run_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        GateError,
        match=r"clearly no better .* 24 dev examples .* baseline students' 1\.000 \(95% interval "
        r"of the difference: -\d\d\.\d to -\d+\.\d points\); label more",
    ):
        judge(tmp_path, 1.0, on_gate_fail="stop", teacher_epochs=0)
    stored = tmp_path / "runs" / "baseline-1.0" / "assessment" / "assessment.json"
    assert not Assessment.model_validate_json(stored.read_text()).passed
    with pytest.raises(GateError):  # the verdict stands when the same run is tried again
        judge(tmp_path, 1.0, on_gate_fail="stop", teacher_epochs=0)


def test_where_it_cannot_be_told_the_teacher_teaches_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, untuned = judge(tmp_path, 1.0, teacher_epochs=0)
    same = untuned.summary["dev_score"] + 1 / 24  # one example better than the teacher
    _, result = judge(tmp_path, same, on_gate_fail="stop", teacher_epochs=0)
    assert result.summary["dev_score"] < result.summary["baseline_dev_score"]
    assert result.summary["passed"] is True
    assert result.summary["gain_low"] < 0 < result.summary["gain_high"]
    assert "is better than the baseline students cannot be told" in caplog.text


def test_of_one_student_the_interval_is_that_of_scipy() -> None:
    rng = np.random.default_rng(2)
    baseline = rng.random(200) < 0.75
    teacher = np.where(rng.random(200) < 0.2, rng.random(200) < 0.9, baseline)
    gain = gain_over(
        [answers(list(baseline))], answers(list(teacher)), "accuracy", seed=1, title="compare"
    )
    differences = 100 * (teacher.astype(float) - baseline)
    reference = bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=3
    ).confidence_interval
    assert gain.low == pytest.approx(reference.low, abs=0.51)  # scores move by half a point
    assert gain.high == pytest.approx(reference.high, abs=0.51)


@pytest.mark.parametrize(
    ("only_teacher", "only_baseline"), [(8, 24), (10, 30), (14, 18), (20, 20), (30, 12), (5, 3)]
)
def test_the_verdict_is_that_of_mcnemars_exact_test(only_teacher: int, only_baseline: int) -> None:
    both = 200 - only_teacher - only_baseline
    teacher = [True] * only_teacher + [False] * only_baseline + [True] * both
    baseline = [False] * only_teacher + [True] * only_baseline + [True] * both
    gain = gain_over([answers(baseline)], answers(teacher), "accuracy", seed=1, title="compare")
    exact = binomtest(only_teacher, only_teacher + only_baseline).pvalue
    assert gain.excludes_zero == (exact < 0.05)
    assert (gain.low > 0) == (exact < 0.05 and only_teacher > only_baseline)


def test_students_that_differ_make_the_interval_wider() -> None:
    rng = np.random.default_rng(4)
    teacher = answers(list(rng.random(200) < 0.8))
    good, poor = (rng.random(200) < share for share in (0.85, 0.6))
    alike = [answers(list(good), seed) for seed in (0, 1)]
    apart = [answers(list(good), 0), answers(list(poor), 1)]
    narrow, wide = (
        gain_over(one, teacher, "accuracy", seed=1, title="compare") for one in (alike, apart)
    )
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_answers_are_paired_by_example_whatever_their_order(tmp_path: Path) -> None:
    _, result = judge(tmp_path, 0.5, teacher_epochs=0, name="one")
    _, same = judge(tmp_path, 0.5, lambda rows: rows[::-1], teacher_epochs=0, name="two")
    assert same.summary == result.summary


def test_a_student_that_answered_other_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="students/real: seed 1 did not answer the dev examples"):
        judge(tmp_path, 0.5, lambda rows: rows[:-1], teacher_epochs=0)


def test_students_that_know_better_are_heard(tmp_path: Path) -> None:
    folder, result = judge(tmp_path, 0.875, teacher_epochs=0, synthesis_second_opinion=True)
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.calibration is not None
    teacher, students = found.calibration.weights
    assert students > teacher
    assert found.labels_dev_score is not None
    assert found.dev_score < found.labels_dev_score <= 1
    assert found.passed
    students = read_manifest(folder.parent / "students" / "real")
    assert students is not None
    assert found.baseline == students.digest
    assert result.summary["labels_dev_score"] == found.labels_dev_score


def test_students_that_know_nothing_are_not_heard(tmp_path: Path) -> None:
    def equal(rows: list[Prediction]) -> list[Prediction]:
        even = dict.fromkeys(rows[0].distribution, 0.5)
        return [row.model_copy(update={"distribution": even}) for row in rows]

    folder, _ = judge(tmp_path, 0.5, equal, synthesis_second_opinion=True)
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.calibration is not None
    assert len(found.calibration.weights) == 1
    assert (found.labels_dev_score, found.baseline) == (None, "")


def opinion(gold: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Log-probabilities of two labels by somebody who is right so often, and says 0.8 each time."""
    said = np.where(np.random.default_rng(seed).random(len(gold)) < right, gold, 1 - gold)
    return np.log(np.where(np.eye(2)[said] == 1, 0.8, 0.2))


@pytest.mark.parametrize(
    ("right", "same", "given"),
    [
        (0.8, False, {"teacher", "channel", "students"}),
        (0.5, False, {"teacher", "students"}),  # knows nothing
        (0.8, True, {"teacher", "students"}),  # says what the teacher says
    ],
)
def test_the_channel_is_heard_where_it_is_clearly_better_and_never_of_written_inputs(
    tmp_path: Path, right: float, same: bool, given: set[str]
) -> None:
    config = toy_config(tmp_path)
    run = resolve(config)
    labels, gold = run.task.label_names, np.random.default_rng(0).integers(0, 2, 300)
    dev = [Example.of(f"remark {i}", output=labels[index]) for i, index in enumerate(gold)]
    teacher = opinion(gold, 0.8, seed=1)
    channel = teacher if same else opinion(gold, right, seed=2)
    opinions = {"teacher": teacher, "channel": channel, "students": opinion(gold, 0.7, seed=3)}
    teaching = assessment._judge(run, config.synthesis, dev, [teacher])
    real, written = assessment._choose(run, config.synthesis, dev, teaching, opinions)
    assert set(real.weights) == given
    assert set(written.weights) == {"teacher", "students"}
    assert (real is written) == ("channel" not in given)
    assert real.labels.score >= teaching.score
    kept = written.stored
    assert kept.heard == tuple(written.weights)
    assert kept.calibration.weights == pytest.approx(tuple(written.weights.values()))


def test_who_labels_what_is_kept() -> None:
    both = Calibration(weights=(0.5, 0.5), bias=(0.0, 0.0))
    alone = Calibration(weights=(1.0,), bias=(0.1, -0.1))
    found = assessment_of(
        calibration=both,
        opinions=tuple(
            Opinion(name=name, dev_score=0.7, weight=0.5) for name in ("teacher", "channel")
        ),
        written=Committee(heard=("teacher",), calibration=alone),
    )
    again = Assessment.model_validate_json(found.model_dump_json())
    for one in (found, again):
        assert one.committee() == Committee(heard=("teacher", "channel"), calibration=both)
        assert one.committee(of_written=True) == Committee(heard=("teacher",), calibration=alone)
    older = found.model_copy(update={"written": None, "opinions": (), "baseline": "0123"})
    known = Committee(heard=("teacher", "students"), calibration=both)
    assert older.committee() == older.committee(of_written=True) == known


def test_of_more_labels_than_are_allowed_the_teacher_answers_only(tmp_path: Path) -> None:
    folder, _ = judge(tmp_path, 0.5, synthesis_channel_labels=1)
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert (found.heard, found.opinions) == (("teacher",), ())


def test_a_teacher_that_has_not_learned_to_write_answers_only(tmp_path: Path) -> None:
    folder, _ = judge(
        tmp_path, 0.5, synthesis_channel_labels=2, teacher_directions="label", teacher_epochs=0
    )
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert (found.heard, found.opinions) == (("teacher",), ())


def test_who_has_no_weight_is_not_asked(tmp_path: Path) -> None:
    folder, _ = judge(
        tmp_path,
        1.0,  # who knows everything
        teacher_epochs=0,
        synthesis_second_opinion=True,
        synthesis_channel_labels=2,
    )
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.calibration is not None
    assert len(found.heard) == len(found.calibration.weights)
    assert "students" in found.heard
    assert [one.name for one in found.opinions] == ["teacher", "channel", "students"]
    for one in found.opinions:
        assert (one.weight is None) == (one.name not in found.heard)
    assert min(found.calibration.weights) >= 0.005
    assert found.labels_dev_score == 1


def test_a_run_can_go_on_all_the_same(tmp_path: Path) -> None:
    _, result = judge(tmp_path, 1.0, on_gate_fail="continue", teacher_epochs=0)
    assert result.summary["passed"] is False


def test_another_model_by_url_is_judged_beside_the_tuned_teacher(tmp_path: Path) -> None:
    with CompletionsServer().running() as server:
        folder, _ = judge(
            tmp_path,
            1.0,
            teacher_epochs=0,
            synthesis_engine="server",
            synthesis_server_url=server.url,
        )
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.teacher == "base, as a server has it"
    # one probe, then each dev example and each of three inputs without content
    assert len(server.bodies) == 1 + 24 + 3
    assert found.tuned_dev_score == found.untuned_dev_score  # no epochs: the same model
    answers = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    right = sum(one.output == one.gold for one in answers)
    assert right / 24 == pytest.approx(found.tuned_dev_score)  # of the tuned one, not the server's
    assert found.ece_before is not None
