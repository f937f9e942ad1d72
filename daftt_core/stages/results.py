"""The results of stages: a typed model each, references between stages, and numbers for Kubeflow.

A stage's result is the summary in its manifest: written by the stage, read by later ones. A reader
ignores fields that a later version adds. A field has a default where an older version did not write
it, or where its readers can do without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def _absent() -> Any:
    """Return a field that a summary lacks while its value is None."""
    return Field(default=None, exclude_if=lambda value: value is None)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Facts(BaseModel):
    """Small facts of any kind: the result of a stage that the catalogue does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)


class PreflightResult(_Part):
    """The software that the settings were checked with.

    Attributes:
        versions: Versions of DAFTT, Python and the packages that matter, by name.
    """

    versions: dict[str, str] = {}


class TriggerResult(_Part):
    """The decision whether the run trains.

    Attributes:
        train: Whether it does.
        reason: Why, or why not, in one sentence.
        population: Digest of the stored statistics of the data.
        labelled_rows: Labelled rows of the data.
        known_labels: Labelled rows that the champion's run had.
        new_labels: Labelled rows that it did not have, or had with another label.
        new_share: Their share of ``known_labels``.
        new_inputs: Inputs that it did not have, of those that could be annotated.
        inputs_p: P value of the new inputs having the old ones' distribution.
        labels_p: P value of the balance of labels being the same.
    """

    train: bool
    reason: str = ""
    population: str = ""
    labelled_rows: int = 0
    known_labels: int | None = _absent()
    new_labels: int | None = _absent()
    new_share: float | None = _absent()
    new_inputs: int | None = _absent()
    inputs_p: float | None = _absent()
    labels_p: float | None = _absent()


class DataResult(_Part):
    """The splits, and where their examples come from.

    Attributes:
        sizes: Examples by split.
        labels: Examples by label, by split; empty for text outputs.
        rows: By source how many rows were ``read``, and how many of them are in which split.
        dropped: By source how many rows were left out, by reason.
        source: Where the data come from, in words.
        license: Their license; None where none is stated.
        sha256: Digest of each source, by its use.
        gold_is_known: Whether every unlabelled input has a true output.
        test_digest: Digest of the stage ``test``; not in the stage's manifest.
    """

    sizes: dict[str, int] = {}
    labels: dict[str, dict[str, int]] = {}
    rows: dict[str, dict[str, int]] = {}
    dropped: dict[str, dict[str, int]] = {}
    source: str | None = None
    license: str | None = None
    sha256: dict[str, str] = {}
    gold_is_known: bool = False
    test_digest: str = Field(default="", exclude_if=lambda digest: not digest)


class HoldoutResult(_Part):
    """The test examples.

    Attributes:
        size: Number of examples.
        labels: Examples by label; empty for text outputs.
    """

    size: int
    labels: dict[str, int] = {}


class MixedTask(_Part):
    """A task that the teacher learned beside the target.

    Attributes:
        name: The task.
        source: The data sets it was made from.
        license: License of its instances.
        size: All its instances.
        overlapping: Instances that were checked, hold a text of the target, and were left out.
        examples: Instances that were used.
        sha256: Digest of its content.
    """

    name: str
    source: str
    license: str
    size: int = 0
    overlapping: int = 0
    examples: int
    sha256: str


class MixtureResult(_Part):
    """The other tasks that the teacher learned beside the target task.

    Attributes:
        examples: Instances in all.
        target_examples: The target task's examples.
        share: Their share of the teacher's training examples.
        overlapping: Instances left out because they hold a text of the target.
        tasks: The tasks.
        excluded: Why other tasks were left out, by name.
    """

    examples: int
    target_examples: int = 0
    share: float
    overlapping: int = 0
    tasks: tuple[MixedTask, ...]
    excluded: dict[str, str] = {}


class TeacherResult(_Part):
    """The fine-tuned teacher.

    Attributes:
        model: The model that was tuned.
        parameters: Number of its parameters.
        examples: Examples it learned from.
        mixed_in: Examples among them that are of other tasks.
        tokens: Their tokens.
        cut: Examples among them that lost their end.
        steps: Optimizer steps.
        best_step: The step after which it was best on dev; absent where that was not measured.
        best_dev_loss: Its loss on dev then.
    """

    model: str
    parameters: int = 0
    examples: int = 0
    mixed_in: int = 0
    tokens: int = 0
    cut: int = 0
    steps: int = 0
    best_step: int | None = _absent()
    best_dev_loss: float | None = _absent()


