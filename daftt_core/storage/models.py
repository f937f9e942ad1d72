"""Models in a bucket: a folder that ``daftt models copy`` has committed, or a plain folder.

    <cache>/models/<digest>/            a model's files, with a manifest
    <cache>/models/.<digest>.partial/   being fetched; a later attempt resumes it

Pickled weights run code when they are read, so they are neither looked for nor fetched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from daftt_core.errors import ModelError, StorageError
from daftt_core.records import digest, link_file
from daftt_core.storage.cache import cache_folder, explained
from daftt_core.storage.folders import RemoteFolder
from daftt_core.storage.local import exclusively
from daftt_core.storage.manifest import MANIFEST, Manifest, commit, is_inside, read_manifest
from daftt_core.storage.protocol import Storage
from daftt_core.storage.registry import open_storage
from daftt_core.telemetry import log

MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.txt")
"""What a model folder holds that is worth moving."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
"""A model folder has one of them."""

NO_WEIGHTS = "has no weights (no .safetensors file)"
"""What is lacking where others keep pickled weights."""

_CONFIG = "config.json"


def is_remote_model(name: str) -> bool:
    """Tell whether a model is named by its place in a storage, such as ``gs://bucket/model``."""
    return "://" in name


def lacking(names: Iterable[str]) -> str:
    """Return what the files of a model folder lack for being a model; empty where nothing."""
    names = list(names)
    if _CONFIG not in names:
        return "has no config.json, so it is not a model folder"
    if not any(fnmatch(name, "*.safetensors") for name in names):
        return NO_WEIGHTS
    if not any(name in names for name in TOKENIZER_FILES):
        return "has no tokenizer (such as tokenizer.json)"
    return ""


@dataclass(frozen=True)
class RemoteModel:
    """A model in a storage.

    Attributes:
        uri: Where it is.
        digest: Changes when the model does.
        sizes: Bytes of each file.
        storage: The storage that holds its folder.
        folder: The folder's name there.
        manifest: The folder's; None for a plain folder.
    """

    uri: str
    digest: str
    sizes: dict[str, int]
    storage: Storage
    folder: str
    manifest: Manifest | None

    def config(self) -> dict[str, Any]:
        """Return the model's configuration.

        Raises:
            StorageError: It cannot be read.
        """
        if self.manifest:
            data = RemoteFolder(self.storage, self.folder).read(self.manifest, _CONFIG)
        else:
            content = self.storage.read(f"{self.folder}/{_CONFIG}")
            data = content.data if content else b""
        try:
            config = json.loads(data)
        except (ValueError, RecursionError):
            config = None
        if not isinstance(config, dict):
            raise StorageError(f"{self.uri}/{_CONFIG}: is not a model's configuration")
        return config

    def download(self, target: Path) -> None:
        """Fetch the files into a folder, in which an interrupted attempt may have left some.

        Raises:
            StorageError: They cannot be fetched, or do not match the manifest.
        """
        if self.manifest is None:
            self.storage.download(f"{self.folder}/", self.sizes, target)
            return
        wrong = RemoteFolder(self.storage, self.folder).download(self.manifest, target)
        if wrong:
            raise StorageError(f"{self.uri}: {wrong[0]} does not match its manifest")


@lru_cache(maxsize=16)
def find_remote_model(uri: str) -> RemoteModel:
    """Return the model in a folder of a bucket; it is looked for once in a process.

    Args:
        uri: Its place, such as ``gs://bucket/models/pythia-1b``.

    Raises:
        ModelError: The folder is not there, or lacks a configuration, weights or a tokenizer.
        StorageError: The storage cannot be read.
    """
    parent, _, folder = uri.rstrip("/").rpartition("/")
    if not folder or parent.endswith("/"):
        raise ModelError(f"{uri}: names no folder; a model is at a place like gs://bucket/model")
    storage = open_storage(parent)
    try:
        manifest = RemoteFolder(storage, folder).manifest()
    except StorageError:  # others call files so too
        manifest = None
    if manifest:
        sizes = {file.name: file.size for file in manifest.files}
        key = manifest.digest
    else:
        found = {
            name.removeprefix(f"{folder}/"): entry
            for name, entry in storage.entries(f"{folder}/").items()
        }
        entries = {name: entry for name, entry in found.items() if is_model_file(name)}
        sizes = {name: entry.size for name, entry in entries.items()}
        key = digest(uri, [[name, each.size, each.modified] for name, each in entries.items()])
    if not sizes:
        raise ModelError(f"{uri}: there is no model in it; see: daftt models copy --help")
    if reason := lacking(sizes):
        raise ModelError(f"{uri}: {reason}")
    return RemoteModel(uri, key, sizes, storage, folder, manifest)


