"""A run's settings, headline metrics and report in MLflow, by its REST API.

Kubeflow Pipelines 2.17 has an MLflow plug-in of its own: it makes an MLflow run for each task,
names it in MLFLOW_RUN_ID, and ends it. Where there is such a run, the results are added to it, and
it is neither made nor ended here.

The API is version 2.0 of MLflow's (mlflow.org/docs/latest/rest-api.html). Credentials are those of
MLflow's own clients: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from daftt_core import __version__
from daftt_core.config import Config, to_flat
from daftt_core.errors import DafttError, RemoteError
from daftt_core.network import JsonApi
from daftt_core.records import digest
from daftt_core.reporting.write import report_page
from daftt_core.stages import EVALUATION, PROMOTION
from daftt_core.storage import SCHEMES, open_storage
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_result, stage_manifest

_NAME = "MLflow"
_API = "/api/2.0/mlflow"
_REPORT = "report.html"
_KEY = "daftt.key"
_NONE = ("RESOURCE_DOES_NOT_EXIST",)
_MOST_PARAMETERS = 100  # that one request takes
_MOST_CHARACTERS = 500  # of a parameter, in every version


def track_or_warn(run: Run, config: Config) -> None:
    """Log a run that has its report to MLflow, where a server is named; a failure is a warning.

    Args:
        run: The run.
        config: Its settings.
    """
    uri = config.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return
    try:
        log.info("the run is in MLflow: %s", track(uri, run, config))
    except DafttError as error:
        log.warning("the run is not in MLflow, and its result is what it is: %s", error)


def track(uri: str, run: Run, config: Config) -> str:
    """Log a run's settings, metrics and report, unless that was done before.

    Args:
        uri: Address of the tracking server.
        run: The run; it is evaluated.
        config: Its settings.

    Raises:
        RemoteError: The server cannot be reached, or refuses.
        StorageError: The run, or the store of MLflow's artifacts, cannot be read or written.

    Returns:
        The MLflow run's id.
    """
    api = JsonApi(uri, _NAME, _headers())
    manifest = stage_manifest(run, EVALUATION)
    key = digest(run.uri, manifest.digest if manifest else "")
    own_id = os.environ.get("MLFLOW_RUN_ID", "").strip()
    experiment = "" if own_id else _experiment(api, config.mlflow.experiment or _title(run))
    if not own_id and (done := _logged(api, experiment, key)):
        return done
    run_id = own_id or _begin(api, experiment, run)
    for body in _batches(run, config):
        _post(api, "/runs/log-batch", {"run_id": run_id, **body})
    _store_report(api, run_id, report_page(run).encode())
    tags = [{"key": _KEY, "value": key}]  # last: what has it is complete
    _post(api, "/runs/log-batch", {"run_id": run_id, "tags": tags})
    if not own_id:
        ended = {"run_id": run_id, "status": "FINISHED", "end_time": _now()}
        _post(api, "/runs/update", ended)
    return run_id


def _headers() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "").strip()
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    workspace = os.environ.get("MLFLOW_WORKSPACE", "").strip()
    headers = {"X-MLflow-Workspace": workspace} if workspace else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    elif user:
        words = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
    return headers


def _title(run: Run) -> str:
    return f"daftt-{run.task.id}"


def _experiment(api: JsonApi, name: str) -> str:
    """Return an experiment's id; the experiment is made if there is none."""
    query = {"experiment_name": name}
    path = f"{_API}/experiments/get-by-name"
    answer = api.call("GET", path, query=query, missing=_NONE)
    if answer is None:
        return str(_post(api, "/experiments/create", {"name": name}).get("experiment_id"))
    return str(answer.get("experiment", {}).get("experiment_id"))


def _logged(api: JsonApi, experiment: str, key: str) -> str:
    """Return the id of the MLflow run that has these results; empty where there is none."""
    where = {"experiment_ids": [experiment], "filter": f"tags.`{_KEY}` = '{key}'", "max_results": 1}
    runs = _post(api, "/runs/search", where).get("runs") or [{}]
    return str(runs[0].get("info", {}).get("run_id") or "")


def _begin(api: JsonApi, experiment: str, run: Run) -> str:
    tags = {"daftt.version": __version__, "daftt.uri": run.uri, "daftt.task": run.task.id}
    body = {
        "experiment_id": experiment,
        "run_name": run.name,
        "start_time": _now(),
        "tags": [{"key": name, "value": value} for name, value in tags.items()],
    }
    run_id = _post(api, "/runs/create", body).get("run", {}).get("info", {}).get("run_id")
    if not run_id:
        raise RemoteError(f"{_NAME} ({api.url}): answers without the id of a run")
    return str(run_id)


def _batches(run: Run, config: Config) -> Iterator[dict[str, Any]]:
    """Yield the metrics, and the settings in parts that one request takes."""
    evaluated = read_result(run, EVALUATION)
    promoted = read_result(run, PROMOTION)
    metrics, tags = {}, {}
    if evaluated:
        metrics = evaluated.percentages
        tags = {"daftt.headline": evaluated.headline, "daftt.arm": evaluated.chosen_arm}
    if promoted:
        metrics["promoted"] = float(promoted.promoted)
    stamp = {"timestamp": _now(), "step": 0}
    yield {
        "metrics": [{"key": name, "value": value, **stamp} for name, value in metrics.items()],
        "tags": [{"key": name, "value": value} for name, value in tags.items()],
    }
    settings = [
        {"key": name, "value": str(value)[:_MOST_CHARACTERS]}
        for name, value in to_flat(config).items()
        if value not in ("", None)
    ]
    for start in range(0, len(settings), _MOST_PARAMETERS):
        yield {"params": settings[start : start + _MOST_PARAMETERS]}


def _store_report(api: JsonApi, run_id: str, page: bytes) -> None:
    """Store the report among the run's artifacts, through the server or in the bucket it names."""
    answer = api.call("GET", f"{_API}/runs/get", query={"run_id": run_id}, missing=_NONE)
    uri = str((answer or {}).get("run", {}).get("info", {}).get("artifact_uri") or "")
    scheme, _, _ = uri.partition(":")
    if scheme == "mlflow-artifacts":
        path = quote(f"{urlsplit(uri).path.strip('/')}/{_REPORT}")
        _found(api, path, api.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", data=page))
    elif scheme in SCHEMES and scheme != "file":
        open_storage(uri).write(_REPORT, page)
    else:
        log.info("the report is not in MLflow: its artifacts are at %s, which this is not", uri)


def _post(api: JsonApi, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return _found(api, path, api.call("POST", f"{_API}{path}", body=body))


def _found(api: JsonApi, path: str, answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        raise RemoteError(f"{_NAME} ({api.url}): has no {path}; is it a tracking server?")
    return answer


def _now() -> int:
    """Return the time in milliseconds."""
    return int(time.time() * 1000)
