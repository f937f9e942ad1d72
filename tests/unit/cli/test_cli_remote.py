"""Commands for a cluster: the real kfp.Client against a server that speaks its API."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import raw_server
import yaml
from job_requests import job_request
from kfp_api import COOKIE, TOKEN, KfpServer, kfp_server
from kube_api import kube_api, pod

from daftt_core.cli.app import main
from daftt_core.cli.cluster import remote
from daftt_core.cli.cluster.schedule import six_fields
from daftt_core.cli.cluster.upload import version_name
from daftt_core.cli.local.launch import compiled_pipeline
from daftt_core.config import Config, from_argument, from_flat
from daftt_core.errors import ConfigError, DataError
from daftt_core.jobs import KINDS
from daftt_core.storage import open_storage
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, read_statuses, run_stage
from daftt_core.workspace.run import open_run
from daftt_core.workspace.status import write_status

OUTPUT = ["--output", "gs://bucket/daftt"]


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    _no_bucket(monkeypatch)
    with kfp_server() as server:
        monkeypatch.setenv("DAFTT_KFP_HOST", server.url)
        yield server


def call(capsys, *words: str) -> dict:
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_uploading_twice_makes_one_version(server: KfpServer, capsys) -> None:
    first = call(capsys, "upload")
    again = call(capsys, "upload")
    assert first["is_new"]
    assert again == {**first, "is_new": False}
    assert first["name"] == version_name(compiled_pipeline())
    assert server.writes == ["POST /pipelines", "POST /pipelines/upload_version"]
    assert server.body_of("POST /pipelines/upload_version") == compiled_pipeline().read_text()
    described = "Fine-tune a teacher on few labels, let it write more, and train small students."
    assert server.body_of("POST /pipelines")["description"] == described
    assert server.tables["versions"][0]["description"].endswith(described)


def test_submit_fills_in_the_form_and_starts_the_same_run_once(server: KfpServer, capsys) -> None:
    words = ("submit", *OUTPUT, "--cluster-gpus", "2", "--service-account", "trainer")
    words += ("--cluster-node-selector", '{"pool": "gpu"}')
    first = call(capsys, *words)
    sent = server.body_of("POST /runs")
    assert sent["display_name"] == first["name"]
    assert sent["service_account"] == "trainer"
    assert sent["runtime_config"]["parameters"] == {
        "output": "gs://bucket/daftt",
        "settings": {"cluster_gpus": "2", "cluster_node_selector": '{"pool": "gpu"}'},
    }
    uploaded = server.body_of("POST /pipelines/upload_version")
    assert uploaded != compiled_pipeline().read_text()  # the nodes are compiled in
    assert "pool" in uploaded
    again = call(capsys, *words)
    assert again == {**first, "started": False}
    assert len(server.tables["runs"]) == 1
    assert call(capsys, *words, "--again")["started"]
    assert len(server.tables["runs"]) == 2


def test_submit_carries_the_text_of_a_task_and_names_its_presets(
    server: KfpServer, capsys, tmp_path: Path
) -> None:
    task = tmp_path / "own.yaml"
    task.write_text(yaml.safe_dump(load_task("rte").model_dump(mode="json")))
    words = ("--task", str(task), "--preset", "olmo-2-1b,gpu-1x40", "--preset", "quick")
    call(capsys, "submit", *OUTPUT, *words, "--student-seeds", "2", "--student-epochs", "9")
    parameters = server.body_of("POST /runs")["runtime_config"]["parameters"]
    assert load_task(from_argument(parameters.pop("task"))) == load_task("rte")
    assert parameters == {
        "output": "gs://bucket/daftt",
        "preset": "olmo-2-1b,gpu-1x40,quick",
        "student_seeds": "2",
        "settings": {"student_epochs": "9"},
    }


def test_a_sweep_is_a_pipeline_of_its_own(server: KfpServer, capsys) -> None:
    words = ("submit", "--pipeline", "sweep", *OUTPUT, "--fractions", "0.01, 0.1", "--ratios", "2")
    words += ("--mixtures", "0,6", "--student-seeds", "5", "--cluster-gpus", "1")
    first = call(capsys, *words)
    assert first["name"].startswith("movie-reviews-sweep-")
    assert server.body_of("POST /pipelines")["display_name"] == "daftt-sweep"
    parameters = server.body_of("POST /runs")["runtime_config"]["parameters"]
    assert parameters["fractions"] == ["0.01", "0.1"]
    assert (parameters["ratios"], parameters["modes"]) == (["2"], ["both"])
    assert parameters["mixtures"] == ["0", "6"]
    assert parameters["settings"] == {"student_seeds": "5", "cluster_gpus": "1"}
    spec = next(yaml.safe_load_all(compiled_pipeline("sweep").read_text()))
    assert set(parameters) <= set(spec["root"]["inputDefinitions"]["parameters"])
    assert call(capsys, *words) == {**first, "started": False}


def test_a_wrong_mixture_of_a_sweep_is_told_before_anything_starts(tmp_path, capsys) -> None:
    assert main(["sweep", "--output", str(tmp_path), "--mixtures", "0,few"]) == 2
    assert capsys.readouterr().err.startswith("error: mixture_tasks: 'few' should be an int")
    assert main(["sweep", "--output", str(tmp_path), "--mixture-tasks", "6"]) == 2
    assert "mixture_tasks: a sweep sets it for each cell; give mixtures" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_only_a_sweep_varies_is_refused_elsewhere(server, capsys) -> None:
    assert main(["submit", *OUTPUT, "--ratios", "2"]) == 2
    said = "error: --ratios: is for a sweep: add --pipeline sweep, or leave it out\n"
    assert capsys.readouterr().err == said
    assert server.requests == []


def test_a_run_that_failed_is_started_again(server: KfpServer, capsys) -> None:
    first = call(capsys, "submit", *OUTPUT)
    server.tables["runs"][0]["state"] = "FAILED"
    assert call(capsys, "submit", *OUTPUT)["run_id"] != first["run_id"]


def test_what_pods_cannot_reach_is_refused_before_anything_is_asked(server, capsys) -> None:
    assert main(["submit", "--data-train", "my.csv"]) == 2
    said = capsys.readouterr().err
    assert "output: 'runs' is on this machine, which no pod sees; copy it to storage (gs" in said
    assert "data_train: 'my.csv' is on this machine" in said
    assert server.requests == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("output", "s3://"),
        ("output", "memory://daftt"),
        ("output", "gs://"),
        ("output", "file:///data"),
        ("data-test", "/data/test.csv"),
        ("data-unlabelled", "az://bucket/pool.csv"),
        ("prices", "prices.yaml"),
        ("mixture-source", "/data/tasks"),
        ("promotion-registry", "champions"),
        ("teacher-model", "./teacher"),
        ("student-model", "hdfs://bucket/student"),
    ],
)
@pytest.mark.parametrize("command", ["submit", "schedule"])
def test_each_place_that_pods_do_not_see_is_refused(
    command: str, setting: str, value: str, server: KfpServer, capsys
) -> None:
    words = [command, *OUTPUT, f"--{setting}", value]
    words += ["--cron", "0 3 * * 1"] if command == "schedule" else []
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {setting.replace('-', '_')}: {value!r} ")
    assert server.requests == []


def test_a_run_in_another_store_is_submitted(server: KfpServer, capsys) -> None:
    call(capsys, "submit", "--output", "s3://bucket/daftt")
    sent = server.body_of("POST /runs")["runtime_config"]["parameters"]
    assert sent["output"] == "s3://bucket/daftt"


def test_a_sweep_that_one_workflow_cannot_hold_is_refused(server: KfpServer, capsys) -> None:
    words = ["submit", "--pipeline", "sweep", *OUTPUT, "--ratios", "1,2,3,4,5,6"]
    assert main([*words, "--fractions", "0.01,0.02,0.03,0.04"]) == 2
    assert "at most 12 cells" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize("command", ["upload", "submit", "schedule"])
def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(command, server, capsys) -> None:
    words = [command]
    words += OUTPUT if command != "upload" else []
    words += ["--cron", "0 3 * * 1"] if command == "schedule" else []
    assert main([*words, "--dry-run", "--token", TOKEN]) == 0
    shown = capsys.readouterr().out
    assert server.writes == []
    assert TOKEN not in shown
    decoder, changes = json.JSONDecoder(), []
    while shown:
        change, end = decoder.raw_decode(shown)
        changes.append(change)
        shown = shown[end:].lstrip()
    assert main(words) == 0
    capsys.readouterr()
    assert len(changes) == len(server.writes)
    if command != "upload":
        sent = server.body_of("POST /runs" if command == "submit" else "POST /recurringruns")
        assert changes[-1]["with"]["params"] == sent["runtime_config"]["parameters"]
        assert changes[-1]["with"]["job_name"] == sent["display_name"]


def test_a_schedule_is_created_left_alone_and_replaced(server: KfpServer, capsys) -> None:
    words = ("schedule", *OUTPUT, "--cron", "0 3 * * 1", "--service-account", "trainer")
    first = call(capsys, *words)
    sent = server.body_of("POST /recurringruns")
    assert sent["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (int(sent["max_concurrency"]), sent["no_catchup"]) == (1, True)
    assert (sent["mode"], sent["service_account"]) == ("ENABLE", "trainer")
    writes = len(server.writes)
    assert call(capsys, *words) == {**first, "changed": False}
    assert len(server.writes) == writes
    other = call(capsys, *words, "--seed", "14")
    old = first["recurring_run_id"]
    assert server.writes[writes:] == [
        f"POST /recurringruns/{old}:disable",
        "POST /recurringruns",
        f"DELETE /recurringruns/{old}",
    ]
    assert [r["recurring_run_id"] for r in server.tables["recurringruns"]] == [
        other["recurring_run_id"]
    ]


def test_a_schedule_trains_when_there_is_reason_to_unless_told_otherwise(
    server: KfpServer, capsys, tmp_path: Path
) -> None:
    where, path = "/recurringruns", tmp_path / "settings.yaml"
    path.write_text("trigger_when: new-data\ndata_train: gs://bucket/labels/*.csv\n")
    for words, expected in (
        ((), "drift"),
        (("--trigger-when", "always"), "always"),
        (("--settings", str(path)), "new-data"),
    ):
        call(capsys, "schedule", *OUTPUT, "--cron", "0 3 * * 1", *words)
        posts = [body for *request, body in server.requests if request == ["POST", where]]
        parameters = posts[-1]["runtime_config"]["parameters"]
        assert parameters["settings"]["trigger_when"] == expected
    assert parameters["data_train"] == "gs://bucket/labels/*.csv"


def test_a_schedule_with_a_run_in_progress_is_switched_off_and_deleted_later(
    server: KfpServer, capsys
) -> None:
    first = call(capsys, "schedule", *OUTPUT, "--cron", "0 3 * * 1")["recurring_run_id"]
    call(capsys, "submit", *OUTPUT)
    (run,) = server.tables["runs"]
    run |= {"state": "RUNNING", "recurring_run_id": first}
    words = ["schedule", *OUTPUT, "--cron", "0 4 * * 1"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert f"the recurring run {first} is switched off" in said
    assert "workflow_deleted" not in run
    modes = {each["recurring_run_id"]: each["mode"] for each in server.tables["recurringruns"]}
    assert modes[first] == "DISABLE"
    assert sorted(modes.values()) == ["DISABLE", "ENABLE"]
    run["state"] = "SUCCEEDED"
    assert main(words) == 0
    assert [each["mode"] for each in server.tables["recurringruns"]] == ["ENABLE"]


def test_a_namespace_that_is_not_used_is_said(server: KfpServer, capsys) -> None:
    assert main(["submit", *OUTPUT, "--namespace", "team-a"]) == 0
    assert "--namespace team-a is not used" in capsys.readouterr().err
    server.multi_user = True
    assert main(["submit", *OUTPUT, "--namespace", "team-a", "--again"]) == 0
    assert "is not used" not in capsys.readouterr().err


def test_a_schedule_that_cannot_be_replaced_goes_on(server: KfpServer, capsys) -> None:
    call(capsys, "schedule", *OUTPUT, "--cron", "0 3 * * 1")
    (run,) = server.tables["recurringruns"]
    disable = f"POST /recurringruns/{run['recurring_run_id']}:disable"
    server.refusals = {disable: 403}
    assert main(["schedule", *OUTPUT, "--cron", "0 4 * * 1"]) == 10
    assert "cannot switch off the recurring run that is replaced (403)" in capsys.readouterr().err
    server.refusals = {"POST /recurringruns ": 500}  # creating, not what follows an id
    assert main(["schedule", *OUTPUT, "--cron", "0 4 * * 1"]) == 10
    assert server.writes[-3:] == [disable, "POST /recurringruns", disable.replace("dis", "en")]
    assert server.tables["recurringruns"] == [run]
    assert run["mode"] == "ENABLE"


@pytest.mark.parametrize(
    ("given", "wanted"), [("0 3 * * 1", "0 0 3 * * 1"), ("5 0 3 * * 1", "5 0 3 * * 1")]
)
def test_cron_gets_its_seconds(given, wanted) -> None:
    assert six_fields(given) == wanted


def test_a_wrong_cron_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"--cron: '0 3' has 2 fields; it needs 5"):
        six_fields("0 3")


def test_runs_of_the_cluster(server: KfpServer, capsys) -> None:
    call(capsys, "submit", *OUTPUT, "--name", "mine")
    server.tables["runs"][0] |= {"state": "FAILED", "error": {"message": "the pod was evicted"}}
    (found,) = call(capsys, "runs", "--remote")
    assert (found["name"], found["status"]) == ("mine", "failed")
    assert found["message"] == "the pod was evicted"
    assert main(["runs", "--remote"]) == 0
    assert "the pod was evicted" in capsys.readouterr().out


def test_no_runs_in_the_cluster(server: KfpServer, capsys) -> None:
    assert main(["runs", "--remote"]) == 0
    assert "There is no run in http://127.0.0.1" in capsys.readouterr().out


DETAILS = [
    {"display_name": "root", "state": "FAILED"},
    {
        "display_name": "train-teacher",
        "state": "FAILED",
        "start_time": "2026-01-02T03:05:00Z",
        "error": {"message": "exit code 7"},
        "child_tasks": [{"pod_name": "pod-2"}],
    },
    {
        "display_name": "preflight",
        "state": "SUCCEEDED",
        "start_time": "2026-01-02T03:04:10Z",
        "child_tasks": [{"pod_name": "pod-1"}],
    },
]


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def _no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no bucket answer, and that soon."""
    from daftt_core.storage.gcs_client import Patience

    open_run.cache_clear()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("daftt_core.storage.gcs.Patience", lambda: Patience(deadline_seconds=0.2))


