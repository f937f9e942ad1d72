"""Sharing, interrupting and damaging the work: the same comes out, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from daftt_core.config import SynthesisConfig
from daftt_core.records import SyntheticExample, read_jsonl
from daftt_core.stages import ShardResult
from daftt_core.synthesis.shards import BLOCK, run_streams, stream_of, streams_of

STREAMS = 17


@dataclass(frozen=True)
class Numbered:
    number: int

    @property
    def id(self) -> str:
        return f"{self.number:04d}"


class Maker:
    """Makes examples, notes the blocks it was asked for, and is interrupted when told to be."""

    def __init__(self, stop_at: int = -1) -> None:
        self.blocks: list[list[int]] = []
        self._stop_at = stop_at

    def __call__(self, block: Sequence[Numbered]) -> list[SyntheticExample]:
        if self._stop_at in [one.number for one in block]:
            raise KeyboardInterrupt
        self.blocks.append([one.number for one in block])
        return [made(one.number) for one in block]


def made(number: int) -> SyntheticExample:
    problem = "unfinished" if number % 5 == 0 else None
    return SyntheticExample(id=f"x{number}", text="x", source="generated", problem=problem)


def sharing(shards: int) -> SynthesisConfig:
    return SynthesisConfig(shards=shards, streams=STREAMS)


def of_shard(shard: int, shards: int, count: int) -> list[list[Numbered]]:
    return [
        [Numbered(number) for number in range(stream, count, STREAMS)]
        for stream in streams_of(shard, sharing(shards))
    ]


def make_all(folder: Path, maker: Maker, count: int = 200, chunk_size: int = 16) -> ShardResult:
    return run_streams(folder, "write", of_shard(0, 1, count), maker, chunk_size=chunk_size)


def written(folder: Path) -> list[SyntheticExample]:
    return read_jsonl(folder / "examples.jsonl", SyntheticExample)


@pytest.mark.parametrize("shards", [1, 2, 5, STREAMS])
def test_each_stream_belongs_to_one_shard(shards: int) -> None:
    streams = [stream for shard in range(shards) for stream in streams_of(shard, sharing(shards))]
    assert sorted(streams) == list(range(STREAMS))
    assert {stream_of(str(number), STREAMS) for number in range(1000)} == set(range(STREAMS))


def test_the_blocks_are_the_same_for_any_shards_chunks_and_interruption(tmp_path: Path) -> None:
    count = 3 * STREAMS * BLOCK - 100
    calm = Maker()
    make_all(tmp_path / "calm", calm, count)
    assert max(map(len, calm.blocks)) == BLOCK
    for shards, chunk_size in ((2, 1), (5, 1000)):
        folders = [tmp_path / f"{shard}-of-{shards}" for shard in range(shards)]
        shared = Maker()
        for shard, folder in enumerate(folders):
            streams = of_shard(shard, shards, count)
            run_streams(folder, "write", streams, shared, chunk_size=chunk_size)
        assert sorted(shared.blocks) == sorted(calm.blocks)
        together = [one for folder in folders for one in written(folder)]
        assert {one.id: one for one in together} == {o.id: o for o in written(tmp_path / "calm")}
        assert len(together) == count
    stopped = Maker(stop_at=1500)
    with pytest.raises(KeyboardInterrupt):
        make_all(tmp_path / "stopped", stopped, count, chunk_size=300)
    assert not (tmp_path / "stopped" / "examples.jsonl").exists()
    again = Maker()
    make_all(tmp_path / "stopped", again, count, chunk_size=7)
    assert {*map(tuple, stopped.blocks), *map(tuple, again.blocks)} == set(map(tuple, calm.blocks))
    assert len(stopped.blocks) + len(again.blocks) < len(calm.blocks) + 300 // BLOCK + 1
    for name in ("calm", "stopped"):
        assert (tmp_path / name / "examples.jsonl").read_bytes() == (
            tmp_path / "calm" / "examples.jsonl"
        ).read_bytes()


def test_what_is_made_for_a_number_does_not_change_when_more_are_wanted(tmp_path: Path) -> None:
    few, many = Maker(), Maker()
    make_all(tmp_path / "few", few, 100)
    make_all(tmp_path / "many", many, 300)
    wanted = {one.id: one for one in written(tmp_path / "many")}
    assert all(wanted[one.id] == one for one in written(tmp_path / "few"))


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "partial"])
def test_a_damaged_chunk_is_noticed_and_only_its_ids_are_done_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = Maker()
    summary = make_all(tmp_path, first)
    assert summary == ShardResult(examples=200, unusable=40)
    before = (tmp_path / "examples.jsonl").read_bytes()
    chunks = sorted((tmp_path / ".chunks").iterdir())
    spoil(chunks[1], damage)
    again = Maker()
    assert make_all(tmp_path, again) == summary
    expected = {"partial": 0}.get(damage, 24)  # the blocks of two streams, twelve items each
    assert sum(map(len, again.blocks)) == expected
    assert all(block in first.blocks for block in again.blocks)
    assert (tmp_path / "examples.jsonl").read_bytes() == before
    assert sorted((tmp_path / ".chunks").iterdir()) == chunks
    assert "is damaged; its examples are made again" in caplog.text


def spoil(path: Path, damage: str) -> None:
    """Do to a chunk what a full disk, a lost power supply or a killed process does."""
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "changed":
        path.write_bytes(content.replace(b'"text":"x"', b'"text":"y"', 1))
    else:
        path.with_name(f".{path.name}.123.partial").write_bytes(content[:100])


def test_a_shard_without_work_is_empty_and_not_an_error(tmp_path: Path) -> None:
    summary = run_streams(tmp_path, "write", [[], []], Maker(), chunk_size=4)
    assert summary == ShardResult()
    assert (tmp_path / "examples.jsonl").read_text() == ""
