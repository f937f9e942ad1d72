"""Presets: each is right by itself, and what a user gives wins over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daftt_core.cli.app import main
from daftt_core.config import Config, from_flat, preset_names, read_preset, read_presets
from daftt_core.errors import ConfigError

STUDENTS = ["bart-large", "byte-bart", "minilm", "roberta-large"]
TASKS = ["past-tense"]
TEACHERS = [name for name in preset_names() if name not in (*STUDENTS, *TASKS)]


@pytest.mark.parametrize("name", TEACHERS)
def test_each_teachers_preset_is_right(name: str) -> None:
    settings = read_preset(name)
    config = from_flat(settings)
    assert config.teacher.model == settings["teacher_model"]
    assert config.synthesis.max_length >= config.teacher.max_length
    assert config.student == Config().student


@pytest.mark.parametrize("name", STUDENTS)
def test_each_students_preset_is_right_and_sets_nothing_else(name: str) -> None:
    settings = read_preset(name)
    config = from_flat(settings)
    assert config.student.model == settings["student_model"]
    assert config == Config().model_copy(update={"student": config.student})


@pytest.mark.parametrize("student", ["bart-large", "byte-bart"])
def test_a_tasks_preset_goes_with_a_students(student: str) -> None:
    config = from_flat(read_presets(["past-tense", student]))
    assert config.run.task == "past-tense"
    assert config.student == from_flat(read_preset(student)).student
    assert config.teacher.model == Config().teacher.model


def test_the_smallest_presets_are_the_default() -> None:
    assert from_flat(read_presets(["smollm2-135m", "minilm"])) == Config()


def test_a_teacher_and_a_student_are_chosen_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--preset", "olmo-2-1b-1x40", "--preset", "roberta-large", "--student-epochs", "3"]
    assert main(["validate", "--json", *words]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["teacher"]["model"] == "allenai/OLMo-2-0425-1B"
    assert config["student"]["model"] == "FacebookAI/roberta-large"
    assert config["student"]["epochs"] == 3


def test_two_presets_that_disagree_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"minilm and bart-large disagree on student_\w+ \("):
        read_presets(["minilm", "bart-large"])


@pytest.mark.parametrize(
    ("name", "gpus"), [("gpt-neox-20b-8x80", 8), ("gpt-neox-20b-16x40", 16), ("qwen2.5-7b-4x80", 4)]
)
def test_the_number_of_gpus_is_that_of_the_name(name: str, gpus: int) -> None:
    job = from_flat(read_preset(name)).job
    assert job.nodes * job.gpus == gpus


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no such preset; did you mean 'smollm2-135m'"):
        read_preset("smollm-135m")


def test_a_file_wins_over_a_preset_and_options_over_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("teacher_epochs: 7\nteacher_batch_size: 64\n")
    words = ["--preset", "gpt-neox-20b-8x80", "--settings", str(path), "--teacher-batch-size", "16"]
    assert main(["validate", "--json", *words, "--teacher-micro-batch-size", "2"]) == 0
    teacher = json.loads(capsys.readouterr().out)["config"]["teacher"]
    assert teacher["model"] == "EleutherAI/gpt-neox-20b"
    assert (teacher["epochs"], teacher["batch_size"]) == (7, 16)


def test_mistakes_in_the_presets_name_are_told_with_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["validate", "--preset", "gpt-neox"]) == 2
    assert "gpt-neox-20b-8x80" in capsys.readouterr().err