@pytest.mark.usefixtures("no_cluster")
def test_without_a_kubeconfig_logs_come_from_kubeflow_pipelines(server: KfpServer, capsys) -> None:
    call(capsys, "submit", *OUTPUT, "--name", "mine")
    server.tables["runs"][0]["run_details"] = {"task_details": DETAILS}
    server.logs = {"pod-1": "all is well\n", "pod-2": "step 1\nstep 2\nthe loss became NaN\n"}
    assert main(["logs", "mine"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine: pending\n")
    assert "# the run's folder cannot be read from here: gs://bucket/daftt/mine" in out
    assert out.index("preflight (succeeded)") < out.index("train-teacher (failed)")
    assert "all is well" in out
    assert main(["logs", "mine", "--failed", "--tail", "1"]) == 0
    assert capsys.readouterr().out.endswith(
        "==== train-teacher (failed)\nerror: exit code 7\nthe loss became NaN\n"
    )
    assert main(["logs", "mine", "--task", "preflght"]) == 10
    assert "did you mean 'preflight'?" in capsys.readouterr().err
    assert main(["logs", "yours"]) == 10
    assert "there is no run 'yours'" in capsys.readouterr().err


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("status", [200, 500])
def test_an_error_of_kubeflow_pipelines_is_no_log(server: KfpServer, capsys, status: int) -> None:
    call(capsys, "submit", *OUTPUT, "--name", "mine")
    server.tables["runs"][0]["run_details"] = {"task_details": DETAILS}
    # what 2.17.0 sends for a log that it cannot find, after the workflow is gone
    answer = {"error": "failed to read run log", "code": 5, "message": "pods not found"}
    server.logs = dict.fromkeys(("pod-1", "pod-2"), json.dumps(answer))
    if status != 200:
        server.refusals = {"GET /apis/v1alpha1/": status}
    assert main(["logs", "mine"]) == 0
    out = capsys.readouterr().out
    assert out.count("its log cannot be read: ") == 2
    assert "{" not in out


def test_stages_and_pods_tell_what_the_list_of_tasks_does_not(
    server: KfpServer, capsys, monkeypatch, tmp_path: Path
) -> None:
    started = call(capsys, "submit", *OUTPUT, "--name", "mine")
    run = Run(uri=str(tmp_path / "mine"), seed=1, task=load_task("movie-reviews"))
    monkeypatch.setattr("daftt_core.cli.cluster.remote_runs.resolve", lambda _: run)
    with pytest.raises(DataError):
        run_stage(run, "data", [], _fail)
    with kube_api(tmp_path, monkeypatch.setenv) as api:
        for name, component, phase in (
            ("w-1", "prepare_data", "Failed"),
            ("w-2", "", "Succeeded"),
            ("w-3", "summarize", "Succeeded"),
        ):
            made = pod(name, phase)
            made["metadata"]["labels"] = {"pipeline/runid": started["run_id"]}
            words = ["--executor_input", "{}", "--function_to_execute", component]
            made["spec"] = {"containers": [{"name": "main", "args": words if component else []}]}
            api.add_pod(made)
        api.logs["w-1"] = ["2026-11-01T10:00:00Z error: my.csv, line 3"]
        assert main(["logs", "mine", "--failed"]) == 0
        out = capsys.readouterr().out
        assert "stage data: failed: my.csv, line 3: what is 'mabye'?" in out
        assert "==== prepare-data (failed)" in out
        assert out.endswith("error: my.csv, line 3\n")
        assert main(["logs", "mine"]) == 0
        out = capsys.readouterr().out
        assert "==== summarize (succeeded)" in out
        assert "w-2" not in out  # a driver


def test_a_stopped_run_takes_its_jobs_along_and_its_folder_says_so(
    server: KfpServer, capsys, monkeypatch, tmp_path: Path
) -> None:
    call(capsys, "submit", *OUTPUT, "--name", "mine")
    run = Run(uri=str(tmp_path / "mine"), seed=1, task=load_task("movie-reviews"))
    monkeypatch.setattr("daftt_core.cli.cluster.remote_runs.resolve", lambda _: run)
    write_status(tmp_path / "mine", open_storage(run.uri), "teacher", "running")
    with kube_api(tmp_path, monkeypatch.setenv) as api:
        for name in ("mine", "another"):
            api.add_job("pytorchjobs", KINDS["pytorchjob"].build(job_request(run=name)))
        assert main(["stop", "mine"]) == 0
        left = {job["metadata"]["labels"]["daftt/run"]: job for job in api.jobs()}
        assert "deletionTimestamp" in left["mine"]["metadata"]
        assert "deletionTimestamp" not in left["another"]["metadata"]
        assert server.tables["runs"][0]["state"] == "CANCELING"
        capsys.readouterr()
        assert main(["logs", "mine"]) == 0
        assert capsys.readouterr().out.startswith("mine: canceling\n")
        assert server.tables["runs"][0]["state"] == "FAILED"
        assert main(["stop", "mine"]) == 0
        assert "mine: has ended already (canceled)" in capsys.readouterr().out
        assert call(capsys, "runs", "--remote")[0]["status"] == "canceled"
        assert main(["logs", "mine"]) == 0
        assert capsys.readouterr().out.startswith("mine: canceled\n")
    (status,) = read_statuses(tmp_path / "mine")
    assert (status.state, status.message.partition(";")[0]) == ("failed", "stopped by daftt stop")


def test_submit_waits_for_the_end(server: KfpServer, capsys, monkeypatch) -> None:
    monkeypatch.setattr("daftt_core.cli.cluster.submit._POLL_SECONDS", 0.01)

    def end(state: str) -> None:
        while not server.tables["runs"] or server.tables["runs"][0]["state"] != "PENDING":
            time.sleep(0.01)
        (run, *_) = server.tables["runs"]
        if state == "CANCELED":
            address = f"{server.url}/apis/v2beta1/runs/{run['run_id']}:terminate"
            urlopen(Request(address, method="POST")).close()
        else:
            run["state"] = state

    for state, code in (("SUCCEEDED", 0), ("FAILED", 10), ("CANCELED", 10)):
        ending = threading.Thread(target=end, args=(state,))
        ending.start()
        assert main(["submit", *OUTPUT, "--again", "--wait", "--name", state.lower()]) == code
        ending.join()
        assert f"{state.lower()}: {state.lower()}" in capsys.readouterr().err


def _fail(folder: Path) -> dict[str, Any]:
    raise DataError("my.csv, line 3: what is 'mabye'?")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the token or cookie is missing, wrong or has expired; set DAFTT_KFP_TOKEN"),
        (403, "this is not allowed"),
        (404, "there is no such thing there"),
        (409, "there is one of that name already"),
        (500, "it has a fault; run the same command again later"),
        (503, "it has a fault; run the same command again later"),
    ],
)
@pytest.mark.parametrize("where", ["GET /healthz", "GET /pipelines", "POST /runs"])
def test_each_refusal_is_one_sentence_without_the_token(
    where, status, said, server: KfpServer, capsys
) -> None:
    server.refusals[where] = status
    assert main(["submit", *OUTPUT, "--token", TOKEN]) == 10
    captured = capsys.readouterr()
    assert said in captured.err
    assert f"({status})" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert TOKEN not in captured.err + captured.out


