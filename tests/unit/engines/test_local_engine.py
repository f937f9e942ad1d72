"""The engine in this process against the plain model, one prompt at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_models import tiny_gpt_neox, tiny_llama
from toy_task import remarks, vocabulary, write_task

from daftt_core.engines import LocalEngine, encode
from daftt_core.errors import ModelError
from daftt_core.modeling import load_causal_lm
from daftt_core.records import Example
from daftt_core.tasks import Prompt, Task, answer_prompt, load_task, writing_prompt

ANSWERS = [" kind", " unkind", " kind and warm", " stale"]


@pytest.fixture(scope="module", params=[tiny_gpt_neox, tiny_llama])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.param(tmp_path_factory.mktemp("model"), vocabulary())


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return load_task(str(write_task(tmp_path_factory.mktemp("task"))))


@pytest.fixture(scope="module")
def prompts(task: Task) -> list[Prompt]:
    texts = [text for text, _ in remarks()[:40]]
    texts += ["soup", "the soup was warm and the bread was warm and the stew was stale today"]
    return [answer_prompt(task, Example.of(text)) for text in texts]


def test_what_looks_like_a_special_token_is_spelled_out(folder: Path) -> None:
    _, tokenizer = load_causal_lm(folder)
    end = tokenizer.eos_token
    spelled = encode(Prompt("Input:", f" soup {end} bread", answer=f" kind{end}"), tokenizer, 128)
    assert tokenizer.eos_token_id not in spelled.rest
    assert spelled.answer.count(tokenizer.eos_token_id) == 1  # the answer's own end


def test_a_text_ends_at_the_first_stop(folder: Path, prompts: list[Prompt]) -> None:
    engine = make_engine(folder, 8)
    asked, seeds = prompts[:8], list(range(8))
    whole = engine.write(asked, seeds, **sampling(1.0))
    longest = max(whole, key=lambda one: len(one.text.strip()))
    stop = longest.text.strip()[3:]
    assert stop, "one of the texts is longer"
    cut = engine.write(asked, seeds, **sampling(1.0), stops=("never said", stop))
    text, one = longest.text, cut[whole.index(longest)]
    assert one.text == text[: text.index(stop, len(text) - len(text.lstrip()))]
    assert one.finished
    assert engine.write(asked, seeds, **sampling(1.0), stops=("never said",)) == whole


def test_a_spelled_end_in_an_answer_does_not_end_it(folder: Path, prompts: list[Prompt]) -> None:
    engine = make_engine(folder, 1)
    end = engine._tokenizer.eos_token
    tokens = engine._answer_tokens([f" kind{end}", " warm"])
    assert all(engine._tokenizer.eos_token_id not in each for each in tokens)


def test_an_input_that_loses_its_end_is_known(folder: Path, task: Task) -> None:
    engine = make_engine(folder, 4, max_length=40)
    long, short = (answer_prompt(task, Example.of(" ".join(["soup"] * n))) for n in (60, 3))
    engine.score([long, short], ANSWERS)
    assert 0 < engine.share_shown(long) < 0.6
    assert engine.share_shown(short) == 1


def make_engine(
    folder: Path,
    batch_size: int,
    max_length: int = 128,
    batch_tokens: int = 8192,
    dtype: torch.dtype = torch.float32,
) -> LocalEngine:
    model, tokenizer = load_causal_lm(folder, dtype=dtype)
    return LocalEngine(
        model,
        tokenizer,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        max_length=max_length,
    )


def watch(engine: LocalEngine, fail_above: int | None = None) -> list[tuple[int, int]]:
    """Rows and tokens of each forward pass with a mask; with too many rows, memory runs out."""
    shapes: list[tuple[int, int]] = []

    def look(module: torch.nn.Module, args: tuple[()], given: dict[str, torch.Tensor]) -> None:
        if "attention_mask" not in given:  # the prefix
            return
        rows, _, width, _ = given["attention_mask"].shape
        shapes.append((rows, width))
        if fail_above and shapes[-1][0] > fail_above:
            raise torch.OutOfMemoryError("no memory left")

    engine._model.register_forward_pre_hook(look, with_kwargs=True)
    return shapes


def plain_score(folder: Path, prompt: Prompt, answer: str, *, end: bool) -> float:
    """Log-probability of an answer by one forward pass over the whole text."""
    model, tokenizer = load_causal_lm(folder)
    parts = [prompt.prefix, prompt.body, prompt.suffix]
    given = [token for part in parts for token in tokenizer(part).input_ids]
    wanted = tokenizer(answer).input_ids + [tokenizer.eos_token_id] * end
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([given + wanted])).logits[0]
    log_probs = logits.log_softmax(-1)
    return sum(float(log_probs[len(given) - 1 + i, token]) for i, token in enumerate(wanted))


def test_scores_equal_those_of_plain_forward_passes(folder: Path, prompts: list[Prompt]) -> None:
    scores = make_engine(folder, 16).score(prompts, ANSWERS)
    assert scores.shape == (len(prompts), len(ANSWERS))
    for row in (0, 17, len(prompts) - 2, len(prompts) - 1):
        # " kind" begins " kind and warm", so the end mark counts for every answer
        expected = [plain_score(folder, prompts[row], answer, end=True) for answer in ANSWERS]
        np.testing.assert_allclose(scores[row], expected, atol=1e-4)


def test_the_end_mark_is_left_out_where_no_answer_begins_another(
    folder: Path, prompts: list[Prompt]
) -> None:
    scores = make_engine(folder, 16).score(prompts[:3], [" kind", " unkind and warm"])
    expected = plain_score(folder, prompts[1], " unkind and warm", end=False)
    assert scores[1, 1] == pytest.approx(expected, abs=1e-4)


def test_scores_do_not_depend_on_the_neighbours(folder: Path, prompts: list[Prompt]) -> None:
    alone = make_engine(folder, 1).score(prompts, ANSWERS)
    together = make_engine(folder, 32).score(prompts, ANSWERS)
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_a_family_whose_rows_cannot_be_joined_is_scored_in_padded_rows(
    folder: Path, prompts: list[Prompt]
) -> None:
    model, tokenizer = load_causal_lm(folder)
    model.config.model_type = "unheard-of"
    padded = LocalEngine(model, tokenizer, batch_size=16, max_length=128)
    shapes: list[int] = []
    model.register_forward_pre_hook(
        lambda module, args, given: shapes.append(len(given["input_ids"])), with_kwargs=True
    )
    scores = padded.score(prompts, ANSWERS)
    assert max(shapes) == 16
    np.testing.assert_allclose(make_engine(folder, 16).score(prompts, ANSWERS), scores, atol=1e-4)


TEXTS = [
    " the soup was warm and fresh today",
    " soup",
    " the stew was stale and cold and cold here",
]


@pytest.mark.parametrize("kind", ["its own", "unheard-of"])
def test_texts_are_read_as_by_plain_forward_passes(folder: Path, task: Task, kind: str) -> None:
    model, tokenizer = load_causal_lm(folder)
    if kind != "its own":
        model.config.model_type = kind  # whose rows cannot be joined
    engine = LocalEngine(model, tokenizer, batch_size=4, max_length=128)
    asking = [writing_prompt(task, None, label) for label in ("kind", "unkind")]
    found = engine.read(asking, TEXTS, 100)
    expected = [
        [plain_score(folder, prompt, text, end=False) for prompt in asking] for text in TEXTS
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_long_text_is_read_to_the_same_token_after_every_prompt(folder: Path, task: Task) -> None:
    asking = [writing_prompt(task, None, label) for label in ("kind", "unkind")]
    whole = make_engine(folder, 4)
    first = whole.read(asking, [" the soup was"], 100)
    np.testing.assert_allclose(whole.read(asking, [TEXTS[0]], 3), first, atol=1e-4)
    longest = max(len(load_causal_lm(folder)[1](str(prompt)).input_ids) for prompt in asking)
    narrow = make_engine(folder, 4, max_length=longest + 3)
    np.testing.assert_allclose(narrow.read(asking, [TEXTS[0]], 100), first, atol=1e-4)


def test_reading_makes_do_with_little_memory(folder: Path, task: Task) -> None:
    engine = make_engine(folder, 16)
    asking = [writing_prompt(task, None, label) for label in ("kind", "unkind")]
    expected = engine.read(asking, TEXTS, 100)
    shapes = watch(engine, fail_above=2)
    np.testing.assert_allclose(engine.read(asking, TEXTS, 100), expected, atol=1e-4)
    assert max(rows for rows, _ in shapes) == 6  # then fewer, until they fit
    assert shapes[-1][0] <= 2


def test_the_prefix_may_change_between_calls(
    folder: Path, prompts: list[Prompt], task: Task
) -> None:
    engine = make_engine(folder, 8)
    before = engine.score(prompts[:4], ANSWERS)
    engine.write([writing_prompt(task, None, "kind")], [1], **sampling(0.8))
    np.testing.assert_array_equal(engine.score(prompts[:4], ANSWERS), before)


def sampling(temperature: float, top_p: float = 1.0, tokens: int = 12) -> dict[str, float]:
    return {"temperature": temperature, "top_p": top_p, "max_new_tokens": tokens}


def test_a_seed_gives_the_same_text_beside_any_neighbours(
    folder: Path, prompts: list[Prompt]
) -> None:
    seeds = list(range(len(prompts)))
    together = make_engine(folder, 32).write(prompts, seeds, **sampling(0.8, 0.95))
    alone = make_engine(folder, 1).write(prompts[::-1], seeds[::-1], **sampling(0.8, 0.95))
    assert [one.text for one in together] == [one.text for one in alone[::-1]]
    assert len({one.text for one in together}) > len(prompts) // 2


def test_temperature_zero_is_greedy_decoding(folder: Path, prompts: list[Prompt]) -> None:
    model, tokenizer = load_causal_lm(folder)
    written = make_engine(folder, 8).write(prompts[:8], [0] * 8, **sampling(0.0))
    for prompt, completion in zip(prompts[:8], written, strict=True):
        parts = [prompt.prefix, prompt.body, prompt.suffix]
        given = [token for part in parts for token in tokenizer(part).input_ids]
        whole = model.generate(
            input_ids=torch.tensor([given]),
            attention_mask=torch.ones(1, len(given), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
        )
        tokens = whole[0, len(given) :].tolist()
        if tokenizer.eos_token_id in tokens:
            tokens = tokens[: tokens.index(tokenizer.eos_token_id)]
        assert completion.text == tokenizer.decode(tokens)


def test_draws_follow_the_model_s_distribution(folder: Path, prompts: list[Prompt]) -> None:
    model, tokenizer = load_causal_lm(folder)
    draws, temperature = 3000, 0.7
    engine = make_engine(folder, 500)
    written = engine.write(
        [prompts[0]] * draws, list(range(draws)), **sampling(temperature, tokens=1)
    )
    parts = [prompts[0].prefix, prompts[0].body, prompts[0].suffix]
    given = [token for part in parts for token in tokenizer(part).input_ids]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([given])).logits[0, -1].double()
    probs = (logits / temperature).softmax(-1).numpy()
    words = [tokenizer.decode([token]) for token in range(len(probs))]
    words[tokenizer.eos_token_id] = ""
    drawn = [one.text for one in written]
    counts = np.array([drawn.count(word) for word in words])
    assert counts.sum() == draws
    assert stats.chisquare(counts, probs * draws).pvalue > 1e-4


def test_a_narrow_nucleus_holds_only_the_most_probable_token(
    folder: Path, prompts: list[Prompt]
) -> None:
    engine = make_engine(folder, 8)
    narrow = engine.write(prompts[:6], list(range(6)), **sampling(1.0, top_p=1e-6))
    assert [one.text for one in narrow] == [
        one.text for one in engine.write(prompts[:6], [0] * 6, **sampling(0.0))
    ]


def test_confidence_is_the_mean_probability_of_the_written_tokens(
    folder: Path, prompts: list[Prompt]
) -> None:
    _, tokenizer = load_causal_lm(folder)
    written = make_engine(folder, 8).write(prompts, list(range(42)), **sampling(0.8, tokens=4))
    checked = 0
    for prompt, completion in zip(prompts, written, strict=True):
        if completion.finished or len(tokenizer(completion.text).input_ids) != 4:
            continue  # its tokens cannot be told from the text
        total = plain_score(folder, prompt, completion.text, end=False)
        assert completion.confidence == pytest.approx(np.exp(total / 4), abs=1e-5)
        checked += 1
        if checked == 3:
            return
    pytest.fail("too few texts could be checked")


def test_a_text_that_reaches_the_limit_is_not_finished(folder: Path, prompts: list[Prompt]) -> None:
    written = make_engine(folder, 8).write(prompts[:8], list(range(8)), **sampling(1.0, tokens=1))
    assert [one.finished for one in written] == [one.text == "" for one in written]


def test_a_long_input_loses_its_end_and_keeps_the_rest(folder: Path, task: Task) -> None:
    _, tokenizer = load_causal_lm(folder)
    prompt = answer_prompt(task, Example.of("soup " * 300))
    encoded = encode(prompt, tokenizer, max_length=64, reserve=4)
    assert encoded.cut
    assert len(encoded.prefix) + len(encoded.rest) == 60
    assert tokenizer.decode(encoded.rest).endswith("\nOutput:")
    assert tokenizer.decode(encoded.prefix) == prompt.prefix


@pytest.mark.parametrize("shown", [0, 1, 2, 3])
def test_solved_examples_that_do_not_fit_are_left_out(folder: Path, task: Task, shown: int) -> None:
    _, tokenizer = load_causal_lm(folder)
    examples = [Example.of(text, output="kind") for text, _ in remarks()[:3]]
    prompt = writing_prompt(task, None, "kind", examples)
    expected = tokenizer(prompt.asking(shown)).input_ids
    whole = len(expected) + 1  # a body has room for two tokens
    encoded = encode(prompt, tokenizer, max_length=whole + 5, reserve=5)
    assert (encoded.solved, encoded.cut) == (shown, False)
    assert [*encoded.prefix, *encoded.rest] == expected
    if shown:
        assert encode(prompt, tokenizer, max_length=whole + 4, reserve=5).solved == shown - 1


def test_what_is_shown_changes_what_is_written_and_is_told(folder: Path, task: Task) -> None:
    examples = [Example.of(text, output="kind") for text, _ in remarks()[:6]]
    prompts = [writing_prompt(task, None, "kind", examples[at : at + 2]) for at in range(5)]
    prompts.append(writing_prompt(task, None, "kind", examples[:1]))
    how = sampling(0.8, tokens=8)
    together = make_engine(folder, 8).write(prompts, [1] * 6, **how)
    alone = [make_engine(folder, 1).write([each], [1], **how)[0] for each in prompts]
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.solved for one in together] == [2, 2, 2, 2, 2, 1]


def test_a_definition_that_fills_the_context_is_refused(folder: Path, task: Task) -> None:
    _, tokenizer = load_causal_lm(folder)
    with pytest.raises(ModelError, match="leaves no room for an input within max_length 10"):
        encode(answer_prompt(task, Example.of("soup")), tokenizer, max_length=10)


def test_a_batch_holds_no_more_tokens_than_allowed(folder: Path, prompts: list[Prompt]) -> None:
    engine = make_engine(folder, 32, batch_tokens=100)
    shapes = watch(engine)
    few = engine.score(prompts, ANSWERS)
    assert all(rows * width <= 100 for rows, width in shapes)
    assert sum(rows for rows, _ in shapes) == len(prompts)
    np.testing.assert_allclose(few, make_engine(folder, 32).score(prompts, ANSWERS), atol=1e-4)


def test_scoring_goes_on_with_smaller_batches_when_memory_runs_out(
    folder: Path, prompts: list[Prompt], caplog: pytest.LogCaptureFixture
) -> None:
    expected = make_engine(folder, 32).score(prompts, ANSWERS)
    engine = make_engine(folder, 32)
    shapes = watch(engine, fail_above=10)
    with caplog.at_level("WARNING", logger="daftt"):
        np.testing.assert_allclose(engine.score(prompts, ANSWERS), expected, atol=1e-4)
    assert [rows for rows, _ in shapes if rows > 10] == [32, 16]  # learnt once, for good
    assert "out of memory with 16 texts" in caplog.text
    assert "continuing with 8" in caplog.text


def test_writing_goes_on_with_fewer_texts_when_memory_runs_out(
    folder: Path, prompts: list[Prompt]
) -> None:
    seeds = list(range(len(prompts)))
    expected = make_engine(folder, 32).write(prompts, seeds, **sampling(0.8))
    engine = make_engine(folder, 32)
    watch(engine, fail_above=10)
    assert [one.text for one in engine.write(prompts, seeds, **sampling(0.8))] == [
        one.text for one in expected
    ]


def test_memory_for_less_than_one_text_is_an_error(folder: Path, prompts: list[Prompt]) -> None:
    engine = make_engine(folder, 1)
    engine.score(prompts[:1], ANSWERS)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no memory left")

    engine._model.register_forward_pre_hook(fail)
    with pytest.raises(ModelError, match=r"does not hold the model and one text of \d+ tokens"):
        engine.score(prompts[:1], ANSWERS)


def test_a_model_without_positions_of_its_own_is_refused(folder: Path) -> None:
    model, tokenizer = load_causal_lm(folder)
    model.config.alibi = True
    with pytest.raises(ModelError, match="cannot be queried in this process"):
        LocalEngine(model, tokenizer, batch_size=1, max_length=64)


def test_another_failure_is_not_taken_for_a_want_of_memory(
    folder: Path, prompts: list[Prompt]
) -> None:
    engine = make_engine(folder, 8)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    engine._model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="a bug"):
        engine.score(prompts, ANSWERS)


def test_a_model_in_bfloat16_says_nearly_the_same(folder: Path, prompts: list[Prompt]) -> None:
    exact, rounded = (
        make_engine(folder, 8, dtype=dtype).score(prompts, ANSWERS)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, rtol=0.03)
