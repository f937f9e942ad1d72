"""The two stages of synthesis: annotating real inputs, and generating new pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daftt_core.config import StudentConfig, SynthesisConfig
from daftt_core.engines import open_engine
from daftt_core.records import Example, SyntheticExample, digest, iterate_jsonl
from daftt_core.stages import DATA, TEACHER, ShardResult, shard_of
from daftt_core.synthesis.generating import InputWriter, Novelty, Requests
from daftt_core.synthesis.outputs import Outputs
from daftt_core.synthesis.screening import give_outputs, query_each
from daftt_core.synthesis.shards import deciding, run_streams, stream_of, streams_of
from daftt_core.tasks import Form
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, read_stage, run_stage


def annotate(
    run: Run,
    config: SynthesisConfig,
    student: StudentConfig,
    shard: int,
    data: str,
    teacher: str,
    assessment: str,
) -> StageResult[ShardResult]:
    """Annotate one shard of the real, unlabelled inputs: the teacher adds their outputs.

    Args:
        run: The run.
        config: The settings of the teacher's queries.
        student: The settings of the students, who may have a say in labels.
        shard: Which shard, from 0.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> ShardResult:
        inputs = read_examples(run, DATA, data, "unlabelled")
        # those of like length, which are cheap together, side by side
        inputs = sorted(inputs, key=lambda example: (len(example.text), example.id))
        streams: dict[int, list[Example]] = {stream: [] for stream in streams_of(shard, config)}
        for example in inputs:
            if (stream := stream_of(example.id, config.streams)) in streams:
                streams[stream].append(example)
        form = read_forms(run, data).outputs
        with _open_outputs(run, config, student, teacher, assessment, form) as outputs:

            def make(block: Sequence[Example]) -> list[SyntheticExample]:
                unlabelled = [
                    SyntheticExample(
                        id=example.id,
                        text=example.text,
                        text_pair=example.text_pair,
                        source="annotated",
                    )
                    for example in block
                ]
                return give_outputs(outputs, unlabelled, config.annotate_temperature)

            return run_streams(
                folder,
                f"annotate, shard {shard + 1} of {config.shards}",
                list(streams.values()),
                make,
                chunk_size=config.chunk_size,
            )

    stage = shard_of("annotated", shard, config.shards)
    return run_stage(run, stage, [deciding(config), data, teacher, assessment], work)


def generate(
    run: Run,
    config: SynthesisConfig,
    student: StudentConfig,
    shard: int,
    data: str,
    teacher: str,
    assessment: str,
) -> StageResult[ShardResult]:
    """Generate one shard of the new examples: the teacher writes inputs, then their outputs.

    In a classification task each input is requested with a label; the written input is then
    labelled as if it were a real one. A text that cannot be parsed as an input is kept, marked with
    its problem. A stream of examples ends early where its inputs are no longer new
    (:class:`Novelty`); the summary says how many were ``not_written``, and how many
    ``demonstrations_left_out`` for lack of room.

    Args:
        run: The run.
        config: The settings of the teacher's queries.
        student: The settings of the students, who may have a say in labels.
        shard: Which shard, from 0.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> ShardResult:
        requests = Requests(run, config, read_examples(run, DATA, data, "labelled"))
        streams = [
            [
                _Numbered(number, digest("generated", run.seed, number))
                for number in range(stream, config.generate_count, config.streams)
            ]
            for stream in streams_of(shard, config)
        ]
        forms = read_forms(run, data)
        with _open_outputs(
            run, config, student, teacher, assessment, forms.outputs, of_written=True
        ) as outputs:
            writer = InputWriter(run, config, outputs.engine, requests, forms.inputs)

            def make(block: Sequence[_Numbered]) -> list[SyntheticExample]:
                written = query_each(
                    lambda items: writer.write([item.number for item in items]),
                    block,
                    lambda item, problem: writer.unusable(item.number, "", problem),
                )
                return give_outputs(outputs, written, temperature=0.0)

            result = run_streams(
                folder,
                f"generate, shard {shard + 1} of {config.shards}",
                streams,
                make,
                chunk_size=config.chunk_size,
                watch=lambda: Novelty(config.stop_novelty).is_spent_by,
            )
        examples = iterate_jsonl(folder / "examples.jsonl", SyntheticExample)
        return result.model_copy(
            update={
                "not_written": sum(map(len, streams)) - result.examples,
                "demonstrations_left_out": requests.left_out(examples),
            }
        )

    stage = shard_of("generated", shard, config.shards)
    return run_stage(run, stage, [deciding(config), data, teacher, assessment], work)


@dataclass(frozen=True)
class _Numbered:
    """A new input to write; its number decides what is requested and how it is drawn."""

    number: int
    id: str


@contextmanager
def _open_outputs(
    run: Run,
    config: SynthesisConfig,
    student: StudentConfig,
    teacher: str,
    assessment: str,
    form: Form,
    *,
    of_written: bool = False,
) -> Iterator[Outputs]:
    folder, _ = read_stage(run, TEACHER, teacher)
    with open_engine(config, folder) as opened:
        engine = opened.engine
        yield Outputs(run, config, engine, assessment, form, student, of_written=of_written)
