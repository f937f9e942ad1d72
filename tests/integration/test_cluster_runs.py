"""What a person is told of runs of a cluster: a server of Kubeflow's API, and a real bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp_api import KfpServer, kfp_server
from kube_api import kube_api, pod

from daftt_core.cli.app import main
from daftt_core.config import from_flat
from daftt_core.errors import TrainingError
from daftt_core.preflight import preflight, resolve
from daftt_core.workspace import Run, run_stage
from daftt_core.workspace.run import open_run

UI = "https://kubeflow.example/_/pipeline"
CallMain = Callable[..., Any]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DAFTT_SCRATCH", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kfp_server() as server:
        monkeypatch.setenv("DAFTT_KFP_HOST", server.url)
        monkeypatch.setenv("DAFTT_KFP_UI", f"{UI}/#/experiments")
        yield server


@pytest.fixture
def output(bucket: str) -> str:
    return f"{bucket}/runs"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CallMain:
    def call(*words: str, code: int = 0) -> Any:
        assert main([*words, "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this process a pod of the run that Argo calls so."""

    def begin(name: str) -> None:
        monkeypatch.setenv("KFP_POD_NAME", f"{name}-system-container-impl-1")

    return begin


def work_on(output: str, name: str = "mine", **settings: object) -> Run:
    """A run in the bucket whose first two stages are done."""
    config = from_flat({"output": output, "name": name, **settings})
    run = resolve(config)
    preflight(config, run)
    run_stage(run, "data", [], lambda folder: {})
    return run


def diverge(folder: Path) -> dict[str, Any]:
    raise TrainingError("the loss became NaN at step 2")


def be_killed(folder: Path) -> dict[str, Any]:
    raise KeyboardInterrupt


def in_progress(server: KfpServer, **values: object) -> None:
    """Let the newest run be in progress for a minute."""
    made = datetime.now(UTC) - timedelta(minutes=1)
    server.tables["runs"][0] |= {"state": "RUNNING", "created_at": made.isoformat(), **values}


def over(run: dict[str, Any], state: str) -> None:
    run |= {"state": state, "finished_at": datetime.now(UTC).isoformat()}


@pytest.fixture
def mine(server: KfpServer, output: str, call: CallMain) -> dict[str, Any]:
    """A run called mine, in progress."""
    call("submit", "--output", output, "--name", "mine")
    in_progress(server)
    return server.tables["runs"][0]


