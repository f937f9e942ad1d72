"""Where a model's files are: a bundled model, a folder, a GGUF file, a bucket, or the Hub.

Whatever the name was, the loaders get a folder that has been checked: one sentence names what is
missing before a library stumbles over it.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from daftt_core.errors import ModelError, StorageError, did_you_mean
from daftt_core.modeling.building import BYTE_BART, byte_bart_digest, convert_gguf, find_byte_bart
from daftt_core.records import digest
from daftt_core.records.parsing import hub_id
from daftt_core.storage import read_manifest, unlisted
from daftt_core.storage.assets import fetch, known_assets
from daftt_core.storage.models import (
    MODEL_FILES,
    NO_WEIGHTS,
    fetch_model,
    find_remote_model,
    is_remote_model,
    lacking,
)
from daftt_core.telemetry import log

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_model(name: str | Path) -> Path:
    """Return the folder of a model, checked to be complete.

    Args:
        name: A bundled model's name, the path of a folder or ``.gguf`` file, a folder in a bucket,
            which is fetched once, or a Hub id such as ``org/name`` or ``org/name@revision``, which
            is requested only when no such path exists.

    Raises:
        ModelError: There is no such model, or its folder lacks weights or a tokenizer, or holds
            what the manifest in it does not list.
    """
    if str(name) == BYTE_BART:
        return find_byte_bart()
    if is_remote_model(str(name)):
        return fetch_model(str(name))
    bundled = [asset.name for asset in known_assets().values() if asset.kind == "model"]
    path = fetch(str(name)) if str(name) in bundled else Path(name).expanduser()
    if not path.exists():
        path = _download(str(name), [*bundled, BYTE_BART])
    if path.suffix == ".gguf" and path.is_file():
        return convert_gguf(path)
    if not path.is_dir():
        raise ModelError(f"{path}: is neither a model folder nor a .gguf file")
    _check_folder(path)
    return path


def model_digest(name: str) -> str:
    """Return a digest that changes with the model, without reading its weights.

    Args:
        name: A bundled model (the archive's hash counts, or the configuration it is built from), a
            folder or file (names, sizes and modification times count), a folder in a bucket (its
            manifest counts, or the same as for a folder), or a Hub id (which stands for itself).
    """
    if name == BYTE_BART:
        return byte_bart_digest()
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


def _download(name: str, bundled: list[str]) -> Path:
    model = hub_id(name)
    if model is None:
        raise ModelError(
            f"model {name!r}: there is no bundled model or folder of this name"
            f"{did_you_mean(name, bundled)} (bundled: {', '.join(sorted(bundled))}; a Hugging Face "
            "Hub id has the form org/name or org/name@revision, a place in a bucket gs://...)"
        )
    log.info("model %s: no such folder here; trying the Hugging Face Hub", name)
    try:
        wanted = list(MODEL_FILES)
        return Path(snapshot_download(model.name, revision=model.revision, allow_patterns=wanted))
    except RevisionNotFoundError:
        reason = f"has no revision {model.revision!r} of it"
    except RepositoryNotFoundError:
        reason = "has no such model, or wants a token for it (HF_TOKEN)"
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        reason = "cannot be reached from here"
    except (OSError, ValueError) as error:
        reason = f"could not deliver it ({' '.join(str(error).split())[:200]})"
    raise ModelError(f"model {name!r}: is no folder here, and the Hugging Face Hub {reason}")


def _check_folder(folder: Path) -> None:
    try:
        manifest = read_manifest(folder)
    except StorageError:  # other programs have files of this name too
        manifest = None
    extra = unlisted(folder, manifest) if manifest else []
    if extra:
        raise ModelError(
            f"{folder / extra[0]}: is not listed by the manifest beside it, so it is no part of "
            "the model and might change what is loaded; remove it"
        )
    reason = lacking(path.name for path in folder.iterdir() if path.is_file())
    if reason == NO_WEIGHTS and any(path for pattern in _PICKLED for path in folder.glob(pattern)):
        reason = (
            "holds only pickled weights (.bin, .pt), which can run code when they are read; "
            "convert them to model.safetensors"
        )
    if reason:
        raise ModelError(f"{folder}: {reason}")
