"""Annotating and generating: every item accounted for, the same however it is shared or stopped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import toy_config, write_assessment

from daftt_core.config import Config, SynthesisConfig
from daftt_core.data import prepare
from daftt_core.engines import Completion
from daftt_core.evaluation import Abstention, Calibration
from daftt_core.preflight import resolve
from daftt_core.records import SyntheticExample, read_jsonl
from daftt_core.stages import shard_of
from daftt_core.synthesis import annotate, generate
from daftt_core.synthesis.generating import InputWriter, Requests
from daftt_core.tasks import Form
from daftt_core.teacher import train
from daftt_core.workspace import Run, read_examples, run_stage, stage_manifest


class Taught:
    """A run whose teacher is trained and assessed."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.config: Config = toy_config(folder, teacher_epochs=4)
        self.run: Run = resolve(self.config)
        self.data = prepare(self.run, self.config.data).digest
        self.teacher = train(self.run, self.config.teacher, self.data).digest
        self.assessment = self._assess()

    def _assess(self, threshold: float | None = 0.0) -> str:
        """What the assessment leaves for synthesis."""

        def work(folder: Path) -> dict[str, object]:
            abstention = Abstention(wanted=0.9, threshold=threshold, precision=None, coverage=0.0)
            write_assessment(
                folder,
                calibration=Calibration(weights=(2 / 3,), bias=(0.1, -0.1)),
                abstention=abstention,
            )
            return {}

        return run_stage(self.run, "assessment", [threshold], work).digest

    @property
    def read(self) -> tuple[str, str, str]:
        return self.data, self.teacher, self.assessment

    def settings(self, **changes: object) -> SynthesisConfig:
        return self.config.synthesis.model_copy(update=changes)

    def annotated(
        self, settings: SynthesisConfig, threshold: float | None = 0.0
    ) -> list[SyntheticExample]:
        self.assessment = self._assess(threshold)
        for shard in range(settings.shards):
            annotate(
                self.run,
                settings,
                self.config.student,
                shard,
                self.data,
                self.teacher,
                self.assessment,
            )
        return self._read("annotated", settings)

    def generated(self, settings: SynthesisConfig) -> list[SyntheticExample]:
        for shard in range(settings.shards):
            generate(
                self.run,
                settings,
                self.config.student,
                shard,
                self.data,
                self.teacher,
                self.assessment,
            )
        return self._read("generated", settings)

    def _read(self, source: str, settings: SynthesisConfig) -> list[SyntheticExample]:
        stages = [shard_of(source, shard, settings.shards) for shard in range(settings.shards)]
        paths = [self.run.folder / stage.name / "examples.jsonl" for stage in stages]
        return [example for path in paths for example in read_jsonl(path, SyntheticExample)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return Taught(tmp_path_factory.mktemp("taught"))


def by_id(examples: list[SyntheticExample]) -> list[SyntheticExample]:
    return sorted(examples, key=lambda example: example.id)


def test_every_unlabelled_input_is_annotated_once(taught: Taught) -> None:
    made = taught.annotated(taught.settings(shards=3))
    unlabelled = read_examples(taught.run, "data", taught.data, "unlabelled")
    assert sorted(one.id for one in made) == sorted(one.id for one in unlabelled)
    for one in made:
        assert one.source == "annotated"
        assert set(one.distribution) == {"kind", "unkind"}
        assert sum(one.distribution.values()) == pytest.approx(1)
        assert one.output is not None
        assert one.confidence == one.distribution[one.output]


def test_the_number_of_shards_changes_nothing(taught: Taught) -> None:
    one, three = (taught.settings(shards=shards) for shards in (1, 3))
    assert by_id(taught.annotated(one)) == by_id(taught.annotated(three))
    assert by_id(taught.generated(one)) == by_id(taught.generated(three))


def test_temperature_zero_takes_the_most_probable_label(taught: Taught) -> None:
    for one in taught.annotated(taught.settings(shards=1, annotate_temperature=0.0)):
        assert one.output == max(one.distribution, key=lambda label: one.distribution[label])


def test_below_the_threshold_no_label_is_given(taught: Taught) -> None:
    always = taught.annotated(taught.settings(shards=1))
    middle = sorted(one.confidence for one in always)[len(always) // 2]
    given = taught.annotated(taught.settings(shards=1, min_precision=0.9), threshold=middle)
    assert {one.id for one in given if one.problem is None} == {
        one.id for one in always if one.confidence >= middle
    }
    assert {one.problem for one in given} == {None, "abstained"}
    none = taught.annotated(taught.settings(shards=1, min_precision=0.9), threshold=None)
    assert {one.problem for one in none} == {"abstained"}


def test_the_labels_asked_for_are_balanced_and_none_is_lost(taught: Taught) -> None:
    made = taught.generated(taught.settings(shards=2))
    assert len(made) == 30
    assert Counter(one.asked for one in made) == {"kind": 15, "unkind": 15}
    for one in made:
        assert (one.problem is None) == bool(one.distribution)


def test_demonstrations_are_of_the_label_and_the_same_in_any_shard(taught: Taught) -> None:
    wanted = {"demonstrations": 2, "max_length": 80}
    made = taught.generated(taught.settings(shards=1, **wanted))
    shared = taught.generated(taught.settings(shards=3, chunk_size=5, **wanted))
    assert by_id(made) == by_id(shared)
    labels = {
        one.id: one.output for one in read_examples(taught.run, "data", taught.data, "labelled")
    }
    assert all([labels[each] for each in one.shown] == [one.asked] for one in made)
    assert len({one.shown for one in made}) > 10
    summary = stage_manifest(taught.run, shard_of("generated", 0, 1)).summary
    assert summary["demonstrations_left_out"] == 30  # there is room for one


def test_another_seed_writes_other_texts(taught: Taught, tmp_path: Path) -> None:
    settings = taught.settings(shards=1)
    texts = {one.text for one in taught.generated(settings)}
    other = taught.run.model_copy(update={"seed": taught.run.seed + 1})
    completions = generate(
        other, settings, taught.config.student, 0, taught.data, taught.teacher, taught.assessment
    )
    path = taught.run.folder / completions.name / "examples.jsonl"
    assert {one.text for one in read_jsonl(path, SyntheticExample)} != texts


@pytest.mark.parametrize(
    ("text", "finished", "problem"),
    [
        (" the soup was warm", True, None),
        (" the soup was warm and", False, "unfinished"),
        ("  ", True, "not an input"),
        (" one line\nand another", True, "not an input"),
    ],
)
def test_what_cannot_be_read_as_an_input_is_kept_with_its_problem(
    taught: Taught, text: str, finished: bool, problem: str | None
) -> None:
    completion = Completion(text, finished, confidence=0.5)
    requests = Requests(taught.run, taught.settings(), [])
    engine: Any = None  # the text is written already
    writer = InputWriter(taught.run, taught.settings(), engine, requests, Form())
    example = writer.read(completion, 7)
    assert example.problem == problem
    assert example.text.strip() == text.strip()
    assert example.output is None
