"""Work that is shared by shards, done in blocks, committed in chunks, and gone on with later.

What is made for an item does not depend on who makes it or when:

- An item has an id, and the id (the number, where the teacher writes new inputs) decides its
  *stream*. A shard has whole streams, so the number of shards moves streams about and changes none.
- A stream is worked through in *blocks* of :data:`BLOCK` items, in an order of its own. An engine
  is asked for one block at a time, whatever a chunk holds and wherever an earlier attempt stopped.
- Every random choice comes from the run's seed and the item.

So the draws of an item are always the same. What they are drawn from comes out of batched floating
point arithmetic, whose last digits depend on which texts are computed side by side. Those are the
same block by block: on the same kind of machine, with the same settings, the local engine gives the
same *bytes* for any number of shards, any chunk size and after any interruption. Only when items
are added or taken away do blocks hold others than before; then scores may differ by 1e-4.

Resuming is a difference of sets: the ids that are wanted, less those that a sound chunk holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """Something to ask the teacher for."""

    @property
    def id(self) -> str:
        """Tells it from all others of the stage, in every attempt."""
        ...


T = TypeVar("T", bound=Item)


def stream_of(content_id: str, streams: int) -> int:
    """The stream of an item that is known by its content."""
    return int(digest(content_id), 16) % streams


def streams_of(shard: int, config: SynthesisConfig) -> range:
    """The streams of a shard."""
    return range(shard, config.streams, config.shards)


def deciding(config: SynthesisConfig) -> dict[str, Any]:
    """The settings that decide what is made; a stage is not done again because of the others."""
    # the mode says which shards there are, and nothing of what is in one: cells of a sweep that
    # differ in it share what the teacher writes
    config = config.model_copy(update={"mode": SynthesisConfig().mode})
    return config.model_dump(mode="json", exclude={"chunk_size", "server_start_seconds"})


def run_streams(
    folder: Path,
    what: str,
    streams: Sequence[Sequence[T]],
    make: Callable[[Sequence[T]], list[SyntheticExample]],
    *,
    chunk_size: int,
    watch: Callable[[], Callable[[SyntheticExample], bool]] | None = None,
) -> ShardResult:
    """Make what is not there yet of a shard's streams, then ``examples.jsonl`` in the ids' order.

    Args:
        folder: The stage's folder.
        what: Name of the work, for the progress.
        streams: The items of each of this shard's streams, in an order that does not change.
        make: Turns the items of a block, or what is missing of it, into as many examples.
        chunk_size: Examples to commit together, at least; a block is never cut.
        watch: Makes, for each stream, what is told of its examples one by one in their order, and
            says whether this was the last one that is wanted.

    Returns:
        The result: how many examples were made, how many of them cannot be used, and how many
        the teacher was shown without their end.
    """
    chunks = _Chunks(folder / ".chunks", chunk_size)
    finished = sum(item.id in chunks.made for stream in streams for item in stream)
    progress = Progress(what, sum(map(len, streams)), "examples", done=finished)
    reached: list[str] = []
    for stream in streams:
        is_last = watch() if watch else lambda _: False
        for block in _blocks(stream):
            missing = [item for item in block if item.id not in chunks.made]
            if missing:
                chunks.add(missing, make(missing))
                progress.advance(len(missing))
            ids = [item.id for item in block]
            last = next((end for end, one in enumerate(ids, 1) if is_last(chunks.made[one])), None)
            reached += ids[:last]
            if last is not None:
                break
    chunks.commit()
    made = [chunks.made[one] for one in sorted(reached)]
    write_jsonl(folder / "examples.jsonl", made)
    return ShardResult(
        examples=len(made),
        unusable=sum(one.problem is not None for one in made),
        shortened=sum(one.shortened for one in made),
    )


def _blocks(stream: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(stream), BLOCK):
        yield stream[start : start + BLOCK]


class _Chunk(BaseModel):
    """A file of finished examples.

    Attributes:
        made: The examples by the ids of their items.
        checksum: Digest of them: a file that lost its end, or was damaged otherwise, lacks it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: dict[str, SyntheticExample]
    checksum: str

    @classmethod
    def of(cls, made: dict[str, SyntheticExample]) -> _Chunk:
        return cls(made=made, checksum=_checksum(made))

    @property
    def is_sound(self) -> bool:
        return self.checksum == _checksum(self.made)


def _checksum(made: dict[str, SyntheticExample]) -> str:
    return digest(*made, *made.values())


class _Chunks:
    """The finished examples of a shard, in memory and in files.

    Args:
        folder: Where the files are; what is not sound there is removed.
        size: Examples in a file, at least, but for the last one.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._waiting: dict[str, SyntheticExample] = {}
        self.made: dict[str, SyntheticExample] = {}
        for path in sorted(folder.glob("*")):
            self.made.update(_read_sound(path))

    def add(self, items: Iterable[Item], examples: Iterable[SyntheticExample]) -> None:
        """Note what was made of some items; committed as soon as there is enough of it."""
        made = {item.id: example for item, example in zip(items, examples, strict=True)}
        self.made.update(made)
        self._waiting.update(made)
        if len(self._waiting) >= self._size:
            self.commit()

    def commit(self) -> None:
        """Write what is not written yet; it is there whole or not at all."""
        if self._waiting:
            path = self._folder / f"{digest(*self._waiting)}.json"
            write_text(path, _Chunk.of(self._waiting).model_dump_json() + "\n")
            keep(path)
            self._waiting = {}


def _read_sound(path: Path) -> dict[str, SyntheticExample]:
    """The examples of a chunk; none of one that was being written, lost its end or is damaged."""
    try:
        chunk = _Chunk.model_validate_json(path.read_bytes())
    except ValidationError:
        chunk = None
    if chunk is None or not chunk.is_sound:
        log.warning("%s: is not whole; what it held is done again", path)
        path.unlink()
        return {}
    return chunk.made
