"""Generating: the teacher writes new inputs, and then gives them their outputs.

When new examples stop being new: the rule that ends a stream of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daftt_core.config import SynthesisConfig
from daftt_core.config.synthesis import NOVELTY_WINDOW
from daftt_core.curation import NearIndex
from daftt_core.engines import Completion, Engine
from daftt_core.records import SyntheticExample, content_id, digest, iterate_jsonl, seed_for
from daftt_core.stages import DATA, ShardResult, shard_of
from daftt_core.synthesis.asking import Requests, ask_each, give_outputs
from daftt_core.synthesis.labels import Outputs, open_teacher
from daftt_core.synthesis.shards import deciding, run_streams, streams_of
from daftt_core.tasks import Form, parse_input
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, run_stage

ALIKE = 0.8
"""Jaccard similarity of character 5-grams from which an input is no longer new."""


class Novelty:
    """Watches one stream of generated examples.

    An input is new when it is neither equal to an earlier new input of its stream nor a near
    duplicate of one. What could not be read as an input does not count.

    Args:
        least: The stream is spent when less than this share of its last
            :data:`NOVELTY_WINDOW` inputs are new; 0: it never is.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._index = NearIndex(ALIKE)
        self._new: deque[bool] = deque(maxlen=NOVELTY_WINDOW)

    def is_spent_by(self, example: SyntheticExample) -> bool:
        """Take note of the stream's next example; whether the stream should end with it."""
        if not self._least or example.id != content_id(example.text, example.text_pair):
            return False
        self._new.append(self._index.add(example) is None)
        return len(self._new) == NOVELTY_WINDOW and sum(self._new) < self._least * NOVELTY_WINDOW


def generate(
    run: Run, config: SynthesisConfig, shard: int, data: str, teacher: str, assessment: str
) -> StageResult[ShardResult]:
    """Write one shard of the new examples.

    In a classification task each is asked for with a label; the written input is then labelled as
    if it were a real one. What cannot be read as an input is kept, marked with its problem. A
    stream of examples ends early where its inputs are no longer new (:class:`Novelty`); the summary
    says how many were ``not_written``, and how many ``demonstrations_left_out`` for want of room.

    Args:
        run: The run.
        config: How the teacher is asked.
        shard: Which shard, from 0.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        assessment: Digest of the ``assessment`` stage.
    """

    def work(folder: Path) -> ShardResult:
        requests = Requests(run, config, read_examples(run, DATA, data, "labelled"))
        streams, forms = _streams(run, config, shard), read_forms(run, data)
        with open_teacher(run, config, teacher) as engine:
            outputs = Outputs(run, config, engine, assessment, forms.outputs)

            def make(block: Sequence[_Numbered]) -> list[SyntheticExample]:
                written = ask_each(
                    lambda some: _write_inputs(
                        run, config, engine, requests, forms.inputs, [one.number for one in some]
                    ),
                    block,
                    lambda one, problem: _unusable(requests, one.number, "", problem),
                )
                return give_outputs(outputs, engine, run.task, written, temperature=0.0)

            result = run_streams(
                folder,
                f"generate, shard {shard + 1} of {config.shards}",
                streams,
                make,
                chunk_size=config.chunk_size,
                watch=lambda: Novelty(config.stop_novelty).is_spent_by,
            )
        made = iterate_jsonl(folder / "examples.jsonl", SyntheticExample)
        return result.model_copy(
            update={
                "not_written": sum(map(len, streams)) - result.examples,
                "demonstrations_left_out": requests.left_out(made),
            }
        )

    stage = shard_of("generated", shard, config.shards)
    return run_stage(run, stage, [deciding(config), data, teacher, assessment], work)


@dataclass(frozen=True)
class _Numbered:
    """A new input to write; its number decides what is asked for and how it is drawn."""

    number: int
    id: str

    @classmethod
    def of(cls, run: Run, number: int) -> _Numbered:
        return cls(number, digest("generated", run.seed, number))


def _streams(run: Run, config: SynthesisConfig, shard: int) -> list[list[_Numbered]]:
    return [
        [
            _Numbered.of(run, number)
            for number in range(stream, config.generate_count, config.streams)
        ]
        for stream in streams_of(shard, config)
    ]


def _write_inputs(
    run: Run,
    config: SynthesisConfig,
    engine: Engine,
    requests: Requests,
    form: Form,
    numbers: Sequence[int],
) -> list[SyntheticExample]:
    completions = engine.write(
        [requests.prompt(number) for number in numbers],
        [seed_for(run.seed, "generate", str(number)) for number in numbers],
        temperature=config.generate_temperature,
        top_p=config.generate_top_p,
        max_new_tokens=config.max_new_tokens,
        stops=form.stops,
    )
    return [
        _read_input(run, completion, requests, form, number)
        for completion, number in zip(completions, numbers, strict=True)
    ]


def _read_input(
    run: Run, completion: Completion, requests: Requests, form: Form, number: int
) -> SyntheticExample:
    shown = requests.demonstrations(number)[: completion.solved]
    ids = tuple(one.id for one in shown)
    example = parse_input(run.task, completion.text, form)
    if example is not None and completion.finished:
        return SyntheticExample(
            id=example.id,
            text=example.text,
            text_pair=example.text_pair,
            source="generated",
            asked=requests.label(number),
            shown=ids,
        )
    problem = "not an input" if completion.finished else "unfinished"
    return _unusable(requests, number, completion.text, problem, ids)


def _unusable(
    requests: Requests, number: int, text: str, problem: str, shown: tuple[str, ...] = ()
) -> SyntheticExample:
    return SyntheticExample(
        id=digest("unusable", number),
        text=text,
        source="generated",
        asked=requests.label(number),
        shown=shown,
        problem=problem,
    )
