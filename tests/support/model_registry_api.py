"""A part of Kubeflow's Model Registry's REST API, as its OpenAPI document has it (v1alpha3).

From ``api/openapi/model-registry.yaml`` of kubeflow/model-registry:

- "RegisteredModelCreate: required: [name]"; "It must be unique among all the RegisteredModels of
  the same type within a Model Registry instance"; a second one is "409: Conflict".
- "ModelVersionCreate: required: [name, registeredModelId]"; registeredModelId has the "pattern:
  ^[1-9][0-9]{0,8}$".
- find operations have the parameters name, externalId, parentResourceId and answer "404: NotFound".
- "MetadataStringValue: additionalProperties: false, required: [metadataType, string_value]", and
  MetadataDoubleValue likewise with double_value.
- "upsertModelVersionArtifact: Creates a new instance of an Artifact if needed", whose discriminator
  is artifactType.
- creation answers 201, PATCH and GET 200; "Error: required: [code, message]".
- "security: Bearer".

The server itself (commit bd07139, with MariaDB) answers 404 with the code "Not Found", and 409 with
the code "Conflict" to a second model, version or artifact of one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from json_server import Request, json_server

_BASE = "/api/model_registry/v1alpha3"
_VALUES = {
    "MetadataStringValue": ("string_value", str),
    "MetadataDoubleValue": ("double_value", float),
}


@dataclass
class ModelRegistry:
    """What the server holds, and what it was sent.

    Attributes:
        url: Its address.
        token: The bearer token that it wants; empty for none.
        failing: Answers every request with this status; 0 for none.
        is_losing: Does what it is asked for, but the answers to its POSTs are lost.
    """

    url: str = ""
    token: str = ""
    failing: int = 0
    is_losing: bool = False
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def answer(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if method != "GET":
            self.writes.append(f"{method} {path}")
            _check_properties(body)
        if path == "/registered_model":
            return _one(self.models, name=query["name"])
        if path == "/model_version":
            where = {"name": query["name"], "registeredModelId": query["parentResourceId"]}
            return _one(self.versions, **where)
        if path == "/model_artifact":
            where = {"name": query["name"], "version": query["parentResourceId"]}
            return _one(self.artifacts, **where)
        if path == "/registered_models":
            return self._made(self.models, body, ("name",))
        if path == "/model_versions":
            assert re.fullmatch("[1-9][0-9]{0,8}", body["registeredModelId"])
            return self._made(self.versions, body, ("name", "registeredModelId"))
        if match := re.fullmatch("/registered_models/(.*)", path):
            self.models[match[1]] |= body
            return 200, self.models[match[1]]
        if match := re.fullmatch("/model_versions/(.*)/artifacts", path):
            assert body["artifactType"] == "model-artifact"
            return self._made(self.artifacts, {**body, "version": match[1]}, ("name", "version"))
        return 404, {"code": "Not Found", "message": "no such path"}

    def _made(
        self, table: dict[str, dict[str, Any]], body: dict[str, Any], key: tuple[str, ...]
    ) -> tuple[int, dict[str, Any]]:
        assert all(body[name] for name in key)
        if any(all(each[name] == body[name] for name in key) for each in table.values()):
            return 409, {"code": "Conflict", "message": "it exists"}
        identity = str(len(self.models) + len(self.versions) + len(self.artifacts) + 1)
        table[identity] = {**body, "id": identity}
        return 201, table[identity]


def _one(table: dict[str, dict[str, Any]], **where: str) -> tuple[int, dict[str, Any]]:
    for each in table.values():
        if all(each[name] == value for name, value in where.items()):
            return 200, each
    return 404, {"code": "Not Found", "message": "no such resource"}


def _check_properties(body: dict[str, Any]) -> None:
    for value in body.get("customProperties", {}).values():
        name, kind = _VALUES[value["metadataType"]]
        assert set(value) == {"metadataType", name}
        assert isinstance(value[name], kind)


@contextmanager
def model_registry() -> Iterator[ModelRegistry]:
    state = ModelRegistry()

    def answer(request: Request) -> tuple[int, Any]:
        if state.failing:
            return state.failing, {"code": "x", "message": "a fault of the tests"}
        if state.token and request.headers.get("Authorization") != f"Bearer {state.token}":
            return 401, {"code": "401", "message": "who are you?"}
        if not request.path.startswith(_BASE):
            return 404, {}
        path = request.path.removeprefix(_BASE)
        answer = state.answer(request.method, path, request.query, request.document)
        return (503, {}) if state.is_losing and request.method == "POST" else answer

    with json_server(answer) as state.url:
        yield state
