"""A student as an InferenceService of KServe, served by its Hugging Face runtime.

The arguments make that runtime answer as the student was measured. Read in KServe 0.20's source,
``python/huggingfaceserver``: without ``--backend=huggingface`` it may choose vLLM, which knows no
``--return_probabilities``; it cuts inputs at ``--max_model_len``; and it lower-cases what a
tokenizer would not, unless ``--disable_lower_case`` is given. Probabilities come by the label's
index, so an annotation names the labels in their order.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from daftt_core.errors import ConfigError, StorageError
from daftt_core.registry.serving import Servable, ServingFacts

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # IsvcNameFmt in KServe's validation
_MOST_NAME_CHARACTERS = 53  # a Service's 63, without "-predictor"
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+")
_NO_LIMIT = 10**9  # what tokenizers state that know no limit is far above it
_GIB = 2**30


def inference_service(
    name: str,
    servable: Servable,
    storage_uri: str = "",
    *,
    canary_percent: int | None = None,
    service_account: str = "",
) -> dict[str, Any]:
    """Return the manifest of an InferenceService.

    Args:
        name: Its name.
        servable: The student; its files must be on this machine.
        storage_uri: Where KServe finds the student's files; empty: in the bucket that the student
            is in.
        canary_percent: Share of the requests that this student gets, in percent, while the one
            that served before gets the others; None: all.
        service_account: The service account that reads the files; empty: the namespace's.

    Raises:
        ConfigError: The name or the place cannot be used, or the runtime cannot serve the task.
        StorageError: The student's configuration cannot be read.
    """
    if not _NAME.fullmatch(name) or len(name) > _MOST_NAME_CHARACTERS:
        raise ConfigError(
            f"--kserve: {name!r}: a name has only a to z, 0 to 9 and -, begins with a letter, does "
            f"not end with -, and has at most {_MOST_NAME_CHARACTERS} characters"
        )
    task = servable.facts.task
    if task.columns.text_pair:
        raise ConfigError(
            f"--kserve: an input of the task {task.id} is two texts, and KServe's Hugging Face "
            "runtime takes single ones; docs/serving.md says what serves pairs"
        )
    if task.is_multilabel:
        raise ConfigError(
            f"--kserve: the task {task.id} gives an input several labels, and KServe's Hugging "
            "Face runtime chooses one; docs/multi-label.md says what serves sets"
        )
    storage_uri = storage_uri or servable.uri
    if not storage_uri:
        raise ConfigError(
            f"--kserve: {servable.title} is on this machine, where KServe does not reach it; copy "
            "an exported folder to a bucket or a volume and name it: --storage-uri gs://..."
        )
    if not _URI.fullmatch(storage_uri) or not storage_uri.isprintable():
        raise ConfigError(
            f"--storage-uri: {storage_uri!r} must be like gs://bucket/folder or pvc://volume/folder"
        )
    folder = Path(servable.model)
    memory = _memory(folder)
    model = {
        "modelFormat": {"name": "huggingface"},
        "protocolVersion": "v1",
        "storageUri": storage_uri,
        "args": _arguments(folder, servable.facts),
        "resources": {
            "requests": {"cpu": "1", "memory": memory},
            "limits": {"cpu": "1", "memory": memory},
        },
    }
    predictor: dict[str, Any] = {"minReplicas": 1, "model": model}
    if service_account:
        predictor["serviceAccountName"] = service_account
    if canary_percent is not None:
        predictor["canaryTrafficPercent"] = canary_percent
    annotations = {"daftt/task": task.id, "daftt/version": servable.facts.version}
    if task.is_classification:
        annotations["daftt/labels"] = json.dumps(task.label_names, ensure_ascii=False)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"predictor": predictor},
    }


def _arguments(folder: Path, facts: ServingFacts) -> list[str]:
    arguments = ["--backend=huggingface"]
    tokenizer = _read(folder / "tokenizer_config.json")
    if not tokenizer.get("do_lower_case"):
        arguments.append("--disable_lower_case")
    if facts.task.is_classification:
        model = _read(folder / "config.json")
        stated = [
            tokenizer.get("model_max_length"),
            model.get("max_position_embeddings"),
            model.get("n_positions"),
        ]
        room = [int(limit) for limit in stated if limit and limit < _NO_LIMIT]
        length = min([facts.max_length, *room])
        arguments += ["--return_probabilities", f"--max_model_len={length}"]
    return arguments


def _memory(folder: Path) -> str:
    """Return a limit for the weights, a copy while they are loaded, and the libraries."""
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return f"{max(2, math.ceil(1.5 + 2 * weights / _GIB))}Gi"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise StorageError(f"{path}: is not a configuration")
    return value
