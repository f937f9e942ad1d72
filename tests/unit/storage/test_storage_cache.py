"""The cache: bounded, the longest unused goes first, and nothing goes that is in use."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daftt_core.errors import StorageError
from daftt_core.storage import Cache, Manifest, commit


def made(folder: Path, name: str, size: int) -> Manifest:
    (folder / name).mkdir(parents=True)
    (folder / name / "file").write_bytes(name.encode() * (size // len(name)))
    return commit(folder / name, name)


def filler(manifest: Manifest) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(manifest.key.encode() * (1000 // len(manifest.key)))

    return fill


def _obtain_elsewhere(cache: Path, limit: int, manifests: list[Manifest]) -> None:
    for number, manifest in enumerate(manifests):
        path = Cache(cache, limit).obtain(manifest, filler(manifest))
        os.utime(path, (number, number))


def elsewhere(cache: Path, limit: int, *manifests: Manifest) -> None:
    """Obtain content in a process that then ends, so that nothing of it is in use."""
    process = multiprocessing.get_context("spawn").Process(
        target=_obtain_elsewhere, args=(cache, limit, list(manifests))
    )
    process.start()
    process.join()
    assert process.exitcode == 0


def names(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if path.name != ".locks"}


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    a, b, c = (made(tmp_path, name, 1000) for name in "abc")
    elsewhere(tmp_path / "cache", 10_000, a, b)
    Cache(tmp_path / "cache", 3_000).obtain(c, filler(c))
    assert names(tmp_path / "cache") == {b.digest, c.digest}


def test_what_is_in_use_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a, b = (made(tmp_path, name, 1000) for name in "ab")
    cache = Cache(tmp_path / "cache", 1_500)
    cache.obtain(a, filler(a))
    cache.obtain(b, filler(b))
    assert names(tmp_path / "cache") == {a.digest, b.digest}
    assert "more than its limit" in caplog.text


def test_content_is_made_once_and_again_when_it_was_changed(tmp_path: Path) -> None:
    a = made(tmp_path, "a", 1000)
    calls = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        filler(a)(folder)

    cache = Cache(tmp_path / "cache", 10_000)
    assert cache.obtain(a, fill) == cache.obtain(a, fill)
    assert len(calls) == 1
    (cache.obtain(a, fill) / "file").write_text("x")
    assert (cache.obtain(a, fill) / "file").read_bytes() == b"a" * 1000
    assert len(calls) == 2


def test_what_failed_is_not_visible_and_is_gone_on_with(tmp_path: Path) -> None:
    a = made(tmp_path, "a", 1000)
    cache = Cache(tmp_path / "cache", 10_000)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise StorageError("the network is gone")

    with pytest.raises(StorageError, match="the network is gone"):
        cache.obtain(a, fail)
    assert not (tmp_path / "cache" / a.digest).exists()
    found = []

    def fill(folder: Path) -> None:
        found.extend(path.name for path in folder.iterdir())
        filler(a)(folder)

    cache.obtain(a, fill)
    assert found == ["half"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    a = made(tmp_path, "a", 1000)
    with pytest.raises(StorageError, match=r"set DAFTT_CACHE to a folder"):
        Cache(tmp_path / "file" / "cache", 10).obtain(a, filler(a))
