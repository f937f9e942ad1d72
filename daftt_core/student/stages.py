"""The two stages of the students: training an arm, and answering the test examples."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.config import StudentConfig
from daftt_core.errors import DataError
from daftt_core.evaluation import metric_for_task, score
from daftt_core.keeping import keep
from daftt_core.modeling import (
    context_length,
    limit_threads,
    load_classifier,
    load_seq2seq,
    model_digest,
    save_model,
    set_seeds,
)
from daftt_core.progress import Progress, log
from daftt_core.records import TRAITS, Example, Prediction, seed_for, write_jsonl
from daftt_core.storage import commit, sound_manifest
from daftt_core.student.arms import read_arm
from daftt_core.student.encoding import Encoded, encode
from daftt_core.student.prediction import answer
from daftt_core.student.training import fit
from daftt_core.tasks import Task
from daftt_core.workspace import Run, StageResult, read_examples, read_stage, run_stage

__all__ = ["predict_test", "train_arm"]


def train_arm(
    run: Run, config: StudentConfig, arm: str, data_digest: str, curated_digest: str = ""
) -> StageResult:
    """Train an arm's students, one for each seed, and let them answer dev.

    Stage ``students/<arm>`` gets the model folders ``seed-0``, ``seed-1``, ... and
    ``dev-predictions.jsonl``. A student is committed as soon as it is trained, so an arm that was
    interrupted goes on with the next one. A seed gives the same student whatever the other seeds
    do, and means the same start and order in every arm.

    Args:
        run: The run.
        config: Which model, how it is trained, how many seeds.
        arm: One of :data:`daftt_core.arms.ARMS`.
        data_digest: Digest of the stage ``data``.
        curated_digest: Digest of the stage ``curated``; not needed by arms without synthetic data.

    Returns:
        The result. Its summary has ``arm``, ``examples`` by source, ``steps`` of each student,
        ``truncated`` inputs and outputs, ``train_losses`` and ``dev_scores`` by seed, ``metric``.

    Raises:
        ConfigError: There is no such arm.
        DataError: The arm has no examples of one of its sources.
        ModelError: The student model cannot be used.
        TrainingError: Training diverged.
    """
    inputs = [config, model_digest(config.model), arm, data_digest, curated_digest]

    def work(folder: Path) -> dict[str, Any]:
        limit_threads()
        found = read_arm(run, arm, data_digest, curated_digest)
        encoded = _encode(run.task, config, arm, found.examples)
        losses = _train_seeds(run, config, arm, encoded, folder)
        return {
            "arm": arm,
            "examples": found.counts,
            "steps": config.steps(len(found.examples)),
            "truncated": encoded.truncated,
            "train_losses": losses,
            "dev_scores": _answer_dev(run, config, arm, data_digest, folder),
            "metric": metric_for_task(run.task),
        }

    return run_stage(run, f"students/{arm}", inputs, work)


def predict_test(
    run: Run, config: StudentConfig, test_digest: str, arm_digests: Mapping[str, str]
) -> StageResult:
    """Let every student of every arm answer the test examples.

    Stage ``predictions`` gets one ``<arm>.jsonl`` of :class:`Prediction` for each arm; arms that
    an interrupted attempt finished are not answered again. ``traits.json`` is that of the test.

    Args:
        run: The run.
        config: The settings that the arms were trained with.
        test_digest: Digest of the stage ``test``.
        arm_digests: Digest of each stage ``students/<arm>``, by arm.

    Raises:
        StorageError: A stage is missing or was made anew.
        DataError: A test example has no output to compare with.
    """
    inputs = [config, test_digest, dict(arm_digests)]

    def work(folder: Path) -> dict[str, Any]:
        test = read_examples(run, "test", test_digest, "test")
        traits = read_stage(run, "test", test_digest)[0] / TRAITS
        shutil.copyfile(traits, folder / TRAITS)  # the evaluation does not read test
        by_arm = len(test) * config.seeds
        missing = [arm for arm in arm_digests if not (folder / f"{arm}.jsonl").is_file()]
        finished = len(arm_digests) - len(missing)
        progress = Progress(
            "predict test", by_arm * len(arm_digests), "answers", done=by_arm * finished
        )
        for arm in missing:
            students, _ = read_stage(run, f"students/{arm}", arm_digests[arm])
            predictions = _answer(run.task, config, arm, test, students, progress.advance)
            write_jsonl(folder / f"{arm}.jsonl", predictions)
            keep(folder / f"{arm}.jsonl")
        return {"examples": len(test), "seeds": config.seeds, "arms": list(arm_digests)}

    return run_stage(run, "predictions", inputs, work)


def _train_seeds(
    run: Run, config: StudentConfig, arm: str, encoded: Encoded, folder: Path
) -> list[float]:
    """Train the students that are not there yet; the mean training loss of every one."""
    targets = [folder / f"seed-{index}" for index in range(config.seeds)]
    committed = [sound_manifest(target, "training this student again") for target in targets]
    steps = config.steps(len(encoded.dataset))
    finished = sum(manifest is not None for manifest in committed)
    progress = Progress(f"train {arm}", steps * config.seeds, "steps", done=steps * finished)
    losses = []
    for index, (target, manifest) in enumerate(zip(targets, committed, strict=True)):
        if manifest is None:
            shutil.rmtree(target, ignore_errors=True)
            seed = seed_for(run.seed, "student", str(index)) % 2**32  # numpy takes no more
            set_seeds(seed)  # a classifier's head is drawn while it is loaded
            model, tokenizer = _load(config.model, run.task)
            loss = fit(
                model,
                tokenizer,
                encoded.dataset,
                config,
                seed=seed,
                name=f"arm {arm!r}, seed {index}",
                folder=target,
                on_step=progress.advance,
            )
            save_model(model, tokenizer, target)
            manifest = commit(target, target.name, {"train_loss": round(loss, 6)})
            keep(target)
        losses.append(manifest.summary["train_loss"])
    return losses


def _encode(task: Task, config: StudentConfig, arm: str, examples: Sequence[Example]) -> Encoded:
    model, tokenizer = _load(config.model, task)
    limit = _input_limit(config, model, tokenizer)
    encoded = encode(tokenizer, task, examples, limit, config.max_target_length)
    limits = {"inputs": limit, "outputs": config.max_target_length}
    for what, count in encoded.truncated.items():
        if count:
            log.warning(
                "arm %s: %d of %d %s were cut to %d tokens",
                arm,
                count,
                len(examples),
                what,
                limits[what],
            )
    return encoded


def _input_limit(
    config: StudentConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> int:
    return min(config.max_length, context_length(model, tokenizer) or config.max_length)


def _load(name: str | Path, task: Task) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load_classifier(name, task.label_names) if task.is_classification else load_seq2seq(name)


def _answer_dev(
    run: Run, config: StudentConfig, arm: str, data_digest: str, folder: Path
) -> list[float]:
    """Write the dev predictions of an arm; the score of each seed."""
    dev = read_examples(run, "data", data_digest, "dev")
    progress = Progress(f"dev scores of {arm}", len(dev) * config.seeds, "answers")
    predictions = _answer(run.task, config, arm, dev, folder, progress.advance)
    write_jsonl(folder / "dev-predictions.jsonl", predictions)
    by_seed = [predictions[at : at + len(dev)] for at in range(0, len(predictions), len(dev))]
    metric = metric_for_task(run.task)
    return [score(metric, [p.output for p in one], [p.gold for p in one]) for one in by_seed]


def _answer(
    task: Task,
    config: StudentConfig,
    arm: str,
    examples: Sequence[Example],
    students: Path,
    on_batch: Callable[[int], None],
) -> list[Prediction]:
    """The answers of all of an arm's students, seed by seed."""
    predictions = []
    for seed in range(config.seeds):
        model, tokenizer = _load(students / f"seed-{seed}", task)
        answers = answer(
            model,
            tokenizer,
            task,
            examples,
            max_length=_input_limit(config, model, tokenizer),
            max_target_length=config.max_target_length,
            on_batch=on_batch,
        )
        for example, one in zip(examples, answers, strict=True):
            predictions.append(
                Prediction(
                    id=example.id,
                    arm=arm,
                    seed=seed,
                    gold=_gold(example),
                    output=one.output,
                    distribution=one.distribution,
                )
            )
    return predictions


def _gold(example: Example) -> str:
    if example.output is None:
        raise DataError(f"example {example.id}: has no output to compare an answer with")
    return example.output
