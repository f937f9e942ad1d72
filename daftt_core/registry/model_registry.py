"""A promoted version in Kubeflow's Model Registry, by its REST API.

A task is a registered model, a version of the task one of its model versions, and the version's
files are that version's model artifact. Everything is looked up before it is made, so registering
is safe to repeat. The API is v1alpha3, as kubeflow/model-registry has it in
``api/openapi/model-registry.yaml``.

The property ``daftt_champion`` of the registered model names the champion; the API has no other
place for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daftt_core.errors import DafttError, RemoteError
from daftt_core.network import JsonApi
from daftt_core.registry.ledger import TaskRegistry
from daftt_core.registry.models import Event, Lineage
from daftt_core.registry.versions import as_run, read_lineage
from daftt_core.stages import VERSIONS
from daftt_core.storage import open_storage
from daftt_core.tasks import Task
from daftt_core.telemetry import log
from daftt_core.workspace import content_uri

TOKEN_VARIABLE = "DAFTT_MODEL_REGISTRY_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable of the bearer token, where the server wants one."""

_API = "/api/model_registry/v1alpha3"


def register_or_warn(url: str, registry: str, task: Task, version: str) -> None:
    """Register a version as :func:`register` does; a failure is only warned about."""
    try:
        place = register(url, registry, task, version)
    except DafttError as error:
        log.warning(
            "%s %s is the champion and is not in Kubeflow's Model Registry: %s; try again with: "
            "daftt registry register %s",
            task.id,
            version,
            error,
            task.id,
        )
    else:
        log.info("%s %s: registered as %s", task.id, version, place)


def register(url: str, registry: str, task: Task, version: str) -> str:
    """Register a version of a task, unless it is registered already, as the champion.

    Args:
        url: Address of the Model Registry.
        registry: Where DAFTT's own registry is.
        task: The task.
        version: The version, which that registry has.

    Raises:
        RemoteError: The Model Registry cannot be reached, or refuses.
        StorageError: DAFTT's registry cannot be read.

    Returns:
        The address of the registered version.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else None
    api = JsonApi(url, "Kubeflow's Model Registry", headers)
    lineage = read_lineage(registry, task.id, version)
    promotion = TaskRegistry(registry, task.id).read().promotion_of(version)
    champion = _properties({"daftt_champion": version})
    artifact, files = f"{task.id}-{version}", _uri(registry, task, version)
    model = _found_or_made(
        api,
        "/registered_model",
        {"name": task.id},
        "/registered_models",
        {
            "name": task.id,
            "description": task.description,
            "state": "LIVE",
            "customProperties": champion,
        },
    )
    made = _found_or_made(
        api,
        "/model_version",
        {"name": version, "parentResourceId": model["id"]},
        "/model_versions",
        {
            "name": version,
            "registeredModelId": model["id"],
            "description": promotion.why if promotion else "",
            "state": "LIVE",
            "author": promotion.by if promotion else "",
            "customProperties": _properties(_facts(lineage, promotion, files)),
        },
    )
    _found_or_made(
        api,
        "/model_artifact",
        {"name": artifact, "parentResourceId": made["id"]},
        f"/model_versions/{made['id']}/artifacts",
        {
            "artifactType": "model-artifact",
            "name": artifact,
            "uri": files,
            "modelFormatName": "huggingface",
            "state": "LIVE",
        },
    )
    if model.get("customProperties", {}).get("daftt_champion") != champion["daftt_champion"]:
        properties = {**model.get("customProperties", {}), **champion}
        path = f"/registered_models/{model['id']}"
        _call(api, "PATCH", path, body={"customProperties": properties})
    return f"{api.url}{_API}/model_versions/{made['id']}"


def _found_or_made(
    api: JsonApi, find: str, query: Mapping[str, str], make: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is there, or make it.

    A request to make it may be refused (409) because it was made meanwhile: by another process, or
    by an earlier attempt whose answer was lost.
    """
    resource = api.call("GET", f"{_API}{find}", query=query)
    try:
        resource = resource or _call(api, "POST", make, body=body)
    except RemoteError:
        resource = api.call("GET", f"{_API}{find}", query=query)
        if resource is None:
            raise
    return _with_id(api, resource)


def _call(api: JsonApi, method: str, path: str, **words: Any) -> dict[str, Any]:
    answer = api.call(method, f"{_API}{path}", **words)
    if answer is None:
        raise RemoteError(
            f"Kubeflow's Model Registry ({api.url}): has no {_API}{path}; promotion_model_registry "
            "must be the address of its REST API, v1alpha3"
        )
    return answer


def _with_id(api: JsonApi, resource: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(resource.get("id"), str) or not resource["id"].isdecimal():
        raise RemoteError(f"Kubeflow's Model Registry ({api.url}): answers without an id")
    return resource


def _facts(lineage: Lineage, promotion: Event | None, files: str) -> dict[str, str | float]:
    """Return what the properties of a version say; none is empty.

    Kubeflow's UI takes a property with an empty text for a label, and shows the location of an
    artifact in ``s3://`` only with a query (``?endpoint=``) that KServe would take for a part of
    the name: so the files are among the properties, too.
    """
    scores = promotion.decision.scores if promotion and promotion.decision else {}
    facts: dict[str, str | float] = {
        "files": files,
        "run": lineage.run,
        "run_uri": lineage.uri,
        "arm": lineage.arm,
        "student": lineage.student.model,
        "teacher": lineage.teacher.get("model", ""),
        "test_digest": lineage.test_digest,
        "daftt": lineage.code.get("daftt", ""),
        **{f"test_{name}": score for name, score in scores.items()},
    }
    return {name: value for name, value in facts.items() if value != ""}


def _properties(facts: Mapping[str, str | float]) -> dict[str, dict[str, Any]]:
    """Return facts as the API's MetadataValue objects."""
    return {
        name: {"metadataType": "MetadataStringValue", "string_value": value}
        if isinstance(value, str)
        else {"metadataType": "MetadataDoubleValue", "double_value": value}
        for name, value in facts.items()
    }


def _uri(registry: str, task: Task, version: str) -> str:
    """Return where a version's files are."""
    stage, run = VERSIONS.part(version), as_run(registry, task)
    folder = open_storage(run.uri).folder
    return content_uri(run, stage) or f"file://{(folder or Path()).resolve() / str(stage)}"
