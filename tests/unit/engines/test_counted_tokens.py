"""What the teacher reads and writes is counted, in this process and through a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from completions_server import CompletionsServer
from tiny_models import tiny_gpt_neox
from toy_task import remarks, vocabulary, write_task

from daftt_core.config import SynthesisConfig
from daftt_core.engines import LocalEngine, encode, open_engine
from daftt_core.modeling import load_causal_lm
from daftt_core.records import Example
from daftt_core.tasks import Prompt, answer_prompt, load_task
from daftt_core.telemetry import metered

HOW = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 4}


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    model, tokenizer = load_causal_lm(tiny_gpt_neox(tmp_path / "model", vocabulary()))
    return LocalEngine(model, tokenizer, batch_size=4, max_length=96)


@pytest.fixture
def prompts(tmp_path: Path) -> list[Prompt]:
    task = load_task(str(write_task(tmp_path)))
    return [answer_prompt(task, Example.of(text)) for text, _ in remarks()[:10]]


def test_what_prompts_share_is_read_once(engine: LocalEngine, prompts: list[Prompt]) -> None:
    encoded = [encode(prompt, engine._tokenizer, 96) for prompt in prompts]
    asked = len(encoded[0].prefix) + sum(len(one.rest) for one in encoded)
    with metered() as meter:
        engine.score(prompts, [" kind", " stale"])
        scored = meter.usage()
        completions = engine.write(prompts, [0] * len(prompts), **HOW)
        used = meter.usage()
    # the tree of the answers has a token of each prompt's own
    in_tree = scored.tokens_read - asked
    assert in_tree % len(prompts) == 0
    assert scored.tokens_written == 0
    assert used.tokens_read - scored.tokens_read == asked - len(encoded[0].prefix)
    assert len(completions) <= used.tokens_written <= 4 * len(prompts)


def test_a_servers_own_count_is_taken() -> None:
    with CompletionsServer().running() as server, metered() as meter:
        config = SynthesisConfig(engine="server", server_url=server.url)
        with open_engine(config, Path()) as opened:
            asked = [Prompt("Say:", f" number {n}", " Output:") for n in range(12)]
            opened.engine.write(asked, [0] * 12, **HOW)
        # by threads of the engine's own
        assert meter.usage().tokens_written == 12