def test_a_token_opens_what_is_closed(server: KfpServer, monkeypatch, capsys) -> None:
    server.needs_token = True
    assert main(["upload"]) == 10
    assert "set DAFTT_KFP_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("DAFTT_KFP_TOKEN", TOKEN)
    assert call(capsys, "upload")["is_new"]


def test_several_users_need_a_namespace(server: KfpServer, capsys) -> None:
    server.multi_user = True
    assert main(["upload"]) == 2
    assert "say which namespace is yours with --namespace" in capsys.readouterr().err
    assert call(capsys, "upload", "--namespace", "team")["is_new"]
    assert server.body_of("POST /pipelines")["namespace"] == "team"


def test_a_page_to_log_in_is_told_apart(server: KfpServer, capsys) -> None:
    server.page = "<html>Log in</html>"
    assert main(["upload"]) == 10
    assert "perhaps a page to log in" in capsys.readouterr().err


def test_a_platform_with_a_page_to_log_in_takes_its_cookie(
    server: KfpServer, capsys, monkeypatch
) -> None:
    server.needs_cookie = True
    assert main(["upload"]) == 10
    assert "DAFTT_KFP_COOKIE" in capsys.readouterr().err
    monkeypatch.setenv("DAFTT_KFP_COOKIE", COOKIE)
    assert call(capsys, "upload")["is_new"]
    server.refusals = {"GET /pipelines": 403}
    assert main(["upload"]) == 10
    assert COOKIE not in capsys.readouterr().err


