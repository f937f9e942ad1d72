"""The two stages of the students: training an arm, and predicting the test examples."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from daftt_core.config import StudentConfig
from daftt_core.config.training import CONTRASTIVE
from daftt_core.errors import ConfigError
from daftt_core.evaluation import REAL_ARM, score
from daftt_core.modeling import Template, limit_threads, model_digest, set_seeds
from daftt_core.records import (
    TRAITS,
    Example,
    Prediction,
    SyntheticExample,
    seed_for,
    write_jsonl,
)
from daftt_core.stages import (
    DATA,
    PREDICTIONS,
    STUDENTS,
    TEST,
    PredictionsResult,
    StudentsResult,
)
from daftt_core.student.embeddings import EMBEDDINGS, EmbeddingRegression
from daftt_core.student.lessons import Lesson, read_arm
from daftt_core.student.prediction import Questions
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.student.seeds import Students
from daftt_core.telemetry import Progress
from daftt_core.workspace import (
    Run,
    StageResult,
    read_examples,
    read_stage,
    require_stage,
    run_stage,
)
from daftt_core.workspace.progress import keep


def train_arm(
    run: Run,
    config: StudentConfig,
    arm: str,
    data_digest: str,
    curated_digest: str = "",
    baseline_digest: str = "",
) -> StageResult[StudentsResult]:
    """Train an arm's students, one for each seed, and predict dev with them.

    The model is read once, and the examples are tokenized once, for all of them; small ones are
    trained side by side where there is no GPU. They may be trained in two ways, of which dev takes
    the better, and learn from what dev prefers. Those of the arm ``real+annotated`` start from the
    students of the labels alone where these were trained by contrast, each from the one with its
    number.

    Stage ``students/<arm>`` gets the model folders ``seed-0``, ``seed-1``, ... and
    ``dev-predictions.jsonl``; that of the labels alone also ``embeddings``, a regression that may
    be asked about labels beside them. A student is committed as soon as it is trained, so an arm
    that was interrupted resumes with the others. A seed gives the same student whatever the other
    seeds do, and means the same start and order in every arm.

    Args:
        run: The run.
        config: Which model, how it is trained, how many seeds.
        arm: One of :data:`daftt_core.stages.ARMS`.
        data_digest: Digest of the stage ``data``.
        curated_digest: Digest of the stage ``curated``; not needed by arms without synthetic data.
        baseline_digest: Digest of the stage ``students/real``, from whose students those of this
            arm may start; empty: they start from the model.

    Raises:
        ConfigError: There is no such arm, or a setting does not fit the task.
        DataError: The arm has no examples of one of its sources.
        ModelError: The student model cannot be used.
        StorageError: The data, the curated examples, or the students to start from are missing or
            were rebuilt.
        TrainingError: Training diverged.
    """
    config.check_task(is_classification=run.task.is_classification)
    inputs = [config, model_digest(config.model), arm, data_digest, curated_digest]
    ahead = config.may_start_ahead(arm) and _by_contrast(run, baseline_digest)
    if ahead:
        inputs.append(baseline_digest)

    def work(folder: Path) -> StudentsResult:
        limit_threads()
        collected = read_arm(run, arm, data_digest, curated_digest)
        dev = read_examples(run, DATA, data_digest, "dev")
        labels = run.task.label_names if run.task.is_classification else None
        template = Template(
            config.model,
            labels,
            mean_pooling=config.pooling == "mean",
            multilabel=run.task.is_multilabel,
        )
        lesson = Lesson.of(run.task, config, arm, template, collected, dev, ahead=ahead)
        starts = read_stage(run, STUDENTS.part(REAL_ARM), baseline_digest)[0] if ahead else None
        trained = Students(
            run, config, arm, template, collected, lesson, dev, folder, starts
        ).take_best()
        if arm == REAL_ARM and template.pooled and not run.task.is_multilabel:
            _fit_regression(run, config, template, collected.examples, folder / EMBEDDINGS)
        answers = chain.from_iterable(trained.answers)
        write_jsonl(folder / "dev-predictions.jsonl", answers)
        metric = run.task.primary_metric
        return StudentsResult(
            arm=arm,
            examples=trained.students.examples.counts,
            steps=trained.students.steps(trained.way),
            truncated=trained.students.lesson.truncated,
            train_losses=tuple(summary["train_loss"] for summary in trained.summaries),
            kept_steps=tuple(summary["kept_step"] for summary in trained.summaries),
            dev_scores=tuple(
                score(metric, [p.output for p in part], [p.gold for p in part])
                for part in trained.answers
            ),
            metric=metric,
            tried=trained.scores if len(trained.scores) > 1 else None,
            way=trained.way,
            recipe=trained.recipe,
            recipes=trained.recipes or None,
            start="labels" if ahead else None,
        )

    return run_stage(run, STUDENTS.part(arm), inputs, work)


def _by_contrast(run: Run, baseline_digest: str) -> bool:
    """Return whether the students of the labels alone are there, and were trained by contrast."""
    if not baseline_digest:
        return False
    stage = STUDENTS.part(REAL_ARM)
    manifest = require_stage(run, stage, baseline_digest)
    return stage.parse(manifest.summary, f"{run.uri}/{stage}").way == CONTRASTIVE


def _fit_regression(
    run: Run,
    config: StudentConfig,
    template: Template,
    examples: Sequence[Example],
    folder: Path,
) -> None:
    """Fit and save the regression, with as many threads as a student has."""

    def fit(_on_units: Callable[[int], None]) -> None:
        set_seeds(seed_for(run.seed, EMBEDDINGS) % 2**32)  # the head that is drawn is stored, too
        EmbeddingRegression.fit(template, run.task, examples, config.max_length).save(folder)

    at_once = students_at_once(config.seeds, template.model.num_parameters())
    list(work_on([fit], at_once, lambda _: None))


def predict_test(
    run: Run, config: StudentConfig, test_digest: str, arm_digests: Mapping[str, str]
) -> StageResult[PredictionsResult]:
    """Predict the test examples with every student of every arm.

    Stage ``predictions`` gets one ``<arm>.jsonl`` of :class:`Prediction` for each arm; arms that
    an interrupted attempt finished are not repeated. ``traits.json`` is that of the test.

    Args:
        run: The run.
        config: The settings that the arms were trained with.
        test_digest: Digest of the stage ``test``.
        arm_digests: Digest of each stage ``students/<arm>``, by arm.

    Raises:
        StorageError: A stage is missing or was rebuilt.
        DataError: A test example has no output to compare with.
    """
    inputs = [config, test_digest, dict(arm_digests)]

    def work(folder: Path) -> PredictionsResult:
        limit_threads()
        test = read_examples(run, TEST, test_digest, "test")
        traits = read_stage(run, TEST, test_digest)[0] / TRAITS
        shutil.copyfile(traits, folder / TRAITS)  # the evaluation does not read test
        by_arm = len(test) * config.seeds
        missing = [arm for arm in arm_digests if not (folder / f"{arm}.jsonl").is_file()]
        finished = len(arm_digests) - len(missing)
        progress = Progress(
            "predict test", by_arm * len(arm_digests), "answers", done=by_arm * finished
        )
        questions = Questions(run.task, config, test)
        for arm in missing:
            students, _ = read_stage(run, STUDENTS.part(arm), arm_digests[arm])
            predictions = _predict(questions, arm, config.seeds, students, progress.advance)
            write_jsonl(folder / f"{arm}.jsonl", predictions)
            keep(folder / f"{arm}.jsonl")
        return PredictionsResult(
            examples=len(test),
            seeds=config.seeds,
            arms=tuple(arm_digests),
            seconds_per_example=(
                questions.seconds / questions.answered if questions.answered else None
            ),
        )

    return run_stage(run, PREDICTIONS, inputs, work)


def contradicted(
    run: Run, config: StudentConfig, examples: Sequence[SyntheticExample]
) -> dict[str, float]:
    """Return how far students contradict the teacher's labels, by the ids of examples.

    They are those of the arm ``real``, which have not seen these labels. The measure is 1 minus the
    mean probability that they give to the label: its low "self-confidence" is the sign of a wrong
    one in C. Northcutt et al., "Confident learning" (JAIR 2021).

    Args:
        run: The run; its students ``real`` are finished.
        config: The settings that they were trained with.
        examples: Examples with labels.

    Raises:
        ConfigError: The task has no labels.
        StorageError: The students are missing or were changed.
    """
    if not run.task.is_classification:
        raise ConfigError(f"{run.task.id}: only labels can be contradicted; draw at random")
    limit_threads()
    students, _ = read_stage(run, STUDENTS.part(REAL_ARM))
    progress = Progress("ask the students", len(examples) * config.seeds, "answers")
    questions = Questions(run.task, config, examples)
    answers = _predict(questions, REAL_ARM, config.seeds, students, progress.advance)
    doubts = dict.fromkeys((example.id for example in examples), 0.0)
    for answer in answers:  # their gold is the teacher's label
        agreed = run.task.probability_of(answer.gold, answer.distribution)
        doubts[answer.id] += (1 - agreed) / config.seeds
    return doubts


def _predict(
    questions: Questions, arm: str, seeds: int, students: Path, on_batch: Callable[[int], None]
) -> list[Prediction]:
    """Return the predictions of all of an arm's students, seed by seed."""
    folders = [students / f"seed-{seed}" for seed in range(seeds)]
    return list(chain.from_iterable(questions.ask_all(folders, arm, on_batch)))
