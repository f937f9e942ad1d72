"""Only the embeddings of tokens that occur are trained, as they would be among all."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from student_examples import sentiment_examples, sentiment_task
from tiny_models import tiny_t5

from daftt_core.config import StudentConfig
from daftt_core.modeling import load_classifier, load_text_to_text, set_seeds
from daftt_core.student import train_arm
from daftt_core.student.encoding import Reading, encode
from daftt_core.student.rows import only_rows, used_tokens
from daftt_core.workspace import Run

LABELS = ["negative", "positive"]


@pytest.mark.parametrize("kind", ["bert", "bart"])
def test_rows_learn_as_they_do_among_all(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    trained = []
    for part in (False, True):
        set_seeds(0)
        model, tokenizer = load_classifier(folder, LABELS)
        before = model.get_input_embeddings().weight.detach().clone()
        reading = Reading.of(sentiment_task(), model, tokenizer, 16, 8)
        dataset = encode(tokenizer, reading, sentiment_examples(6), outputs=True).dataset
        batch = tokenizer.pad(dataset.remove_columns("length").to_list(), return_tensors="pt")
        tokens = used_tokens(model, tokenizer, [dataset["input_ids"][:]])
        assert len(tokens) < len(before) / 2
        with only_rows(model, tokens) if part else nullcontext():
            assert len(model.get_input_embeddings().weight) == len(tokens if part else before)
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
            for _ in range(4):
                model(**batch).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        trained.append({name: value.clone() for name, value in model.state_dict().items()})
        rows = model.get_input_embeddings().weight.detach()
        changed = {
            index for index in range(len(rows)) if not torch.equal(rows[index], before[index])
        }
        occurring = {token for ids in dataset["input_ids"] for token in ids}
        assert changed == occurring - {tokenizer.pad_token_id}
    whole, partly = trained
    assert list(partly) == list(whole)
    for name, weights in whole.items():
        torch.testing.assert_close(partly[name], weights, rtol=1e-3, atol=1e-5)


def test_another_token_is_refused_and_not_mistaken(bert: Path) -> None:
    model, tokenizer = load_classifier(bert, LABELS)
    tokens = used_tokens(model, tokenizer, [[tokenizer("apple bread")["input_ids"]]])
    ids = torch.tensor([tokenizer("apple bread")["input_ids"]])
    other = torch.tensor([tokenizer("chair")["input_ids"]])
    with torch.inference_mode():
        expected = model(input_ids=ids).logits
        with only_rows(model, tokens):
            assert torch.equal(model(input_ids=ids).logits, expected)
            with pytest.raises(IndexError):
                model(input_ids=other)
        model(input_ids=other)


def test_a_table_that_is_an_output_layer_too_stays_whole(tmp_path: Path) -> None:
    model, _ = load_text_to_text(tiny_t5(tmp_path, ["apple bread"]))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    count = len(model.get_input_embeddings().weight)
    with only_rows(model, [0, 1]):
        assert len(model.get_input_embeddings().weight) == count


def test_a_student_keeps_the_embeddings_of_words_that_it_has_not_seen(
    run: Run, prepared: dict[str, str], config: StudentConfig, bert: Path
) -> None:
    fast = config.model_copy(update={"learning_rate": 1e-2, "weight_decay": 0.0})
    train_arm(run, fast, "real", prepared["data"])
    before, tokenizer = load_classifier(bert, LABELS)
    student, _ = load_classifier(run.folder / "students" / "real" / "seed-0", LABELS, trained=True)
    seen = {
        token
        for example in sentiment_examples(16)
        for token in tokenizer(example.text)["input_ids"][:16]
    }
    first, last = (model.get_input_embeddings().weight for model in (before, student))
    for index in range(len(first)):
        assert torch.equal(first[index], last[index]) == (index not in seen)
