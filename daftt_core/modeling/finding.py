"""Where a model's files are: a bundled model, a folder, a GGUF file, a bucket, or the Hub.

Whatever the name was, the loaders see a folder that has been looked over: what is missing is said
in one sentence before a library stumbles over it.
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
from daftt_core.modeling.byte_bart import find_byte_bart
from daftt_core.modeling.gguf import convert_gguf
from daftt_core.modeling.identity import BYTE_BART
from daftt_core.records.parsing import hub_id
from daftt_core.storage import read_manifest, unlisted
from daftt_core.storage.assets import fetch, known_assets
from daftt_core.storage.models import MODEL_FILES, fetch_model, is_remote_model, lacking
from daftt_core.telemetry import log

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_model(name: str | Path) -> Path:
    """The folder of a model, checked to be complete.

    Args:
        name: A bundled model's name, the path of a folder or ``.gguf`` file, a folder in a bucket,
            which is fetched once, or a Hub id such as ``org/name`` or ``org/name@revision``, which
            is asked for only when no such path exists.

    Raises:
        ModelError: There is no such model, or its folder lacks weights or a tokenizer, or holds
            what the manifest in it does not list.
    """
    if str(name) == BYTE_BART:
        return find_byte_bart()
    if is_remote_model(str(name)):
        return fetch_model(str(name))
    assets = [asset.name for asset in known_assets().values() if asset.kind == "model"]
    path = fetch(str(name)) if str(name) in assets else Path(name).expanduser()
    if not path.exists():
        path = _download(str(name), [*assets, BYTE_BART])
    if path.suffix == ".gguf" and path.is_file():
        return convert_gguf(path)
    if not path.is_dir():
        raise ModelError(f"{path}: is neither a model folder nor a .gguf file")
    _check_folder(path)
    return path


def _download(name: str, bundled: list[str]) -> Path:
    asked = hub_id(name)
    if asked is None:
        raise ModelError(
            f"model {name!r}: there is no bundled model or folder of this name"
            f"{did_you_mean(name, bundled)} (bundled: {', '.join(sorted(bundled))}; a Hugging Face "
            "Hub id has the form org/name or org/name@revision, a place in a bucket gs://...)"
        )
    log.info("model %s: no such folder here; asking the Hugging Face Hub", name)
    try:
        return Path(
            snapshot_download(asked.name, revision=asked.revision, allow_patterns=list(MODEL_FILES))
        )
    except RevisionNotFoundError:
        reason = f"has no revision {asked.revision!r} of it"
    except RepositoryNotFoundError:
        reason = "has no such model, or wants a token for it (HF_TOKEN)"
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        reason = "cannot be reached from here"
    except (OSError, ValueError) as error:
        reason = f"could not deliver it ({' '.join(str(error).split())[:200]})"
    raise ModelError(f"model {name!r}: is no folder here, and the Hugging Face Hub {reason}")


def _unlisted(folder: Path) -> list[str]:
    """What a model folder of a run or an export holds beside the model."""
    try:
        manifest = read_manifest(folder)
    except StorageError:  # others call files so too
        return []
    return [] if manifest is None else unlisted(folder, manifest)


def _check_folder(folder: Path) -> None:
    extra = _unlisted(folder)
    if extra:
        raise ModelError(
            f"{folder / extra[0]}: is not listed by the manifest beside it, so it is no part of "
            "the model and might change what is loaded; remove it"
        )
    reason = lacking(path.name for path in folder.iterdir() if path.is_file())
    pickled = any(path for pattern in _PICKLED for path in folder.glob(pattern))
    if "no weights" in reason and pickled:
        reason = (
            "holds only pickled weights (.bin, .pt), which can run code when they are read; "
            "convert them to model.safetensors"
        )
    if reason:
        raise ModelError(f"{folder}: {reason}")
