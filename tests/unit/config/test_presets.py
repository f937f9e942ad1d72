"""Presets: each is right by itself, and what a user gives wins over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daftt_core.cli.app import main
from daftt_core.config import Config, from_flat, preset_kinds, read_preset, read_presets
from daftt_core.errors import ConfigError
from daftt_core.planning import check_teacher_fits

KINDS = preset_kinds()
_OF_A_GOAL = {
    *("data_unlabelled_count", "synthesis_generate_count"),
    *("student_seeds", "student_gold_arm"),
}


@pytest.mark.parametrize("name", KINDS["teacher"])
def test_each_teachers_preset_is_right(name: str) -> None:
    settings = read_preset(name)
    config = from_flat(settings)
    assert config.teacher.model == settings["teacher_model"]
    assert config.synthesis.max_length >= config.teacher.max_length
    assert all(key.startswith(("teacher_", "synthesis_")) for key in settings)


@pytest.mark.parametrize("name", KINDS["machine"])
def test_each_machines_preset_is_right_and_sets_nothing_else(name: str) -> None:
    settings = read_preset(name)
    assert from_flat({"teacher_batch_size": 32, **settings})
    assert all(key.startswith(("job_", "cluster_")) for key in settings)


@pytest.mark.parametrize("name", KINDS["goal"])
def test_each_goal_sets_the_same_amounts(name: str) -> None:
    settings = read_preset(name)
    assert from_flat(settings)
    assert set(settings) == _OF_A_GOAL


@pytest.mark.parametrize("name", KINDS["student"])
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
    assert from_flat(read_presets(["balanced", "smollm2-135m", "minilm"])) == Config()


def test_a_teacher_and_a_student_are_chosen_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--preset", "olmo-2-1b", "--preset", "roberta-large", "--student-epochs", "3"]
    assert main(["validate", "--json", *words]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["teacher"]["model"] == "allenai/OLMo-2-0425-1B"
    assert config["student"]["model"] == "FacebookAI/roberta-large"
    assert config["student"]["epochs"] == 3


def test_one_preset_of_each_kind_can_be_given() -> None:
    with pytest.raises(ConfigError, match="presets minilm and bart-large are both for the student"):
        read_presets(["minilm", "bart-large"])


def test_two_presets_that_disagree_are_refused() -> None:
    sentence = r"presets quick and past-tense disagree on data_unlabelled_count \(300 and 2000\)"
    with pytest.raises(ConfigError, match=sentence):
        read_presets(["quick", "past-tense"])


@pytest.mark.parametrize(
    ("name", "gpus"), [("gpu-8x80", 8), ("gpu-16x40", 16), ("gpu-4x80", 4), ("gpu-1x40", 1)]
)
def test_the_number_of_gpus_is_that_of_the_name(name: str, gpus: int) -> None:
    config = from_flat({"teacher_batch_size": 32, **read_preset(name)})
    assert max(config.job.nodes * config.job.gpus, config.cluster.teacher_gpus) == gpus


@pytest.mark.parametrize(
    ("teacher", "machine"),
    [
        ("gpt-neox-20b", "gpu-8x80"),
        ("gpt-neox-20b", "gpu-16x40"),
        ("qwen2.5-7b", "gpu-4x80"),
        ("olmo-2-1b", "gpu-1x40"),
    ],
)
def test_a_teacher_fits_the_machine_that_its_preset_names(teacher: str, machine: str) -> None:
    check_teacher_fits(from_flat(read_presets([teacher, machine])))


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no such preset; did you mean 'smollm2-135m'"):
        read_preset("smollm-135m")


def test_a_file_wins_over_a_preset_and_options_over_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("teacher_epochs: 7\nteacher_batch_size: 64\n")
    words = [
        "--preset",
        "gpt-neox-20b,gpu-8x80",
        "--settings",
        str(path),
        "--teacher-batch-size",
        "16",
    ]
    assert main(["validate", "--json", *words, "--teacher-micro-batch-size", "2"]) == 0
    teacher = json.loads(capsys.readouterr().out)["config"]["teacher"]
    assert teacher["model"] == "EleutherAI/gpt-neox-20b"
    assert (teacher["epochs"], teacher["batch_size"]) == (7, 16)


def test_mistakes_in_the_presets_name_are_told_with_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["validate", "--preset", "gpt-neox"]) == 2
    assert "gpt-neox-20b" in capsys.readouterr().err
