"""Outputs for inputs: the half of the work that annotating and generating share.

How far several texts for one input agree, and which of them stands for all.

A teacher that is sure writes the same again and again; one that guesses does not. The text that is
kept is the *medoid*: the one whose mean agreement with the others is greatest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from daftt_core.config import SynthesisConfig
from daftt_core.engines import Completion, Engine, LabelScorer, open_engine
from daftt_core.evaluation.calibration import Abstention, Calibration
from daftt_core.records import Example, SyntheticExample, TextSample, normalize, seed_for, words_of
from daftt_core.stages import ASSESSMENT, TEACHER
from daftt_core.tasks import Form, Task, answer_prompt, parse_answer
from daftt_core.workspace import Run, read_stage


def agreements(texts: Sequence[str | None], kind: str) -> list[float]:
    """The mean agreement of each text with the others.

    Args:
        texts: At least two; None agrees with nothing.
        kind: ``exact``, 1 for texts that are equal when normalized and 0 for others, or
            ``rouge-l``, the F-measure of ROUGE-L (C.-Y. Lin, 2004) by rouge_score, without
            stemming and with the words of :mod:`daftt_core.records.text`. Equal texts agree
            wholly, even those without a word.

    Returns:
        Numbers in [0, 1].
    """
    scorer = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words_of))
    found: list[list[float]] = [[] for _ in texts]
    for one, other in combinations(range(len(texts)), 2):
        first, second = texts[one], texts[other]
        agreed = 0.0
        if first is not None and second is not None:
            if normalize(first) == normalize(second):
                agreed = 1.0
            elif kind == "rouge-l":
                agreed = float(scorer.score(first, second)["rougeL"].fmeasure)
        found[one].append(agreed)
        found[other].append(agreed)
    return [math.fsum(each) / len(each) for each in found]


def medoid(samples: Sequence[TextSample]) -> int | None:
    """The place of the usable sample that agrees most with the others.

    Of equals it is the one the model finds more probable, and then the first; None if no sample is
    usable.
    """
    usable = [place for place, sample in enumerate(samples) if sample.problem is None]
    return max(
        usable,
        key=lambda place: (samples[place].agreement, samples[place].probability, -place),
        default=None,
    )


@contextmanager
def open_teacher(run: Run, config: SynthesisConfig, teacher: str) -> Iterator[Engine]:
    """Open the engine that asks the teacher.

    Args:
        run: The run.
        config: How it is asked.
        teacher: Digest of the ``teacher`` stage.
    """
    folder, _ = read_stage(run, TEACHER, teacher)
    with open_engine(config, folder) as opened:
        yield opened.engine


class Outputs:
    """Gives inputs their outputs.

    Args:
        run: The run.
        config: How the teacher is asked.
        engine: Where it is asked.
        assessment: Digest of the ``assessment`` stage, which holds the calibration.
        form: What the task's outputs look like.
    """

    def __init__(
        self, run: Run, config: SynthesisConfig, engine: Engine, assessment: str, form: Form
    ) -> None:
        self._run = run
        self._config = config
        self._engine = engine
        self._form = form
        self._scorer: LabelScorer | None = None
        self._abstention: Abstention | None = None
        if run.task.is_classification:
            folder, _ = read_stage(run, ASSESSMENT, assessment)
            text = (folder / "calibration.json").read_text(encoding="utf-8")
            calibration = Calibration.model_validate_json(text)
            self._scorer = LabelScorer(
                engine, run.task, calibration, correct_prior=config.correct_prior
            )
            if config.min_precision > 0:
                text = (folder / "abstention.json").read_text(encoding="utf-8")
                self._abstention = Abstention.model_validate_json(text)

    def give(self, made: Sequence[SyntheticExample], temperature: float) -> list[SyntheticExample]:
        """Fill in output, confidence and distribution.

        Args:
            made: Usable inputs.
            temperature: How labels and single texts are drawn; 0 takes the most probable. Where
                several texts are wanted they are drawn at ``annotate_temperature``.
        """
        if not made:
            return []
        if self._scorer is None:
            return self._write(made, temperature)
        return self._label(self._scorer, made, temperature)

    def _label(
        self, scorer: LabelScorer, made: Sequence[SyntheticExample], temperature: float
    ) -> list[SyntheticExample]:
        names = self._run.task.label_names
        labelled = []
        for example, probs in zip(made, scorer.probs(made), strict=True):
            chosen = _draw(probs, temperature, self._seed(example))
            confidence = float(probs[chosen])
            sure = self._abstention is None or self._abstention.allows(confidence)
            labelled.append(
                example.model_copy(
                    update={
                        "output": names[chosen],
                        "confidence": confidence,
                        "distribution": dict(zip(names, map(float, probs), strict=True)),
                        "problem": None if sure else "abstained",
                    }
                )
            )
        return labelled

    def _write(
        self, made: Sequence[SyntheticExample], temperature: float
    ) -> list[SyntheticExample]:
        count = self._config.samples
        completions = self._engine.write(
            [answer_prompt(self._run.task, one) for one in made for _ in range(count)],
            [self._seed(one, str(number)) for one in made for number in range(count)],
            temperature=self._config.annotate_temperature if count > 1 else temperature,
            top_p=1.0,
            max_new_tokens=self._config.max_new_tokens,
            stops=self._form.stops,
        )
        return [
            example.model_copy(update=self._choose(completions[count * place :][:count]))
            for place, example in enumerate(made)
        ]

    def _choose(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """Output, confidence, problem and samples of an example, from what was written for it."""
        read = [_read_text(self._run.task, completion, self._form) for completion in completions]
        if len(read) == 1:
            ((output, problem),) = read
            confidence = completions[0].confidence
            return {"output": output, "confidence": confidence, "problem": problem}
        usable = [None if problem else output for output, problem in read]
        agreed = agreements(usable, self._config.agreement)
        samples = tuple(
            TextSample(
                text=output or completion.text,
                agreement=agreement,
                probability=completion.confidence,
                problem=problem,
            )
            for (output, problem), completion, agreement in zip(
                read, completions, agreed, strict=True
            )
        )
        place = medoid(samples)
        if place is None:
            return {"samples": samples, "problem": samples[0].problem}
        chosen = samples[place]
        return {"samples": samples, "output": chosen.text, "confidence": chosen.agreement}

    def _seed(self, example: Example, *number: str) -> int:
        return seed_for(self._run.seed, "output", example.id, *number)


def _read_text(task: Task, completion: Completion, form: Form) -> tuple[str | None, str | None]:
    """The output that a text states, and why it cannot be used."""
    output = parse_answer(task, completion.text, form)
    if output is None:
        return None, "empty"
    return output, None if completion.finished else "unfinished"


def _draw(probs: np.ndarray, temperature: float, seed: int) -> int:
    """Sample a label from ``probs ** (1 / temperature)``."""
    if temperature == 0:
        return int(probs.argmax())
    with np.errstate(divide="ignore"):
        logits = np.log(probs) / temperature
    sharpened = np.exp(logits - logits.max())
    return int(np.random.default_rng(seed).choice(len(probs), p=sharpened / sharpened.sum()))
