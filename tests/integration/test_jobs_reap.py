"""``daftt reap`` against an API server that speaks real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_requests import job_request
from kube_api import Fault, KubeApi, kube_api, pod

from daftt_core.cli.app import main
from daftt_core.jobs import KINDS
from daftt_core.jobs.requests import Owner


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kube_api(tmp_path, monkeypatch.setenv) as server:
        yield server


def add(api: KubeApi, run: str, step: str, phase: str = "", kind: str = "pytorchjob") -> None:
    """A job of this run, owned by a step whose pod has this phase, or is gone."""
    owner = Owner(step, f"uid-of-{step}") if step else None
    request = job_request(run=run, owner=owner)
    api.add_job(KINDS[kind].plural, KINDS[kind].build(request))
    if phase:
        api.add_pod(pod(step, phase, uid=f"uid-of-{step}"))


def reap(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[str, str]]:
    """Fate and reason of each run's job."""
    assert main(["reap", "--json", *words]) == 0
    return {
        job["run"]: (job["fate"], job["orphaned"]) for job in json.loads(capsys.readouterr().out)
    }


def test_only_jobs_whose_step_is_over_are_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "at-work", "step-1", "Running")
    add(api, "terminated", "step-2", "Failed")
    add(api, "lost", "step-3")
    add(api, "by-hand", "")
    add(api, "trainer", "step-4", "Succeeded", kind="trainjob")
    expected = {
        "at-work": ("kept", ""),
        "terminated": ("would be removed", "its step, step-2, has failed"),
        "lost": ("would be removed", "the pod of its step, step-3, is gone"),
        "by-hand": ("kept", ""),
        "trainer": ("would be removed", "its step, step-4, has succeeded"),
    }
    assert reap(capsys, "--dry-run") == expected
    assert api.count("DELETE", "jobs") == 0
    assert {fate for fate, _ in reap(capsys).values()} == {"kept", "removed"}
    assert api.count("DELETE", "jobs") == 3


def test_a_finished_job_is_left_to_its_time_to_live(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "done", "step-1", "Succeeded")
    (job,) = api.jobs()
    job["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    assert reap(capsys) == {"done": ("kept", "")}


def test_all_and_run_choose_what_is_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "one", "step-1", "Running")
    add(api, "two", "step-2", "Running")
    assert reap(capsys, "--run", "one", "--all") == {"one": ("removed", "")}
    left = [job for job in api.jobs() if "deletionTimestamp" not in job["metadata"]]
    assert [job["metadata"]["labels"]["daftt/run"] for job in left] == ["two"]


def test_jobs_of_others_are_never_seen(api: KubeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.add_job("pytorchjobs", {"metadata": {"name": "theirs", "labels": {}}, "spec": {}})
    assert reap(capsys, "--all") == {}
    assert main(["reap"]) == 0
    assert capsys.readouterr().out == "There is no job of DAFTT in namespace team-a.\n"


def test_a_kind_that_is_not_installed_has_no_jobs(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.installed = {"pytorchjobs"}
    add(api, "lost", "step-1")
    assert main(["reap", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("would be removed  PyTorchJob daftt-lost-teacher-")
    assert "the pod of its step, step-1, is gone" in said


def test_missing_rights_end_with_one_sentence(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.faults = [Fault("GET", "/pytorchjobs", 403)]
    assert main(["reap"]) == 9
    assert "may not GET pytorchjobs" in capsys.readouterr().err


def test_finished_jobs_that_fill_a_quota_can_be_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "at-work", "step-1", "Running")
    manifest = KINDS["pytorchjob"].build(job_request(run="done"))
    manifest["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    api.add_job("pytorchjobs", manifest)
    assert {run: fate for run, (fate, _) in reap(capsys, "--finished").items()} == {
        "at-work": "kept",
        "done": "removed",
    }
