"""The server engine against a server that answers as expected, late, or not at all."""

from __future__ import annotations

import math
import shlex
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from completions_server import CompletionsServer, group_members, log_prob

from daftt_core.config import SynthesisConfig
from daftt_core.engines import (
    Engine,
    PromptRefusedError,
    completions_api,
    open_engine,
    server_process,
)
from daftt_core.errors import ConfigError, ModelError, RemoteError, TaskError
from daftt_core.network import Retry
from daftt_core.tasks import Prompt

PROMPTS = [Prompt("Say:", f" number {n}", " Output:") for n in range(12)]
HOW = {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 8}


@pytest.fixture
def server() -> Iterator[CompletionsServer]:
    with CompletionsServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_api, "_RETRY", Retry(2.0, first_pause_seconds=0.01))


def engine_for(server: CompletionsServer, **more: object) -> Engine:
    config = SynthesisConfig(engine="server", server_url=server.url, **more)  # type: ignore[arg-type]
    with open_engine(config, Path("unused")) as opened:
        assert not opened.is_tuned
        assert opened.model == "base, as a server has it"
        return opened.engine


def only(server: CompletionsServer, way: str) -> None:
    """Leave a server one way to score."""
    server.chooses, server.scores, server.echoes = (
        way == "chooses",
        way == "scores",
        way == "echoes",
    )


def test_a_text_counts_with_all_its_tokens(server: CompletionsServer) -> None:
    found = engine_for(server).read(PROMPTS[:2], [" a very odd text", " good"], 3)
    very_odd = log_prob(" a") + log_prob(" very") + log_prob(" odd")  # the fourth is not read
    assert found is not None
    np.testing.assert_allclose(found, [[very_odd] * 2, [log_prob(" good")] * 2])


@pytest.mark.parametrize("lacking", ["cuts", "echoes"])
def test_a_server_that_cannot_tell_how_likely_a_text_is_is_asked_once(
    server: CompletionsServer, lacking: str
) -> None:
    setattr(server, lacking, False)
    engine = engine_for(server)
    assert engine.read(PROMPTS[:2], [" good"], 9) is None
    asked = len(server.asked)
    assert engine.read(PROMPTS[:2], [" good"], 9) is None
    assert len(server.asked) == asked


@pytest.mark.parametrize("way", ["chooses", "scores", "echoes"])
def test_an_answer_counts_with_all_its_tokens_whatever_the_way(
    server: CompletionsServer, way: str
) -> None:
    only(server, way)
    scores = engine_for(server).score(PROMPTS, [" good", " very bad", " very odd"])
    very = log_prob(" very")
    expected = [log_prob(" good"), very + log_prob(" bad"), very + log_prob(" odd")]
    np.testing.assert_allclose(scores, [expected] * len(PROMPTS))


@pytest.mark.parametrize(
    ("way", "path", "times"),
    [
        ("chooses", "/v1/completions", 1),
        ("scores", "/v1/score", 1),
        ("echoes", "/v1/completions", 3),
    ],
)
def test_a_label_set_takes_one_request_for_each_input_where_the_server_can(
    server: CompletionsServer, way: str, path: str, times: int
) -> None:
    only(server, way)
    engine = engine_for(server)
    answers = [" good", " bad", " odd"]
    engine.score(PROMPTS[:1], answers)  # which way there is, is found out once
    server.asked.clear()
    engine.score(PROMPTS, answers)
    assert server.asked == [path] * times * len(PROMPTS)


@pytest.mark.parametrize("way", ["chooses", "scores"])
def test_answers_of_several_tokens_are_asked_about_together(
    server: CompletionsServer, way: str
) -> None:
    only(server, way)
    engine = engine_for(server)
    answers = [" good", " very bad", " so very odd"]
    engine.score(PROMPTS[:1], answers)
    server.asked.clear()
    engine.score(PROMPTS[:1], answers)
    assert server.asked == ["/tokenize", {"scores": "/v1/score"}.get(way, "/v1/completions")]


def test_only_an_echo_asks_for_log_probabilities_of_the_prompt(server: CompletionsServer) -> None:
    """They would turn off vLLM's prefix cache."""
    engine_for(server).score(PROMPTS, [" good", " bad"])
    assert not [body for body in server.bodies if body.get("echo") or "prompt_logprobs" in body]
    assert {tuple(body["logprob_token_ids"]) for body in server.bodies} == {
        tuple(sorted(zlib.crc32(word) for word in (b" good", b" bad")))
    }


def test_more_labels_than_one_request_may_name_take_several(server: CompletionsServer) -> None:
    answers = [f" label{n:03}" for n in range(300)]
    engine = engine_for(server)
    scores = engine.score(PROMPTS[:1], answers)
    np.testing.assert_allclose(scores, [[log_prob(answer) for answer in answers]])
    server.asked.clear()
    engine.score(PROMPTS[:1], answers)
    assert server.asked == ["/v1/completions"] * 3


