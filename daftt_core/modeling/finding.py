"""Where a model's files are: a bundled model, a folder, a GGUF file, or the Hugging Face Hub.

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
from daftt_core.telemetry import log

# Pickled weights run code when they are read, so they are never fetched.
_WANTED = ["*.safetensors", "*.json", "*.model", "*.txt"]
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_model(name: str | Path) -> Path:
    """The folder of a model, checked to be complete.

    Args:
        name: A bundled model's name, the path of a folder or ``.gguf`` file, or a Hub id such as
            ``org/name`` or ``org/name@revision``, which is asked for only when no such path exists.

    Raises:
        ModelError: There is no such model, or its folder lacks weights or a tokenizer, or holds
            what the manifest in it does not list.
    """
    if str(name) == BYTE_BART:
        return find_byte_bart()
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
            f"{did_you_mean(name, bundled)} (bundled: {', '.join(sorted(bundled))}; "
            "a Hugging Face Hub id has the form org/name or org/name@revision)"
        )
    log.info("model %s: no such folder here; asking the Hugging Face Hub", name)
    try:
        return Path(snapshot_download(asked.name, revision=asked.revision, allow_patterns=_WANTED))
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
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: has no config.json, so it is not a model folder")
    if not any(folder.glob("*.safetensors")):
        if any(path for pattern in _PICKLED for path in folder.glob(pattern)):
            raise ModelError(
                f"{folder}: holds only pickled weights (.bin, .pt), which can run code when they "
                "are read; convert them to model.safetensors"
            )
        raise ModelError(f"{folder}: has no weights (no .safetensors file)")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(f"{folder}: has no tokenizer (such as tokenizer.json)")
