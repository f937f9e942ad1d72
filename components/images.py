"""The container images the components run in.

`make images-lock` writes ``images.lock.json`` beside this file: each image by the digest that its
registry gave it. Without that file the images are named by the version of the package.
"""

import json
import re
from pathlib import Path

from daftt_core import __version__
from daftt_core.errors import ConfigError

LOCK = Path(__file__).with_name("images.lock.json")

_NAMES = ("core", "train", "serve")
_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


def locked_images(lock: Path = LOCK) -> dict[str, str]:
    """The image of each kind: core, train, serve.

    Args:
        lock: JSON object of these names and images by digest; it need not exist.

    Raises:
        ConfigError: The file is there and names no image, or one without its digest: a tag, above
            all ``:latest``, may be another image tomorrow.
    """
    if not lock.is_file():
        return {name: f"daftt/{name}:{__version__}" for name in _NAMES}
    try:
        images = json.loads(lock.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{lock.name}: not JSON ({error}); run make images-lock") from error
    if not isinstance(images, dict) or set(images) != set(_NAMES):
        raise ConfigError(
            f"{lock.name}: must name the images {', '.join(_NAMES)} and nothing else; "
            "run make images-lock"
        )
    for name, image in images.items():
        if not isinstance(image, str) or not _BY_DIGEST.fullmatch(image):
            raise ConfigError(
                f"{lock.name}: {name}: {image!r} is not pinned by a digest (NAME@sha256:...), so "
                "it may be another image tomorrow; run make images-lock"
            )
    return images


IMAGES = locked_images()
"""By kind, for the lineage of a student that is promoted."""

CORE_IMAGE = IMAGES["core"]
"""Without torch: settings, data, curation, summary."""

TRAIN_IMAGE = IMAGES["train"]
"""With torch and transformers: teacher, assessment, students, evaluation."""

SERVE_IMAGE = IMAGES["serve"]
"""For asking the teacher: synthesis."""
