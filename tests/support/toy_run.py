"""A run's folder with data and tiny models, for tests of the stages that use models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import tiny_bert, tiny_gpt_neox
from toy_task import remarks, vocabulary, write_remarks, write_task

from daftt_core.config import Config, from_flat
from daftt_core.data import prepare
from daftt_core.evaluation import Assessment
from daftt_core.preflight import resolve
from daftt_core.workspace import StageResult

__all__ = ["assessment_of", "toy_config", "train_once", "write_assessment"]


def toy_config(folder: Path, **settings: object) -> Config:
    """Settings of a small run on the toy task; makes its files and models in ``folder``.

    Args:
        folder: Where files, models and the run go.
        settings: Flat settings that replace the toy's own.
    """
    folder.mkdir(exist_ok=True)
    if not (folder / "teacher").exists():
        write_task(folder)
        write_remarks(folder / "meals.csv", remarks()[:400])
        tiny_gpt_neox(folder / "teacher", vocabulary())
        tiny_bert(folder / "student", vocabulary())
    return from_flat(
        {
            "task": str(folder / "meals.yaml"),
            "output": str(folder / "runs"),
            "on_gate_fail": "continue",
            "data_train": str(folder / "meals.csv"),
            "data_labelled_count": 32,
            "data_dev_count": 24,
            "data_test_count": 60,
            "data_unlabelled_count": 80,
            "teacher_model": str(folder / "teacher"),
            "teacher_epochs": 20,
            "teacher_learning_rate": 3e-3,
            "teacher_max_length": 64,
            "synthesis_max_length": 64,
            "synthesis_max_new_tokens": 16,
            "synthesis_generate_count": 30,
            "synthesis_chunk_size": 16,
            "student_model": str(folder / "student"),
            "student_seeds": 2,
            "student_epochs": 2,
            "student_min_steps": 60,
            "student_learning_rate": 2e-3,
            "evaluation_bootstrap_samples": 500,
            **settings,
        }
    )


def assessment_of(**fields: Any) -> Assessment:
    """The assessment of a teacher of whom only ``fields`` matter."""
    return Assessment(
        metric="accuracy",
        dev_examples=24,
        dev_score=0.75,
        untuned_dev_score=0.5,
        baseline_dev_score=0.5,
        passed=True,
        **fields,
    )


def write_assessment(folder: Path, **fields: Any) -> None:
    """Write what the stage ``assessment`` leaves of a teacher of whom only ``fields`` matter."""
    text = assessment_of(**fields).model_dump_json()
    (folder / "assessment.json").write_text(text)


def train_once(config: Config) -> tuple[Path, StageResult]:
    """Prepare the data and train the teacher; its folder, and what the stage hands on."""
    from daftt_core.teacher import train  # loads torch

    run = resolve(config)
    data = prepare(run, config.data)
    return run.folder / "teacher", train(run, config.teacher, data.digest)
