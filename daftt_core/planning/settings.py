"""What a run's settings need: the refusal of a teacher that cannot fit, and room on the disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daftt_core.config import Config, Precision, TeacherConfig
from daftt_core.errors import ConfigError, ModelError, StorageError
from daftt_core.planning.architectures import read_shape
from daftt_core.planning.fit import Gpu, find_gpu, misfit, nearest_that_fit
from daftt_core.planning.shapes import ModelShape, Setup, find_model_config, known_models
from daftt_core.stages import augmented_arms
from daftt_core.telemetry import log

if TYPE_CHECKING:
    from daftt_core.tasks import Task

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)}


def check_teacher_fits(config: Config) -> None:
    """Refuse a teacher that cannot be trained on the GPUs the settings name.

    Nothing is refused where the kind of GPU is not given, or the model's configuration is not on
    this machine.

    Raises:
        ConfigError: It does not fit; names the nearest settings that do.
    """
    if not config.job.gpu_model or config.teacher.epochs == 0:
        return
    try:
        shape = model_shape("teacher", config.teacher.model)
    except (ConfigError, ModelError, StorageError) as error:
        log.info("whether the teacher fits its GPUs cannot be told: %s", error)
        return
    gpu = find_gpu(config.job.gpu_model)
    setup = teacher_setup(config, bf16=uses_bfloat16(config.teacher.precision, gpu))
    reason = refusal(shape, setup, gpu, host_limit(config))
    if reason:
        raise ConfigError(f"teacher: {config.teacher.model} {reason}")


def refusal(shape: ModelShape, setup: Setup, gpu: Gpu, limit: float | None) -> str:
    """Say why a training does not fit, and the nearest settings that do; empty when it fits."""
    reason = misfit(shape, setup, gpu, limit)
    if not reason:
        return ""
    nearest = [fitting.changes for fitting in nearest_that_fit(shape, setup, gpu, limit)]
    if not nearest:
        return f"{reason}; nothing near these settings fits: take a larger kind of GPU"
    return f"{reason}; the nearest that fits: {'; or '.join(nearest)}"


def model_shape(section: str, name: str, labels: int = 2) -> ModelShape:
    """Return the shape of the model that a section names.

    Raises:
        ConfigError: Its configuration is not on this machine, or is of no known architecture.
    """
    settings = find_model_config(name)
    if settings is None:
        raise ConfigError(
            f"{section}_model: the configuration of {name!r} is not on this machine; give a model "
            f"folder or the path of its config.json (bundled: {', '.join(known_models())})"
        )
    try:
        return read_shape(settings, labels=labels)
    except ConfigError as error:
        raise ConfigError(f"{section}_model: {name}: {error}") from None


def student_shape(config: Config, task: Task) -> ModelShape:
    """Return the shape of a run's student. Raises as :func:`model_shape` does."""
    return model_shape("student", config.student.model, len(task.label_names) or 2)


def teacher_setup(config: Config, *, bf16: bool) -> Setup:
    """Return how the teacher is trained; packed rows are never longer than single examples.

    Args:
        config: The run's settings.
        bf16: Whether the machine computes in bfloat16.
    """
    teacher, job = config.teacher, config.job
    processes = job.nodes * job.each_nodes_processes
    size, accumulation = teacher.micro_batches(processes)
    return Setup(
        gpus=processes,
        gpus_per_node=job.each_nodes_processes,
        zero_stage=teacher.zero_stage,
        offload=teacher.offload,
        micro_batch_size=size,
        accumulation_steps=accumulation,
        row_tokens=teacher.max_length,
        gradient_checkpointing=teacher.gradient_checkpointing,
        method=teacher.method,
        lora_rank=teacher.lora_rank,
        bf16=bf16,
    )


def uses_bfloat16(precision: Precision, gpu: Gpu) -> bool:
    """Return whether training computes in bfloat16 on a kind of GPU."""
    return gpu.has_bfloat16 if precision == "auto" else precision == "bfloat16"


def host_limit(config: Config) -> float | None:
    """Return the bytes of memory of each pod of the teacher's job; None where none is started."""
    if config.job.launcher == "local":
        return None
    amount = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", config.job.memory)
    if amount is None:
        raise ConfigError(f"job_memory: {config.job.memory!r} is no amount of memory")
    return float(amount[1]) * _UNITS[amount[2]]


_WEIGHT_BYTES = 4
_CHECKPOINT_BYTES = 12
"""Of each parameter: a float32 weight and Adam's two moments."""
_ZERO_CHECKPOINT_BYTES = 16
"""DeepSpeed stores the optimizer's float32 weights beside the model's, at most 4 bytes more."""
_OTHER_BYTES = 100_000_000
"""Examples, predictions and reports, of a run with some ten thousand examples."""


def disk_bytes(config: Config) -> int:
    """Return the bytes that a run's folder holds when it holds most.

    That is while the teacher is trained, with its checkpoints, one more being written, the best
    weights and the students without synthetic examples; or at the end, with the teacher and all
    students. A model whose configuration is not on this machine is not counted.
    """
    teacher = _known_shape("teacher", config.teacher.model)
    student = _known_shape("student", config.student.model)
    arm = _WEIGHT_BYTES * config.student.seeds * student.parameters if student else 0
    baselines = 1 + config.student.gold_arm
    trained = _WEIGHT_BYTES * teacher.parameters if teacher else 0
    in_training = _training_bytes(teacher, config.teacher) if teacher else 0
    arms = baselines + len(augmented_arms(config.synthesis.mode))
    return _OTHER_BYTES + max(in_training + baselines * arm, trained + arms * arm)


def _training_bytes(shape: ModelShape, config: TeacherConfig) -> int:
    if config.epochs == 0:
        return 0
    checkpoint, best = checkpoint_bytes(shape, config)
    return (config.keep_checkpoints + 1) * checkpoint + best


def checkpoint_bytes(shape: ModelShape, config: TeacherConfig) -> tuple[int, int]:
    """Return the bytes of a checkpoint of the teacher, and of its best weights."""
    lora = config.method == "lora"
    trained = shape.lora_parameters(config.lora_rank) if lora else shape.parameters
    each = _ZERO_CHECKPOINT_BYTES if config.zero_stage else _CHECKPOINT_BYTES
    return each * trained, _WEIGHT_BYTES * trained


def _known_shape(section: str, model: str) -> ModelShape | None:
    try:
        return model_shape(section, model)
    except ConfigError as error:
        log.info("no room on the disk is reserved for this model: %s", error)
        return None
