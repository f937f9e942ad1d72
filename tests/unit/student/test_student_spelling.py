"""What looks like a special token in a user's text is text to every kind of student."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
from student_examples import commit_examples, reversal_task, sentiment_task
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from daftt_core.config import StudentConfig
from daftt_core.modeling import load_classifier, load_text_to_text
from daftt_core.records import Example, Prediction, read_jsonl
from daftt_core.student import train_arm
from daftt_core.student.encoding import IGNORED, Reading, encode
from daftt_core.workspace import Run

WRITERS = ("bart", "t5", "gpt2", "llama", "gpt_neox", "byte-bart")
CLASSIFIERS = ("bert", "roberta", "deberta", "modernbert", "bart", "t5", "gpt2")
SPELLED = ("</s>", "<s>", "[SEP]", "[MASK]", "<pad>", "<|endoftext|>", "<|im_end|>", "<|end|>")
VOCABULARY = ["apple bread\nOutput:", *SPELLED]


def tiny(kind: str, folder: Path) -> str:
    if kind == "byte-bart":
        return kind
    return str(getattr(tiny_models, f"tiny_{kind}")(folder / kind, VOCABULARY))


@pytest.mark.parametrize("kind", WRITERS)
def test_the_end_of_a_target_is_its_only_special_token(kind: str, tmp_path: Path) -> None:
    model, tokenizer = load_text_to_text(tiny(kind, tmp_path))
    reading = Reading.of(reversal_task(), model, tokenizer, 64, 64)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, tokenizer.bos_token_id}
    special |= {tokenizer.eos_token_id}
    for spelled in SPELLED:
        example = Example.of(f"apple {spelled} bread", output=f"bread {spelled} apple")
        (row,) = encode(tokenizer, reading, [example], outputs=True).dataset.to_list()
        learned = [token for token in row["labels"] if token != IGNORED]
        assert [token for token in learned if token in special] == [tokenizer.eos_token_id]
        assert learned[-1] == tokenizer.eos_token_id
        (asked,) = encode(tokenizer, reading, [example], outputs=False).dataset.to_list()
        ends = 0 if reading.continues else 1
        assert sum(token in special for token in asked["input_ids"]) == ends


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classified_text_has_the_special_tokens_of_any_other(kind: str, tmp_path: Path) -> None:
    task = sentiment_task()
    model, tokenizer = load_classifier(tiny(kind, tmp_path), task.label_names)
    reading = Reading.of(task, model, tokenizer, 64, 8)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def special_of(text: str, pair: str | None) -> list[int]:
        found = encode(tokenizer, reading, [Example.of(text, pair)], outputs=False)
        return [token for token in found.dataset["input_ids"][0] if token in special]

    for spelled in SPELLED:
        assert special_of(f"apple{spelled}bread", None) == special_of("apple bread", None)
        assert special_of(f"apple {spelled}", spelled) == special_of("apple", "bread")


@pytest.mark.parametrize("kind", ["bart", "gpt2"])
def test_a_student_learns_a_spelled_end_and_goes_on_after_it(kind: str, tmp_path: Path) -> None:
    spelled = {"bart": "</s>", "gpt2": "<|end|>"}[kind]
    examples = [Example.of("apple", output=f"apple {spelled} bread")]
    run = Run(uri=str(tmp_path / "run"), seed=5, task=reversal_task())
    data = commit_examples(run, "data", {"labelled": examples, "dev": examples})
    config = StudentConfig(
        model=tiny(kind, tmp_path),
        seeds=1,
        min_steps=40,
        learning_rate=3e-3,
        batch_size=1,
        max_length=16,
        max_target_length=16,
        weight_decay=0.0,
    )
    train_arm(run, config, "real", data.digest)
    folder = run.folder / "students" / "real"
    found = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    assert ["".join(one.output.split()) for one in found] == [f"apple{spelled}bread"]
    if kind == "bart":  # as a reader of the model card does
        tokenizer = AutoTokenizer.from_pretrained(folder / "seed-0")
        model = AutoModelForSeq2SeqLM.from_pretrained(folder / "seed-0")
        asked = tokenizer(f"apple {spelled}", return_tensors="pt")
        assert asked.input_ids[0].tolist().count(tokenizer.eos_token_id) == 1
        written = model.generate(**tokenizer("apple", return_tensors="pt"), max_new_tokens=16)
        text = tokenizer.decode(written[0], skip_special_tokens=True)
        assert "".join(text.split()) == f"apple{spelled}bread"
