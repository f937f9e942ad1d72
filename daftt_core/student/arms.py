"""Collecting the examples that an arm's students learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daftt_core.errors import ConfigError, DataError, did_you_mean
from daftt_core.records import Example, SyntheticExample, read_jsonl
from daftt_core.stages import ARMS, CURATED, DATA, Source
from daftt_core.workspace import Run, read_examples, read_stage


@dataclass(frozen=True)
class ArmExamples:
    """What an arm's students learn from.

    Attributes:
        examples: Real ones first, then the others, each in its file's order.
        counts: Number of examples by source; every source is named.
    """

    examples: tuple[Example, ...]
    counts: dict[str, int]


def read_arm(run: Run, arm: str, data_digest: str, curated_digest: str = "") -> ArmExamples:
    """Collect an arm's examples from the finished stages.

    Args:
        run: The run.
        arm: One of :data:`daftt_core.stages.ARMS`.
        data_digest: Digest of the stage ``data``.
        curated_digest: Digest of the stage ``curated``; not needed by arms without synthetic data.

    Raises:
        ConfigError: There is no such arm.
        DataError: One of the arm's sources holds no example.
        StorageError: A stage is missing or was made anew.
    """
    if arm not in ARMS:
        raise ConfigError(
            f"arm: there is no arm {arm!r}{did_you_mean(arm, ARMS)} (known: {', '.join(ARMS)})"
        )
    found: dict[str, Sequence[Example]] = {"real": [], "annotated": [], "generated": [], "gold": []}
    for source in ARMS[arm]:
        found[source] = _read(run, source, data_digest, curated_digest)
        if not found[source]:
            raise DataError(
                f"arm {arm!r}: there are no {source} examples to learn from; see what curation "
                "rejected and why, or leave the arm out"
            )
    examples = tuple(example for examples in found.values() for example in examples)
    return ArmExamples(examples, {source: len(examples) for source, examples in found.items()})


def _read(run: Run, source: Source, data_digest: str, curated_digest: str) -> Sequence[Example]:
    if source == "real":
        return read_examples(run, DATA, data_digest, "labelled")
    if source == "gold":
        return read_examples(run, DATA, data_digest, "gold")
    if not curated_digest:
        raise ConfigError(
            f"{source} examples: the digest of the stage {CURATED.name!r} is not given"
        )
    folder, _ = read_stage(run, CURATED, curated_digest)
    return read_jsonl(folder / f"{source}.jsonl", SyntheticExample)