def test_the_status_of_a_run_tells_its_stages_its_end_and_the_reason(
    mine: dict[str, Any],
    output: str,
    call: CallMain,
    attempt: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempt("daftt-x1")
    run = work_on(output)
    told = call("status", "mine", code=11)
    assert (told["state"], told["endings"], told["folders"]) == ("running", [], [run.uri])
    assert {stage["stage"]: stage["state"] for stage in told["stages"]} == {
        "preflight": "done",
        "data": "done",
    }
    assert all(stage["seconds"] >= 0 for stage in told["stages"])
    with pytest.raises(TrainingError):
        run_stage(run, "teacher", [], diverge)
    over(mine, "FAILED")
    told = call("status", mine["run_id"], code=TrainingError.exit_code)
    sentence = "stage teacher: the loss became NaN at step 2"
    assert told["endings"] == [{"cell": "", "outcome": "failed", "sentence": sentence}]
    assert told["link"] == f"{UI}/#/runs/details/{mine['run_id']}"
    assert main(["status", "mine"]) == TrainingError.exit_code
    out = capsys.readouterr().out
    assert out.startswith("mine: failed after 1 min ")
    assert f"\n{UI}/#/runs/details/{mine['run_id']}\n{run.uri}\n" in out
    assert f"failed: {sentence}\n" in out


def test_a_run_that_succeeded_ends_with_exit_code_0(mine: dict[str, Any], call: CallMain) -> None:
    over(mine, "SUCCEEDED")
    assert call("status", "mine")["state"] == "succeeded"


def test_a_step_that_does_not_start_is_told_with_its_reason(
    mine: dict[str, Any],
    call: CallMain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with kube_api(tmp_path, monkeypatch.setenv) as api:
        made = pod("w-1", "Pending")
        made["metadata"]["labels"] = {"pipeline/runid": mine["run_id"]}
        words = ["--executor_input", "{}", "--function_to_execute", "train_teacher"]
        made["spec"] = {"containers": [{"name": "main", "args": words}]}
        message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        made["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
        ]
        api.add_pod(made)
        (step,) = call("status", "mine", code=11)["steps"]
    assert (step["step"], step["state"]) == ("train-teacher", "pending")
    assert message in step["reason"]


def test_what_another_run_left_in_the_folder_is_not_the_end_of_this_one(
    mine: dict[str, Any], output: str, call: CallMain, attempt: Callable[[str], None]
) -> None:
    attempt("daftt-x0")
    run = work_on(output)
    with pytest.raises(TrainingError):
        run_stage(run, "teacher", [], diverge)
    later = datetime.now(UTC) + timedelta(seconds=1)
    mine["created_at"] = later.isoformat()  # the run that failed was there before
    stages = call("status", "mine", code=11)["stages"]
    assert [stage["stage"] for stage in stages] == ["preflight", "data"]
    mine |= {"state": "FAILED", "finished_at": (later + timedelta(seconds=5)).isoformat()}
    assert call("status", "mine", code=10)["endings"] == []
    (listed,) = call("runs", "--remote")
    assert listed["message"] == ""


def test_the_list_says_why_runs_ended_early(
    server: KfpServer,
    mine: dict[str, Any],
    output: str,
    call: CallMain,
    attempt: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempt("daftt-x1")
    run = work_on(output)
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "teacher", [], be_killed)
    mine["state_history"] = [{"state": "CANCELING"}]
    over(mine, "FAILED")
    call("submit", "--output", output, "--name", "yours")
    in_progress(server)
    yours, listed = call("runs", "--remote")
    assert (yours["status"], yours["message"]) == ("running", "")
    assert listed["message"] == (
        "stage teacher was cut off in its work: it was stopped in Kubeflow Pipelines"
    )
    assert main(["stop", "mine"]) == 0
    assert f"{UI}/#/runs/details/{mine['run_id']}" in capsys.readouterr().out
    assert call("runs", "--remote")[1]["message"] == (
        "stage teacher: stopped by daftt stop; submit the run again to resume it"
    )
    assert main(["runs", "--remote"]) == 0
    assert f"The page of a run: {UI}/#/runs/details/ID\n" in capsys.readouterr().out


def test_links_lead_to_the_address_of_the_api_where_no_other_is_known(
    server: KfpServer, output: str, call: CallMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAFTT_KFP_UI")
    link = call("submit", "--output", output)["link"]
    assert link.startswith(f"{server.url}/#/runs/details/")


def test_an_address_of_the_user_interface_that_is_none_is_refused(
    server: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--remote", "--ui", "kubeflow.example"]) == 2
    assert "--ui: 'kubeflow.example' is not an address: it must begin" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize("command", [("submit",), ("schedule", "--cron", "0 3 * * 1")])
def test_a_name_that_a_run_with_other_settings_has_is_refused(
    command: tuple[str, ...],
    server: KfpServer,
    output: str,
    call: CallMain,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = work_on(output, student_epochs=5, trigger_when="drift")
    words = [*command, "--output", output, "--name", "mine"]
    other = [*words, "--student-epochs", "7", "--task", "rte"]
    assert main(other) == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: name: 'mine' is used by a run with other settings in {run.uri} (task: another; "
        "student_epochs: 5 there, 7 here): choose another name, or have all that depends on them "
        "done again with --overwrite\n"
    )
    assert server.writes == []
    call(*words, "--student-epochs", "5", "--cluster-gpus", "1")  # where it runs changes nothing
    for run_there in server.tables["runs"]:
        over(run_there, "FAILED")
    call(*other, "--overwrite")


def test_a_name_in_use_by_a_run_in_progress_with_other_settings_is_refused(
    mine: dict[str, Any], server: KfpServer, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    writes = len(server.writes)
    words = ["submit", "--output", output, "--name", "mine", "--seed", "14", "--overwrite"]
    assert main(words) == 2
    assert f"that is in progress ({mine['run_id']})" in capsys.readouterr().err
    assert len(server.writes) == writes
    same = ["schedule", "--output", output, "--name", "mine", "--cron", "0 3 * * 1"]
    assert main(same) == 0  # when it trains does not change what comes of it
    over(mine, "FAILED")
    assert main(words) == 0


def test_a_sweep_of_the_same_name_with_other_settings_is_refused(
    server: KfpServer, output: str, call: CallMain, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["submit", "--pipeline", "sweep", "--output", output, "--name", "grid"]
    words += ["--fractions", "0.01", "--ratios", "2"]
    call(*words)
    shown = call("status", "grid", code=11)
    (uri,) = shown["folders"]
    cell = uri.rpartition("/")[2]
    settings = {"data_labelled_fraction": 0.01, "curation_ratio": 2, "synthesis_mode": "both"}
    config = from_flat({"output": f"{output}/grid", "name": cell, "mixture_tasks": 0, **settings})
    preflight(config)
    assert main([*words, "--seed", "14"]) == 2
    assert "is the name of a run with other settings that is in progress" in capsys.readouterr().err
    over(server.tables["runs"][0], "FAILED")
    assert main([*words, "--seed", "14"]) == 2
    assert f"settings in {uri} (" in capsys.readouterr().err
    call(*words)


def test_a_folder_that_cannot_be_read_from_here_is_said_and_stops_nothing(
    mine: dict[str, Any],
    output: str,
    call: CallMain,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("daftt_core.cli.cluster.endings._PATIENCE_SECONDS", 0.2)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    open_run.cache_clear()
    assert main(["submit", "--output", output, "--name", "mine", "--again"]) == 0
    assert f"# the settings of mine are not compared: {output}/mine" in capsys.readouterr().err
    over(mine, "FAILED")
    assert main(["runs", "--remote"]) == 0
    assert f"# why runs ended is not read: {output}/mine" in capsys.readouterr().err
    assert main(["status", mine["run_id"]]) == 10
    assert "# the run's folder cannot be read from here" in capsys.readouterr().err


def test_schedules_are_listed_paused_resumed_and_removed(
    server: KfpServer, output: str, call: CallMain, capsys: pytest.CaptureFixture[str]
) -> None:
    made = call("schedule", "--output", output, "--cron", "0 3 * * 1")["recurring_run_id"]
    (row,) = call("schedule", "list")
    assert (row["name"], row["state"], row["cron"]) == ("daftt", "on", "0 0 3 * * 1")
    assert row["link"] == f"{UI}/#/recurringrun/details/{made}"
    assert row["last_run"] is None
    (kept,) = server.tables["recurringruns"]
    assert main(["schedule", "pause", "daftt", "--dry-run"]) == 0
    assert kept["mode"] == "ENABLE"
    assert main(["schedule", "pause", "daftt"]) == 0
    assert kept["mode"] == "DISABLE"
    capsys.readouterr()
    assert call("schedule", "list")[0]["state"] == "paused"
    capsys.readouterr()
    assert main(["schedule", "pause", made]) == 0
    assert "is paused already" in capsys.readouterr().out
    assert main(["schedule", "resume", "daftt"]) == 0
    assert kept["mode"] == "ENABLE"
    assert main(["schedule", "remove", "dafft"]) == 10
    assert "there is no recurring run 'dafft' (there are: daftt)" in capsys.readouterr().err
    assert main(["schedule", "remove", "daftt"]) == 0
    assert server.tables["recurringruns"] == []
    assert main(["schedule", "list"]) == 0
    assert "There is no schedule in" in capsys.readouterr().out


def test_removing_a_schedule_ends_no_run(
    server: KfpServer, output: str, call: CallMain, capsys: pytest.CaptureFixture[str]
) -> None:
    made = call("schedule", "--output", output, "--cron", "0 3 * * 1")["recurring_run_id"]
    call("submit", "--output", output)
    in_progress(server, recurring_run_id=made)
    (run,) = server.tables["runs"]
    assert call("schedule", "list")[0]["last_run"]["status"] == "running"
    assert main(["schedule", "remove", "daftt"]) == 0
    captured = capsys.readouterr()
    assert f"({run['run_id']}) has ended; the same command deletes it then" in captured.err
    assert "removed" not in captured.out
    assert "workflow_deleted" not in run
    assert [each["mode"] for each in server.tables["recurringruns"]] == ["DISABLE"]
    over(run, "SUCCEEDED")
    assert main(["schedule", "remove", made]) == 0
    assert server.tables["recurringruns"] == []


def test_of_several_schedules_of_a_name_the_newest_is_resumed(
    server: KfpServer, output: str, call: CallMain
) -> None:
    old = call("schedule", "--output", output, "--cron", "0 3 * * 1")["recurring_run_id"]
    call("submit", "--output", output)
    in_progress(server, recurring_run_id=old)
    new = call("schedule", "--output", output, "--cron", "0 4 * * 1")["recurring_run_id"]
    assert main(["schedule", "pause", "daftt"]) == 0
    assert main(["schedule", "resume", "daftt"]) == 0
    modes = {each["recurring_run_id"]: each["mode"] for each in server.tables["recurringruns"]}
    assert modes == {old: "DISABLE", new: "ENABLE"}


def test_options_before_a_command_of_schedule_are_refused(
    server: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schedule", "--host", server.url, "list"]) == 2
    assert "write daftt schedule list ... --host ..." in capsys.readouterr().err
    assert main(["schedule"]) == 2
    assert "--cron: is missing" in capsys.readouterr().err
