"""Outputs for inputs: labels and sets of them by scores, texts by writing one or several.

A teacher that is sure writes the same again and again; one that guesses does not. Of several texts
the *medoid* is kept: the one whose mean agreement with the others is greatest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from daftt_core.config import StudentConfig, SynthesisConfig
from daftt_core.engines import ChannelScorer, Completion, Engine, LabelScorer, LabelSetScorer
from daftt_core.errors import DataError, ModelError
from daftt_core.evaluation import REAL_ARM
from daftt_core.evaluation.calibration import Abstention, Assessment, Committee
from daftt_core.records import Example, SyntheticExample, TextSample, normalize, seed_for
from daftt_core.records.words import words_of
from daftt_core.stages import ASSESSMENT, STUDENTS
from daftt_core.student import EMBEDDINGS, EmbeddingRegression, Panel
from daftt_core.tasks import Form, answer_prompt, answer_prompts, parse_answer
from daftt_core.workspace import Run, read_stage

_NEARLY_ZERO = 1e-9


def agreements(texts: Sequence[str | None], kind: str) -> list[float]:
    """Return the mean agreement of each text with the others.

    Args:
        texts: At least two; None agrees with nothing.
        kind: ``exact``, 1 for texts that are equal when normalized and 0 for others, or
            ``rouge-l``, the F-measure of ROUGE-L (C.-Y. Lin, 2004) by rouge_score, without
            stemming and with the words of :mod:`daftt_core.records.words`. Equal texts agree
            fully, even those without a word.

    Returns:
        Numbers in [0, 1].
    """
    from rouge_score.rouge_scorer import RougeScorer  # loads all of nltk

    scorer = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words_of))
    by_text: list[list[float]] = [[] for _ in texts]
    for (i, first), (j, second) in combinations(enumerate(texts), 2):
        agreement = 0.0
        if first is not None and second is not None:
            if normalize(first) == normalize(second):
                agreement = 1.0
            elif kind == "rouge-l":
                agreement = float(scorer.score(first, second)["rougeL"].fmeasure)
        by_text[i].append(agreement)
        by_text[j].append(agreement)
    return [math.fsum(values) / len(values) for values in by_text]


def medoid(samples: Sequence[TextSample]) -> int | None:
    """Return the index of the usable sample that agrees most with the others.

    Of equals it is the one the model finds more probable, and then the first; None if no sample is
    usable.
    """
    usable = [index for index, sample in enumerate(samples) if sample.problem is None]
    return max(
        usable,
        key=lambda index: (samples[index].agreement, samples[index].probability, -index),
        default=None,
    )


class _Judge(Protocol):
    """Has an opinion of labels."""

    def log_probs(self, examples: Sequence[Example], /) -> NDArray[np.float64] | None:
        """Return log-probabilities, of shape [examples, labels]; None if there is no opinion."""
        ...


class Outputs:
    """Gives inputs their outputs.

    Args:
        assessment: Digest of the ``assessment`` stage, which holds the calibration, and says whose
            opinions count.
        form: The form of the task's outputs.
        student: The settings of the students, who may have a say in labels.
        of_written: Whether the inputs are those that the teacher has written.
    """

    def __init__(
        self,
        run: Run,
        config: SynthesisConfig,
        engine: Engine,
        assessment: str,
        form: Form,
        student: StudentConfig,
        *,
        of_written: bool = False,
    ) -> None:
        self._run = run
        self._config = config
        self.engine = engine
        self._form = form
        self._judges: _Judges | _SetJudge | None = None
        self._abstention: Abstention | None = None
        if run.task.is_classification:
            folder, _ = read_stage(run, ASSESSMENT, assessment)
            text = (folder / "assessment.json").read_text(encoding="utf-8")
            assessed = Assessment.model_validate_json(text)
            abstention = assessed.abstention
            if run.task.is_multilabel:
                self._judges = _SetJudge(run, config, engine, assessed)
            else:
                committee = assessed.committee(of_written=of_written)
                if committee is None:
                    raise DataError(f"{ASSESSMENT}: holds no calibration; assess the teacher again")
                abstention = committee.abstention
                baseline = assessed.baseline
                self._judges = _Judges(run, config, engine, committee, baseline, student)
            if config.min_precision > 0:
                self._abstention = abstention

    def give(
        self, inputs: Sequence[SyntheticExample], temperature: float
    ) -> list[SyntheticExample]:
        """Fill in output, confidence and distribution.

        Args:
            inputs: Usable inputs.
            temperature: How labels and single texts are drawn; 0 takes the most probable. Several
                texts for one input are drawn at ``annotate_temperature``.
        """
        if not inputs:
            return []
        if self._judges is None:
            return self._write(inputs, temperature)
        return self._label(self._judges, inputs, temperature)

    def share_shown(self, example: SyntheticExample) -> float:
        """Return the fraction of an input that the teacher was shown with its last query."""
        prompts = answer_prompts(self._run.task, example)
        return min(map(self.engine.share_shown, prompts))

    def _label(
        self,
        judges: _Judges | _SetJudge,
        inputs: Sequence[SyntheticExample],
        temperature: float,
    ) -> list[SyntheticExample]:
        task = self._run.task
        names = task.label_names
        labelled = []
        for example, probs in zip(inputs, judges.probs(inputs), strict=True):
            chosen = judges.draw(probs, temperature, self._seed(example))
            output = task.output_of([names[index] for index in chosen])
            distribution = dict(zip(names, map(float, probs), strict=True))
            confidence = task.probability_of(output, distribution)
            sure = self._abstention is None or self._abstention.allows(confidence)
            labelled.append(
                example.model_copy(
                    update={
                        "output": output,
                        "confidence": confidence,
                        "distribution": distribution,
                        "problem": None if sure else "abstained",
                    }
                )
            )
        return labelled

    def _write(
        self, inputs: Sequence[SyntheticExample], temperature: float
    ) -> list[SyntheticExample]:
        count = self._config.samples
        completions = self.engine.write(
            [answer_prompt(self._run.task, example) for example in inputs for _ in range(count)],
            [self._seed(example, str(number)) for example in inputs for number in range(count)],
            temperature=self._config.annotate_temperature if count > 1 else temperature,
            top_p=1.0,
            max_new_tokens=self._config.max_new_tokens,
            stops=self._form.stops,
        )
        return [
            example.model_copy(update=self._choose(completions[count * index :][:count]))
            for index, example in enumerate(inputs)
        ]

    def _choose(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """Return output, confidence, problem and samples of an example, given its texts."""
        parsed = [self._parse(completion) for completion in completions]
        if len(parsed) == 1:
            ((output, problem),) = parsed
            confidence = completions[0].confidence
            return {"output": output, "confidence": confidence, "problem": problem}
        usable = [None if problem else output for output, problem in parsed]
        samples = tuple(
            TextSample(
                text=output or completion.text,
                agreement=agreement,
                probability=completion.confidence,
                problem=problem,
            )
            for (output, problem), completion, agreement in zip(
                parsed, completions, agreements(usable, self._config.agreement), strict=True
            )
        )
        index = medoid(samples)
        if index is None:
            return {"samples": samples, "problem": samples[0].problem}
        chosen = samples[index]
        return {"samples": samples, "output": chosen.text, "confidence": chosen.agreement}

    def _parse(self, completion: Completion) -> tuple[str | None, str | None]:
        """Return the output that a text states, and why it cannot be used."""
        output = parse_answer(self._run.task, completion.text, self._form)
        if output is None:
            return None, "empty"
        return output, None if completion.finished else "unfinished"

    def _seed(self, example: Example, *number: str) -> int:
        return seed_for(self._run.seed, "output", example.id, *number)


class _Judges:
    """The teacher and whoever else has a say, as dev prefers it.

    Args:
        run: The run.
        config: The settings of the teacher's queries.
        engine: Queries the teacher.
        committee: Whose opinions count.
        baseline: Digest of the students of the labels alone, if they are among them.
        student: Their settings.

    Raises:
        DataError: An opinion is not known.
    """

    def __init__(
        self,
        run: Run,
        config: SynthesisConfig,
        engine: Engine,
        committee: Committee,
        baseline: str,
        student: StudentConfig,
    ) -> None:
        self._calibration = committee.calibration
        self._run, self._baseline = run, baseline
        openers: dict[str, Callable[[], _Judge]] = {
            "teacher": lambda: LabelScorer(engine, run.task, correct_prior=config.correct_prior),
            "channel": lambda: ChannelScorer(engine, run.task),
            "students": lambda: Panel(self._students(), run.task, student),
            "embeddings": lambda: EmbeddingRegression.load(self._students() / EMBEDDINGS, run.task),
        }
        if unknown := set(committee.heard) - openers.keys():
            raise DataError(f"{ASSESSMENT}: opinions: {unknown} are not known to this version")
        self._judges = {name: openers[name]() for name in committee.heard}

    def _students(self) -> Path:
        return read_stage(self._run, STUDENTS.part(REAL_ARM), self._baseline)[0]

    def probs(self, inputs: Sequence[Example]) -> NDArray[np.float64]:
        """Return calibrated probabilities, of shape [inputs, labels].

        Raises:
            ModelError: The engine cannot tell how probable inputs are, although it could on dev.
        """
        opinions = []
        for name, judge in self._judges.items():
            log_probs = judge.log_probs(inputs)
            if log_probs is None:
                raise ModelError(
                    f"the teacher's engine gives no opinion of the kind {name!r}, which it gave "
                    "on dev; use the same engine, or assess the teacher again"
                )
            opinions.append(log_probs)
        return self._calibration.apply(*opinions)

    def draw(self, probs: NDArray[np.float64], temperature: float, seed: int) -> list[int]:
        """Draw the one label of an input."""
        return [_draw(probs, temperature, seed)]


class _SetJudge:
    """The teacher, about each label of a set.

    Raises:
        DataError: The assessment is of a task of another kind.
    """

    def __init__(
        self, run: Run, config: SynthesisConfig, engine: Engine, assessed: Assessment
    ) -> None:
        if assessed.label_sets is None:
            raise DataError(f"{ASSESSMENT}: holds no thresholds; assess the teacher again")
        self._calibration = assessed.label_sets
        self._scorer = LabelSetScorer(engine, run.task, correct_prior=config.correct_prior)

    def probs(self, inputs: Sequence[Example]) -> NDArray[np.float64]:
        """Return calibrated probabilities, of shape [inputs, labels]."""
        return self._calibration.apply(self._scorer.log_odds(inputs))

    def draw(self, probs: NDArray[np.float64], temperature: float, seed: int) -> list[int]:
        """Draw the labels of an input; at temperature 0 those above their thresholds."""
        return _draw_set(probs, self._calibration.thresholds, temperature, seed)


def _draw(probs: np.ndarray, temperature: float, seed: int) -> int:
    """Sample a label from ``probs ** (1 / temperature)``."""
    if temperature == 0:
        return int(probs.argmax())
    with np.errstate(divide="ignore"):
        logits = np.log(probs) / temperature
    sharpened = np.exp(logits - logits.max())
    return int(np.random.default_rng(seed).choice(len(probs), p=sharpened / sharpened.sum()))


def _draw_set(
    probs: np.ndarray, thresholds: Sequence[float], temperature: float, seed: int
) -> list[int]:
    """Sample the labels that apply; at temperature 0 those whose probability is high enough.

    A label at its threshold is as likely to be drawn as not; the further it is away in log-odds,
    divided by the temperature, the surer it is.
    """
    if temperature == 0:
        return np.flatnonzero(probs >= thresholds).tolist()
    within = np.clip([probs, thresholds], _NEARLY_ZERO, 1 - _NEARLY_ZERO)
    distance = logit(within[0]) - logit(within[1])
    drawn = np.random.default_rng(seed).random(len(probs)) < expit(distance / temperature)
    return np.flatnonzero(drawn).tolist()
