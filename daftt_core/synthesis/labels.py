"""Outputs for inputs: the half of the work that annotating and generating share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from daftt_core.config import SynthesisConfig
from daftt_core.engines import Engine, LabelScorer, open_engine
from daftt_core.evaluation.abstention import Abstention
from daftt_core.evaluation.calibration import Calibration
from daftt_core.records import Example, SyntheticExample, seed_for
from daftt_core.tasks import answer_prompt, parse_answer
from daftt_core.workspace import Run, read_stage

__all__ = ["Outputs", "open_teacher"]


@contextmanager
def open_teacher(run: Run, config: SynthesisConfig, teacher: str) -> Iterator[Engine]:
    """Open the engine that asks the teacher.

    Args:
        run: The run.
        config: How it is asked.
        teacher: Digest of the ``teacher`` stage.
    """
    folder, _ = read_stage(run, "teacher", teacher)
    with open_engine(config, folder) as opened:
        yield opened.engine


class Outputs:
    """Gives inputs their outputs.

    Args:
        run: The run.
        config: How the teacher is asked.
        engine: Where it is asked.
        assessment: Digest of the ``assessment`` stage, which holds the calibration.
    """

    def __init__(self, run: Run, config: SynthesisConfig, engine: Engine, assessment: str) -> None:
        self._run = run
        self._config = config
        self._engine = engine
        self._scorer: LabelScorer | None = None
        self._abstention: Abstention | None = None
        if run.task.is_classification:
            folder, _ = read_stage(run, "assessment", assessment)
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
            temperature: How labels and texts are drawn; 0 takes the most probable.
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
        task = self._run.task
        completions = self._engine.write(
            [answer_prompt(task, one) for one in made],
            [self._seed(one) for one in made],
            temperature=temperature,
            top_p=1.0,
            max_new_tokens=self._config.max_new_tokens,
        )
        written = []
        for example, completion in zip(made, completions, strict=True):
            output = parse_answer(task, completion.text)
            problem = None if completion.finished else "unfinished"
            written.append(
                example.model_copy(
                    update={
                        "output": output,
                        "confidence": completion.confidence,
                        "problem": "empty" if output is None else problem,
                    }
                )
            )
        return written

    def _seed(self, example: Example) -> int:
        return seed_for(self._run.seed, "output", example.id)


def _draw(probs: np.ndarray, temperature: float, seed: int) -> int:
    """Sample a label from ``probs ** (1 / temperature)``."""
    if temperature == 0:
        return int(probs.argmax())
    with np.errstate(divide="ignore"):
        logits = np.log(probs) / temperature
    sharpened = np.exp(logits - logits.max())
    return int(np.random.default_rng(seed).choice(len(probs), p=sharpened / sharpened.sum()))
