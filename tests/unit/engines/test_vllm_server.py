"""``synthesis_engine=vllm`` against a real vLLM on this machine, with the demo's teacher.

python tests/support/vllm_environment.py /opt/vllm-env
PATH=$PATH:/opt/vllm-env/bin pytest -m vllm tests/unit/engines/test_vllm_server.py
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daftt_core.config import SynthesisConfig
from daftt_core.data.sources import own_source
from daftt_core.engines import Engine, LabelScorer, open_engine, open_local
from daftt_core.engines.answer_scores import _Chosen, _Echo
from daftt_core.engines.server import ServerEngine
from daftt_core.modeling import find_model
from daftt_core.records import Example
from daftt_core.tasks import Prompt, Task, answer_prompt, load_task, writing_prompt

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("vllm") is None,
        reason="needs the program vllm: python tests/support/vllm_environment.py FOLDER",
    ),
]

TEACHER = "smollm2-135m-instruct"
REVIEWS = 50
TOLERANCE = 2e-3
SEVERAL = [" very good indeed", " very bad", " unremarkable", " zebra"]


@pytest.fixture(scope="module")
def teacher() -> Path:
    return find_model(TEACHER)


@pytest.fixture(scope="module")
def server(teacher: Path) -> Iterator[ServerEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
        config = SynthesisConfig(engine="vllm", max_length=512, server_start_seconds=1200)
        with open_engine(config, teacher) as opened:
            assert opened.is_tuned
            assert isinstance(opened.engine, ServerEngine)
            yield opened.engine


@pytest.fixture(scope="module")
def local(teacher: Path) -> Engine:
    return open_local(SynthesisConfig(max_length=512), teacher)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("movie-reviews")


@pytest.fixture(scope="module")
def reviews(task: Task) -> list[Example]:
    return [row.example for row in own_source(task).rows[:REVIEWS]]


def test_labels_are_those_of_the_local_engine(
    server: ServerEngine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    ours = LabelScorer(local, task, correct_prior=False).log_probs(reviews)
    theirs = LabelScorer(server, task, correct_prior=False).log_probs(reviews)
    np.testing.assert_allclose(theirs, ours, atol=TOLERANCE)
    ways = server._ways.values()
    assert [type(way) for way in ways] == [_Chosen]  # one request for each input


def test_answers_of_several_tokens_are_scored_alike(
    server: ServerEngine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    prompts = [answer_prompt(task, review) for review in reviews[:5]]
    ours, theirs = local.score(prompts, SEVERAL), server.score(prompts, SEVERAL)
    np.testing.assert_allclose(theirs, ours, atol=3 * TOLERANCE)


def test_the_ways_to_score_agree(server: ServerEngine, task: Task, reviews: list[Example]) -> None:
    echo = _Echo(server._api, server._model, SEVERAL)
    assert echo.works()
    prompts = [answer_prompt(task, review) for review in reviews[:5]]
    echoed = [echo.score(prompt.asking(0)) for prompt in prompts]
    np.testing.assert_allclose(server.score(prompts, SEVERAL), echoed, atol=3 * TOLERANCE)


def test_inputs_are_read_after_each_label_as_by_the_local_engine(
    server: ServerEngine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    prompts = [writing_prompt(task, None, label) for label in task.label_names]
    texts = [writing_prompt(task, review).answer or "" for review in reviews[:10]]
    ours, theirs = local.read(prompts, texts, 20), server.read(prompts, texts, 20)
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(theirs, ours, atol=20 * TOLERANCE)
    assert np.ptp(ours, axis=0).min() > 100 * TOLERANCE  # texts differ by far more


def test_more_labels_than_one_request_may_name_are_scored(
    server: ServerEngine, local: Engine, task: Task, reviews: list[Example]
) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    answers = [f" {first}{second}" for first in letters for second in letters][:300]
    prompts = [answer_prompt(task, review) for review in reviews[:2]]
    ours, theirs = local.score(prompts, answers), server.score(prompts, answers)
    np.testing.assert_allclose(theirs, ours, atol=3 * TOLERANCE)


def test_a_seed_gives_a_text_and_its_confidence(
    server: ServerEngine, task: Task, reviews: list[Example]
) -> None:
    prompts = [answer_prompt(task, reviews[0])] * 3
    how = {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 12}
    (first,) = server.write(prompts[:1], [7], **how)
    (again,) = server.write(prompts[:1], [7], **how)
    assert again.text == first.text
    assert 0 < first.confidence < 1
    assert len({one.text for one in server.write(prompts, [1, 2, 3], **how)}) > 1


def test_an_input_that_is_too_long_loses_its_end(server: ServerEngine, task: Task) -> None:
    prompt = answer_prompt(task, Example.of("a joy from its beginning to its end " * 200))
    for answers in ([" positive", " negative"], SEVERAL):
        assert np.isfinite(server.score([prompt], answers)).all()
    assert 0 < server.share_shown(prompt) < 1


def test_a_text_that_reaches_the_limit_is_not_finished(server: ServerEngine) -> None:
    prompt = Prompt("Count:", " one two three", " four")
    (short,) = server.write([prompt], [0], temperature=0.0, top_p=1.0, max_new_tokens=2)
    assert not short.finished
