"""A completions server for tests that answers as vLLM does and stumbles when told to.

    python tests/support/completions_server.py serve MODEL --port PORT [as ``vllm serve``]

What it says is in the form of vLLM 0.32:

- ``/tokenize`` (entrypoints/serve/tokenize/protocol.py): ``prompt`` and ``add_special_tokens`` in,
  ``count``, ``max_model_len``, ``tokens`` and ``token_strs`` out;
- ``/v1/completions`` (entrypoints/openai/completion/serving.py): a prompt is a text, a list of
  texts, or of lists of tokens, with a choice for each. A choice's ``top_logprobs`` "contains the
  sampled token plus every explicitly requested token ID" (pull request 43463), named
  ``token_id:...`` with ``return_tokens_as_token_ids``. "When using `logprob_token_ids`, `logprobs`
  must be set"; more than 128 of them are refused (sampling_params.py). Unknown fields are ignored
  (``OpenAIBaseModel``: ``extra="allow"``), so that an older one lists its favourite only;
- a prompt that is too long is refused with 400: "This model's maximum context length is"
  (renderers/params.py);
- errors are ``{"error": {"message", "type", "param", "code"}}``
  (entrypoints/serve/engine/protocol.py).

SGLang's ``/v1/score`` (srt/entrypoints/openai/protocol.py, ``ScoringRequest``): ``query``,
``items`` and ``label_token_ids`` in, both of one kind; ``scores`` out, "each in the order of
label_token_ids". With ``--multi-item-scoring-delimiter``, "query<delimiter>item1<delimiter>" is
read (srt/managers/tokenizer_manager_multiitem_mixin.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import shlex
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["CompletionsServer", "group_members", "log_prob", "main", "vllm_program"]

_MOST_CHOSEN = 128

Answer = tuple[int, dict[str, Any]]


def log_prob(token: str) -> float:
    """What the model thinks of a word, wherever it stands."""
    return -1.0 - zlib.crc32(token.encode(errors="replace")) % 7


def _error(status: int, message: str) -> Answer:
    kind = "NotFoundError" if status == 404 else "BadRequestError"
    return status, {"error": {"message": message, "type": kind, "param": None, "code": status}}


class CompletionsServer:
    """Its model knows words by themselves, and always goes on with `` fine`` unless told otherwise.

    Attributes:
        url: Its address.
        faults: Answers to give before the next good ones: a status, or 0 to hang up.
        refused: The status of every answer to a prompt that holds one of these words.
        says: What it goes on with.
        context: Characters that fit.
        cuts: Whether it has ``/tokenize``.
        chooses: Whether it knows ``logprob_token_ids``.
        scores: Whether it has ``/v1/score``.
        delimits: Whether that puts a delimiter around each item.
        echoes: Whether it can echo.
        key: The key it wants, if any.
        bodies: What was asked of ``/v1/completions``.
        asked: The paths of all requests, in order.
        busiest: The most requests it had at the same time.
    """

    def __init__(self) -> None:
        self.url = ""
        self.faults: list[int] = []
        self.refused: dict[str, int] = {}
        self.says = " fine"
        self.context = 4000
        self.cuts = True
        self.chooses = True
        self.scores = False
        self.delimits = False
        self.echoes = True
        self.key = ""
        self.bodies: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.busiest = 0
        self._busy = 0
        self._words: dict[int, str] = {}
        self._lock = threading.Lock()

    @contextmanager
    def running(self, port: int = 0) -> Iterator[CompletionsServer]:
        """Serve for as long as the block lasts, on a free port unless one is named."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "base"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    owner._busy += 1
                    owner.busiest = max(owner.busiest, owner._busy)
                    fault = owner.faults.pop(0) if owner.faults else None
                try:
                    if fault == 0:
                        self.close_connection = True
                        return
                    wanted = f"Bearer {owner.key}" if owner.key else None
                    if wanted and self.headers.get("Authorization") != wanted:
                        self._send(*_error(401, "no such key"))
                    elif fault:
                        self._send(*_error(fault, "not now"))
                    else:
                        self._send(*owner.answer(self.path, body))
                finally:
                    with owner._lock:
                        owner._busy -= 1

            def _send(self, status: int, answer: dict[str, Any]) -> None:
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        """Status and answer to one request."""
        self.asked.append(path)
        paths = {"/v1/completions": self.complete}
        if self.cuts:
            paths["/tokenize"] = self.tokenize
        if self.scores:
            paths["/v1/score"] = self.score
        if path not in paths:
            return _error(404, "Not Found")
        if body["model"] != "base":
            return _error(404, f"The model `{body['model']}` does not exist.")
        return paths[path](body)

    def tokenize(self, body: dict[str, Any]) -> Answer:
        """A text's tokens; the model expects none around it."""
        tokens = [zlib.crc32(word.encode(errors="replace")) for word in _cut(body["prompt"])]
        self._words.update(zip(tokens, _cut(body["prompt"]), strict=True))
        return 200, {
            "count": len(tokens),
            "max_model_len": self.context,
            "tokens": tokens,
            "token_strs": None,
        }

    def complete(self, body: dict[str, Any]) -> Answer:
        """One token or more after each prompt."""
        self.bodies.append(body)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        texts = [self._text(prompt) for prompt in prompts]
        if problem := self._problem(texts):
            return problem
        chosen = (body.get("logprob_token_ids") or []) if self.chooses else []
        if chosen and body.get("logprobs") is None:
            return _error(400, "when using `logprob_token_ids`, `logprobs` must be set.")
        if len(chosen) > _MOST_CHOSEN:
            message = f"Requested logprob_token_ids of length {len(chosen)}, which is greater than"
            return _error(400, f"{message} max allowed: {_MOST_CHOSEN}")
        return 200, {
            "object": "text_completion",
            "model": "base",
            "choices": [
                {"index": n, **self._choice(text, body, chosen)} for n, text in enumerate(texts)
            ],
            "usage": _usage(texts, written=len(texts)),
        }

    def _choice(self, text: str, body: dict[str, Any], chosen: list[int]) -> dict[str, Any]:
        def name(word: str) -> str:
            if not body.get("return_tokens_as_token_ids"):
                return word
            return f"token_id:{zlib.crc32(word.encode(errors='replace'))}"

        echoed = _cut(text) if body.get("echo") and self.echoes else []
        tokens = [*echoed, self.says]
        known: list[float | None] = [log_prob(token) for token in tokens]
        listed = [{name(token): log_prob(token)} for token in tokens]
        listed[-1] |= {name(self._words[token]): log_prob(self._words[token]) for token in chosen}
        return {
            "text": "".join(tokens),
            "finish_reason": "stop" if body["max_tokens"] > 1 else "length",
            "logprobs": {
                "tokens": [name(token) for token in tokens],
                "token_logprobs": [None, *known[1:]] if echoed else known,
                "top_logprobs": [None, *listed[1:]] if echoed else listed,
            },
        }

    def score(self, body: dict[str, Any]) -> Answer:
        """Probabilities of tokens after each text."""
        if isinstance(body["query"], str) != isinstance(body["items"][0], str):
            return _error(400, "Invalid combination of query/items types for score_request.")
        texts = [self._text(body["query"]) + self._text(item) for item in body["items"]]
        if problem := self._problem(texts):
            return problem
        row = [math.exp(log_prob(self._words[token])) for token in body["label_token_ids"]]
        delimiters = len(texts) + 1 if self.delimits else 0
        return 200, {
            "object": "scoring",
            "model": "base",
            "scores": [row] * len(texts),
            "usage": _usage(texts, more=delimiters),
        }

    def _text(self, prompt: str | list[int]) -> str:
        if isinstance(prompt, str):
            return prompt
        return "".join(self._words[token] for token in prompt)

    def _problem(self, texts: list[str]) -> Answer | None:
        for text in texts:
            if len(text) > self.context:
                said = f"This model's maximum context length is {self.context} tokens. However, "
                return _error(400, f"{said}your prompt contains {len(text)} input tokens")
            for words, status in self.refused.items():
                if words in text:
                    return _error(status, "this prompt is not to my liking")
        return None


