"""What every engine keeps to, those of the table and the one that the documents show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from completions_server import CompletionsServer, vllm_program
from documented_code import run_code
from tiny_models import tiny_gpt_neox
from toy_task import vocabulary, write_task

from daftt_core.config import SynthesisConfig
from daftt_core.engines import ENGINES, Completion, Engine, open_engine
from daftt_core.records import Example
from daftt_core.tasks import Prompt, answer_prompt, load_task, writing_prompt

ANSWERS = [" kind", " unkind", " very bland", " delivery", " payment"]
REMARKS = ["the courier lost my parcel", "i was charged twice", "the soup was warm"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [*vocabulary(), *ANSWERS, *REMARKS]
    return tiny_gpt_neox(tmp_path_factory.mktemp("teacher"), texts)


@pytest.fixture(params=[*ENGINES, "rules"])
def engine(
    request: pytest.FixtureRequest,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    with CompletionsServer().running() as server:
        needed = {"server": {"server_url": server.url}}
        name = request.param
        if name == "vllm":
            monkeypatch.setenv("PATH", str(vllm_program(tmp_path)), prepend=os.pathsep)
        if name == "rules":
            monkeypatch.setitem(ENGINES, name, ENGINES["local"])  # is taken out again
            run_code("extending", "An engine")
            config = SynthesisConfig().model_copy(update={"engine": "rules"})
        else:
            config = SynthesisConfig(engine=name, **needed.get(name, {}))
        with open_engine(config, teacher) as opened:
            assert opened.model
            yield opened.engine


@pytest.fixture
def prompts(tmp_path: Path) -> list[Prompt]:
    task = load_task(str(write_task(tmp_path)))
    return [answer_prompt(task, Example.of(text)) for text in REMARKS]


def test_an_answer_s_score_depends_on_its_own_prompt_alone(
    engine: Engine, prompts: list[Prompt]
) -> None:
    scores = engine.score(prompts, ANSWERS)
    assert scores.shape == (3, 5)
    assert np.isfinite(scores).all()
    assert (scores <= 0).all()
    assert len(np.unique(scores.round(4))) > 1
    alone = [[engine.score([prompt], [one])[0, 0] for one in ANSWERS] for prompt in prompts]
    np.testing.assert_allclose(scores, alone, atol=1e-4)
    np.testing.assert_allclose(engine.score(prompts, ANSWERS[::-1]), scores[:, ::-1], atol=1e-4)
    assert [engine.share_shown(prompt) for prompt in prompts] == [1.0] * 3


def test_how_likely_a_text_is_depends_on_its_own_prompt_alone(
    engine: Engine, tmp_path: Path
) -> None:
    task = load_task(str(write_task(tmp_path)))
    asking = [writing_prompt(task, None, output) for output in ("kind", "unkind")]
    texts = [f" {remark}" for remark in REMARKS]
    found = engine.read(asking, texts, 100)
    if found is None:  # an engine need not know
        assert engine.read(asking, texts[:1], 100) is None
        return
    assert found.shape == (3, 2)
    assert np.isfinite(found).all()
    assert (found < 0).all()
    assert len(np.unique(found[:, 0].round(4))) == 3
    one = engine.read(asking[1:], texts[2:], 100)
    assert one is not None
    assert one[0, 0] == pytest.approx(found[2, 1], abs=1e-4)
    short = engine.read(asking, texts, 2)
    assert short is not None
    assert (short > found).all()


def test_a_text_depends_on_its_own_prompt_and_seed_alone(engine: Engine, tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path)))
    asking = [writing_prompt(task, None, output) for output in ("kind", "unkind", "kind")]

    def write(prompts: list[Prompt], seeds: list[int]) -> list[Completion]:
        return engine.write(prompts, seeds, temperature=0.8, top_p=0.95, max_new_tokens=8)

    written = write(asking, [1, 2, 3])
    texts = [one.text for one in written]
    assert [write([asking[n]], [n + 1])[0].text for n in range(3)] == texts
    assert [one.text for one in write(asking[::-1], [3, 2, 1])] == texts[::-1]
    for one in written:
        assert 0 <= one.confidence <= 1
        assert one.solved == 0


def test_every_engine_can_be_asked_for_by_name() -> None:
    allowed = get_args(SynthesisConfig.model_fields["engine"].annotation)
    assert set(allowed) == set(ENGINES)
