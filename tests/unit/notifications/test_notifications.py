"""Messages about a run's end, against a real server on this machine."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import raw_server

from daftt_core.cli.app import main
from daftt_core.cli.local.marks import marked_as_running
from daftt_core.config import EvaluationConfig, PromotionConfig
from daftt_core.errors import ConfigError, RemoteError, StorageError, TrainingError
from daftt_core.evaluation import Evaluation
from daftt_core.notifications import (
    URL_VARIABLE,
    Ending,
    body_of,
    ending_of,
    example_ending,
    notify,
    send,
    sending,
)
from daftt_core.records import Prediction
from daftt_core.registry import Decision
from daftt_core.registry.decide import Challenger, Champion, decide
from daftt_core.tasks import Task, load_task
from daftt_core.workspace import Run, current_attempt, run_stage
from daftt_core.workspace.run import open_run
from daftt_core.workspace.status import write_status

SECRET = "T0PS3CR3T"
HOSTILE = "<!channel> <http://evil.example|click> @here & <@U1>\u202e\x1b[31m"


class Server:
    """Takes messages, and answers each with the next of some statuses."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.location = ""
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                outer.bodies.append(json.loads(self.rfile.read(size)))
                outer.paths.append(self.path)
                left = outer.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hooks/{SECRET}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv(URL_VARIABLE, server.url)
    monkeypatch.setattr(sending, "_RETRY", replace(sending._RETRY, sleep=lambda _: None))
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path / "one"), seed=1, task=load_task("movie-reviews"))


def evaluated(run: Run, low: float) -> None:
    arms = {"real": {"mean": 0.7}, "real+both": {"mean": 0.8, "gain": 9.0, "gain_low": low}}
    summary = {"headline": "It reaches 80%.", "chosen_arm": "real+both", "arms": arms}
    run_stage(run, "evaluation", [low], lambda _: summary)


def fail(run: Run, sentence: str) -> None:
    def work(folder: Path) -> dict[str, Any]:
        raise TrainingError(sentence)

    with pytest.raises(TrainingError):
        run_stage(run, "teacher", [], work)


def test_each_way_to_end_is_told_apart(run: Run) -> None:
    assert ending_of(None, "FAILED").outcome == "failed"
    fail(run, "the loss became nan")
    failed = ending_of(run, "FAILED", "pod failed")
    assert (failed.outcome, failed.sentence) == ("failed", "stage teacher: the loss became nan")
    assert [(one.stage, one.exit_code) for one in failed.failures] == [("teacher", 7)]
    evaluated(run, low=1.0)
    done = ending_of(run, "SUCCEEDED")
    assert (done.outcome, done.sentence, done.run) == ("succeeded", "It reaches 80%.", "one")
    evaluated(run, low=-1.0)
    assert ending_of(run, "SUCCEEDED").outcome == "no-gain"
    run_stage(run, "trigger", [], lambda _: {"train": False, "reason": "Nothing new."})
    assert ending_of(run, "SUCCEEDED").model_dump(include={"outcome", "sentence"}) == {
        "outcome": "not-trained",
        "sentence": "Nothing new.",
    }


# The driver of Kubeflow Pipelines 2.17.0 hands an exit handler the state of the metadata store
# (backend/src/v2/driver/resolve.go, line 472), in which a dead pod leaves RUNNING behind.
@pytest.mark.parametrize("state", ["COMPLETE", "FAILED", "RUNNING"])
def test_in_kubeflow_a_run_is_judged_by_its_stages(
    run: Run, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "daftt-x7k2p-system-container-impl-1234567")
    evaluated(run, low=1.0)
    run_stage(run, "report", [], lambda _: {"headline": ""})
    ending = ending_of(run, state, attempt=current_attempt())
    assert (ending.outcome, ending.sentence) == ("succeeded", "It reaches 80%.")
    fail(run, "the loss became nan")
    ending = ending_of(run, state, attempt=current_attempt())
    assert (ending.outcome, ending.sentence) == ("failed", "stage teacher: the loss became nan")


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
def test_a_step_that_died_before_its_program_is_told_and_an_older_attempt_is_not_its_success(
    run: Run, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "daftt-aaaaa-system-container-impl-1")
    evaluated(run, low=1.0)
    run_stage(run, "report", [], lambda _: {"headline": ""})
    monkeypatch.setenv("KFP_POD_NAME", "daftt-bbbbb-retry-system-container-impl-2")
    why = "pod p does not start: ImagePullBackOff"
    nothing = ending_of(run, state, why, attempt=current_attempt())
    assert nothing.outcome == "failed"
    assert nothing.sentence == f"its first step failed: {why}"
    run_stage(run, "data", [], lambda _: {})
    later = ending_of(run, state, attempt=current_attempt())
    assert later.sentence.startswith("the step after stage data failed")
    write_status(Path(run.uri), open_run(run.uri), "teacher", "running")
    cut_off = ending_of(run, state, attempt=current_attempt())
    assert cut_off.sentence.startswith("stage teacher was cut off in its work")


