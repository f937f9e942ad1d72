"""The tokens that students learn from, and answer on dev, are counted, without padding."""

from __future__ import annotations

from student_examples import sentiment_examples, sentiment_task

from daftt_core.config import StudentConfig
from daftt_core.modeling import load_classifier
from daftt_core.student import train_arm
from daftt_core.student.encoding import Reading, encode
from daftt_core.telemetry import Usage
from daftt_core.workspace import Run, stage_manifest


def usage_of(run: Run, stage: str) -> Usage:
    manifest = stage_manifest(run, stage)
    assert manifest is not None
    assert manifest.usage is not None
    return manifest.usage


def test_tokens_are_those_of_the_examples(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    model, tokenizer = load_classifier(config.model, sentiment_task().label_names)

    reading = Reading.of(sentiment_task(), model, tokenizer, config.max_length, 8)

    def tokens(count: int, start: int) -> int:
        examples = sentiment_examples(count, start)
        encoded = encode(tokenizer, reading, examples, outputs=False)
        return sum(encoded.dataset["length"])

    whole_passes = config.model_copy(update={"min_steps": 4, "epochs": 2})  # 16 examples by 8
    train_arm(run, whole_passes, "real", prepared["data"])
    labelled, dev = tokens(16, 0), tokens(10, 100)
    used = usage_of(run, "students/real")
    # two seeds learn them twice, and a regression on their embeddings once
    assert used.tokens_read == 2 * (2 * labelled + dev) + labelled
    assert used.tokens_written == 0
