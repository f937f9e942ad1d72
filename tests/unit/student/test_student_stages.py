from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file
from student_examples import (
    commit_examples,
    reversal_examples,
    reversal_task,
    sentiment_examples,
    synthetic,
)
from transformers import AutoModelForSequenceClassification

from daftt_core.config import StudentConfig
from daftt_core.errors import ConfigError, TrainingError
from daftt_core.records import Prediction, read_jsonl
from daftt_core.student import contradicted, predict_test, train_arm
from daftt_core.workspace import Run


def weights(run: Run, arm: str, seed: int) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "students" / arm / f"seed-{seed}" / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_an_arm_has_one_student_for_each_seed(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    result = train_arm(run, config, "real+both", prepared["data"], prepared["curated"])
    folder = run.folder / "students" / "real+both"
    assert result.name == "students/real+both"
    assert result.summary["arm"] == "real+both"
    assert result.summary["examples"] == {"real": 16, "annotated": 8, "generated": 6, "gold": 0}
    assert result.summary["steps"] == 4  # 30 examples in batches of 8
    assert result.summary["metric"] == "accuracy"
    assert len(result.summary["dev_scores"]) == len(result.summary["train_losses"]) == 2
    for seed in (0, 1):
        model = AutoModelForSequenceClassification.from_pretrained(folder / f"seed-{seed}")
        assert model.config.id2label == {0: "negative", 1: "positive"}
    dev = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    assert [p.id for p in dev] == 2 * [e.id for e in sentiment_examples(10, 100)]
    assert [p.seed for p in dev] == 10 * [0] + 10 * [1]
    for seed, score in enumerate(result.summary["dev_scores"]):
        right = [p.output == p.gold for p in dev if p.seed == seed]
        assert score == pytest.approx(sum(right) / len(right))


def test_a_seed_gives_the_same_student_whatever_the_others_do(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    train_arm(run, config, "real", prepared["data"])
    first = weights(run, "real", 1)
    assert not same(first, weights(run, "real", 0))
    more = config.model_copy(update={"seeds": 3})
    train_arm(run, more, "real", prepared["data"])
    assert same(first, weights(run, "real", 1))


def test_students_start_from_those_of_the_labels_that_were_trained_by_contrast(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    data, curated = prepared["data"], prepared["curated"]
    contrast = config.model_copy(update={"baseline": "contrastive", "epochs": 5, "min_steps": 0})
    real = train_arm(run, contrast, "real", data)
    still = contrast.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    begun = train_arm(run, still, "real+annotated", data, curated, real.digest)
    assert begun.result.start == "labels"
    assert begun.result.steps == 3 * 3  # 24 examples in batches of 8; half of 5 passes
    for seed in (0, 1):
        start, end = weights(run, "real", seed), weights(run, "real+annotated", seed)
        assert all(torch.allclose(start[name], end[name], atol=1e-20) for name in start)
    resumed = train_arm(run, still, "real+annotated", data, curated, real.digest)
    assert resumed.digest == begun.digest

    bare = still.model_copy(update={"start": "model"})
    fresh = train_arm(run, bare, "real+annotated", data, curated, real.digest)
    assert (fresh.result.start, fresh.result.steps) == (None, 5 * 3)
    start, end = weights(run, "real", 0), weights(run, "real+annotated", 0)
    assert not torch.allclose(start["classifier.weight"], end["classifier.weight"])
    written = train_arm(run, still, "real+both", data, curated, real.digest)
    assert (written.result.start, written.result.steps) == (None, 5 * 4)


def test_students_do_not_start_from_those_that_were_fine_tuned(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    data, curated = prepared["data"], prepared["curated"]
    real = train_arm(run, config, "real", data)
    with_them = train_arm(run, config, "real+annotated", data, curated, real.digest)
    assert with_them.result.start is None
    alone = train_arm(run, config, "real+annotated", data, curated)
    assert alone.digest == with_them.digest


def test_a_seed_means_the_same_fresh_head_in_every_arm(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    still = config.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    train_arm(run, still, "real", prepared["data"])
    train_arm(run, still, "gold", prepared["data"])
    heads = {
        (arm, seed): weights(run, arm, seed)["classifier.weight"]
        for arm in ("real", "gold")
        for seed in (0, 1)
    }
    assert torch.equal(heads["real", 0], heads["gold", 0])
    assert torch.equal(heads["real", 1], heads["gold", 1])
    assert not torch.equal(heads["real", 0], heads["real", 1])


def test_progress_counts_the_steps_of_all_seeds(
    run: Run, prepared: dict[str, str], config: StudentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train_arm(run, config, "real", prepared["data"])
    assert "train real: 6 of 6 steps (100%)" in caplog.text


def test_long_inputs_are_cut_and_counted(
    run: Run, prepared: dict[str, str], config: StudentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    short = config.model_copy(update={"max_length": 8})
    result = train_arm(run, short, "real", prepared["data"])
    too_long = sum(len(e.text.split()) + 2 > 8 for e in sentiment_examples(16))
    assert 0 < too_long < 16
    assert result.summary["truncated"] == {"inputs": too_long, "outputs": 0}
    assert f"arm real: {too_long} of 16 inputs were cut to 8 tokens" in caplog.text


def test_a_limit_above_the_models_context_is_lowered_to_it(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    long = [e.model_copy(update={"text": e.text + 80 * " apple"}) for e in sentiment_examples(8)]
    data = commit_examples(run, "data", {"labelled": long, "dev": sentiment_examples(4, 100)})
    wide = config.model_copy(update={"max_length": 512, "seeds": 1})
    result = train_arm(run, wide, "real", data.digest)
    assert result.summary["truncated"]["inputs"] == 8


def test_diverged_training_names_arm_seed_step_and_causes(
    run: Run, prepared: dict[str, str], config: StudentConfig, bert: Path, tmp_path: Path
) -> None:
    from daftt_core.modeling import load_classifier, save_model

    model, tokenizer = load_classifier(bert, ["negative", "positive"])
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(math.nan)
    save_model(model, tokenizer, tmp_path / "damaged")
    broken = config.model_copy(update={"model": str(tmp_path / "damaged")})
    with pytest.raises(
        TrainingError, match="arm 'real', seed 0, by step 1: the loss became nan"
    ) as e:
        train_arm(run, broken, "real", prepared["data"])
    assert "student_learning_rate (0.0002) is too high" in str(e.value)


def test_every_student_answers_every_test_example(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    digests = {
        arm: train_arm(run, config, arm, prepared["data"]).digest for arm in ("real", "gold")
    }
    result = predict_test(run, config, prepared["test"], digests)
    summary = result.summary
    seconds = summary.pop("seconds_per_example")
    assert summary == {"examples": 14, "seeds": 2, "arms": ["real", "gold"]}
    assert seconds > 0
    for arm in digests:
        found = read_jsonl(run.folder / "predictions" / f"{arm}.jsonl", Prediction)
        test = sentiment_examples(14, 400)
        assert [(p.id, p.gold) for p in found] == 2 * [(e.id, e.output) for e in test]
        assert {p.arm for p in found} == {arm}
        for p in found:
            assert sum(p.distribution.values()) == pytest.approx(1, abs=1e-5)
            assert p.output == max(p.distribution, key=p.distribution.__getitem__)


def test_finished_arms_are_not_answered_again(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    digests = {
        arm: train_arm(run, config, arm, prepared["data"]).digest for arm in ("real", "gold")
    }
    whole = predict_test(run, config, prepared["test"], digests)
    folder = run.folder / "predictions"
    (folder / "manifest.json").unlink()  # as if killed between the two arms
    (folder / "gold.jsonl").unlink()
    before = (folder / "real.jsonl").stat().st_mtime_ns
    again = predict_test(run, config, prepared["test"], digests)
    assert again.digest == whole.digest
    assert (folder / "real.jsonl").stat().st_mtime_ns == before
    assert again.result.seconds_per_example is not None  # of the arm that was answered now
    (folder / "manifest.json").unlink()
    resumed = predict_test(run, config, prepared["test"], digests)
    assert resumed.result.seconds_per_example is None
    assert "seconds_per_example" not in resumed.summary


def test_students_learn_what_decides_the_label(run: Run, config: StudentConfig) -> None:
    data = {"labelled": sentiment_examples(96), "dev": sentiment_examples(40, 100)}
    learning = config.model_copy(
        update={"seeds": 1, "min_steps": 150, "learning_rate": 2e-3, "batch_size": 16}
    )
    trained = train_arm(run, learning, "real", commit_examples(run, "data", data).digest)
    assert trained.summary["dev_scores"][0] >= 0.9


def test_a_text_to_text_student_learns_to_reverse(tmp_path: Path, bart: Path) -> None:
    run = Run(uri=str(tmp_path), seed=5, task=reversal_task())
    examples = reversal_examples()
    data = {"labelled": examples[:48], "dev": examples[48:]}
    test = commit_examples(run, "test", {"test": examples[48:]})
    learning = StudentConfig(
        model=str(bart),
        seeds=1,
        epochs=1,
        min_steps=160,
        learning_rate=3e-3,
        batch_size=16,
        max_length=16,
        max_target_length=8,
        weight_decay=0.0,
    )
    trained = train_arm(run, learning, "real", commit_examples(run, "data", data).digest)
    assert trained.summary["metric"] == "rougeL"
    predict_test(run, learning, test.digest, {"real": trained.digest})
    found = read_jsonl(run.folder / "predictions" / "real.jsonl", Prediction)
    exact = sum(p.output == p.gold for p in found) / len(found)
    assert exact >= 0.5  # by chance: one in 64
    assert all(p.distribution == {} for p in found)


def test_students_who_have_not_seen_a_label_contradict_wrong_ones(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    learning = config.model_copy(update={"epochs": 40, "learning_rate": 3e-3})
    train_arm(run, learning, "real", prepared["data"])
    right = sentiment_examples(8, 200)
    other = {"negative": "positive", "positive": "negative"}
    wrong = [
        each.model_copy(update={"output": other[str(each.output)]})
        for each in sentiment_examples(8, 300)
    ]
    doubts = contradicted(run, learning, synthetic([*right, *wrong], "annotated"))
    # on the mean: a student of few examples takes a wrong label or two for right
    assert fmean(doubts[each.id] for each in wrong) > 10 * fmean(doubts[each.id] for each in right)
    assert all(0 <= doubt <= 1 for doubt in doubts.values())
    with pytest.raises(ConfigError, match="only labels can be contradicted"):
        contradicted(run.model_copy(update={"task": reversal_task()}), config, [])
