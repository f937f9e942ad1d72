from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.errors import ConfigError
from daftt_core.planning.architectures import read_shape
from daftt_core.planning.fit import GPUS, find_gpu, misfit, nearest_that_fit
from daftt_core.planning.memory import activation_bytes, host_bytes, inference_parts, training_parts
from daftt_core.planning.shapes import Setup, find_model_config, known_models

_SHAPES = {name: read_shape(find_model_config(name)) for name in known_models()}
_NEOX = _SHAPES["gpt-neox-20b"]
_SMOL = _SHAPES["smollm2-135m-instruct"]
_GIB = 2**30
_ON_8X80 = Setup(
    gpus=8, gpus_per_node=8, zero_stage=3, gradient_checkpointing=True, accumulation_steps=4
)


def _states(setup: Setup) -> float:
    """Bytes of weights, gradients and optimizer on all GPUs together."""
    parts = training_parts(_NEOX, setup)
    return setup.gpus * (parts.parameters + parts.gradients + parts.optimizer)


def test_zero_3_holds_the_papers_16_bytes_of_each_parameter_once():
    # arXiv 1910.02054, section 3.1: 2 + 2 + 12 bytes; figure 1 divides all of them by the GPUs
    for gpus in (1, 8, 64):
        setup = replace(_ON_8X80, gpus=gpus, gpus_per_node=min(gpus, 8))
        assert _states(setup) == pytest.approx(16 * _NEOX.parameters)


def test_the_20b_teacher_needs_the_published_360_gb_before_activations():
    parts = training_parts(_NEOX, _ON_8X80)
    step = 4 * min(_NEOX.parameters / 8, 1e9)  # the float32 gradients of one group
    needed = 8 * (parts.parameters + parts.gradients + parts.optimizer + step)
    assert needed == pytest.approx(360e9, rel=0.02)
    # between the paper's 16 and DeepSpeed's estimate of 18 bytes a parameter
    assert 16 * _NEOX.parameters <= needed <= 18 * _NEOX.parameters


@pytest.mark.parametrize(
    ("stage", "gigabytes"),
    # arXiv 1910.02054, figure 1: 7.5 billion parameters on 64 GPUs, 12 bytes of optimizer state
    [(1, 31.4), (2, 16.6), (3, 1.9)],
)
def test_the_papers_table_of_a_model_of_7_5_billion(stage, gigabytes):
    shape = replace(_NEOX, parameters=7_500_000_000)
    long = Setup(gpus=64, gpus_per_node=8, zero_stage=stage, row_tokens=8192)  # not loading
    parts = training_parts(shape, long)
    held = parts.parameters + parts.gradients + parts.optimizer
    assert held / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_a_model_is_whole_and_in_float32_when_it_is_loaded():
    setup = replace(_ON_8X80, zero_stage=2, offload="cpu")
    assert training_parts(_NEOX, setup).total == 4 * _NEOX.parameters
    assert misfit(_NEOX, setup, find_gpu("a100-80"))
    assert not misfit(_NEOX, setup, find_gpu("h200-141"))


def test_plain_float32_training_holds_16_bytes_of_each_parameter():
    parts = training_parts(_SMOL, Setup(bf16=False, row_tokens=1))
    table = 4 * _SMOL.vocabulary * _SMOL.hidden  # tied: the embedding's gradient is added to it
    assert parts.parameters + parts.optimizer == 12 * _SMOL.parameters
    assert parts.gradients == 4 * _SMOL.parameters + table


def test_activations_of_gpt_neox_counted_by_hand():
    # bfloat16 throughout, no dropout. In widths h, with an inner width of 4h, one token keeps: the
    # inputs of two norms 2, of the two products behind them 2, queries, keys and the fused product
    # that values are a part of 1 + 1 + 3, attention's output 1, before and after GELU 8: 18 h of
    # 2 bytes, and 4 bytes a head for the softmax's sum. Megatron's 34 bytes (arXiv 2205.05198) are
    # these 36 with values apart from the fused product (-4) and with masks of dropout (+2).
    setup = Setup(zero_stage=3, row_tokens=100)
    by_hand = 100 * 44 * (2 * 18 * 6144 + 4 * 64)
    assert activation_bytes(_NEOX, setup) == by_hand
    again = replace(setup, gradient_checkpointing=True)
    assert activation_bytes(_NEOX, again) == 100 * 44 * 2 * 6144


def test_activations_of_a_llama_counted_by_hand():
    # float32: two RMSNorms of input, scaled and output 2 x 3h; queries, repeated keys and values,
    # and output 4h (9 heads of 64 are 576 = h); gate, its SiLU, up and product 4 x 1536
    by_hand = 10 * 30 * (4 * (6 * 576 + 4 * 576 + 4 * 1536) + 4 * 9)
    assert activation_bytes(_SMOL, Setup(bf16=False, row_tokens=10)) == by_hand


