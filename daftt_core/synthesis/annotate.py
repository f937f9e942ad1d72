"""Annotating: the teacher gives real, unlabelled inputs their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daftt_core.config import SynthesisConfig
from daftt_core.records import Example, SyntheticExample
from daftt_core.stages import DATA, ShardResult, shard_of
from daftt_core.synthesis.asking import give_outputs
from daftt_core.synthesis.labels import Outputs, open_teacher
from daftt_core.synthesis.shards import deciding, run_streams, stream_of, streams_of
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, run_stage


def annotate(
    run: Run, config: SynthesisConfig, shard: int, data: str, teacher: str, assessment: str
) -> StageResult[ShardResult]:
    """Annotate one shard of the unlabelled inputs.

    Args:
        run: The run.
        config: How the teacher is asked.
        shard: Which shard, from 0.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> ShardResult:
        streams = _streams(read_examples(run, DATA, data, "unlabelled"), shard, config)
        form = read_forms(run, data).outputs
        with open_teacher(run, config, teacher) as engine:
            outputs = Outputs(run, config, engine, assessment, form)

            def make(block: Sequence[Example]) -> list[SyntheticExample]:
                made = [
                    SyntheticExample(
                        id=example.id,
                        text=example.text,
                        text_pair=example.text_pair,
                        source="annotated",
                    )
                    for example in block
                ]
                return give_outputs(outputs, engine, run.task, made, config.annotate_temperature)

            return run_streams(
                folder,
                f"annotate, shard {shard + 1} of {config.shards}",
                streams,
                make,
                chunk_size=config.chunk_size,
            )

    stage = shard_of("annotated", shard, config.shards)
    return run_stage(run, stage, [deciding(config), data, teacher, assessment], work)


def _streams(inputs: Sequence[Example], shard: int, config: SynthesisConfig) -> list[list[Example]]:
    """A shard's inputs by stream; those of like length, which are cheap together, side by side."""
    streams: dict[int, list[Example]] = {stream: [] for stream in streams_of(shard, config)}
    for example in sorted(inputs, key=lambda example: (len(example.text), example.id)):
        if (stream := stream_of(example.id, config.streams)) in streams:
            streams[stream].append(example)
    return list(streams.values())