def _cut(text: str) -> list[str]:
    return re.findall(r"\s?\w+|\W", text)


def _usage(texts: list[str], *, more: int = 0, written: int = 0) -> dict[str, int]:
    read = sum(len(_cut(text)) for text in texts) + more
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def main(words: list[str] | None = None) -> None:
    """Serve until the process is ended, with the words of ``vllm serve``."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--host", choices=["127.0.0.1"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dtype", choices=["auto", "bfloat16", "float16", "float32"])
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--generation-config", choices=["vllm"])
    parser.add_argument("--disable-uvicorn-access-log", action="store_true")
    parser.add_argument("--tensor-parallel-size", type=int)
    parser.add_argument("--block-size", type=int, choices=[16, 32, 64, 128])
    found = parser.parse_args(words)
    if not (found.model / "config.json").is_file():
        parser.error(f"no model at {found.model}")
    with CompletionsServer().running(found.port):
        threading.Event().wait()


def vllm_program(folder: Path) -> Path:
    """Write a program ``vllm`` that starts such a server; returns its folder, for the PATH."""
    program = folder / "bin" / "vllm"
    program.parent.mkdir()
    words = shlex.join([sys.executable, __file__])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program.parent


def group_members(group: int) -> list[Path]:
    """The processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent] if its_group == str(group) and state != "Z" else []
    return found


if __name__ == "__main__":
    main()
