"""The server engine against a real server: llama.cpp's, with the weights of the demo's teacher."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from daftt_core.config import SynthesisConfig
from daftt_core.data.sources import own_source
from daftt_core.engines import Engine, LabelScorer, open_engine, open_local
from daftt_core.errors import ModelError
from daftt_core.records import Example
from daftt_core.storage.assets import fetch
from daftt_core.tasks import Prompt, Task, answer_prompt, load_task

pytest.importorskip("xllamacpp", reason="pip install xllamacpp brings llama.cpp's server")
from llama_server import write_float32

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).parents[2] / "support" / "llama_server.py"
TEACHER = "smollm2-135m-instruct"
REVIEWS = 50
TOLERANCE = 0.01


def settings(weights: Path, **more: object) -> SynthesisConfig:
    command = json.dumps([sys.executable, str(PROGRAM), str(weights), "{port}"])
    given = {"engine": "server", "server_command": command, "server_start_seconds": 120, **more}
    return SynthesisConfig.model_validate(given)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_float32(fetch(TEACHER), tmp_path_factory.mktemp("weights") / "teacher-f32.gguf")


@pytest.fixture(scope="module")
def server(weights: Path) -> Iterator[Engine]:
    with open_engine(settings(weights, server_concurrency=4), Path("unused")) as opened:
        assert not opened.is_tuned
        assert "teacher-f32" in opened.model
        yield opened.engine


@pytest.fixture(scope="module")
def local() -> Engine:
    return open_local(SynthesisConfig(), TEACHER)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("movie-reviews")


@pytest.fixture(scope="module")
def reviews(task: Task) -> list[Example]:
    return [row.example for row in own_source(task).rows[:REVIEWS]]


def test_both_engines_give_the_same_labels(
    server: Engine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    ours = LabelScorer(local, task, correct_prior=False).log_probs(reviews)
    theirs = LabelScorer(server, task, correct_prior=False).log_probs(reviews)
    agree = (ours.argmax(1) == theirs.argmax(1)).mean()
    print(f"agreement {agree:.3f}, greatest difference {np.abs(ours - theirs).max():.3f}")
    assert agree >= 0.98
    np.testing.assert_allclose(theirs, ours, atol=TOLERANCE)


def test_answers_of_several_tokens_are_scored_alike(
    server: Engine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    prompts = [answer_prompt(task, review) for review in reviews[:5]]
    answers = [" very good indeed", " very bad", " unremarkable", " zebra"]
    ours, theirs = local.score(prompts, answers), server.score(prompts, answers)
    np.testing.assert_allclose(theirs, ours, atol=3 * TOLERANCE)


def test_a_seed_gives_the_same_text(server: Engine, task: Task, reviews: list[Example]) -> None:
    prompts = [answer_prompt(task, reviews[0])] * 3
    how = {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 12}
    (first,) = server.write(prompts[:1], [7], **how)
    (again,) = server.write(prompts[:1], [7], **how)
    assert again.text == first.text
    assert 0 < first.confidence < 1
    others = server.write(prompts, [1, 2, 3], **how)
    assert len({one.text for one in others}) > 1


def test_a_text_that_reaches_the_limit_is_not_finished(server: Engine, task: Task) -> None:
    prompt = Prompt("Count:", " one two three", " four")
    (short,) = server.write([prompt], [0], temperature=0.0, top_p=1.0, max_new_tokens=2)
    assert not short.finished


def test_an_input_that_is_too_long_loses_its_end(server: Engine, task: Task) -> None:
    prompt = answer_prompt(task, Example.of("a joy from its beginning to its end " * 200))
    assert np.isfinite(server.score([prompt], [" positive", " negative"])).all()


def test_an_unknown_model_is_refused(weights: Path) -> None:
    wanted = settings(weights, server_model="SmolLM3")
    with pytest.raises(ModelError, match="'SmolLM3' must be a model of the server"):  # noqa: SIM117
        with open_engine(wanted, Path("unused")):
            pass


def test_the_server_ends_with_the_block(weights: Path) -> None:
    with open_engine(settings(weights), Path("unused")) as opened:
        root = opened.engine._api.root  # type: ignore[attr-defined]
        assert requests.get(f"{root}/health", timeout=10).ok
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{root}/health", timeout=10)
