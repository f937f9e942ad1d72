"""What the registry writes down: decisions, events, lineage.

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
"""Names a model by its content, and with it a folder: no other text may."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FloorCheck(_Part):
    """A score against the least that it may be."""

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
        name: Which ones, such as ``class positive``.
        examples: How many.
        champion: The champion's score on them.
        challenger: The challenger's.
        judged: Whether they are enough to be judged by.
        passed: Whether the slice is not judged, or the challenger falls by no more than the allowed
            number of points, or is not shown to fall.
        p: How often chance alone makes it fall so far, times the number of slices that are judged;
            None where it is not judged.
    """

    name: str
    examples: int
    champion: float
    challenger: float
    judged: bool
    passed: bool
    p: float | None = None


class Decision(_Part):
    """Whether a student becomes its task's champion, and everything that was decided by.

    Attributes:
        promoted: Whether it does.
        reason: Why, in one sentence with the numbers.
        evaluation: Digest of the run's evaluation that it was decided by.
        rule: ``superiority`` or ``non-inferiority``.
        metric: The primary metric.
        margin: Points that go with the rule.
        confidence: Coverage of the interval.
        version: The challenger.
        arm: The arm that is best on dev.
        seed: Of that arm's students the one that is best on dev.
        dev_score: Its score on dev.
        score: Its score on test: of this very model, not of its arm.
        scores: The same by every metric.
        test_examples: Test examples behind ``score``.
        champion: What it was compared with; None where there was no champion and its arm was
            compared with ``real``.
        champion_score: The champion's score on the examples that were compared.
        gain: Points over what it was compared with; None where no comparison was possible.
        interval: Of the gain.
        left_out: Test examples that were not compared, because the champion had learned from them.
        floors: Scores with a floor.
        slices: Parts of the test examples.
        population: Digest of what is remembered of the run's data; empty where nothing is.
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
        version: Promoted, refused, or gone back to.
        champion: The champion until then.
        run: Name of the run that it comes from.
        why: One sentence.
        decision: The numbers behind it; None for a roll-back.
        previous: Digest of the event before, so that a change in the history is seen.
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
    """A task's champion and how it came to be; written as a whole, so the two never differ.

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
        champion, before = None, ""
        for place, event in enumerate(self.events, start=1):
            if event.previous != before:
                raise ValueError(f"event {place - 1} was changed after event {place} followed it")
            if event.champion != champion:
                raise ValueError(f"event {place} does not follow the one before it")
            champion = champion if event.action == "refused" else event.version
            before = digest(event)
        if self.head != before:
            raise ValueError(f"event {len(self.events)} was changed")
        if champion != self.champion:
            raise ValueError("the champion is not the one that the history ends with")
        return self

    def followed_by(self, event: Event) -> Ledger:
        """The ledger with one event more."""
        event = event.model_copy(update={"champion": self.champion, "previous": self.head})
        champion = self.champion if event.action == "refused" else event.version
        return Ledger(
            task=self.task,
            champion=champion,
            events=(*self.events, event),
            head=digest(event),
        )

    def promotion_of(self, version: str) -> Event | None:
        """The last time that a version was promoted."""
        return self._last(lambda event: event.action == "promoted" and event.version == version)

    def taken_back(self, version: str) -> Event | None:
        """The roll-back that a version fell to: one past it, to a champion from before its time.

        It is over when people bring the version back.
        """
        moves = [event for event in self.events if event.action != "refused"]
        came = _last_move(moves, version)
        for place in range(came + 1, len(moves)):
            to = moves[place]
            if to.action == "rolled-back" and _last_move(moves[:place], to.version) < came:
                return to
        return None

    def versions(self) -> list[str]:
        """Every version that was a champion once, the first first."""
        return list(dict.fromkeys(e.version for e in self.events if e.action == "promoted"))

    def _last(self, wanted: Any) -> Event | None:
        return next((event for event in reversed(self.events) if wanted(event)), None)


def _last_move(moves: Sequence[Event], version: str) -> int:
    """Where a version last became the champion; before all where it never did."""
    places = [place for place, event in enumerate(moves) if event.version == version]
    return places[-1] if places else -1


class Lineage(_Part):
    """Where a version comes from.

    Attributes:
        version: The version.
        task: Its task, complete.
        run: Name of the run that trained it.
        uri: Where that run was then.
        run_seed: The run's seed.
        arm: The arm of the student.
        seed: Its place among the arm's students.
        training_examples: What it learned from, by source.
        data: Digests of the data's sources, and where they came from, as its stage says.
        test_digest: Digest of the test examples that it was measured on.
        settings: Every setting of the run, by its flat name.
        code: Versions of DAFTT and of the packages, and a digest of DAFTT's source files.
        images: The container images by kind; empty outside a cluster.
        teacher: The model that was fine-tuned as the teacher, and the digest of what became of it.
        synthetic: Digest of each synthetic set, and of what curation kept, by stage.
        stages: Digest of every finished stage of the run.
        student: How the student is asked: its settings.
        promotion: What it had to show.
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
