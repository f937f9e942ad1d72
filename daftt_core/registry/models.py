"""The registry's records: decisions, events, lineage.

Scores lie between 0 and 1, as in :mod:`daftt_core.evaluation`; gains and margins are in points:
hundredths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daftt_core.config import PromotionConfig, StudentConfig
from daftt_core.evaluation import Interval
from daftt_core.records import digest
from daftt_core.tasks import Task

Version = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
"""Names a model by its content, and a folder with it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FloorCheck(_Part):
    """A score and its floor."""

    metric: str
    score: float
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the score reaches the floor."""
        return self.score >= self.floor


class SliceCheck(_Part):
    """Both models on some of the test examples.

    Attributes:
        name: The slice, such as ``class positive``.
        examples: Number of its examples.
        champion: The champion's score on them.
        challenger: The challenger's score.
        judged: Whether they are enough to judge by.
        passed: Whether the slice is not judged, or the challenger falls by no more than the allowed
            number of points, or is not shown to fall.
        p: How often chance alone makes it fall so far, times the number of judged slices; None
            if it is not judged.
    """

    name: str
    examples: int
    champion: float
    challenger: float
    judged: bool
    passed: bool
    p: float | None = None


class Decision(_Part):
    """Whether a student becomes its task's champion, with all reasons.

    Attributes:
        promoted: Whether it does.
        reason: Why, in one sentence with the numbers.
        evaluation: Digest of the evaluation that decided it.
        rule: ``superiority`` or ``non-inferiority``.
        metric: The primary metric.
        margin: Margin of the rule, in points.
        confidence: Coverage of the interval.
        version: The challenger.
        arm: The arm that is best on dev.
        seed: Of that arm's students the one that is best on dev.
        dev_score: Its score on dev.
        score: Its score on test: of this very model, not of its arm.
        scores: The same by every metric.
        test_examples: Test examples behind ``score``.
        champion: The version it was compared with; None if there was no champion, so that its arm
            was compared with ``real``.
        champion_score: The champion's score on the compared examples.
        gain: Points over what it was compared with; None if no comparison was possible.
        interval: Interval of the gain.
        left_out: Test examples that were not compared, because the champion had learned from them.
        floors: Scores with a floor.
        slices: Parts of the test examples.
        population: Digest of the record of the run's data; empty without one.
    """

    promoted: bool
    reason: str
    evaluation: str
    rule: str
    metric: str
    margin: float
    confidence: float
    version: Version
    arm: str
    seed: int
    dev_score: float
    score: float
    scores: dict[str, float]
    test_examples: int
    champion: Version | None = None
    champion_score: float | None = None
    gain: float | None = None
    interval: Interval | None = None
    left_out: int = 0
    floors: tuple[FloorCheck, ...] = ()
    slices: tuple[SliceCheck, ...] = ()
    population: str = ""


class Event(_Part):
    """One line of a task's history.

    Attributes:
        at: When, as ``2026-03-01T14:05:09Z``.
        by: Who.
        action: ``promoted`` and ``rolled-back`` move the pointer; ``refused`` does not.
        version: The version that was promoted, refused or rolled back to.
        champion: The champion until then.
        run: Name of the run that the version comes from.
        why: The reason, in one sentence.
        decision: The numbers behind it; None for a roll-back.
        previous: Digest of the previous event, which reveals changes in the history.
    """

    at: str
    by: str
    action: Literal["promoted", "refused", "rolled-back"]
    version: Version
    champion: Version | None
    run: str
    why: str
    decision: Decision | None = None
    previous: str = ""


class Ledger(_Part):
    """A task's champion and its history; written as a whole, so the two never differ.

    Attributes:
        task: The task's id.
        champion: The version that serves; None before the first.
        events: The history, oldest first. Events are added and never changed.
        head: Digest of the last event.
    """

    task: str
    champion: Version | None = None
    events: tuple[Event, ...] = ()
    head: str = ""

    @model_validator(mode="after")
    def _check_history(self) -> Ledger:
        champion, previous = None, ""
        for number, event in enumerate(self.events, start=1):
            if event.previous != previous:
                raise ValueError(f"event {number - 1} was changed after event {number} followed it")
            if event.champion != champion:
                raise ValueError(f"event {number} does not follow the one before it")
            champion = champion if event.action == "refused" else event.version
            previous = digest(event)
        if self.head != previous:
            raise ValueError(f"event {len(self.events)} was changed")
        if champion != self.champion:
            raise ValueError("the champion is not the one that the history ends with")
        return self

    def followed_by(self, event: Event) -> Ledger:
        """Return the ledger with one more event."""
        event = event.model_copy(update={"champion": self.champion, "previous": self.head})
        champion = self.champion if event.action == "refused" else event.version
        return Ledger(
            task=self.task,
            champion=champion,
            events=(*self.events, event),
            head=digest(event),
        )

    def promotion_of(self, version: str) -> Event | None:
        """Return the last promotion of a version."""
        promotions = [e for e in self.events if e.action == "promoted" and e.version == version]
        return promotions[-1] if promotions else None

    def taken_back(self, version: str) -> Event | None:
        """Return the roll-back that removed a version: to a champion from before its time.

        It no longer counts once people bring the version back.
        """
        moves = [event for event in self.events if event.action != "refused"]
        start = _last_move(moves, version)
        for index, move in enumerate(moves[start + 1 :], start + 1):
            if move.action == "rolled-back" and _last_move(moves[:index], move.version) < start:
                return move
        return None

    def versions(self) -> list[str]:
        """Return every version that was a champion once, the oldest first."""
        return list(dict.fromkeys(e.version for e in self.events if e.action == "promoted"))


def _last_move(moves: Sequence[Event], version: str) -> int:
    """Return the index at which a version last became the champion; -1 if it never did."""
    return max((index for index, move in enumerate(moves) if move.version == version), default=-1)


class Lineage(_Part):
    """The origin of a version.

    Attributes:
        version: The version.
        task: Its task, complete.
        run: Name of the run that trained it.
        uri: The run's folder or prefix at that time.
        run_seed: The run's seed.
        arm: The arm of the student.
        seed: Its index among the arm's students.
        training_examples: Number of its training examples, by source.
        data: Digests of the data's sources and their origin, as the data stage states them.
        test_digest: Digest of the test examples behind its score.
        settings: Every setting of the run, by its flat name.
        code: Versions of DAFTT and of the packages, and a digest of DAFTT's source files.
        images: The container images by kind; empty outside a cluster.
        teacher: The base model of the teacher, and the digest of the fine-tuned one.
        synthetic: Digest of each synthetic set, and of the curated one, by stage.
        stages: Digest of every finished stage of the run.
        student: The student's settings.
        promotion: The rule of its promotion.
    """

    version: Version
    task: Task
    run: str
    uri: str
    run_seed: int
    arm: str
    seed: int
    training_examples: dict[str, int]
    data: dict[str, Any]
    test_digest: str
    settings: dict[str, Any]
    code: dict[str, str]
    images: dict[str, str]
    teacher: dict[str, str]
    synthetic: dict[str, str]
    stages: dict[str, str]
    student: StudentConfig
    promotion: PromotionConfig
