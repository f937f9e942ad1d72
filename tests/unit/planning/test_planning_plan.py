from __future__ import annotations

import logging
from typing import Any

import pytest

from daftt_core.config import Config, from_flat
from daftt_core.errors import ConfigError
from daftt_core.planning import check_teacher_fits, find_gpu, make_plan
from daftt_core.planning.settings import host_limit, teacher_setup, uses_bfloat16
from daftt_core.planning.shapes import Setup
from daftt_core.tasks import load_task

_ARMS = ["gold", "real", "real+both", "real+annotated", "real+generated"]
_BIG: dict[str, Any] = {
    "teacher_model": "gpt-neox-20b",
    "teacher_zero_stage": 3,
    "teacher_gradient_checkpointing": True,
    "teacher_batch_size": 32,
    "teacher_micro_batch_size": 1,
    "job_launcher": "pytorchjob",
    "job_gpus": 8,
    "job_gpu_model": "a100-80",
    "job_memory": "900Gi",
}


def _plan(tokens_per_example: int | None = None, **settings: Any):
    config = from_flat(settings)
    task = load_task("movie-reviews")
    return make_plan(config, task, find_gpu("a100-80"), _ARMS, tokens_per_example)


def test_the_whole_pipeline_is_planned():
    plan = _plan(**_BIG)
    names = [stage.name for stage in plan.stages]
    assert names == [
        "teacher", "assessment", "annotation", "generation", "students (5 arms)", "predictions",
    ]  # fmt: skip
    assert plan.refusal == ""
    assert plan.chosen.fits
    assert [stage.gpus for stage in plan.stages] == [8, 1, 1, 1, 1, 1]
    # 64 examples in both directions, three times, 256 tokens each
    assert plan.stages[0].tokens == 64 * 2 * 3 * 256
    # dev twice, before and after the fine-tuning, and once more after each of two labels
    assert plan.stages[1].tokens == (2 + 2) * Config().data.dev_count * 256


def test_stages_that_are_switched_off_are_not_planned():
    plan = _plan(synthesis_mode="annotate", teacher_epochs=0)
    names = [stage.name for stage in plan.stages]
    assert "teacher" not in names
    assert "generation" not in names


def test_shorter_examples_have_fewer_tokens():
    long, short = _plan(), _plan(64)
    assert short.stages[0].tokens == long.stages[0].tokens / 4
    stages = zip(short.stages, long.stages, strict=True)
    assert all(less.tokens < more.tokens for less, more in stages)


def test_students_that_judge_are_in_memory_beside_the_teacher():
    both, alone = (
        _plan(student_model="FacebookAI/roberta-large", synthesis_second_opinion=opinion)
        for opinion in (True, False)
    )
    # three students and the encoder of a regression, bytes, and RoBERTa-large's weights as its
    # authors say
    weights = 4 * 4 * 355e6
    added = {
        more.name: more.gpu_bytes - less.gpu_bytes
        for more, less in zip(both.stages, alone.stages, strict=True)
    }
    assert added.pop("annotation") == pytest.approx(weights, rel=0.02)
    assert added.pop("generation") == pytest.approx(weights, rel=0.02)
    assert set(added.values()) == {0}


def test_the_setup_is_read_off_the_settings():
    setup = teacher_setup(from_flat(_BIG), bf16=True)
    assert setup == Setup(
        gpus=8,
        gpus_per_node=8,
        zero_stage=3,
        micro_batch_size=1,
        accumulation_steps=4,
        row_tokens=256,
        gradient_checkpointing=True,
    )
    assert not uses_bfloat16("auto", find_gpu("v100-32"))


def test_memory_of_pods_is_read():
    assert host_limit(from_flat(_BIG)) == 900 * 2**30
    assert host_limit(from_flat(_BIG | {"job_memory": "900G"})) == 900e9
    assert host_limit(Config()) is None


def test_what_fits_is_not_refused():
    check_teacher_fits(from_flat(_BIG))
    check_teacher_fits(Config())


def test_what_cannot_fit_is_refused_with_the_nearest_that_does():
    with pytest.raises(ConfigError) as caught:
        check_teacher_fits(from_flat(_BIG | {"job_gpu_model": "a100-40"}))
    said = str(caught.value)
    assert said.startswith("teacher: gpt-neox-20b needs about 4")
    assert "the nearest that fits: teacher_offload=cpu" in said
    assert "or job_nodes=2 (about 2" in said
    with pytest.raises(ConfigError, match=r"its pods get 16.0 GiB \(job.memory\)"):
        check_teacher_fits(from_flat(_BIG | {"job_memory": "16Gi"}))


def test_a_model_that_nothing_is_known_of_is_not_refused(caplog):
    with caplog.at_level(logging.INFO, logger="daftt"):
        check_teacher_fits(from_flat(_BIG | {"teacher_model": "someone/something"}))
    assert "cannot be told: teacher_model: the configuration of 'someone/something'" in caplog.text


def test_every_gpu_of_the_settings_is_known():
    from typing import get_args

    from daftt_core.config import GpuModel
    from daftt_core.planning.fit import GPUS

    assert set(get_args(GpuModel)) - {""} == set(GPUS)
