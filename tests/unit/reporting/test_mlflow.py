"""A run's results in MLflow: once, into Kubeflow's own run where there is one, never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_api import Tracking, tracking_server
from registry_runs import finished_run

from daftt_core.config import Config, from_flat
from daftt_core.errors import ConfigError
from daftt_core.reporting import track_or_warn
from daftt_core.workspace import Run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with tracking_server() as state:
        yield state


@pytest.fixture
def done(tmp_path: Path) -> tuple[Run, Config]:
    return finished_run(tmp_path, "first")


def test_a_run_is_logged_once_with_settings_metrics_and_report(
    done: tuple[Run, Config], server: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = done
    track_or_warn(run, config)
    assert not server.runs, "off unless a server is named"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server.url}/")
    track_or_warn(run, config)
    (logged,) = server.runs.values()
    assert server.experiments == {"daftt-meals": "1"}
    assert logged["info"]["status"] == "FINISHED"
    assert logged["info"]["run_name"] == "first"
    assert logged["metrics"]["student_percent"] == pytest.approx(90.0)
    assert logged["params"]["teacher_model"] == config.teacher.model
    assert "90.0" in logged["tags"]["daftt.headline"]
    ((path, page),) = server.artifacts.items()
    assert path == f"1/{logged['info']['run_id']}/artifacts/report.html"
    assert page.startswith(b"<!DOCTYPE html>")
    track_or_warn(run, config)
    assert len(server.runs) == 1


def test_a_report_goes_to_the_store_that_the_server_names(
    done: tuple[Run, Config],
    server: Tracking,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from daftt_core.storage import SCHEMES
    from daftt_core.storage.local import FileStorage

    run, config = done
    monkeypatch.setitem(SCHEMES, "gs", lambda uri: FileStorage(uri.replace("gs:/", str(tmp_path))))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    server.artifacts_at = "gs://bucket"
    track_or_warn(run, config)
    (page,) = tmp_path.glob("bucket/1/*/artifacts/report.html")
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_kubeflows_own_run_is_added_to_and_not_ended(
    done: tuple[Run, Config], server: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = done
    own = server.new_run("7", "evaluate", [])["info"]["run_id"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    track_or_warn(run, config)
    (logged,) = server.runs.values()
    assert logged["info"]["status"] == "RUNNING"
    assert logged["metrics"]["student_percent"] == pytest.approx(90.0)
    assert list(server.artifacts) == [f"7/{own}/artifacts/report.html"]
    assert not server.experiments


def test_a_failure_is_a_warning(
    done: tuple[Run, Config],
    server: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, config = done
    server.authorization = "Bearer let me in"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    track_or_warn(run, config)
    assert "the run is not in MLflow, and its result is what it is: MLflow (http" in caplog.text
    assert "it answers 401 to GET" in caplog.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    track_or_warn(run, config)
    assert "MLflow (sqlite:///mlflow.db): must begin with http:// or https://" in caplog.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "let me in")
    track_or_warn(run, config)
    assert len(server.runs) == 1
    assert "let me in" not in caplog.text


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mlflow_tracking_uri.*must begin with http://"):
        from_flat({"mlflow_tracking_uri": "mlflow:5000"})
