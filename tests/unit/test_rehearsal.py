"""A machine's pace, measured with tiny models through the stages' own code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import remarks, write_remarks, write_task

from daftt_core import rehearsal
from daftt_core.cli.app import main
from daftt_core.config import from_flat
from daftt_core.errors import ConfigError
from daftt_core.planning import Lengths
from daftt_core.tasks import load_task

_LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 4,
    "vocab_size": 300,
    "max_position_embeddings": 256,
}
_BERT = {
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 300,
    "max_position_embeddings": 128,
}
_LENGTHS = Lengths(beginning=12, question=10, answer=2, input=10, target=0)
_TEXTS = Lengths(beginning=12, question=6, answer=4, input=8, target=5)


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """A process that is a copy of one whose threads have computed may use one thread."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(rehearsal, "_LIBRARIES", "pass")
    monkeypatch.setattr(rehearsal, "_STORED", 1000)
    yield
    torch.set_num_threads(threads)


def _models(folder: Path, **student: Any) -> dict[str, Any]:
    paths = {"teacher_model": folder / "teacher.json", "student_model": folder / "student.json"}
    for path, settings in zip(paths.values(), (_LLAMA, {**_BERT, **student}), strict=True):
        path.write_text(json.dumps(settings))
    return {
        "synthesis_batch_size": 2,
        "teacher_batch_size": 2,
        **{name: str(path) for name, path in paths.items()},
    }


def _rehearse(task: str, lengths: Lengths, **settings: Any):
    return rehearsal.rehearse(from_flat({"task": task, **settings}), load_task(task), lengths)


def test_every_kind_of_work_is_measured(tmp_path):
    pace = _rehearse("movie-reviews", _LENGTHS, **_models(tmp_path))
    assert pace.cores == 1
    assert all(getattr(pace, name) > 0 for name in ("start", "training", "learning", "answering"))
    assert pace.scoring > 0
    assert pace.writing > 0
    assert pace.contrasting > 0


@pytest.mark.parametrize(
    "settings",
    [{"teacher_method": "lora"}, {"teacher_packing": False, "teacher_directions": "label"}],
)
def test_the_teacher_is_trained_as_the_settings_say(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(rehearsal, "_MEASURED", 1)  # two layers and one, of four
    assert _rehearse("movie-reviews", _LENGTHS, **_models(tmp_path), **settings).training > 0


def test_only_what_a_run_does_is_measured(tmp_path):
    models = _models(tmp_path)
    only = {"synthesis_mode": "annotate", "student_baseline": "plain"}
    labels = _rehearse("movie-reviews", _LENGTHS, **only, **models)
    assert labels.writing == 0
    assert labels.contrasting == 0
    sets = _rehearse("word-classes", _LENGTHS, **models)
    assert sets.scoring > 0


def test_students_that_write_are_measured(tmp_path):
    pace = _rehearse("past-tense", _TEXTS, **_models(tmp_path) | {"student_model": "byte-bart"})
    assert pace.scoring == 0
    assert pace.writing > 0
    assert pace.answering > 0


def test_a_model_has_as_many_layers_as_are_measured():
    qwen = {"num_hidden_layers": 4, "layer_types": ["full_attention"] * 4, "hidden_size": 8}
    cut = rehearsal._with_layers(qwen, 2)
    assert cut == {**qwen, "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2}
    bart = rehearsal._with_layers({"encoder_layers": 12, "decoder_layers": 1}, 3)
    assert bart == {"encoder_layers": 3, "decoder_layers": 1}


def test_a_teacher_that_the_memory_cannot_hold_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("daftt_core.cli.authoring.plan_here.verify", lambda _: None)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 8 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert main(["plan", "--teacher-model", "gpt-neox-20b"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    # 16 bytes for each of 20.6 billion parameters, and what a step needs beside them
    assert line.startswith("error: teacher: gpt-neox-20b needs about 3")
    assert "GiB of memory and this machine has 8;" in line
    asked = from_flat({"teacher_model": "gpt-neox-20b", "teacher_epochs": 0})
    with pytest.raises(ConfigError, match="needs about 153 GiB"):  # two of them side by side
        rehearsal.check_machine(asked)


def test_a_server_is_not_measured():
    with pytest.raises(ConfigError, match=r"^synthesis_engine: how fast a teacher behind 'vllm'"):
        rehearsal.check_machine(from_flat({"synthesis_engine": "vllm"}))


def _command(folder: Path) -> list[str]:
    words = ["plan", "--task", str(write_task(folder))]
    words += ["--data-train", str(write_remarks(folder / "meals.csv", remarks()[:200]))]
    words += ["--data-labelled-fraction", "0.2", "--student-seeds", "1"]
    for name, value in _models(folder).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def test_the_command_counts_the_data_and_prints_the_time(tmp_path, capsys):
    assert main([*_command(tmp_path), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    stages = {stage["name"]: stage for stage in plan["stages"]}
    lengths, pace = plan["tokens_per_example"], plan["pace"]
    scored = lengths["question"] + lengths["answer"]
    dev = stages["assessment"]["tokens"] / scored / (2 + 2)  # twice, and after each of two labels
    assert 10 <= dev <= 30  # about a tenth of 200
    assert stages["assessment"]["seconds"] == pytest.approx(
        stages["assessment"]["tokens"] * pace["scoring"]
    )
    assert stages["annotation"]["processes"] == 2
    worked = sum(stage["processes"] * stage["seconds"] for stage in plan["stages"])
    started = plan["starts"] * pace["start"]
    assert plan["seconds_of_stages"] == pytest.approx(worked + started)
    assert plan["seconds"] < plan["seconds_of_stages"]
    assert not list(tmp_path.glob("runs*"))

    assert main(_command(tmp_path)) == 0
    shown = capsys.readouterr().out
    for words in ("1 core,", "students/real+both", "time of each", "at four bytes of text"):
        assert words in shown
    assert "upper bound" not in shown
