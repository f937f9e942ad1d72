from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from daftt_core.config import Config, from_flat
from daftt_core.errors import ConfigError
from daftt_core.planning import Assumptions, check_teacher_fits, find_gpu, make_plan
from daftt_core.planning.architectures import read_shape
from daftt_core.planning.machines import reading_seconds, training_seconds, writing_seconds
from daftt_core.planning.settings import host_limit, teacher_setup
from daftt_core.planning.shapes import Setup, find_model_config
from daftt_core.tasks import load_task

_ARMS = ["gold", "real", "real+both", "real+annotated", "real+generated"]
_A100 = find_gpu("a100-80")
_NEOX = read_shape(find_model_config("gpt-neox-20b"))
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


def _plan(assumed: Assumptions | None = None, **settings: Any):
    config = from_flat(settings)
    task = load_task("movie-reviews")
    return make_plan(config, task, find_gpu("a100-80"), _ARMS, assumed or Assumptions())


def _seconds(setup: Setup, tokens: int = 10**6, **assumed: Any) -> float:
    return training_seconds(_NEOX, setup, _A100, tokens, 10, Assumptions(**assumed))


def test_training_takes_six_operations_for_each_parameter_and_token():
    setup = Setup(zero_stage=3, row_tokens=1, gpus=8, gpus_per_node=8)
    by_hand = 6 * _NEOX.products * 10**6 / (8 * 312e12 * 0.35)
    assert _seconds(setup) == pytest.approx(by_hand, rel=0.001)
    again = _seconds(replace(setup, gradient_checkpointing=True))
    assert again == pytest.approx(by_hand * 8 / 6, rel=0.001)
    assert _seconds(replace(setup, method="lora")) == pytest.approx(by_hand * 4 / 6, rel=0.001)


def test_at_the_published_share_of_the_peak_it_reaches_the_published_speed():
    # llm-foundry, 30B at 55.3% of 8 A100-80: 916 tokens a second and GPU, which is 1,340 at 20.5B;
    # its share does not count that activations are computed twice (8 operations for 6)
    setup = Setup(zero_stage=3, row_tokens=2048, gpus=8, gpus_per_node=8)
    per_gpu = 10**6 / _seconds(setup, training_utilization=0.553) / 8
    assert per_gpu == pytest.approx(1340, rel=0.05)


def test_offload_costs_time_in_each_step():
    setup = Setup(zero_stage=3, gpus=8, gpus_per_node=8)
    away = replace(setup, offload="cpu")
    disk = replace(setup, offload="nvme")
    assert _seconds(setup) < _seconds(away) < _seconds(disk)
    # by hand: 6 bytes of each parameter over 8 links, 28 through the machine's memory
    extra = _NEOX.parameters * (6 / 8 / 20e9 + 28 / 100e9)
    assert _seconds(away) - _seconds(setup) == pytest.approx(10 * extra)


def test_writing_waits_for_the_weights():
    # one token for one row after a prompt of one token: read the weights once
    seconds = writing_seconds(_NEOX, _A100, 1, 1, 1, 1, Assumptions(), weight_bytes=2)
    reading = 2 * _NEOX.products / (0.5 * 2039e9)
    assert seconds == pytest.approx(reading, rel=0.2)
    for weight_bytes, peak in ((4, 19.5e12), (2, 312e12)):
        taken = reading_seconds(_NEOX, _A100, 10, 100, Assumptions(), weight_bytes=weight_bytes)
        assert taken == pytest.approx(1000 * 2 * _NEOX.products / (0.3 * peak), rel=0.05)


def test_the_whole_pipeline_is_planned():
    plan = _plan(Assumptions(price_per_gpu_hour=2.0), **_BIG)
    names = [stage.name for stage in plan.stages]
    assert names == [
        "teacher", "assessment", "annotation", "generation", "students (5 arms)", "predictions",
    ]  # fmt: skip
    assert plan.refusal == ""
    assert plan.chosen.fits
    assert plan.gpu_hours == pytest.approx(sum(s.gpus * s.hours for s in plan.stages))
    assert plan.cost(plan.gpu_hours) == pytest.approx(2.0 * plan.gpu_hours)
    # 64 examples in both directions, three times, 256 tokens each
    assert plan.stages[0].tokens == 64 * 2 * 3 * 256


def test_stages_that_are_switched_off_are_not_planned():
    plan = _plan(synthesis_mode="annotate", teacher_epochs=0)
    names = [stage.name for stage in plan.stages]
    assert "teacher" not in names
    assert "generation" not in names


def test_shorter_examples_take_less_time():
    long, short = _plan(), _plan(Assumptions(tokens_per_example=64))
    assert short.stages[0].tokens == long.stages[0].tokens / 4
    assert short.gpu_hours < long.gpu_hours


def test_the_setup_is_read_off_the_settings():
    setup = teacher_setup(from_flat(_BIG), _A100)
    assert setup == Setup(
        gpus=8,
        gpus_per_node=8,
        zero_stage=3,
        micro_batch_size=1,
        accumulation_steps=4,
        row_tokens=256,
        gradient_checkpointing=True,
    )
    assert not teacher_setup(from_flat(_BIG), find_gpu("v100-32")).bf16


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
    from daftt_core.planning.machines import GPUS

    assert set(get_args(GpuModel)) - {""} == set(GPUS)