def test_a_score_of_other_texts_than_those_sent_is_not_taken(server: CompletionsServer) -> None:
    server.chooses, server.scores, server.delimits = False, True, True
    engine_for(server).score(PROMPTS, [" good", " bad"])
    assert server.asked.count("/v1/score") == 1
    assert all(body.get("echo") for body in server.bodies[-2 * len(PROMPTS) :])


def test_a_server_that_only_echoes_needs_no_tokenizer(server: CompletionsServer) -> None:
    server.cuts = False
    scores = engine_for(server).score(PROMPTS[:1], [" good", " very bad"])
    np.testing.assert_allclose(scores[0, 1], log_prob(" very") + log_prob(" bad"))


def test_a_long_input_is_cut_until_its_answers_fit_too(server: CompletionsServer) -> None:
    long = Prompt("Say:", " word" * 100, " Output:")
    for way in ("chooses", "scores", "echoes"):
        only(server, way)
        server.context = 200
        engine = engine_for(server)
        assert np.isfinite(engine.score([long], [" good", " very bad"])).all()
        assert 0.2 < engine.share_shown(long) < 0.4


def test_a_text_comes_with_its_confidence_and_is_asked_for_with_its_seed(
    server: CompletionsServer,
) -> None:
    written = engine_for(server).write(PROMPTS[:2], [3, 2**62 + 5], **HOW)
    assert [one.text for one in written] == [" fine", " fine"]
    assert all(one.finished for one in written)
    assert written[0].confidence == pytest.approx(math.exp(log_prob(" fine")))
    asked = sorted(server.bodies, key=lambda body: body["prompt"])
    assert [body["seed"] for body in asked] == [3, 5]
    assert asked[0]["prompt"] == "Say: number 0 Output:"
    assert (asked[0]["temperature"], asked[0]["top_p"], asked[0]["max_tokens"]) == (0.5, 0.9, 8)


def test_what_ends_a_text_is_passed_on_and_lines_are_kept(server: CompletionsServer) -> None:
    server.says = " one\ntwo\n\nthree"
    stops = ("\n\nInput:", "\n\nDefinition:")
    (written,) = engine_for(server).write(PROMPTS[:1], [0], **HOW, stops=stops)
    assert written.text == " one\ntwo\n\nthree"
    assert server.bodies[0]["stop"] == list(stops)
    engine_for(server).write(PROMPTS[1:2], [0], **HOW)
    assert server.bodies[1]["stop"] == []


def test_no_more_prompts_are_asked_at_once_than_allowed(server: CompletionsServer) -> None:
    engine_for(server, server_concurrency=3).write(PROMPTS, [0] * len(PROMPTS), **HOW)
    assert len(server.bodies) == len(PROMPTS)
    assert server.busiest <= 3


def test_a_busy_server_is_asked_again(server: CompletionsServer) -> None:
    server.faults = [429, 0, 503, 500]
    written = engine_for(server, server_concurrency=1).write(PROMPTS, [0] * len(PROMPTS), **HOW)
    assert len(written) == len(PROMPTS)
    assert server.faults == []


def test_one_prompt_that_is_refused_stops_nothing_but_itself(server: CompletionsServer) -> None:
    engine = engine_for(server)
    for status, problem in ((400, "refuses a request"), (500, "while it answers others")):
        server.refused = {"number 7": status}
        with pytest.raises(PromptRefusedError, match=problem):
            engine.write(PROMPTS, [status] * len(PROMPTS), **HOW)
        times = len(server.bodies)
        with pytest.raises(PromptRefusedError, match=problem):
            engine.write(PROMPTS[7:8], [status], **HOW)
        assert len(server.bodies) == times, "what was refused is not sent again"
        assert len(engine.write(PROMPTS[8:], [status] * 4, **HOW)) == 4


def test_a_server_that_fails_at_everything_is_no_fault_of_one_prompt(
    server: CompletionsServer,
) -> None:
    server.faults = [500] * 10_000
    with pytest.raises(RemoteError, match="cannot be used: it answers 500"):
        engine_for(server).write(PROMPTS[:2], [0, 0], **HOW)


def test_half_a_character_does_not_spoil_the_rest(server: CompletionsServer) -> None:
    server.says = " fine \ud83d and \ud83d\ude00"
    written = engine_for(server).write(PROMPTS[:1], [0], **HOW)
    assert written[0].text == " fine \ufffd and \U0001f600"


def test_a_server_that_stays_busy_is_an_error(server: CompletionsServer) -> None:
    server.faults = [503] * 10_000
    with pytest.raises(RemoteError, match="cannot be used: it answers 503: not now"):
        engine_for(server).write(PROMPTS[:1], [0], **HOW)


