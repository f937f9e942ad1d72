"""Telling one model's weights from another's without reading them."""

from __future__ import annotations

from pathlib import Path

from daftt_core.planning.shapes import find_model_config
from daftt_core.records import digest
from daftt_core.storage.assets import known_assets
from daftt_core.storage.models import find_remote_model, is_remote_model

BYTE_BART = "byte-bart"
"""The model that is made on this machine, from its configuration."""


def model_digest(name: str) -> str:
    """Changes when the model that a name stands for changes.

    Args:
        name: A bundled model (the archive's hash counts, or the configuration it is made from), a
            folder or file (names, sizes and modification times count), a folder in a bucket (its
            manifest counts, or the same as for a folder), or a Hub id (which stands for itself).
    """
    if name == BYTE_BART:
        return digest(name, find_model_config(name))
    if is_remote_model(name):
        return find_remote_model(name).digest
    asset = known_assets().get(name)
    if asset is not None:
        return asset.key
    path = Path(name).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return digest(
        name, [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    )
