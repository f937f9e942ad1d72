"""Completions servers whose answers are broken, absurd, endless, or lead elsewhere."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from raw_server import RawServer, http_answer, running

from daftt_core.engines import PromptRefusedError, ServerEngine, completions_api
from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.errors import ConfigError, DafttError, RemoteError
from daftt_core.network import Retry
from daftt_core.tasks import Prompt

HOW = {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 8}
PROMPT = Prompt("Say:", " number 7", " Output:")


def completions(log_prob: str = "-1.0", **more: Any) -> bytes:
    log_probs = {"tokens": ["a", " fine"], "token_logprobs": [None, "HERE"]}
    choice = {"text": " fine", "finish_reason": "stop", "logprobs": log_probs}
    answer = {"choices": [choice], "usage": {"completion_tokens": 0}, **more}
    return json.dumps(answer).replace('"HERE"', log_prob).encode()


GOOD = http_answer(completions())
BROKEN = {
    "cut off": http_answer(completions()[:30], length=500),
    "cut off without a length": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    + completions()[:30],
    "a chunk cut off": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
    "no gzip": http_answer(completions(), head="Content-Encoding: gzip\r\n"),
    "gzip cut off": http_answer(
        gzip.compress(completions())[:-12], head="Content-Encoding: gzip\r\n"
    ),
    "not UTF-8": http_answer(b'{"choices": [{"text": "\xff"}]}'),
    "empty": http_answer(b""),
    "a page": http_answer(b"<html>", head="Content-Type: text/html; charset=no-such\r\n"),
}
ABSURD = {
    b"[]": "it is an empty list",
    b"null": "it is null",
    b"{}": "choices is missing",
    b'{"choices": null}': "choices is null",
    b'{"choices": []}': "choices is an empty list",
    b'{"choices": [null]}': "choices.0 is null",
    b'{"choices": [{"text": 3}]}': "choices.0.text is 3",
    b"[" * 100_000: "nested too deeply",
    b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}": "nested too deeply",
    completions("1e9"): "token_logprobs.1 is 1000000000.0",
    completions("0.5"): "token_logprobs.1 is 0.5",
    completions("NaN"): "token_logprobs.1 is nan",
    completions("Infinity"): "token_logprobs.1 is inf",
    completions("-Infinity"): "token_logprobs.1 is -inf",
    completions("1e999"): "token_logprobs.1 is inf",
    completions("[]"): "token_logprobs.1 is an empty list",
    completions("-1.0, -1.0"): "choices.0.logprobs is a filled object",
    completions(usage={"prompt_tokens": "many"}): "usage.prompt_tokens is 'many'",
    completions(usage={"completion_tokens": -1}): "usage.completion_tokens is -1",
}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_api, "_RETRY", Retry(600.0, first_pause_seconds=0.01))


def engine_for(server: RawServer) -> ServerEngine:
    return ServerEngine(CompletionsApi(server.url, 1), "base", 1)


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_asked_for_again(server: RawServer, answer: bytes) -> None:
    server.answers = [answer, answer, GOOD]
    (written,) = engine_for(server).write([PROMPT], [0], **HOW)
    assert written.text == " fine"
    assert len(server.requests) == 3


@pytest.mark.parametrize(("body", "problem"), ABSURD.items(), ids=ABSURD.values())
def test_an_absurd_answer_ends_in_one_sentence(
    server: RawServer, body: bytes, problem: str
) -> None:
    server.answers = [http_answer(body)]
    with pytest.raises(RemoteError, match="cannot be used: its answer to /v1/completions") as one:
        engine_for(server).write([PROMPT], [0], **HOW)
    assert problem in str(one.value)
    assert "\n" not in str(one.value)
    assert len(server.requests) == 5


def test_one_prompt_with_unusable_answers_is_told_apart_from_a_broken_server(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = CompletionsApi(server.url, 1)
    engine = ServerEngine(api, "base", 1)
    server.answers = [http_answer(b"[]")]
    monkeypatch.setattr(api, "_answered", float("inf"))  # another prompt's answer came meanwhile
    with pytest.raises(PromptRefusedError, match="while it answers others"):
        engine.write([PROMPT], [0], **HOW)


def test_a_tiny_excess_over_certainty_is_rounding(server: RawServer) -> None:
    server.answers = [http_answer(completions("1e-7"))]
    (written,) = engine_for(server).write([PROMPT], [0], **HOW)
    assert written.confidence == 1.0


def test_an_answers_token_without_log_probability_is_not_taken_for_certain(
    server: RawServer,
) -> None:
    def echo(tokens: list[str], log_probs: list[float | None]) -> bytes:
        told = {"tokens": tokens, "token_logprobs": log_probs}
        choice = {"text": "".join(tokens), "finish_reason": "length", "logprobs": told}
        return http_answer(
            json.dumps({"choices": [choice], "usage": {"completion_tokens": 0}}).encode()
        )

    server.answers = [
        http_answer(b"", status="404 Not Found"),  # it cuts no text into tokens
        echo(["The", " blue"], [None, -1.0]),  # it can echo
        echo(["Say:", " good"], [None, None]),
    ]
    with pytest.raises(DafttError, match="leaves out the log-probability of a token"):
        engine_for(server).score([PROMPT], [" good"])


def test_what_is_wrong_with_a_server_is_not_taken_for_what_it_cannot_do(server: RawServer) -> None:
    server.answers = [http_answer(completions("NaN"))]
    with pytest.raises(RemoteError, match=r"token_logprobs\.1 is nan"):
        engine_for(server).score([PROMPT], [" good", " bad"])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("where", ["other", "http://[::1", "\xff\xfe"])
def test_no_prompt_follows_a_redirect(server: RawServer, status: str, where: str) -> None:
    with running() as other:
        target = other.url if where == "other" else where
        server.answers = [http_answer(b"", status=status, head=f"Location: {target}\r\n")]
        with pytest.raises(RemoteError, match=r"redirects elsewhere .* set synthesis_server_url"):
            engine_for(server).write([PROMPT], [0], **HOW)
        assert not CompletionsApi(server.url, 1).is_healthy()
        assert other.requests == []


@pytest.mark.parametrize("start", [GOOD[:20], GOOD[:100], GOOD + b" "], ids=["head", "body", "end"])
def test_a_server_that_dribbles_is_given_up(
    server: RawServer, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send a byte now and then for ever; then this test would not end."""
    monkeypatch.setattr(completions_api, "_RETRY", Retry(0.5, first_pause_seconds=0.01))
    monkeypatch.setattr(completions_api, "_HEALTH_SECONDS", 0.2)
    endless = start.replace(b"Content-Length: ", b"Content-Length: 9999")
    server.answers, server.dribbles = [endless], True
    with pytest.raises(RemoteError, match="it has not answered in full after 0 seconds"):
        engine_for(server).write([PROMPT], [0], **HOW)
    assert not CompletionsApi(server.url, 1).is_healthy()


def test_an_endless_answer_does_not_fill_the_memory(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions_api, "_MOST_BYTES", 1000)
    server.answers = [http_answer(b" " * 2000)]
    with pytest.raises(RemoteError, match="an answer of more than 1000 bytes"):
        engine_for(server).write([PROMPT], [0], **HOW)


def test_a_name_that_leads_to_a_metadata_service_is_not_asked(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Led(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return ("169.254.169.254", 80)

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        led = Led()
        led.connect(address)
        return led

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    with pytest.raises(RemoteError, match=r"leads to 169\.254\.169\.254, the address of a cloud's"):
        engine_for(server).write([PROMPT], [0], **HOW)
    assert server.requests == []


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "a\x00b"])
def test_a_key_that_cannot_be_sent_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_api.os, "environ", {"DAFTT_SERVER_API_KEY": key})
    with pytest.raises(ConfigError, match="DAFTT_SERVER_API_KEY must be one line of ASCII") as one:
        CompletionsApi("http://127.0.0.1", 1)
    assert key not in str(one.value)
