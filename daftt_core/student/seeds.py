"""An arm's students, one for each seed, trained in one way or in two of which dev takes one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from daftt_core.config import StudentConfig
from daftt_core.evaluation import REAL_ARM, score
from daftt_core.modeling import Template, save_model, set_seeds
from daftt_core.records import Example, Prediction, seed_for
from daftt_core.storage import commit, read_manifest, sound_manifest
from daftt_core.student.contrastive import contrastive_steps, fit_contrastively
from daftt_core.student.lessons import ArmExamples, Lesson
from daftt_core.student.prediction import Questions
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.student.thresholds import decide_again, keep_thresholds
from daftt_core.student.training import fit
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run
from daftt_core.workspace.progress import keep

PLAIN, CONTRASTIVE = "plain", "contrastive"

_ENOUGH_DEV = 100  # examples; with fewer the labels are cross-validated too
_FOLDS = 4


@dataclass(frozen=True)
class Trained:
    """The students that an arm keeps.

    Attributes:
        way: The way in which they were trained.
        scores: The score on dev of each way that was tried.
        summaries: The summary of each student, by seed.
        answers: Its answers to dev, by seed.
    """

    way: str
    scores: dict[str, float]
    summaries: list[dict[str, Any]]
    answers: list[list[Prediction]]


@dataclass(frozen=True)
class Students:
    """Trains an arm's students, each committed in a folder of its own as soon as it is trained.

    A student lies in ``seed-0``, ``seed-1``, ...; where there are two ways it lies in
    ``<way>/seed-0``, ... until one of them is taken.

    Attributes:
        run: The run.
        config: The settings.
        arm: The arm.
        template: The model that they start from.
        examples: What they learn from.
        lesson: The same, tokenized.
        dev: The dev examples.
        folder: The stage's folder.
    """

    run: Run
    config: StudentConfig
    arm: str
    template: Template
    examples: ArmExamples
    lesson: Lesson
    dev: Sequence[Example]
    folder: Path

    @property
    def ways(self) -> tuple[str, ...]:
        """Return the ways in which they are trained, the simpler first."""
        labels_alone = self.arm == REAL_ARM and self.run.task.kind == "classification"
        if not labels_alone or not self.template.pooled:
            return (PLAIN,)
        both = self.config.baseline == "best"
        return (PLAIN, CONTRASTIVE) if both else (self.config.baseline,)

    def take_best(self) -> Trained:
        """Train every student in every way, and keep the students of the way that dev prefers.

        Where dev is small, the labels are cross-validated as well. Of equals the simpler is taken.
        """
        scores, summaries, answers = {}, {}, {}
        for way in self.ways:
            summaries[way] = self.train(way)
            answers[way] = self._answer(way)
            scores[way] = self._score(way, answers[way])
        best = max(scores, key=lambda way: scores[way])
        if len(scores) > 1:
            compared = ", ".join(f"{way} {value:.3f}" for way, value in scores.items())
            log.info("%s: trained both ways, on dev %s; %s is taken", self.arm, compared, best)
            for index in range(self.config.seeds):
                place = self._place(best, index)
                if place.parent != self.folder:
                    place.replace(self.folder / place.name)
            for way in scores:
                shutil.rmtree(self.folder / way, ignore_errors=True)
        return Trained(best, scores, summaries[best], answers[best])

    def steps(self, way: str) -> int:
        """Return the optimizer steps of one student."""
        if way == CONTRASTIVE:
            return contrastive_steps(len(self.lesson.dataset))
        return self.lesson.steps(self.config)

    def train(self, way: str) -> list[dict[str, Any]]:
        """Train the students that are not there yet; return the summary of every one."""
        numbers = range(self.config.seeds)
        places = [self._place(way, index) for index in numbers]
        keys = [f"{way}-{index}" for index in numbers]
        summaries = {
            index: manifest.summary
            for index in numbers
            if (
                manifest := sound_manifest(
                    places[index], "training this student again", keys[index]
                )
            )
        }
        missing = [index for index in numbers if index not in summaries]
        steps = self.steps(way)
        progress = Progress(
            f"train {self.arm}" + ("" if way == PLAIN else f", {way}"),
            steps * len(numbers),
            "steps",
            done=steps * len(summaries),
        )

        def train(index: int, on_units: Callable[[int], None]) -> dict[str, Any]:
            shutil.rmtree(places[index], ignore_errors=True)
            summary = self._train(way, index, places[index], lambda: on_units(1))
            return commit(places[index], keys[index], summary).summary

        jobs = [partial(train, index) for index in missing]
        at_once = students_at_once(len(numbers), self.template.model.num_parameters())
        for number, summary in work_on(jobs, at_once, progress.advance):
            summaries[missing[number]] = summary
            keep(places[missing[number]])
        return [summaries[index] for index in numbers]

    def _answer(self, way: str) -> list[list[Prediction]]:
        """Return the answers to dev of all students, by seed."""
        dev = self.dev
        questions = Questions(self.run.task, self.config, dev)
        title = f"dev scores of {self.arm}"
        progress = Progress(title, len(dev) * self.config.seeds, "answers")
        places = [self._place(way, index) for index in range(self.config.seeds)]
        by_seed = questions.ask_all(places, self.arm, progress.advance)
        if self.run.task.is_multilabel:
            by_seed = [decide_again(self.run, answers) for answers in by_seed]
        return by_seed

    def _place(self, way: str, index: int) -> Path:
        """Return where a student lies or is to lie."""
        taken = self.folder / f"seed-{index}"
        manifest = read_manifest(taken)
        if len(self.ways) == 1 or (manifest is not None and manifest.key == f"{way}-{index}"):
            return taken
        return self.folder / way / taken.name

    def _score(self, way: str, by_seed: list[list[Prediction]]) -> float:
        """Return the mean score of a way's answers to dev, and of those to labels held out."""
        metric = self.run.task.primary_metric
        answers = list(chain.from_iterable(by_seed))
        if len(self.ways) > 1 and len(self.dev) < _ENOUGH_DEV:
            answers += self._answers_to_labels(way)
        return score(metric, [each.output for each in answers], [each.gold for each in answers])

    def _answers_to_labels(self, way: str) -> list[Prediction]:
        """Return the answers to each fold of the labels of a student of the other folds."""
        examples = self.examples.examples
        answers = []
        for fold in range(_FOLDS):
            others = tuple(e for i, e in enumerate(examples) if i % _FOLDS != fold)
            held_out = examples[fold::_FOLDS]
            if not others or not held_out:
                continue
            collected = ArmExamples(others, {**self.examples.counts, REAL_ARM: len(others)})
            lesson = Lesson.of(
                self.run.task, self.config, self.arm, self.template, collected, held_out
            )
            place = self.folder / way / f"fold-{fold}"
            part = replace(self, examples=collected, lesson=lesson)
            part._train(way, 0, place, lambda: None)
            questions = Questions(self.run.task, self.config, held_out)
            answers += questions.ask(place, self.arm, 0, lambda _: None)
            shutil.rmtree(place)
        return answers

    def _train(
        self, way: str, index: int, target: Path, on_step: Callable[[], None]
    ) -> dict[str, Any]:
        seed = seed_for(self.run.seed, "student", str(index)) % 2**32  # numpy takes no more
        set_seeds(seed)  # a classifier's head is drawn at its start
        model = self.template.start()
        tokenizer = self.template.tokenizer
        name = f"arm {self.arm!r}, seed {index}"
        if way == CONTRASTIVE:
            train_loss, kept_step = fit_contrastively(
                model, tokenizer, self.lesson, self.config, seed=seed, name=name, on_step=on_step
            )
        else:
            train_loss, kept_step = fit(
                model,
                tokenizer,
                self.lesson,
                self.config,
                seed=seed,
                name=name,
                folder=target,
                on_step=on_step,
            )
        if self.run.task.is_multilabel:
            keep_thresholds(model, tokenizer, self.lesson.reading, self.dev)
        save_model(model, tokenizer, target)
        return {"train_loss": round(train_loss, 6), "kept_step": kept_step}
