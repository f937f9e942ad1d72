"""The student that a run chooses: of the arm that is best on dev, the seed that is best on dev."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daftt_core.config import StudentConfig
from daftt_core.evaluation import Evaluation, read_evaluation
from daftt_core.records import Prediction, read_jsonl
from daftt_core.registry.versions import Student
from daftt_core.stages import PREDICTIONS, STUDENTS
from daftt_core.workspace import Run, read_stage


@dataclass(frozen=True)
class Chosen:
    """The student that a run chooses.

    Attributes:
        run: The run.
        evaluated: Its evaluation.
        arm: The student's arm.
        seed: Its index among the arm's students, the first of equals.
        student: Its version and files.
    """

    run: Run
    evaluated: Evaluation
    arm: str
    seed: int
    student: Student

    @property
    def dev_score(self) -> float:
        """Return its score on dev."""
        return self.evaluated.arm(self.arm).dev_scores[self.seed]

    @property
    def folder(self) -> Path:
        """Return its folder, which loaders of models take."""
        return self.student.folder / f"seed-{self.seed}"

    @property
    def title(self) -> str:
        """Return what it is, in words."""
        return (
            f"{self.arm}, seed {self.seed} of run {self.run.name} (version {self.student.version})"
        )

    def predictions(self) -> list[Prediction]:
        """Return its answers to the run's test examples.

        Raises:
            StorageError: The predictions are missing or were changed.
        """
        folder, _ = read_stage(self.run, PREDICTIONS)
        answers = read_jsonl(folder / f"{self.arm}.jsonl", Prediction)
        seed = self.evaluated.seeds[self.seed]
        return [answer for answer in answers if answer.seed == seed]


def chosen_student(run: Run, config: StudentConfig, evaluation_digest: str | None = None) -> Chosen:
    """Return the student that a run chooses.

    Args:
        run: The run; its evaluation is finished.
        config: The settings that its students were trained with.
        evaluation_digest: Digest of the stage ``evaluation``; None takes the present one.

    Raises:
        StorageError: A stage is missing or was changed.
    """
    evaluated = read_evaluation(run, evaluation_digest)
    arm, seed = evaluated.chosen_arm, evaluated.chosen.best_seed
    folder, manifest = read_stage(run, STUDENTS.part(arm))
    student = Student.of(folder, manifest, seed, config, run.task)
    return Chosen(run, evaluated, arm, seed, student)
