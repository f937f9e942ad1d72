"""What an exit handler learns of steps whose pods died, from a server that speaks real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kube_api import Fault, KubeApi, kube_api, pod

from components.summarize import summarize
from daftt_core.config import FORM_SETTINGS, ClusterConfig, json_argument
from daftt_core.jobs import why_steps_died
from daftt_core.jobs.steps import RUN_LABEL
from daftt_core.storage import open_storage
from daftt_core.workspace.status import read_statuses, write_status

HANDLER = "daftt-x7k2p-system-container-impl-1"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KFP_POD_NAME", HANDLER)
    with kube_api(tmp_path, monkeypatch.setenv) as server:
        add(server, HANDLER, "run-1")
        yield server


def add(api: KubeApi, name: str, run: str, phase: str = "Running", **status: Any) -> None:
    made = pod(name, phase, **status)
    made["metadata"]["labels"] = {RUN_LABEL: run}
    api.add_pod(made)


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "state": state}]


def test_an_image_that_cannot_be_pulled_and_too_little_memory_are_told(api: KubeApi) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    add(api, "a", "run-1", "Pending", containerStatuses=container(waiting=waiting))
    killed = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-01T10:00:00Z"}
    add(api, "b", "run-1", "Failed", containerStatuses=container(terminated=killed))
    add(api, "c", "another-run", "Failed", reason="Evicted")
    assert why_steps_died() == (
        "pod a does not start: ImagePullBackOff: no such image; "
        "pod b: OOMKilled: it used more than cluster_memory, exit code 137"
    )


def test_the_sentence_with_which_a_program_ended_is_told(api: KubeApi) -> None:
    # containerStatuses[].state.terminated.message is what the container left in its termination log
    ended = {
        "reason": "Error",
        "exitCode": 2,
        "message": "output: 'runs' is local\ntask: no such\n",
    }
    add(api, "a", "run-1", "Failed", containerStatuses=container(terminated=ended))
    assert why_steps_died() == "pod a: output: 'runs' is local; task: no such, exit code 2"


def test_stages_that_a_runs_end_cut_off_say_so(
    api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-01T10:00:00Z"}
    add(api, "b", "run-1", "Failed", containerStatuses=container(terminated=killed))
    run = tmp_path / "one"
    write_status(run, open_storage(str(run)), "teacher", "running")
    monkeypatch.setenv("KFP_POD_NAME", "daftt-other-system-container-impl-1")
    write_status(run, open_storage(str(run)), "students/real", "running")
    monkeypatch.setenv("KFP_POD_NAME", HANDLER)

    form: dict[str, Any] = dict.fromkeys((*FORM_SETTINGS, "preset"), "") | {"settings": {}}
    summary, report = (SimpleNamespace(path=str(tmp_path / name)) for name in ("md", "html"))
    summarize.python_func(
        **form | {"name": "one", "output": str(tmp_path)},
        compiled_in=json_argument(ClusterConfig()),
        status=SimpleNamespace(state="RUNNING", error_message=""),
        summary=summary,
        report=report,
    )

    why = "pod b: OOMKilled: it used more than cluster_memory, exit code 137"
    text = Path(summary.path).read_text(encoding="utf-8")
    assert f"stage teacher was cut off in its work: {why}" in text
    assert "| teacher | failed |" in text
    states = {each.stage: (each.state, each.message) for each in read_statuses(run)}
    assert states == {
        "teacher": ("failed", f"was cut off in its work: {why}"),
        "students/real": ("running", ""),  # of another attempt
    }


def test_pods_that_may_not_be_listed_are_no_failure(api: KubeApi) -> None:
    api.faults = [Fault("GET", "/pods", 403)]
    assert why_steps_died() == ""


def test_on_one_machine_no_cluster_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    assert why_steps_died() == ""
