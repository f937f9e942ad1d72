from __future__ import annotations

import json

import pytest

from daftt_core.cli.app import main

_20B = ["--preset", "gpt-neox-20b", "--preset", "gpu-8x80"]


def test_20b_on_8_gpus_of_80_gb_fits(capsys):
    assert main(["plan", *_20B, "--job-gpu-model", "a100-80"]) == 0
    said = capsys.readouterr().out
    assert "20,554,567,680 parameters" in said
    assert "The teacher's training fits." in said
    assert "Too large" not in said
    for word in ("optimizer", "annotation", "tokens", "hours and prices are not forecast"):
        assert word in said


def test_20b_on_8_gpus_of_40_gb_does_not_fit_and_the_nearest_is_said(capsys):
    assert main(["plan", *_20B, "--job-gpu-model", "a100-40"]) == 2
    captured = capsys.readouterr()
    assert "fits." not in captured.out
    assert "Too large for one a100-40: assessment, annotation, generation." in captured.out
    assert captured.err.startswith("error: teacher: EleutherAI/gpt-neox-20b needs about 4")
    assert "the nearest that fits: teacher_offload=cpu" in captured.err
    assert "or job_nodes=2 (about" in captured.err
    nearer = ["--job-nodes", "2"]
    assert main(["plan", *_20B, "--job-gpu-model", "a100-40", *nearer]) == 0


@pytest.mark.parametrize(("gpu", "code"), [("a100-80", 0), ("a100-40", 2)])
def test_json_says_the_same(capsys, gpu, code):
    assert main(["plan", *_20B, "--job-gpu-model", gpu, "--json"]) == code
    plan = json.loads(capsys.readouterr().out)
    assert plan["fits"] == (code == 0)
    assert bool(plan["refusal"]) == (code == 2)
    parts = dict(plan["teacher"]["parts"])
    assert parts.pop("total") == pytest.approx(sum(parts.values()))
    assert len(plan["choices"]) == 32
    assert plan["stages"][0]["tokens"] == 64 * 2 * 3 * 1024  # the preset's max_length


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--job-launcher", "pytorchjob"], "job_gpu_model: say for which kind of GPU to plan"),
        (["--job-gpu-model", "a100"], "job_gpu_model: 'a100' should be"),
        (
            ["--job-gpu-model", "l4-24", "--teacher-model", "a/b"],
            "teacher_model: the configuration of 'a/b' is not on this machine",
        ),
        (
            ["--job-gpu-model", "l4-24", "--data-labelled-fraction", "0.1"],
            "data_labelled_fraction: how many examples that is cannot be told",
        ),
        (
            ["--job-gpu-model", "l4-24", "--data-train", "mine.csv"],
            "data_labelled_count: how many examples that is cannot be told",
        ),
    ],
)
def test_a_mistake_is_one_sentence(capsys, words, sentence):
    assert main(["plan", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["run", "submit", "validate"])
def test_what_cannot_fit_is_not_started(capsys, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAFTT_KFP_HOST", "http://127.0.0.1:9")
    output = "gs://bucket/daftt" if command == "submit" else "runs"
    words = [command, *_20B, "--job-gpu-model", "a100-40", "--output", output]
    assert main(words) == 2
    assert "the nearest that fits" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
