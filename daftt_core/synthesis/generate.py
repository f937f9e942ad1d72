"""Generating: the teacher writes new inputs, and then gives them their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daftt_core.config import SynthesisConfig
from daftt_core.engines import Completion, Engine
from daftt_core.records import SyntheticExample, digest, seed_for
from daftt_core.synthesis.asking import ask_each, give_outputs
from daftt_core.synthesis.labels import Outputs, open_teacher
from daftt_core.synthesis.shards import STREAMS, deciding, run_streams, shard_name, streams_of
from daftt_core.tasks import parse_input, writing_prompt
from daftt_core.workspace import Run, StageResult, run_stage

__all__ = ["generate"]


def generate(
    run: Run, config: SynthesisConfig, shard: int, teacher: str, assessment: str
) -> StageResult:
    """Write one shard of the new examples.

    In a classification task the labels take turns as what is asked for; the written input is then
    labelled as if it were a real one. What cannot be read as an input is kept, marked with its
    problem.

    Args:
        run: The run.
        config: How the teacher is asked.
        shard: Which shard, from 0.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> dict[str, Any]:
        streams = [
            [_Numbered.of(run, number) for number in range(stream, config.generate_count, STREAMS)]
            for stream in streams_of(shard, config.shards)
        ]
        with open_teacher(run, config, teacher) as engine:
            outputs = Outputs(run, config, engine, assessment)

            def make(block: Sequence[_Numbered]) -> list[SyntheticExample]:
                written = ask_each(
                    lambda some: _write_inputs(run, config, engine, [one.number for one in some]),
                    block,
                    lambda one, problem: _unusable(run, one.number, "", problem),
                )
                return give_outputs(outputs, engine, run.task, written, temperature=0.0)

            return run_streams(
                folder,
                f"generate, shard {shard + 1} of {config.shards}",
                streams,
                make,
                chunk_size=config.chunk_size,
            )

    name = shard_name("generated", shard, config.shards)
    return run_stage(run, name, [deciding(config), teacher, assessment], work)


@dataclass(frozen=True)
class _Numbered:
    """A new input to write; its number decides what is asked for and how it is drawn."""

    number: int
    id: str

    @classmethod
    def of(cls, run: Run, number: int) -> _Numbered:
        return cls(number, digest("generated", run.seed, number))


def _write_inputs(
    run: Run, config: SynthesisConfig, engine: Engine, numbers: Sequence[int]
) -> list[SyntheticExample]:
    asked = [_label_for(run, number) for number in numbers]
    completions = engine.write(
        [writing_prompt(run.task, None, label) for label in asked],
        [seed_for(run.seed, "generate", str(number)) for number in numbers],
        temperature=config.generate_temperature,
        top_p=config.generate_top_p,
        max_new_tokens=config.max_new_tokens,
    )
    return [
        _read_input(run, completion, number)
        for completion, number in zip(completions, numbers, strict=True)
    ]


def _label_for(run: Run, number: int) -> str | None:
    labels = run.task.label_names
    return labels[number % len(labels)] if labels else None


def _read_input(run: Run, completion: Completion, number: int) -> SyntheticExample:
    example = parse_input(run.task, completion.text)
    if example is not None and completion.finished:
        return SyntheticExample(
            id=example.id,
            text=example.text,
            text_pair=example.text_pair,
            source="generated",
            asked=_label_for(run, number),
        )
    problem = "not an input" if completion.finished else "unfinished"
    return _unusable(run, number, completion.text, problem)


def _unusable(run: Run, number: int, text: str, problem: str) -> SyntheticExample:
    return SyntheticExample(
        id=digest("unusable", number),
        text=text,
        source="generated",
        asked=_label_for(run, number),
        problem=problem,
    )
