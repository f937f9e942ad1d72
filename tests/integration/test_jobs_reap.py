"""``daftt reap`` against an API server that speaks real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from job_requests import job_request
from kube_api import Fault, KubeApi, kube_api, pod

from daftt_core.cli.app import main
from daftt_core.jobs import KINDS


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kube_api(tmp_path, monkeypatch.setenv) as server:
        yield server


def add(api: KubeApi, run: str, phase: str = "", kind: str = "pytorchjob", silent: int = 0) -> None:
    """A job of this run, whose workflow has this phase, or is gone.

    The step that waits for it has been silent for some minutes.
    """
    job = KINDS[kind].build(job_request(run=run))
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": f"{run}-wf"}
    last = datetime.now(UTC) - timedelta(minutes=silent)
    job["metadata"]["ownerReferences"] = [{**workflow, "uid": f"uid-of-{run}-wf"}]
    job["metadata"]["annotations"]["daftt/waited-for"] = f"{last:%Y-%m-%dT%H:%M:%SZ}"
    api.add_job(KINDS[kind].plural, job)
    if phase:
        api.add_workflow(f"{run}-wf", phase)


def reap(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[str, str]]:
    """Fate and reason of each run's job."""
    assert main(["reap", "--json", *words]) == 0
    return {
        job["run"]: (job["fate"], job["orphaned"]) for job in json.loads(capsys.readouterr().out)
    }


def test_only_jobs_whose_run_is_over_are_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "at-work", "Running")
    add(api, "terminated", "Failed")
    add(api, "lost")
    api.add_job("pytorchjobs", KINDS["pytorchjob"].build(job_request(run="by-hand")))
    add(api, "trainer", "Succeeded", kind="trainjob")
    expected = {
        "at-work": ("kept", ""),
        "terminated": ("would be removed", "its run, terminated-wf, has ended: Failed"),
        "lost": ("would be removed", "its run, lost-wf, is gone"),
        "by-hand": ("kept", ""),
        "trainer": ("would be removed", "its run, trainer-wf, has ended: Succeeded"),
    }
    assert reap(capsys, "--dry-run") == expected
    assert api.count("DELETE", "jobs") == 0
    assert {fate for fate, _ in reap(capsys).values()} == {"kept", "removed"}
    assert api.count("DELETE", "jobs") == 3


def test_a_workflow_of_the_same_name_is_another_one(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "one", "Running")
    api.objects["workflows", "one-wf"]["metadata"]["uid"] = "another"
    assert reap(capsys) == {"one": ("removed", "its run, one-wf, is gone")}


def test_a_job_whose_step_has_died_is_removed_though_its_run_goes_on(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "begun-again", "Running", silent=20)
    add(api, "silent", "Running", silent=40)
    fates = reap(capsys)
    assert fates["begun-again"] == ("kept", "")
    fate, reason = fates["silent"]
    assert fate == "removed"
    assert reason.startswith("no step has waited for it since 20")


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ("Running", ""),
        ("Failed", "its step, step-1, has ended: Failed"),
        ("", "its step, step-1, is gone"),
    ],
)
def test_a_job_that_goes_with_the_pod_of_its_step_is_removed_after_it(
    api: KubeApi, capsys: pytest.CaptureFixture[str], phase: str, reason: str
) -> None:
    job = KINDS["pytorchjob"].build(job_request(run="one"))
    step = {"apiVersion": "v1", "kind": "Pod", "name": "step-1", "uid": "step-1"}
    job["metadata"]["ownerReferences"] = [step]
    api.add_job("pytorchjobs", job)
    if phase:
        api.add_pod(pod("step-1", phase))
    assert reap(capsys) == {"one": ("removed" if reason else "kept", reason)}


def test_where_workflows_may_not_be_read_only_silence_counts(
    api: KubeApi, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    add(api, "failed", "Failed")
    add(api, "silent", "Failed", silent=40)
    api.faults = [Fault("GET", "/workflows/", 403, 2)]
    assert {run: fate for run, (fate, _) in reap(capsys).items()} == {
        "failed": "kept",
        "silent": "removed",
    }
    assert "whether its run, failed-wf, is over is not known" in caplog.text


def test_a_finished_job_is_left_to_its_time_to_live(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "done", "Succeeded")
    (job,) = api.jobs()
    job["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    assert reap(capsys) == {"done": ("kept", "")}


def test_all_and_run_choose_what_is_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "one", "Running")
    add(api, "two", "Running")
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
    api.installed = {"pytorchjobs", "workflows"}
    add(api, "lost")
    assert main(["reap", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("would be removed  PyTorchJob daftt-lost-teacher-")
    assert "its run, lost-wf, is gone" in said


def test_missing_rights_end_with_one_sentence(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.faults = [Fault("GET", "/pytorchjobs", 403)]
    assert main(["reap"]) == 9
    assert "may not GET pytorchjobs" in capsys.readouterr().err


def test_finished_jobs_that_fill_a_quota_can_be_removed(
    api: KubeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    add(api, "at-work", "Running")
    manifest = KINDS["pytorchjob"].build(job_request(run="done"))
    manifest["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    api.add_job("pytorchjobs", manifest)
    assert {run: fate for run, (fate, _) in reap(capsys, "--finished").items()} == {
        "at-work": "kept",
        "done": "removed",
    }