def test_a_run_that_promotes_has_not_succeeded_before_its_promotion(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "daftt-aaaaa-system-container-impl-1")
    evaluated(run, low=1.0)
    run_stage(run, "report", [], lambda _: {"headline": ""})
    ending = ending_of(run, "RUNNING", promotes=True, attempt=current_attempt())
    assert ending.outcome == "failed"


@pytest.mark.parametrize(
    ("right", "outcome", "begin"),
    [(100, "promoted", "Promoted: "), (50, "not-promoted", "Not promoted: ")],
)
def test_whether_another_model_serves_outranks_a_gain(
    run: Run, right: int, outcome: str, begin: str
) -> None:
    evaluated(run, low=-1.0)
    decision = decided(right)
    told = {"promoted": decision.promoted, "reason": decision.reason}
    run_stage(run, "promotion", [], lambda _: told)
    ending = ending_of(run, "SUCCEEDED")
    assert ending.outcome == outcome
    assert ending.sentence == f"It reaches 80%. {decision.reason}"
    assert decision.reason.startswith(begin)
    title = {"promoted": "is the new champion", "not-promoted": "was not promoted"}[outcome]
    assert title in body_of(ending, "slack")["text"]


def decided(right: int) -> Decision:
    """What is decided of a student with so many right answers of 100, where the champion has 80."""
    task = load_task("movie-reviews")
    evaluation = Evaluation(
        task_id=task.id,
        kind=task.kind,
        metric="accuracy",
        confidence=0.95,
        test_examples=100,
        seeds=(0,),
        labels=task.label_names,
        arms=(),
        chosen_arm="real+both",
        headline="It reaches 80%.",
    )
    return decide(
        task,
        Challenger("b" * 12, "real+both", 0, 0.8, _answers(task, right)),
        Champion("a" * 12, _answers(task, 80), None, ()),
        evaluation,
        PromotionConfig(),
        EvaluationConfig(bootstrap_samples=200),
        seed=1,
        evaluation_digest="e",
    )


def _answers(task: Task, right: int) -> list[Prediction]:
    gold, other = task.label_names
    return [
        Prediction(
            id=f"{number:04d}",
            arm="real+both",
            seed=0,
            gold=gold,
            output=gold if number < right else other,
            distribution={},
        )
        for number in range(100)
    ]


def test_a_failure_without_words_of_a_stage_has_those_of_the_pipeline(run: Run) -> None:
    run_stage(run, "data", [], lambda _: {})
    assert ending_of(run, "FAILED", "the pod was evicted").sentence == "the pod was evicted"
    assert "CANCELLED" in ending_of(run, "CANCELLED").sentence


def test_the_webhook_gets_json(run: Run, server: Server) -> None:
    evaluated(run, low=1.0)
    notify(ending_of(run, "SUCCEEDED"), "webhook")
    [body] = server.bodies
    assert body["event"] == "run-ended"
    assert (body["outcome"], body["task"]) == ("succeeded", "movie-reviews")
    assert body["uri"] == run.uri


def test_nothing_is_sent_unless_asked_for(run: Run, server: Server) -> None:
    notify(ending_of(run, "SUCCEEDED"), "none")
    assert server.bodies == []


def test_text_of_others_calls_nobody_in_slack_and_is_no_link() -> None:
    ending = Ending(outcome="failed", run=HOSTILE, task=HOSTILE, uri=HOSTILE, sentence=HOSTILE)
    body = body_of(ending, "slack")
    texts = [block["text"] for block in body["blocks"]]
    for text in texts:
        assert text["verbatim"] is True
        assert not set("<>\u202e\x1b") & set(text["text"])
    assert "&lt;!channel&gt;" in texts[1]["text"]
    assert "@here &amp; &lt;@U1&gt;" in texts[1]["text"]
    assert "channel" not in body["text"]
    assert body["unfurl_links"] is False


def test_a_long_sentence_fits_into_a_slack_block_and_no_escape_is_cut() -> None:
    long = "&" * 10_000
    ending = Ending(outcome="failed", run=long, task=long, uri=long, sentence=long)
    blocks = body_of(ending, "slack")["blocks"]
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks)
    text = blocks[1]["text"]["text"]
    assert text.replace("&amp;", "").strip(".") == ""