class AssessmentResult(_Part):
    """The quality of the teacher on dev.

    Attributes:
        metric: The task's metric; scores are in [0, 1].
        dev_examples: Number of dev examples.
        teacher: The model that teaches, in words.
        dev_score: Its score.
        labels_dev_score: Score of the labels that are given, where the students have a say in them.
        tuned_dev_score: Score of the tuned teacher where another model teaches; else None.
        untuned_dev_score: Score of the model that the tuned teacher was made from.
        baseline_dev_score: Mean score of the students trained on the real examples alone.
        gain_low: Lower end of the 95% interval of the score minus that of the baseline, in points;
            absent in assessments of versions without an interval.
        gain_high: Its upper end.
        passed: Whether the model may teach: it is not shown to be worse than the baseline.
        ece_before: Expected calibration error before calibration; None for text outputs.
        ece_after: Expected calibration error after it.
    """

    metric: str
    dev_examples: int
    teacher: str = "the fine-tuned teacher"
    dev_score: float
    labels_dev_score: float | None = _absent()
    tuned_dev_score: float | None = None
    untuned_dev_score: float
    baseline_dev_score: float
    gain_low: float | None = _absent()
    gain_high: float | None = _absent()
    passed: bool | None = None
    ece_before: float | None = None
    ece_after: float | None = None

    @property
    def tuned(self) -> float:
        """Score of the tuned teacher, whether it teaches or not."""
        return self.dev_score if self.tuned_dev_score is None else self.tuned_dev_score


class ShardResult(_Part):
    """The examples that the teacher wrote.

    Attributes:
        examples: Number of examples.
        unusable: Examples that cannot be used.
        shortened: Examples that the teacher was shown without their end.
        not_written: New inputs that were not written because a stream had run out of new ones.
        demonstrations_left_out: Demonstrations for which prompts had no room.
    """

    examples: int = 0
    unusable: int = 0
    shortened: int = 0
    not_written: int | None = _absent()
    demonstrations_left_out: int | None = _absent()


class Diversity(_Part):
    """The diversity of texts, and their distance to the real ones.

    Similarity of two texts is the cosine of their TF-IDF vectors (words, sublinear counts), which
    is 0 for texts without a common word and 1 for texts of the same words.

    Attributes:
        texts: Number of texts compared.
        distinct_1: Share of the words that are different words (Li et al. 2016, "A
            Diversity-Promoting Objective Function", section 4.2); it falls as texts are added, so
            only sets of like size compare.
        distinct_2: Share of the pairs of neighbouring words that are different pairs.
        mean_similarity: Mean similarity of two of the texts; None for fewer than two.
        nearest_real: Median, over the texts, of the similarity to the most similar real text; None
            without real texts.
        near_real_share: Share of the texts whose most similar real text is at least 0.8 similar.
    """

    texts: int
    distinct_1: float
    distinct_2: float
    mean_similarity: float | None = None
    nearest_real: float | None = None
    near_real_share: float | None = None


class LabelFunnel(_Part):
    """The examples of one label before and after curation.

    Attributes:
        read: Examples the teacher wrote.
        rejected: Examples by the filter that rejected them; in ``funnel.json`` only.
        kept: Examples left.
    """

    read: int = 0
    rejected: dict[str, int] | None = _absent()
    kept: int


class Funnel(_Part):
    """The examples of one source before and after curation.

    Attributes:
        read: Examples the teacher wrote.
        rejected: Examples by the filter that rejected them, in the filters' order.
        kept: Examples left.
        redacted: Examples left whose personal data was replaced.
        problems: Unusable examples by reason.
        shortened: Examples that the teacher was shown without their end.
        by_label: By label; empty for text outputs.
        diversity: Diversity of the inputs left, and their distance to the labelled ones; None where
            it cannot be measured.
    """

    read: int = 0
    rejected: dict[str, int] = {}
    kept: int
    redacted: int = 0
    problems: dict[str, int] = {}
    shortened: int = 0
    by_label: dict[str, LabelFunnel] = {}
    diversity: Diversity | None = None


class CuratedResult(_Part):
    """The examples that curation kept.

    Attributes:
        funnel: By source, ``annotated`` or ``generated``.
        label_agreement: Share of the usable generated examples to which the teacher, in a second
            pass, gives the label it wrote them for; None where there are none.
        arms: The arms that can be trained.
        left_out: The other arms, and why.
    """

    funnel: dict[str, Funnel] = {}
    label_agreement: float | None = None
    arms: tuple[str, ...] = ()
    left_out: dict[str, str] = {}

    @property
    def kept(self) -> int:
        """Return the number of examples left, of all sources."""
        return sum(funnel.kept for funnel in self.funnel.values())


class StudentsResult(_Part):
    """The students of an arm.

    Attributes:
        arm: The arm.
        examples: Training examples by source.
        steps: Optimizer steps of each student, at most.
        truncated: Numbers of inputs and outputs that were cut.
        train_losses: By seed.
        kept_steps: By seed the step after which the weights were kept.
        dev_scores: By seed.
        metric: The metric of the scores.
        tried: Mean score on dev of each way to train them; absent where there was one way.
        way: The better one, by which they are trained: ``plain``, ``contrastive`` or ``distilled``.
        recipes: Score on dev of a first student of each recipe; absent where there was one.
        recipe: What they learned from: ``all`` or ``surest``.
        start: ``labels`` where they started from the students of the labels alone; absent where
            they started from the model.
    """

    arm: str = ""
    examples: dict[str, int] = {}
    steps: int = 0
    truncated: dict[str, int] = {}
    train_losses: tuple[float, ...] = ()
    kept_steps: tuple[int, ...] = ()
    dev_scores: tuple[float, ...] = ()
    metric: str = ""
    tried: dict[str, float] | None = _absent()
    way: str = "plain"
    recipes: dict[str, float] | None = _absent()
    recipe: str = "all"
    start: str | None = _absent()


