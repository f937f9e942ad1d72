"""What an exit handler learns of steps whose pods died, from a server that speaks real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_api import Fault, KubeApi, kube_api, pod

from daftt_core.jobs import why_steps_died
from daftt_core.jobs.steps import RUN_LABEL

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


def test_pods_that_may_not_be_listed_are_no_failure(api: KubeApi) -> None:
    api.faults = [Fault("GET", "/pods", 403)]
    assert why_steps_died() == ""


def test_on_one_machine_no_cluster_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    assert why_steps_died() == ""
