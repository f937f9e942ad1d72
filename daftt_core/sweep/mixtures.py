"""Whether a mixture of other tasks helped the teacher on dev, as far as a sweep can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from daftt_core.errors import DafttError
from daftt_core.evaluation import Interval, score_examples
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Prediction, read_jsonl, seed_for
from daftt_core.reporting import text as formats
from daftt_core.stages import ASSESSMENT
from daftt_core.sweep.plan import Cell
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_result, read_stage

_CAVEAT = (
    "Each of these teachers was trained once: the intervals cover the choice of the dev examples, "
    "not what another training would change."
)


class TeacherScores(BaseModel):
    """What a cell's assessment found on dev.

    Attributes:
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples there are.
        dev_score: Score of the model that teaches.
        tuned_dev_score: Score of the tuned teacher where another model teaches; else None.
        untuned_dev_score: Score of the model that the tuned teacher was made from.
        baseline_dev_score: Mean score of the students trained on the real examples alone.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    metric: str
    dev_examples: int
    dev_score: float
    tuned_dev_score: float | None = None
    untuned_dev_score: float
    baseline_dev_score: float

    @property
    def tuned(self) -> float:
        """Score of the tuned teacher, whether it teaches or not."""
        return self.dev_score if self.tuned_dev_score is None else self.tuned_dev_score


class MixtureEffect(BaseModel):
    """Two teachers of the same labelled examples, one of which learned other tasks as well.

    Attributes:
        fraction: Share of the training pool that is labelled.
        mixture_tasks: How many other tasks the one learned.
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples both answered.
        mixed: Dev score of the one that learned other tasks.
        plain: Dev score of the other.
        interval: Of their paired difference, in points; None where the answers were not kept.
        confidence: Coverage of the interval.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    fraction: float
    mixture_tasks: int
    metric: str
    dev_examples: int
    mixed: float
    plain: float
    interval: Interval | None
    confidence: float

    @property
    def sentence(self) -> str:
        """What can be said of it."""
        tasks = "1 other task" if self.mixture_tasks == 1 else f"{self.mixture_tasks} other tasks"
        return (
            f"At fraction {self.fraction:g}, with {tasks} mixed in, the tuned teacher's "
            f"{formats.metric_title(self.metric)} on dev is {formats.percent(self.mixed)}, without "
            f"{formats.percent(self.plain)} ({formats.number(self.dev_examples)} examples; paired "
            f"difference {formats.gain(100 * (self.mixed - self.plain))}, {self._verdict}."
        )

    @property
    def _verdict(self) -> str:
        if self.interval is None:
            return "no interval without the answers of both): that alone does not tell"
        low, high = formats.gain(self.interval.low), formats.gain(self.interval.high)
        between = f"{formats.coverage(self.confidence)} interval {low} to {high})"
        if not self.interval.excludes_zero:
            return f"{between}: whether the mixture helped cannot be told"
        return f"{between}: the mixture {'helped' if self.interval.low > 0 else 'did harm'}"


def effect_sentences(effects: Iterable[MixtureEffect]) -> list[str]:
    """A sentence for each, and what holds for all; nothing where there are none."""
    sentences = [effect.sentence for effect in effects]
    return [*sentences, _CAVEAT] if sentences else []


def read_teacher_scores(run: Run) -> TeacherScores | None:
    """What a run's assessment found; None where there is none.

    Raises:
        StorageError: It cannot be read.
    """
    assessment = read_result(run, ASSESSMENT)
    return None if assessment is None else TeacherScores(**assessment.model_dump())


def mixture_effects(
    cells: Sequence[Cell], scores: Mapping[str, TeacherScores]
) -> Iterator[MixtureEffect]:
    """Compare the teachers of cells that differ in the mixture alone.

    A teacher depends on neither ratio nor mode, so each mixture of a fraction is compared once, in
    the first two cells that allow it.

    Args:
        cells: The sweep's cells.
        scores: The dev scores of those that have them, by cell.
    """
    known = [cell for cell in cells if cell.name in scores]
    plain = {
        (cell.fraction, cell.ratio, cell.mode): cell for cell in known if not cell.mixture_tasks
    }
    compared = set()
    for cell in known:
        other = plain.get((cell.fraction, cell.ratio, cell.mode))
        pair = (cell.fraction, cell.mixture_tasks)
        if other is not None and cell.mixture_tasks and pair not in compared:
            compared.add(pair)
            mixed = scores[cell.name]
            yield MixtureEffect(
                fraction=cell.fraction,
                mixture_tasks=cell.mixture_tasks,
                metric=mixed.metric,
                dev_examples=mixed.dev_examples,
                mixed=mixed.tuned,
                plain=scores[other.name].tuned,
                interval=_paired_interval(cell, other, mixed.metric),
                confidence=cell.config.evaluation.confidence,
            )


def _paired_interval(mixed: Cell, plain: Cell, metric: str) -> Interval | None:
    """Of the difference in points, resampled over dev examples; None without their answers."""
    answers = [_answers(cell.run) for cell in (plain, mixed)]
    if not answers[0] or set(answers[0]) != set(answers[1]):
        return None
    ids = sorted(answers[0])
    rows = [
        score_examples(metric, [one[id_].output for id_ in ids], [one[id_].gold for id_ in ids])
        for one in answers
    ]
    settings = mixed.config.evaluation
    seed = seed_for(mixed.run.seed, "mixture", mixed.name)
    means = bootstrap_means(np.stack(rows)[:, None, :], settings.bootstrap_samples, seed)
    return percentile_interval(100 * (means[:, 1] - means[:, 0]), settings.confidence)


def _answers(run: Run) -> dict[str, Prediction]:
    """The tuned teacher's answers to dev by example; empty where there are none to be had."""
    try:
        folder, _ = read_stage(run, ASSESSMENT)
        path = folder / "dev-predictions.jsonl"
        if path.exists():  # an older version kept none
            return {one.id: one for one in read_jsonl(path, Prediction)}
    except DafttError as error:  # an interval less, and not the whole table
        log.warning("%s", error)
    return {}
