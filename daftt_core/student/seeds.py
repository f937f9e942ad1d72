"""An arm's students, one for each seed: what they learn from, and how; dev decides both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from daftt_core.config import StudentConfig
from daftt_core.config.training import (
    ALL,
    CONTRASTIVE,
    DISTILLED,
    ENOUGH_DEV,
    FOLDS,
    PLAIN,
    SUREST,
)
from daftt_core.evaluation import REAL_ARM, score
from daftt_core.evaluation.arms import gain_over
from daftt_core.modeling import Template, load_classifier, save_model, set_seeds
from daftt_core.records import Example, Prediction, SyntheticExample, seed_for, write_text
from daftt_core.storage import commit, read_manifest, sound_manifest
from daftt_core.student.contrastive import fit_contrastively
from daftt_core.student.lessons import ArmExamples, Lesson
from daftt_core.student.prediction import Questions
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.student.recipes import surest, with_answers
from daftt_core.student.thresholds import decide_again, keep_thresholds
from daftt_core.student.training import fit
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run
from daftt_core.workspace.progress import keep

_RECIPES = "recipes.json"


@dataclass(frozen=True)
class Trained:
    """The students that an arm keeps.

    Attributes:
        way: The way in which they were trained.
        scores: The score on dev of each way that was tried.
        recipe: What they learned from.
        recipes: The score on dev of the first student of each recipe; empty where one was given.
        students: They, with the examples of this recipe.
        summaries: The summary of each student, by seed.
        answers: Its answers to dev, by seed.
    """

    way: str
    scores: dict[str, float]
    recipe: str
    recipes: dict[str, float]
    students: Students
    summaries: list[dict[str, Any]]
    answers: list[list[Prediction]]


@dataclass(frozen=True)
class Students:
    """Trains an arm's students, each committed in a folder of its own as soon as it is trained.

    A student lies in ``seed-0``, ``seed-1``, ...; where there are two ways it lies in
    ``<way>/seed-0``, ... until one of them is taken. First students of two recipes lie in
    ``<recipe>/seed-0``.

    Attributes:
        run: The run.
        config: The settings.
        arm: The arm.
        template: The model that they start from.
        examples: What they learn from.
        lesson: The same, tokenized.
        dev: The dev examples.
        folder: The stage's folder.
        starts: The students of the labels alone, from which they start; None: from the template.
    """

    run: Run
    config: StudentConfig
    arm: str
    template: Template
    examples: ArmExamples
    lesson: Lesson
    dev: Sequence[Example]
    folder: Path
    starts: Path | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """Return the ways in which they are trained, the simpler first."""
        return self.config.ways(self.arm, self.run.task.kind, pooled=self.template.pooled)

    @property
    def recipes(self) -> tuple[str, ...]:
        """Return what they may learn from, the simpler first."""
        return self.config.recipes(self.run.task.kind, self.examples.counts["annotated"])

    def take_best(self) -> Trained:
        """Train every student in every way, and keep the students of the way that dev prefers.

        Where dev is small, the labels are cross-validated as well. Of equals the simpler is taken.
        """
        recipe, recipes = self._choose_recipe()
        students = {PLAIN: self._following(recipe)}
        scores, summaries, answers = {}, {}, {}
        for way in self.ways:
            if way == DISTILLED:
                students[way] = self._distilling(students[PLAIN])
            trained = students.setdefault(way, students[PLAIN])
            summaries[way] = trained.train(way)
            answers[way] = trained._answer(way)
            scores[way] = trained._score(way, answers[way])
        best = max(scores, key=lambda way: scores[way])
        if len(scores) > 1:
            compared = ", ".join(f"{way} {value:.3f}" for way, value in scores.items())
            log.info("%s: trained both ways, on dev %s; %s is taken", self.arm, compared, best)
            for index in range(self.config.seeds):
                self._move(self._place(best, index), self.folder)
            for way in scores:
                shutil.rmtree(self.folder / way, ignore_errors=True)
        return Trained(
            best, scores, recipe, recipes, students[best], summaries[best], answers[best]
        )

    def _choose_recipe(self) -> tuple[str, dict[str, float]]:
        """Return the recipe, and the score on dev of a first student of each that was tried.

        The first student of the recipe that is taken is one of the arm's.
        """
        if len(self.recipes) == 1:
            return self.recipes[0], {}
        kept = self.folder / _RECIPES
        if not kept.exists():
            write_text(kept, json.dumps(self._compare_recipes()))
        choice = json.loads(kept.read_text(encoding="utf-8"))
        first = self.folder / choice["recipe"] / "seed-0"
        if first.exists():
            self._move(first, self._place(PLAIN, 0).parent)
        for recipe in self.recipes:
            shutil.rmtree(self.folder / recipe, ignore_errors=True)
        return choice["recipe"], choice["scores"]

    def _compare_recipes(self) -> dict[str, Any]:
        """Train a first student with each recipe; return the ``recipe``, and ``scores`` on dev.

        The one that leaves examples out is taken only where the 95% interval of its gain on dev is
        above zero.
        """
        alone = self.config.model_copy(update={"seeds": 1, "distil": False})
        firsts = {
            recipe: replace(self._following(recipe), config=alone, folder=self.folder / recipe)
            for recipe in self.recipes
        }
        self._train_all([(each, PLAIN, 0) for each in firsts.values()], f"recipes of {self.arm}")
        title = f"dev scores of {self.arm}"
        answers = {recipe: each._ask(PLAIN, self.dev, title)[0] for recipe, each in firsts.items()}
        metric = self.run.task.primary_metric
        gain = gain_over(
            [answers[ALL]],
            answers[SUREST],
            metric,
            seed=seed_for(self.run.seed, "recipe", self.arm),
            title=f"compare recipes of {self.arm}",
        )
        taken = SUREST if gain.low > 0 else ALL
        scores = {recipe: _mean_score(metric, each) for recipe, each in answers.items()}
        log.info(
            "%s: on dev a first student has %.3f with all examples and %.3f with the surest (95%% "
            "interval of the difference %+.1f to %+.1f points); %s taken",
            *(self.arm, scores[ALL], scores[SUREST], gain.low, gain.high),
            "all are" if taken == ALL else "the surest are",
        )
        return {"recipe": taken, "scores": scores}

    def _following(self, recipe: str) -> Students:
        """Return these students with the examples of a recipe."""
        if recipe == ALL:
            return self
        config = self.config.model_copy(update={"soft_labels": False})
        return self._learning_from(surest(self.examples), config)

    def _distilling(self, teachers: Students) -> Students:
        """Return these students with what the first ones make of all synthetic examples."""
        inputs = [each for each in self.examples.examples if isinstance(each, SyntheticExample)]
        answers = teachers._ask(PLAIN, inputs, f"labels for {self.arm}")
        config = self.config.model_copy(update={"soft_labels": True})
        return self._learning_from(with_answers(self.run.task, self.examples, answers), config)

    def _learning_from(self, examples: ArmExamples, config: StudentConfig) -> Students:
        task, ahead = self.run.task, self.lesson.ahead
        lesson = Lesson.of(task, config, self.arm, self.template, examples, self.dev, ahead=ahead)
        return replace(self, examples=examples, lesson=lesson)

    @staticmethod
    def _move(place: Path, folder: Path) -> None:
        if place.parent != folder:
            folder.mkdir(exist_ok=True)
            place.replace(folder / place.name)

    def steps(self, way: str) -> int:
        """Return the optimizer steps of one student."""
        if way == CONTRASTIVE:
            return self.config.contrastive_steps(len(self.lesson.dataset))
        return self.lesson.steps(self.config)

    def train(self, way: str) -> list[dict[str, Any]]:
        """Train the students that are not there yet; return the summary of every one."""
        title = f"train {self.arm}" + ("" if way == PLAIN else f", {way}")
        return self._train_all([(self, way, index) for index in range(self.config.seeds)], title)

    def _train_all(
        self, wanted: Sequence[tuple[Students, str, int]], title: str
    ) -> list[dict[str, Any]]:
        """Train students of some ways and numbers that are not there yet, side by side."""
        places = [students._place(way, index) for students, way, index in wanted]
        keys = [f"{way}-{index}" for _, way, index in wanted]
        summaries = {
            number: manifest.summary
            for number, (place, key) in enumerate(zip(places, keys, strict=True))
            if (manifest := sound_manifest(place, "training this student again", key))
        }
        steps = [students.steps(way) for students, way, _ in wanted]
        missing = [number for number in range(len(wanted)) if number not in summaries]
        done = sum(steps[number] for number in summaries)
        progress = Progress(title, sum(steps), "steps", done=done)

        def train(number: int, on_units: Callable[[int], None]) -> dict[str, Any]:
            students, way, index = wanted[number]
            shutil.rmtree(places[number], ignore_errors=True)
            summary = students._train(way, index, places[number], lambda: on_units(1))
            return commit(places[number], keys[number], summary).summary

        jobs = [partial(train, number) for number in missing]
        at_once = students_at_once(self.config.seeds, self.template.model.num_parameters())
        for number, summary in work_on(jobs, at_once, progress.advance):
            summaries[missing[number]] = summary
            keep(places[missing[number]])
        return [summaries[number] for number in range(len(wanted))]

    def _answer(self, way: str) -> list[list[Prediction]]:
        """Return the answers to dev of all students, by seed."""
        by_seed = self._ask(way, self.dev, f"dev scores of {self.arm}")
        if self.run.task.is_multilabel:
            by_seed = [decide_again(self.run, answers) for answers in by_seed]
        return by_seed

    def _ask(self, way: str, examples: Sequence[Example], title: str) -> list[list[Prediction]]:
        """Return the answers of all students to examples, by seed."""
        progress = Progress(title, len(examples) * self.config.seeds, "answers")
        places = [self._place(way, index) for index in range(self.config.seeds)]
        questions = Questions(self.run.task, self.config, examples)
        return questions.ask_all(places, self.arm, progress.advance)

    def _place(self, way: str, index: int) -> Path:
        """Return where a student lies or is to lie."""
        taken = self.folder / f"seed-{index}"
        manifest = read_manifest(taken)
        if len(self.ways) == 1 or (manifest is not None and manifest.key == f"{way}-{index}"):
            return taken
        return self.folder / way / taken.name

    def _score(self, way: str, by_seed: list[list[Prediction]]) -> float:
        """Return the mean score of a way's answers to dev, and of those to labels held out."""
        answers = list(chain.from_iterable(by_seed))
        if CONTRASTIVE in self.ways and PLAIN in self.ways and len(self.dev) < ENOUGH_DEV:
            answers += self._answers_to_labels(way)
        return _mean_score(self.run.task.primary_metric, answers)

    def _answers_to_labels(self, way: str) -> list[Prediction]:
        """Return the answers to each fold of the labels of a student of the other folds."""
        examples = self.examples.examples
        answers = []
        for fold in range(FOLDS):
            others = tuple(e for i, e in enumerate(examples) if i % FOLDS != fold)
            held_out = examples[fold::FOLDS]
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
        if self.starts is not None:
            labels = self.run.task.label_names
            start, _ = load_classifier(self.starts / f"seed-{index}", labels, trained=True)
            model.load_state_dict(start.state_dict())
        tokenizer = self.template.tokenizer
        name = f"arm {self.arm!r}, seed {index}"
        if way == CONTRASTIVE:
            kept_step = self.steps(way)
            train_loss = fit_contrastively(
                model,
                tokenizer,
                self.lesson,
                self.config,
                steps=kept_step,
                seed=seed,
                name=name,
                on_step=on_step,
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


def _mean_score(metric: str, answers: Sequence[Prediction]) -> float:
    return score(metric, [each.output for each in answers], [each.gold for each in answers])
