"""Whether a mixture of other tasks helped the teacher on dev, as far as a sweep can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from daftt_core.evaluation import Interval
from daftt_core.evaluation.statistics import percentile_interval
from daftt_core.records import seed_for
from daftt_core.reporting import text as formats
from daftt_core.stages import ASSESSMENT, AssessmentResult
from daftt_core.sweep.curves import Part, read_dev_answers, resample_scores
from daftt_core.sweep.plan import Cell

_CAVEAT = (
    "Each of these teachers was trained once: the intervals cover the choice of the dev examples, "
    "not what another training would change."
)


class MixtureEffect(Part):
    """Two teachers of the same labelled examples, one of which learned other tasks as well.

    Attributes:
        fraction: Share of the training pool that is labelled.
        mixture_tasks: How many other tasks the one learned.
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples both answered.
        mixed: Dev score of the teacher that learned other tasks.
        plain: Dev score of the one that did not.
        interval: Interval of their paired difference in points; None without all answers.
        confidence: Coverage of the interval.
    """

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
        """The result of the comparison, in words."""
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
    """Return a sentence for each effect, and one that holds for all; none without effects."""
    sentences = [effect.sentence for effect in effects]
    return [*sentences, _CAVEAT] if sentences else []


def mixture_effects(
    cells: Sequence[Cell], scores: Mapping[str, AssessmentResult]
) -> Iterator[MixtureEffect]:
    """Compare the teachers of cells that differ in the mixture alone.

    A teacher depends on neither ratio nor mode, so each mixture of a fraction is compared once, in
    the first two cells that allow it. ``scores`` has the teachers' assessments by cell.
    """
    known = [cell for cell in cells if cell.name in scores]
    plain = {
        (cell.fraction, cell.ratio, cell.mode): cell for cell in known if not cell.mixture_tasks
    }
    compared = set()
    for cell in known:
        baseline = plain.get((cell.fraction, cell.ratio, cell.mode))
        pair = (cell.fraction, cell.mixture_tasks)
        if baseline is not None and cell.mixture_tasks and pair not in compared:
            compared.add(pair)
            mixed = scores[cell.name]
            yield MixtureEffect(
                fraction=cell.fraction,
                mixture_tasks=cell.mixture_tasks,
                metric=mixed.metric,
                dev_examples=mixed.dev_examples,
                mixed=mixed.tuned,
                plain=scores[baseline.name].tuned,
                interval=_paired_interval(cell, baseline, mixed.metric),
                confidence=cell.config.evaluation.confidence,
            )


def _paired_interval(mixed: Cell, plain: Cell, metric: str) -> Interval | None:
    """Return the interval of the difference in points; None without the answers of both."""
    settings = mixed.config.evaluation
    means = resample_scores(
        [read_dev_answers(cell.run, ASSESSMENT) for cell in (plain, mixed)],
        metric,
        samples=settings.bootstrap_samples,
        seed=seed_for(mixed.run.seed, "mixture", mixed.name),
    )
    if means is None:
        return None
    return percentile_interval(100 * (means[:, 1] - means[:, 0]), settings.confidence)