def test_a_server_that_is_busy_is_asked_again(server: Server) -> None:
    server.statuses = [500, 503, 200]
    send(example_ending(), "slack")
    assert len(server.bodies) == 3


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (404, 1)])
def test_a_server_that_refuses_is_reported_without_its_url(
    server: Server, status: int, attempts: int
) -> None:
    server.statuses = [status]
    with pytest.raises(RemoteError, match=f"it answers {status}") as caught:
        send(example_ending(), "webhook")
    assert len(server.bodies) == attempts
    assert SECRET not in str(caught.value)


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.statuses, server.location = [307], f"{server.url}/elsewhere"
    with pytest.raises(RemoteError, match="redirects elsewhere"):
        send(example_ending(), "webhook")
    assert server.paths == [f"/hooks/{SECRET}"]


def test_a_server_that_hangs_holds_nobody_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        port = silent.getsockname()[1]
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{port}/{SECRET}")
        monkeypatch.setattr(sending, "_RETRY", replace(sending._RETRY, deadline_seconds=0.3))
        notify(ending_of(run, "FAILED", "stopped"), "slack")
    assert "does not answer within" in caplog.text


def test_a_server_that_dribbles_holds_nobody_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with raw_server.running() as server:
        server.answers, server.dribbles = [b"HTTP/1.1 200 OK\r\nX: "], True
        monkeypatch.setenv(URL_VARIABLE, f"{server.url}/{SECRET}")
        monkeypatch.setattr(sending, "_RETRY", replace(sending._RETRY, deadline_seconds=0.3))
        notify(ending_of(run, "FAILED", "stopped"), "webhook")
    assert "does not answer within" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/T0PS3CR3T",
        "http://[T0PS3CR3T",
        "T0PS3CR3T",
        "http://169.254.169.254/T0PS3CR3T",
        "http://0xA9FEA9FE/T0PS3CR3T",
        "http://me:T0PS3CR3T@host/",
        "http://host/\r\nT0PS3CR3T: x",
    ],
)
def test_a_url_that_is_none_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, url)
    with pytest.raises(ConfigError, match=URL_VARIABLE) as caught:
        send(example_ending(), "webhook")
    assert SECRET not in str(caught.value)


def test_no_log_line_has_the_url_whatever_happens(
    run: Run, server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    server.statuses = [500]
    notify(ending_of(run, "FAILED"), "webhook")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{port}/{SECRET}")
    notify(ending_of(run, "FAILED"), "webhook")
    assert caplog.text.count("nobody was notified") == 2
    assert SECRET not in caplog.text


def test_the_command_tries_it_out(
    run: Run, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["notify", "--format", "slack"]) == 0
    assert "test" in server.bodies[0]["text"]
    run_stage(run, "preflight", [], lambda folder: _write_run(folder, run))
    fail(run, "the loss became nan")
    assert main(["notify", run.uri, "--show"]) == 0
    shown = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert shown["outcome"] == "failed"
    monkeypatch.delenv(URL_VARIABLE)
    assert main(["notify"]) == 2
    assert len(server.bodies) == 1


def test_of_a_run_that_has_not_ended_there_is_no_message(
    run: Run, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(run, "preflight", [], lambda folder: _write_run(folder, run))
    evaluated(run, low=1.0)
    words = ["notify", "latest", "--output", str(run.folder.parent)]
    assert main(words) == 2
    assert "is interrupted; there is no message before a run has ended" in capsys.readouterr().err
    with marked_as_running(run.folder):
        assert main(words) == 2
    assert "is running; " in capsys.readouterr().err
    assert server.bodies == []
    run_stage(run, "report", [], lambda _: {})
    assert main(words) == 0
    assert [body["outcome"] for body in server.bodies] == ["succeeded"]


def test_a_crash_that_no_stage_speaks_of_is_a_failure_with_its_reason(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(run, "preflight", [], lambda folder: _write_run(folder, run))
    (run.folder / ".failure").write_text("stage teacher broke off without giving a reason")
    assert main(["notify", run.uri, "--show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["outcome"] == "failed"
    assert shown["sentence"] == "stage teacher broke off without giving a reason"


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([], "summary.arms: "),
        ({"real+both": []}, r"summary.arms.real\+both: must hold names with values"),
        ({"real+both": {"gain_low": "much"}}, "gain_low: 'much' should be a number"),
    ],
)
def test_a_damaged_evaluation_is_named(run: Run, arms: Any, said: str) -> None:
    summary = {"headline": "It reaches 80%.", "chosen_arm": "real+both", "arms": arms}
    run_stage(run, "evaluation", [], lambda _: summary)
    with pytest.raises(StorageError, match=f"evaluation/manifest.json: .*{said}"):
        ending_of(run, "SUCCEEDED")


def _write_run(folder: Path, run: Run) -> dict[str, Any]:
    (folder / "run.json").write_text(run.model_dump_json())
    return {}
