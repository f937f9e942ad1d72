"""The images that a compiled pipeline names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.images import LOCK, locked_images
from daftt_core import __version__
from daftt_core.errors import ConfigError

_DIGEST = "sha256:" + "0123456789abcdef" * 4


def _lock(folder: Path, **changes: object) -> Path:
    images = {
        name: f"registry.example/daftt/{name}@{_DIGEST}" for name in ("core", "train", "serve")
    }
    path = folder / "images.lock.json"
    path.write_text(json.dumps({**images, **changes}), encoding="utf-8")
    return path


def test_without_a_lock_the_version_names_the_image(tmp_path: Path) -> None:
    images = locked_images(tmp_path / "images.lock.json")
    assert images["train"] == f"daftt/train:{__version__}"
    assert set(images) == {"core", "train", "serve"}


def test_a_lock_names_each_image_by_its_digest(tmp_path: Path) -> None:
    assert locked_images(_lock(tmp_path))["core"] == f"registry.example/daftt/core@{_DIGEST}"


def test_the_lock_of_this_checkout_can_be_read() -> None:
    assert set(locked_images(LOCK)) == {"core", "train", "serve"}


@pytest.mark.parametrize(
    "image",
    [
        "daftt/core:latest",
        "daftt/core",
        "daftt/core:0.1.0",
        f"daftt/core:latest@{_DIGEST}0",
        "daftt/core@sha256:12",
        None,
    ],
)
def test_an_image_that_may_change_is_refused_in_one_sentence(
    tmp_path: Path, image: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        locked_images(_lock(tmp_path, core=image))
    message = str(caught.value)
    assert message.startswith(f"images.lock.json: core: {image!r} is not pinned by a digest")
    assert "make images-lock" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["[]", '{"core": "x"}', "{"])
def test_a_lock_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "images.lock.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="make images-lock"):
        locked_images(path)