def test_a_missing_key_is_named(server: CompletionsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = "sesame"
    with pytest.raises(RemoteError, match=r"refuses the key \(401.*DAFTT_SERVER_API_KEY"):
        engine_for(server).write(PROMPTS[:1], [0], **HOW)
    monkeypatch.setenv("DAFTT_SERVER_API_KEY", "sesame")
    assert engine_for(server).write(PROMPTS[:1], [0], **HOW)[0].text == " fine"


def test_an_unknown_model_is_refused(server: CompletionsServer) -> None:
    with pytest.raises(ModelError, match=r"'bass' must be a model .*\(base\); did you mean 'base'"):
        engine_for(server, server_model="bass")


def test_a_long_input_is_cut_until_it_fits(server: CompletionsServer) -> None:
    server.context = 200
    long = Prompt("Say:", " word" * 100, " Output:")
    engine = engine_for(server)
    assert engine.write([long], [0], **HOW)[0].text == " fine"
    prompt = server.bodies[-1]["prompt"]
    assert prompt.startswith("Say: word word")
    assert prompt.endswith(" Output:")
    assert engine.share_shown(long) == pytest.approx((len(prompt) - 12) / 500, abs=0.01)
    server.context = 10
    with pytest.raises(ModelError, match="finds a prompt too long"):
        engine_for(server).write([long], [0], **HOW)


def test_solved_examples_that_do_not_fit_are_left_out(server: CompletionsServer) -> None:
    server.context = 80
    prompt = Prompt("Say", " word", " Output:", solved=(" of this", " or that" * 10, " x" * 20))
    written = engine_for(server).write([prompt], [0], **HOW)[0]
    assert written.solved == 1
    assert server.bodies[-1]["prompt"] == prompt.asking(1)
    assert prompt.body in prompt.asking(1)


def test_a_server_that_cannot_score_is_refused(server: CompletionsServer) -> None:
    only(server, "none")
    with pytest.raises(ModelError, match="does not give log-probabilities of given answers"):
        engine_for(server).score(PROMPTS, [" good", " bad"])


def test_a_label_that_begins_another_is_refused(server: CompletionsServer) -> None:
    with pytest.raises(TaskError, match="'good' is the beginning of 'goodness'"):
        engine_for(server).score(PROMPTS, [" good", " goodness"])


def started(code: str, **more: object) -> SynthesisConfig:
    command = shlex.join([sys.executable, "-c", code, "{port}"])
    return SynthesisConfig(engine="server", server_command=command, **more)  # type: ignore[arg-type]


def test_a_server_that_ends_at_once_tells_its_last_words() -> None:
    with (
        pytest.raises(RemoteError, match="exit code 3; its last output: no GPU here"),
        open_engine(started("print('no GPU here'); raise SystemExit(3)"), Path("unused")),
    ):
        pass


def test_a_server_that_is_never_ready_is_given_up_and_ended() -> None:
    slow = started("import time; time.sleep(60)", server_start_seconds=1)
    with (
        pytest.raises(RemoteError, match="not ready after 1 s"),
        open_engine(slow, Path("unused")),
    ):
        pass


def test_the_children_of_a_server_end_with_it(tmp_path: Path) -> None:
    child = f"import time; open({str(tmp_path / 'alive')!r}, 'w').close(); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with server_process.running_server([sys.executable, "-c", parent]) as process:
        waiting = threading.Event()
        while not (tmp_path / "alive").exists():
            waiting.wait(0.05)
        group = process._process.pid
    deadline = time.monotonic() + 10
    while group_members(group) and time.monotonic() < deadline:
        waiting.wait(0.05)
    assert group_members(group) == []


def test_a_program_that_is_not_there_is_a_mistake_in_the_settings() -> None:
    config = SynthesisConfig(engine="server", server_command="no-such-server --port {port}")
    with (
        pytest.raises(ConfigError, match="_server_command: 'no-such-server' cannot be run"),
        open_engine(config, Path("unused")),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "vllm", "server_url": "http://host"}, "engine is vllm: set engine to server"),
        ({"engine": "server"}, "needs either server_url or server_command"),
        ({"server_url": "http://host"}, "engine is local: set engine to server"),
        ({"engine": "server", "server_url": "host:80"}, "must begin with http"),
        ({"engine": "server", "server_url": "http://me:pw@host/v1"}, "must hold no user, password"),
        (
            {"engine": "server", "server_url": "http://host/v1?key=pw"},
            "must hold no user, password",
        ),
        ({"engine": "server", "server_command": "vllm serve {model}"}, r"must say \{port\}"),
        ({"engine": "server", "server_command": "[1]"}, "must be a JSON list of strings"),
        ({"engine": "server", "server_command": "a 'b"}, "No closing quotation"),
    ],
)
def test_settings_that_name_no_server_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SynthesisConfig.model_validate(settings)