_SETUPS = st.builds(
    Setup,
    gpus=st.sampled_from([1, 2, 8, 64]),
    gpus_per_node=st.just(1),
    zero_stage=st.integers(1, 3),
    offload=st.sampled_from(["none", "cpu"]),
    micro_batch_size=st.integers(1, 16),
    row_tokens=st.integers(16, 4096),
    gradient_checkpointing=st.booleans(),
    method=st.sampled_from(["full", "lora"]),
    lora_rank=st.integers(1, 64),
    bf16=st.booleans(),
)
_MODELS = st.sampled_from(list(_SHAPES.values()))


@given(_MODELS, _SETUPS, st.integers(1, 4))
def test_more_gpus_never_need_more_memory_on_each(shape, setup, factor):
    more = replace(setup, gpus=factor * setup.gpus)
    assert training_parts(shape, more).total <= training_parts(shape, setup).total


@given(_MODELS, _SETUPS)
def test_offload_never_needs_more_memory_on_a_gpu(shape, setup):
    away, here = replace(setup, offload="cpu"), replace(setup, offload="none")
    assert training_parts(shape, away).total <= training_parts(shape, here).total
    assert host_bytes(shape, away) >= host_bytes(shape, here)


@given(_MODELS, _SETUPS)
def test_a_higher_stage_never_needs_more(shape, setup):
    first, second, third = (
        training_parts(shape, replace(setup, zero_stage=stage)) for stage in (1, 2, 3)
    )
    assert second.total <= first.total
    # stage 3 gathers weights again for a while: for a small model that is all of them
    assert third.total - third.buffers <= second.total


@given(_MODELS, _SETUPS, st.integers(0, 3))
def test_less_work_at_once_never_needs_more(shape, setup, stage):
    setup = replace(setup, zero_stage=stage, offload="none")
    for less in (
        replace(setup, gradient_checkpointing=True),
        replace(setup, micro_batch_size=1),
        replace(setup, row_tokens=16),
    ):
        assert training_parts(shape, less).total <= training_parts(shape, setup).total


@given(_MODELS, _SETUPS, st.sampled_from(list(GPUS.values())))
def test_what_is_suggested_fits(shape, setup, gpu):
    for suggestion in nearest_that_fit(shape, setup, gpu):
        found = suggestion.setup
        assert not misfit(shape, found, gpu)
        batches = [s.gpus * s.micro_batch_size * s.accumulation_steps for s in (setup, found)]
        assert batches[0] == batches[1]


def test_20b_fits_8_of_80_gb_and_not_8_of_40():
    assert not misfit(_NEOX, _ON_8X80, find_gpu("a100-80"))
    assert "needs about 4" in misfit(_NEOX, _ON_8X80, find_gpu("a100-40"))
    on_16 = replace(_ON_8X80, gpus=16)
    assert not misfit(_NEOX, on_16, find_gpu("a100-40"))


def test_the_nearest_keeps_what_it_can():
    same, more, lora = nearest_that_fit(_NEOX, _ON_8X80, find_gpu("a100-40"))
    assert same.setup == replace(_ON_8X80, offload="cpu")
    assert more.setup == replace(_ON_8X80, gpus=16, accumulation_steps=2)
    assert lora.setup == replace(_ON_8X80, method="lora")
    assert more.changes.startswith("job_nodes=2, ")
    assert more.changes.endswith("on each of 16 GPUs)")


def test_a_machine_takes_more_gpus_before_there_are_more_machines():
    alone = Setup(gradient_checkpointing=True, accumulation_steps=8)
    shape = _SHAPES["olmo-2-1b"]
    more = nearest_that_fit(shape, alone, find_gpu("l4-24"))[1]
    assert more.changes.startswith("job_gpus=2, teacher_zero_stage=")


def test_a_fit_by_smaller_steps_alone_is_found_first():
    wide = replace(_ON_8X80, gradient_checkpointing=False, micro_batch_size=8)
    nearest = nearest_that_fit(_NEOX, wide, find_gpu("a100-80"))[0]
    assert nearest.setup == replace(wide, gradient_checkpointing=True)


def test_too_little_memory_of_the_machine_is_said():
    setup = replace(_ON_8X80, offload="cpu")
    said = misfit(_NEOX, setup, find_gpu("a100-40"), host_limit=64 * _GIB)
    assert said.startswith("needs about 5")
    assert "64.0 GiB (job.memory)" in said


def test_a_model_that_writes_needs_its_weights_and_its_cache():
    parts = inference_parts(_NEOX, batch_size=1, row_tokens=1, weight_bytes=2)
    assert parts.parameters == 2 * _NEOX.parameters
    assert parts.buffers == pytest.approx(1.03 * 2**20, rel=0.01)  # bytes of a token's keys, values


def test_an_unknown_gpu_is_said_with_those_known():
    with pytest.raises(ConfigError, match="'a100-8' is not known; did you mean 'a100-80'"):
        find_gpu("a100-8")


def test_a_small_classifier_needs_no_more_with_checkpointing():
    shape = _SHAPES["all-minilm-l6-v2"]
    setup = Setup(method="lora", lora_rank=1, micro_batch_size=1, row_tokens=16, bf16=True)
    less = training_parts(shape, replace(setup, gradient_checkpointing=True))
    assert less.total <= training_parts(shape, setup).total