def test_nobody_there(monkeypatch, capsys) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "DAFTT_KFP_HOST", f"http://me:secret@127.0.0.1:{unused.getsockname()[1]}"
        )
        assert main(["upload"]) == 10
    said = capsys.readouterr().err
    assert "cannot be reached to answer" in said
    assert "secret" not in said
    assert len(said.splitlines()) == 1


def test_no_address_and_a_wrong_one(monkeypatch, capsys) -> None:
    monkeypatch.delenv("DAFTT_KFP_HOST", raising=False)
    assert main(["upload"]) == 2
    assert "use --host or DAFTT_KFP_HOST" in capsys.readouterr().err
    assert main(["upload", "--host", "kubeflow.example"]) == 2
    assert "must begin with http:// or https://" in capsys.readouterr().err
    assert main(["upload", "--host", "https://kubeflow.example", "--ca-cert", "none.pem"]) == 2
    assert "none.pem: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "host", ["http://169.254.169.254", "http://2852039166", "http://[::1", "http://host\r\nX: y"]
)
def test_an_address_that_must_not_be_asked_is_refused(host: str, capsys) -> None:
    assert main(["upload", "--host", host]) == 2
    said = capsys.readouterr().err
    assert "--host" in said
    assert "is not an address: it must" in said
    assert len(said.splitlines()) == 1


