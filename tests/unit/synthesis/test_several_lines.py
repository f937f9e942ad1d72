"""Texts of several lines, from the user's file to what a teacher that has learned them writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
import yaml
from completions_server import CompletionsServer
from toy_run import toy_config
from toy_task import TASK, remarks

from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.evaluation import Assessment
from daftt_core.preflight import resolve
from daftt_core.records import Prediction, SyntheticExample, read_jsonl, write_jsonl
from daftt_core.stages import shard_of
from daftt_core.synthesis import annotate, generate
from daftt_core.teacher import assess, train
from daftt_core.workspace import Run, read_examples, run_stage

pytestmark = pytest.mark.slow

# the second holds what a prompt's next example begins with, which ends another model's texts
OUTPUTS = {"kind": "fresh\nwarm today", "unkind": "stale\n\nInput: again"}


class Taught:
    """A teacher that has learned to answer remarks of two lines with texts of several."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        folder.mkdir(exist_ok=True)
        task = {key: value for key, value in TASK.items() if key != "labels"}
        task |= {"kind": "text2text", "metric": "exact_match"}
        (folder / "lines.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
        with (folder / "lines.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["remark", "tone"])
            for text, label in remarks()[:400]:
                writer.writerow([text.replace(" and ", "\nand "), OUTPUTS[label]])
        settings = {"task": str(folder / "lines.yaml"), "data_train": str(folder / "lines.csv")}
        self.config: Config = toy_config(
            folder, **settings, teacher_epochs=30, synthesis_generate_count=16
        )
        self.run: Run = resolve(self.config)
        self.data = prepare(self.run, self.config.data).digest
        self.teacher = train(self.run, self.config.teacher, self.data).digest
        self.baseline = run_stage(self.run, "students/real", [], self._answer_wrongly).digest

    def _answer_wrongly(self, folder: Path) -> dict[str, object]:
        """Fill the stage of a student that is wrong on all of dev."""
        dev = read_examples(self.run, "data", self.data, "dev")
        rows = [
            Prediction(id=each.id, arm="real", seed=0, gold=str(each.output), output="?")
            for each in dev
        ]
        write_jsonl(folder / "dev-predictions.jsonl", rows)
        return {"dev_scores": [0.0]}

    def assess(self, **changes: object) -> Assessment:
        synthesis = self.config.synthesis.model_copy(update=changes)
        stages = (self.data, self.teacher, self.baseline)
        assess(self.run, self.config.teacher, synthesis, *stages)
        text = (self.run.folder / "assessment" / "assessment.json").read_text(encoding="utf-8")
        return Assessment.model_validate_json(text)

    def made(self, source: str, **changes: object) -> list[SyntheticExample]:
        synthesis = self.config.synthesis.model_copy(update={"shards": 1, **changes})
        make = {"annotated": annotate, "generated": generate}[source]
        make(self.run, synthesis, self.config.student, 0, self.data, self.teacher, "")
        name = shard_of(source, 0, 1).name
        return read_jsonl(self.run.folder / name / "examples.jsonl", SyntheticExample)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return Taught(tmp_path_factory.mktemp("taught"))


def test_dev_is_compared_with_all_that_the_teacher_wrote(taught: Taught) -> None:
    found = taught.assess()
    answers = read_jsonl(taught.run.folder / "assessment" / "dev-predictions.jsonl", Prediction)
    assert {one.gold for one in answers} == set(OUTPUTS.values())
    assert {one.output for one in answers} == set(OUTPUTS.values())
    assert found.dev_score == sum(one.output == one.gold for one in answers) / len(answers)
    assert found.dev_score > 0.8


def test_annotated_outputs_have_all_their_lines(taught: Taught) -> None:
    made = taught.made("annotated")
    assert len(made) == 80
    assert {one.problem for one in made} == {None}
    assert {one.output for one in made} == set(OUTPUTS.values())
    assert all(one.text.count("\n") == 1 for one in made)


def test_generated_inputs_have_the_lines_of_real_ones(taught: Taught) -> None:
    usable = [one for one in taught.made("generated") if one.problem is None]
    assert len(usable) > 8
    assert sum(one.text.count("\n") == 1 for one in usable) > len(usable) / 2
    assert all(one.output in OUTPUTS.values() for one in usable)


def test_a_served_model_is_told_what_ends_such_texts_and_its_lines_are_kept(
    taught: Taught,
) -> None:
    with CompletionsServer().running() as server:
        server.says = f" {OUTPUTS['unkind']}"
        found = taught.assess(engine="server", server_url=server.url)
        made = taught.made("annotated", engine="server", server_url=server.url)
    assert 0 < found.dev_score < 1
    assert {one.output for one in made} == {OUTPUTS["unkind"]}
    stops = {stop for body in server.bodies for stop in body["stop"]}
    assert "\n\nDefinition:" in stops
    assert not [stop for stop in stops if any(stop in text for text in OUTPUTS.values())]
