"""Work that is cut into chunks, shared by shards, and gone on with after an interruption.

The chunks depend on the examples alone, not on the number of shards, and a chunk is finished or
not there. So the same seed gives the same texts however the work is shared or interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from daftt_core.keeping import keep
from daftt_core.progress import Progress
from daftt_core.records import SyntheticExample, read_jsonl, write_jsonl

__all__ = ["run_chunks", "shard_name"]

T = TypeVar("T")


def shard_name(source: str, shard: int, shards: int) -> str:
    """The stage of one shard, such as ``synthetic/annotated-000-of-002``."""
    return f"synthetic/{source}-{shard:03d}-of-{shards:03d}"


def run_chunks(
    folder: Path,
    what: str,
    items: Sequence[T],
    make: Callable[[Sequence[T]], list[SyntheticExample]],
    *,
    chunk_size: int,
    shard: int,
    shards: int,
) -> dict[str, Any]:
    """Make this shard's chunks that are not there yet, then ``examples.jsonl`` from all of them.

    Args:
        folder: The stage's folder.
        what: Name of the work, for the progress.
        items: The items of *all* shards, in an order that does not change.
        make: Turns one chunk's items into examples.
        chunk_size: Items in a chunk.
        shard: This shard, from 0.
        shards: How many there are.

    Returns:
        The summary: how many examples were made, and how many cannot be used.
    """
    chunks = [items[start : start + chunk_size] for start in range(0, len(items), chunk_size)]
    mine = list(enumerate(chunks))[shard::shards]
    paths = {number: folder / ".chunks" / f"{number:06d}.jsonl" for number, _ in mine}
    finished = sum(len(chunk) for number, chunk in mine if paths[number].exists())
    progress = Progress(what, sum(len(chunk) for _, chunk in mine), "examples", done=finished)
    for number, chunk in mine:
        if not paths[number].exists():
            write_jsonl(paths[number], make(chunk))
            keep(paths[number])
            progress.advance(len(chunk))
    made = [example for path in paths.values() for example in read_jsonl(path, SyntheticExample)]
    write_jsonl(folder / "examples.jsonl", made)
    return {"examples": len(made), "unusable": sum(e.problem is not None for e in made)}