def test_a_server_that_dribbles_is_given_up(monkeypatch, capsys) -> None:
    monkeypatch.setattr(remote, "_PATIENCE_SECONDS", 0.5)
    with raw_server.running() as server:
        server.answers, server.dribbles = [b"HTTP/1.1 200 OK\r\nX: "], True
        assert main(["upload", "--host", server.url]) == 10
    assert "has not answered in full after" in capsys.readouterr().err


def test_no_redirect_takes_the_token_elsewhere(monkeypatch, capsys) -> None:
    monkeypatch.setenv("DAFTT_KFP_TOKEN", "a-secret-token")
    with raw_server.running() as server, raw_server.running() as other:
        server.answers = [
            raw_server.http_answer(b"", status="307 T", head=f"Location: {other.url}\r\n")
        ]
        assert main(["upload", "--host", server.url]) == 10
        assert other.requests == []
    assert "cannot answer (307)" in capsys.readouterr().err


def test_cluster_settings_are_checked_like_all_others() -> None:
    with pytest.raises(ConfigError) as caught:
        from_flat(
            {
                "cluster_memory": "much",
                "cluster_tolerations": '[{"kee": "x"}]',
                "cluster_node_selector": "{",
            }
        )
    said = str(caught.value)
    assert "cluster_memory: 'much'" in said
    assert "a toleration has no 'kee'" in said
    assert "cluster_node_selector: '{' is not JSON" in said
    assert from_flat({"cluster_gpus": 4}).cluster.gpus == 4


def test_where_a_run_runs_does_not_change_its_name(tmp_path) -> None:
    from daftt_core.preflight import resolve

    assert resolve(from_flat({"cluster_gpus": 4})).uri == resolve(Config()).uri


def test_the_compiled_pipeline_is_read_by_yaml() -> None:
    spec, platform = yaml.safe_load_all(compiled_pipeline().read_text())
    assert set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == set(
        spec["deploymentSpec"]["executors"]
    )