class PredictionsResult(_Part):
    """The students' answers to the test examples.

    Attributes:
        examples: Number of test examples.
        seeds: Number of students of each arm.
        arms: The arms.
        seconds_per_example: Time that a student took for an example, in batches, its model loaded
            and the examples tokenized; absent where all answers were there already.
    """

    examples: int = 0
    seeds: int = 0
    arms: tuple[str, ...] = ()
    seconds_per_example: float | None = _absent()


class ArmScores(_Part):
    """The scores of an arm.

    Attributes:
        mean: Mean score on test.
        dev_mean: Mean score on dev.
        gain: Points that it is better than ``real``; absent for ``real`` itself.
        gain_low: Lower end of the gain's interval.
        gain_high: Its upper end.
    """

    mean: float | None = _absent()
    dev_mean: float | None = _absent()
    gain: float | None = _absent()
    gain_low: float | None = _absent()
    gain_high: float | None = _absent()


class EvaluationResult(_Part):
    """The comparison of the arms.

    Attributes:
        headline: The result in one sentence.
        metric: The primary metric.
        chosen_arm: The arm that dev chose.
        arms: The arms.
    """

    headline: str = ""
    metric: str = ""
    chosen_arm: str = ""
    arms: dict[str, ArmScores] = {}

    @property
    def chosen(self) -> ArmScores:
        """Return the scores of the arm that dev chose."""
        return self.arms.get(self.chosen_arm, ArmScores())

    @property
    def percentages(self) -> dict[str, float]:
        """Return what two runs are compared by: scores in percent, and gains in points of it."""
        chosen = self.chosen
        scores = {
            "student": chosen.mean,
            "labels_alone": self.arms.get("real", ArmScores()).mean,
            "labels_all_true": self.arms.get("gold", ArmScores()).mean,
        }
        gains = {"gain": chosen.gain, "gain_low": chosen.gain_low, "gain_high": chosen.gain_high}
        shown = {
            f"{name}_percent": 100 * score for name, score in scores.items() if score is not None
        }
        return shown | {f"{name}_points": gain for name, gain in gains.items() if gain is not None}


class PromotionResult(_Part):
    """The decision whether the run's student becomes the champion.

    Attributes:
        promoted: Whether it does.
        reason: Why, or why not, in one sentence.
        version: The student.
        score: Its score on test.
        gain: Points that it is better than the champion; absent where there was none.
        gain_low: Lower end of the gain's interval.
        gain_high: Its upper end.
    """

    promoted: bool
    reason: str = ""
    version: str = ""
    score: float = 0.0
    gain: float | None = _absent()
    gain_low: float | None = _absent()
    gain_high: float | None = _absent()


class ReportResult(_Part):
    """The report's headline.

    Attributes:
        headline: The run's result in one sentence; empty while there is none.
        missing: The stages that the run does not have.
    """

    headline: str = ""
    missing: tuple[str, ...] = ()


class SheetResult(_Part):
    """Examples for people to review.

    Attributes:
        examples: Number of examples.
        curated: Digest of the curation that they are from.
    """

    examples: int = 0
    curated: str = ""


class MarksResult(Facts):
    """The result of a review: faults by group and question, and the number of corrections."""

    __pydantic_extra__: dict[str, int]


class VersionResult(_Part):
    """A student in the registry.

    Attributes:
        run: The run it comes from.
        arm: Its arm.
        score: Its score on test.
    """

    run: str = ""
    arm: str = ""
    score: float = 0.0


class PopulationResult(_Part):
    """The registry's statistics of data; its digest is all that is needed."""


def references(texts: Iterable[str]) -> dict[str, str]:
    """Return the digests of stages by name, from their :attr:`StageResult.reference`.

    Args:
        texts: References; one text may hold several, separated by commas.
    """
    pairs = (reference.rpartition("@") for text in texts for reference in text.split(",") if text)
    return {name: digest for name, _, digest in pairs}


def students_by_arm(texts: Iterable[str]) -> dict[str, str]:
    """Return the digest of each arm's students, from references like ``students/real@...``."""
    return {name.removeprefix("students/"): digest for name, digest in references(texts).items()}


def numbers(summary: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers of a summary, nested names joined by dots.

    Booleans and all other values are left out; the metadata of Kubeflow Pipelines cannot hold NaN.
    """
    finite: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            finite |= numbers(value, f"{prefix}{name}.")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            finite[f"{prefix}{name}"] = float(value)
    return finite
