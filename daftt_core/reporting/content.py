"""The content of a report: all of it comes from a run's committed files.

The models of another stage's JSON take what the report shows and ignore the rest, so that a stage
may add to its files without breaking the report.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from daftt_core.accounting import Ledger
from daftt_core.config import Config
from daftt_core.curation import Review
from daftt_core.evaluation import Assessment, Evaluation, LabelIssue
from daftt_core.records import Example, Rejection, SyntheticExample
from daftt_core.stages import (
    MIXTURE,
    STUDENTS,
    CuratedResult,
    MixtureResult,
    Stage,
    TriggerResult,
)
from daftt_core.storage import Manifest
from daftt_core.tasks import Task

R = TypeVar("R", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class TrainingStep(_Part):
    """One line of the teacher's history.

    Attributes:
        step: Optimizer steps so far.
        epoch: Passes over the examples so far.
        loss: Training loss, where it was logged at this step.
        dev_loss: Loss on dev, where it was measured at this step.
    """

    step: int
    epoch: float
    loss: float | None = None
    dev_loss: float | None = None


class StageRecord(Manifest):
    """The manifest of a finished stage.

    Attributes:
        name: The stage's name.
        finished: When it was committed, in seconds since 1970; 0 where that is not known.
    """

    name: str
    finished: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Size of its files."""
        return sum(file.size for file in self.files)


class MissingStage(_Part):
    """A stage that the run does not have, and why."""

    name: str
    reason: str
    failed: bool = False


class Sample(_Part):
    """A few examples of one source, chosen at random."""

    source: str
    kept: tuple[SyntheticExample, ...]
    rejected: tuple[Rejection, ...]


class Mistake(_Part):
    """A dev example that a student answers wrongly.

    Attributes:
        text: Its input.
        text_pair: Its second input, if any.
        gold: Its true label, or set of labels.
        output: The student's label or set.
        confidence: The probability that the student gives to it.
    """

    text: str
    text_pair: str | None
    gold: str
    output: str
    confidence: float


class LabelIssues(_Part):
    """The labels that the students of the chosen arm contradict with confidence.

    Attributes:
        split: ``dev`` or ``test``.
        count: How many they are.
        shown: The most doubtful of them, each with its example; None for those of test, whose
            texts stay unseen.
    """

    split: str
    count: int
    shown: tuple[tuple[LabelIssue, Example | None], ...]


class ChosenStudent(_Part):
    """The student that a run recommends: the best on dev of the arm that is best on dev.

    Attributes:
        arm: Its arm.
        seed: Its index among the arm's students.
        score: Its score on test.
        size_bytes: Size of its folder.
        seconds_per_example: Time for an answer, in batches; None where it was not measured.
        device: The processor or GPU that this was measured on.
        causal: Whether it is a causal language model that writes texts.
        wrong: How many dev examples it answers wrongly; None where its answers are not known or
            have no probabilities.
        mistakes: Of these the ones that it is surest of, the surest first.
    """

    arm: str
    seed: int
    score: float
    size_bytes: int
    seconds_per_example: float | None = None
    device: str = ""
    causal: bool = False
    wrong: int | None = None
    mistakes: tuple[Mistake, ...] = ()

    @property
    def stage_folder(self) -> str:
        """Its folder inside the run's."""
        return f"{STUDENTS.part(self.arm)}/seed-{self.seed}"


class PartScores(_Part):
    """The champion and its challenger on a part of the test examples, or a score and its floor."""

    name: str = ""
    metric: str = ""
    examples: int = 0
    champion: float = 0.0
    challenger: float = 0.0
    score: float = 0.0
    floor: float = 0.0
    judged: bool = True
    passed: bool = True
    p: float | None = None


class Promotion(_Part):
    """Whether the run's student became the champion.

    Attributes:
        promoted: Whether it did.
        reason: Why, or why not, in one sentence.
        evaluation: Digest of the evaluation that decided it.
        floors: Scores that have a floor.
        slices: Parts of the test examples.
    """

    promoted: bool
    reason: str
    evaluation: str
    floors: tuple[PartScores, ...] = ()
    slices: tuple[PartScores, ...] = ()


class ReportData(_Part):
    """Everything the report shows.

    Attributes:
        run_name: Name of the run's folder.
        uri: The run's folder or prefix.
        seed: The run's seed.
        task: The task.
        on_gate_fail: What happens when the teacher does not pass its gate.
        finished: When the last stage was finished, as ``2026-03-01 14:05 UTC``.
        config: All settings, where preflight wrote them.
        stages: The finished stages, in the pipeline's order.
        missing: The other stages, and why they are missing.
        history: The teacher's training.
        assessment: How good the teacher is.
        curation: What curation kept.
        samples: Some synthetic examples, by source.
        review: The faults that people found in a sample of the kept examples.
        evaluation: How the arms compare.
        student: The student that the run recommends.
        label_issues: Labels of dev and test that may be wrong; a split without any is left out.
        ledger: What the run used and cost.
        promotion: Whether the run's student became the champion.
        trigger: Whether the run had a reason to train.
    """

    run_name: str
    uri: str = ""
    seed: int
    task: Task
    on_gate_fail: Literal["stop", "continue"] = "stop"
    finished: str = ""
    config: Config | None = None
    stages: tuple[StageRecord, ...] = ()
    missing: tuple[MissingStage, ...] = ()
    history: tuple[TrainingStep, ...] = ()
    assessment: Assessment | None = None
    curation: CuratedResult | None = None
    samples: tuple[Sample, ...] = ()
    review: Review | None = None
    evaluation: Evaluation | None = None
    student: ChosenStudent | None = None
    label_issues: tuple[LabelIssues, ...] = ()
    ledger: Ledger = Ledger()
    promotion: Promotion | None = None
    trigger: TriggerResult | None = None

    @property
    def stopped_by_gate(self) -> bool:
        """Whether the run stopped because the teacher is not good enough."""
        assessment = self.assessment
        return assessment is not None and not assessment.passed and self.on_gate_fail == "stop"

    @property
    def learns_labels_alone(self) -> bool:
        """Whether the teacher's training loss is of the same kind as its loss on dev."""
        directions = self.config.teacher.directions if self.config else "both"
        return directions == "label" and self.mixture is None

    @property
    def mixture(self) -> MixtureResult | None:
        """Which other tasks the teacher learned; None without a mixture."""
        return self.result(MIXTURE)

    @property
    def untrained(self) -> str:
        """Why the run did not train; empty where it did."""
        return self.trigger.reason if self.trigger and not self.trigger.train else ""

    def stage(self, name: str) -> StageRecord | None:
        """Return a finished stage, or None."""
        return next((record for record in self.stages if record.name == name), None)

    def result(self, stage: Stage[R]) -> R | None:
        """Return the result of a finished stage, or None.

        Raises:
            StorageError: Its manifest holds something else.
        """
        record = self.stage(stage.name)
        return stage.parse(record.summary, record.name) if record else None
