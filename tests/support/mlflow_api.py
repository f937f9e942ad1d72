"""A part of MLflow's tracking server, as mlflow.org/docs/latest/rest-api.html has it.

- "experiments/get-by-name": an experiment that is not there is an error with the code
  RESOURCE_DOES_NOT_EXIST, HTTP 404.
- "runs/create: experiment_id, run_name, start_time, tags"; the answer's "run.info" has run_id and
  artifact_uri.
- "runs/log-batch: up to 1000 metrics, 100 params, and 100 tags", 1000 in total; a parameter's value
  cannot be changed; keys of metrics and params have alphanumerics, _, -, ., space, : and / only.
- "runs/search: experiment_ids, filter, max_results".
- "runs/update: run_id, status, end_time".
- With ``--serve-artifacts`` a run's artifact_uri begins with ``mlflow-artifacts:/``, and PUT
  ``/api/2.0/mlflow-artifacts/artifacts/<path>`` stores one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from json_server import Request, json_server

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
_KEY = re.compile(r"[\w\-. :/]+")


@dataclass
class Tracking:
    """What the server holds.

    Attributes:
        url: Its address.
        artifacts_at: What an artifact's URI begins with.
        authorization: The header that it wants; empty for none.
    """

    url: str = ""
    artifacts_at: str = "mlflow-artifacts:"
    authorization: str = ""
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def new_run(self, experiment: str, name: str, tags: list[dict[str, str]]) -> dict[str, Any]:
        identity = f"{len(self.runs) + 1:032x}"
        uri = f"{self.artifacts_at}/{experiment}/{identity}/artifacts"
        info = {"run_id": identity, "artifact_uri": uri, "status": "RUNNING", "run_name": name}
        self.runs[identity] = {"info": info, "metrics": {}, "params": {}, "tags": {}}
        self._set(self.runs[identity]["tags"], tags)
        return self.runs[identity]

    def answer(self, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/experiments/get-by-name":
            name = query["experiment_name"]
            if name not in self.experiments:
                return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
            return 200, {"experiment": {"experiment_id": self.experiments[name], "name": name}}
        if path == "/experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[body["name"]]}
        if path == "/runs/search":
            match = re.fullmatch(r"tags\.`(.+)` = '([0-9a-f]+)'", body["filter"])
            assert match
            found = [each for each in self.runs.values() if each["tags"].get(match[1]) == match[2]]
            return 200, {"runs": found[: body["max_results"]]}
        if path == "/runs/create":
            return 200, {"run": self.new_run(body["experiment_id"], body["run_name"], body["tags"])}
        run = self.runs.get(body.get("run_id") or query.get("run_id", ""))
        if run is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
        if path == "/runs/get":
            return 200, {"run": run}
        if path == "/runs/update":
            run["info"]["status"] = body["status"]
            return 200, {"run_info": run["info"]}
        assert path == "/runs/log-batch"
        return self._log(run, body)

    def _log(self, run: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        assert len(body.get("params", [])) <= 100
        for each in [*body.get("params", []), *body.get("metrics", [])]:
            assert _KEY.fullmatch(each["key"]), each
        for each in body.get("params", []):
            if run["params"].get(each["key"], each["value"]) != each["value"]:
                return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "it is logged"}
        for kind in ("params", "metrics", "tags"):
            self._set(run[kind], body.get(kind, []))
        return 200, {}

    @staticmethod
    def _set(table: dict[str, Any], entries: list[dict[str, Any]]) -> None:
        table.update({each["key"]: each["value"] for each in entries})


@contextmanager
def tracking_server() -> Iterator[Tracking]:
    state = Tracking()

    def answer(request: Request) -> tuple[int, Any]:
        if state.authorization and request.headers.get("Authorization") != state.authorization:
            return 401, {"error_code": "UNAUTHENTICATED", "message": "who?"}
        if request.path.startswith(_ARTIFACTS):
            state.artifacts[unquote(request.path.removeprefix(_ARTIFACTS))] = request.body
            return 200, {}
        return state.answer(request.path.removeprefix(_API), request.query, request.document)

    with json_server(answer) as state.url:
        yield state
