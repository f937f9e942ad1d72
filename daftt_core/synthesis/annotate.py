"""Annotating: the teacher gives real, unlabelled inputs their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daftt_core.config import SynthesisConfig
from daftt_core.records import Example, SyntheticExample
from daftt_core.synthesis.labels import Outputs, open_teacher
from daftt_core.synthesis.shards import run_chunks, shard_name
from daftt_core.workspace import Run, StageResult, read_examples, run_stage

__all__ = ["annotate"]


def annotate(
    run: Run, config: SynthesisConfig, shard: int, data: str, teacher: str, assessment: str
) -> StageResult:
    """Annotate one shard of the unlabelled inputs.

    Args:
        run: The run.
        config: How the teacher is asked.
        shard: Which shard, from 0.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> dict[str, Any]:
        unlabelled = read_examples(run, "data", data, "unlabelled")
        in_order = sorted(unlabelled, key=lambda example: (len(example.text), example.id))
        with open_teacher(run, config, teacher) as engine:
            outputs = Outputs(run, config, engine, assessment)

            def make(chunk: Sequence[Example]) -> list[SyntheticExample]:
                made = [
                    SyntheticExample(
                        id=example.id,
                        text=example.text,
                        text_pair=example.text_pair,
                        source="annotated",
                    )
                    for example in chunk
                ]
                return outputs.give(made, config.annotate_temperature)

            return run_chunks(
                folder,
                f"annotate, shard {shard + 1} of {config.shards}",
                in_order,
                make,
                chunk_size=config.chunk_size,
                shard=shard,
                shards=config.shards,
            )

    name = shard_name("annotated", shard, config.shards)
    return run_stage(run, name, [config, shard, data, teacher, assessment], work)