def is_model_file(name: str) -> bool:
    """Tell whether a file of a model folder is part of the model."""
    base = name.rpartition("/")[2]
    hidden = any(part.startswith(".") for part in name.split("/"))
    is_model = any(fnmatch(base, pattern) for pattern in MODEL_FILES)
    return is_model and is_inside(name) and not hidden and name != MANIFEST


def fetch_model(uri: str) -> Path:
    """Return a model's folder on this machine; it is fetched unless it was before.

    Args:
        uri: Its place in a storage.

    Raises:
        ModelError: There is no model.
        StorageError: It cannot be fetched.
    """
    model = find_remote_model(uri)
    folder = cache_folder() / "models" / model.digest
    partial = folder.with_name(f".{model.digest}.partial")
    lock = cache_folder() / ".locks" / f"model-{model.digest}.lock"
    with explained(folder), exclusively(lock, f"download of {uri}"):
        if not _is_whole(folder, model):
            log.info("model %s: fetching %.1f GB", uri, sum(model.sizes.values()) / 1e9)
            partial.mkdir(parents=True, exist_ok=True)
            model.download(partial)
            commit(partial, model.digest)
            shutil.rmtree(folder, ignore_errors=True)  # or what is damaged would stay for ever
            partial.replace(folder)
    return folder


def _is_whole(folder: Path, model: RemoteModel) -> bool:
    """Tell by names and sizes: hashing a large model again would take minutes."""
    try:
        manifest = read_manifest(folder)
        return manifest is not None and all(
            (folder / name).stat().st_size == size for name, size in model.sizes.items()
        )
    except (OSError, StorageError):
        return False


def store_model(source: Path, uri: str) -> tuple[RemoteModel, bool]:
    """Commit a model folder of this machine to a place in a storage.

    Args:
        source: The folder.
        uri: Where it goes.

    Raises:
        ModelError: The folder lacks something, or the place names no folder.
        StorageError: It cannot be stored.

    Returns:
        The model as it is there, and whether it was not there before.
    """
    parent, _, name = uri.rstrip("/").rpartition("/")
    if not is_remote_model(uri) or not name or parent.endswith("/"):
        raise ModelError(f"{uri}: is no place for a model; give one like gs://bucket/models/name")
    paths = (path for path in sorted(source.rglob("*")) if path.is_file())
    files = {path.relative_to(source).as_posix(): path for path in paths}
    files = {file: path for file, path in files.items() if is_model_file(file)}
    if reason := lacking(files):
        raise ModelError(f"{source}: {reason}")
    remote = RemoteFolder(open_storage(parent), name)
    with TemporaryDirectory(dir=_scratch(), prefix="copy-") as scratch:
        folder = Path(scratch)
        for file, path in files.items():
            link_file(path.resolve(), folder / file)  # the Hub's cache consists of links
        manifest = commit(folder, "model")
        version = remote.version()
        is_new = not (version and _same(remote, manifest))
        if is_new:
            remote.commit(folder, manifest, replaces=version)
    find_remote_model.cache_clear()
    return find_remote_model(uri), is_new


def _scratch() -> Path:
    """Return a folder on the cache's disk, where links cost no room."""
    folder = cache_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _same(remote: RemoteFolder, manifest: Manifest) -> bool:
    try:
        present = remote.manifest()
    except StorageError:
        return False
    return present is not None and present.digest == manifest.digest and remote.is_whole(present)
