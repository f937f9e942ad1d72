"""Work that is divided among shards, done in blocks, committed in chunks, and resumable.

The example of an item does not depend on who makes it or when:

- An item has an id, and the id (the number, where the teacher writes new inputs) decides its
  *stream*. A shard has whole streams, so the number of shards moves streams about and changes none.
- A stream is worked through in *blocks* of :data:`BLOCK` items, in an order of its own. An engine
  gets one block at a time, whatever a chunk holds and wherever an earlier attempt stopped.
- Every random choice comes from the run's seed and the item.

So the draws of an item are always the same. The probabilities they are drawn from come out of
batched floating point arithmetic, whose last digits depend on which texts are computed side by
side. Those are the same block by block: on the same kind of machine, with the same settings, the
local engine gives the same *bytes* for any number of shards, any chunk size and after any
interruption. Only when items are added or removed do blocks hold others than before; then scores
may differ by 1e-4.

Resuming is a difference of sets: all ids, less those that a sound chunk holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from daftt_core.config import SynthesisConfig
from daftt_core.records import SyntheticExample, digest, write_jsonl, write_text
from daftt_core.stages import ShardResult
from daftt_core.telemetry import Progress, log
from daftt_core.workspace.progress import keep

BLOCK = 64


class Item(Protocol):
    """Something to query the teacher about."""

    @property
    def id(self) -> str:
        """Its id, the same in every attempt and different from all others of the stage."""
        ...


T = TypeVar("T", bound=Item)


def stream_of(content_id: str, streams: int) -> int:
    """Return the stream of an item that is known by its content."""
    return int(digest(content_id), 16) % streams


def streams_of(shard: int, config: SynthesisConfig) -> range:
    """Return the streams of a shard."""
    return range(shard, config.streams, config.shards)


def deciding(config: SynthesisConfig) -> dict[str, Any]:
    """Return the settings that decide the result; a change of others does not repeat a stage."""
    # the mode says which shards there are, and nothing of what is in one: cells of a sweep that
    # differ in it share what the teacher writes
    config = config.model_copy(update={"mode": SynthesisConfig().mode})
    return config.model_dump(mode="json", exclude={"chunk_size", "server_start_seconds"})


def run_streams(
    folder: Path,
    title: str,
    streams: Sequence[Sequence[T]],
    make: Callable[[Sequence[T]], list[SyntheticExample]],
    *,
    chunk_size: int,
    watch: Callable[[], Callable[[SyntheticExample], bool]] | None = None,
) -> ShardResult:
    """Make the missing examples of a shard's streams, then ``examples.jsonl`` in the ids' order.

    Args:
        folder: The stage's folder.
        title: Name of the work, for the progress.
        streams: The items of each of this shard's streams, in an order that does not change.
        make: Turns the items of a block, or the missing ones of it, into as many examples.
        chunk_size: Least number of examples to commit together; a block is never cut.
        watch: Makes, for each stream, a function that is called with its examples one by one in
            their order, and returns whether the stream ends with this one.

    Returns:
        How many examples there are, how many of them cannot be used, and how many the teacher was
        shown without their end.
    """
    chunks = _Chunks(folder / ".chunks", chunk_size)
    finished = sum(item.id in chunks.made for stream in streams for item in stream)
    progress = Progress(title, sum(map(len, streams)), "examples", done=finished)
    reached: list[str] = []
    for stream in streams:
        is_last = watch() if watch else lambda _: False
        for start in range(0, len(stream), BLOCK):
            block = stream[start : start + BLOCK]
            missing = [item for item in block if item.id not in chunks.made]
            if missing:
                chunks.add(missing, make(missing))
                progress.advance(len(missing))
            ends = (end for end, item in enumerate(block, 1) if is_last(chunks.made[item.id]))
            end = next(ends, None)
            reached += [item.id for item in block[:end]]
            if end is not None:
                break
    chunks.commit()
    examples = [chunks.made[item_id] for item_id in sorted(reached)]
    write_jsonl(folder / "examples.jsonl", examples)
    return ShardResult(
        examples=len(examples),
        unusable=sum(example.problem is not None for example in examples),
        shortened=sum(example.shortened for example in examples),
    )


class _Chunk(BaseModel):
    """A file of finished examples.

    Attributes:
        made: The examples by the ids of their items.
        checksum: Digest of them, which a truncated or damaged file does not match.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: dict[str, SyntheticExample]
    checksum: str


def _checksum(made: dict[str, SyntheticExample]) -> str:
    return digest(*made, *made.values())


class _Chunks:
    """The finished examples of a shard, in memory and in files.

    Args:
        folder: The folder of the files; those that are not sound are removed.
        size: Least number of examples in a file, except for the last one.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._waiting: dict[str, SyntheticExample] = {}
        self.made: dict[str, SyntheticExample] = {}
        for path in sorted(folder.glob("*")):
            self.made.update(_read_sound(path))

    def add(self, items: Iterable[Item], examples: Iterable[SyntheticExample]) -> None:
        """Add the examples of items; they are committed as soon as there are enough."""
        made = {item.id: example for item, example in zip(items, examples, strict=True)}
        self.made.update(made)
        self._waiting.update(made)
        if len(self._waiting) >= self._size:
            self.commit()

    def commit(self) -> None:
        """Write what is not written yet, as a whole or not at all."""
        if self._waiting:
            path = self._folder / f"{digest(*self._waiting)}.json"
            chunk = _Chunk(made=self._waiting, checksum=_checksum(self._waiting))
            write_text(path, chunk.model_dump_json() + "\n")
            keep(path)
            self._waiting = {}


def _read_sound(path: Path) -> dict[str, SyntheticExample]:
    """Return the examples of a chunk; none of one that is unfinished, truncated or damaged."""
    try:
        chunk = _Chunk.model_validate_json(path.read_bytes())
    except ValidationError:
        chunk = None
    if chunk is None or chunk.checksum != _checksum(chunk.made):
        log.warning("%s: is damaged; its examples are made again", path)
        path.unlink()
        return {}
    return chunk.made
