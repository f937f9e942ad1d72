"""Room on the disk that a run asks for, so that it does not stop for lack of it after hours."""

from __future__ import annotations

from daftt_core.config import Config, TeacherConfig
from daftt_core.errors import ConfigError
from daftt_core.planning.settings import model_shape
from daftt_core.planning.shapes import ModelShape
from daftt_core.stages import augmented_arms
from daftt_core.telemetry import log

__all__ = ["disk_bytes"]

_WEIGHT_BYTES = 4
_CHECKPOINT_BYTES = 12
"""Of each parameter: a float32 weight and Adam's two moments."""
_ZERO_CHECKPOINT_BYTES = 16
"""DeepSpeed stores the optimizer's float32 weights beside the model's, at most 4 bytes more."""
_OTHER_BYTES = 100_000_000
"""Examples, predictions and reports, of a run with some ten thousand examples."""


def disk_bytes(config: Config) -> int:
    """Bytes that a run's folder holds at the time it holds most.

    That is while the teacher is trained, with the checkpoints kept, one more being written, the
    best weights and the students without synthetic examples; or at the end, with the teacher and
    all students. A model whose configuration is not on this machine is not counted.
    """
    student = _WEIGHT_BYTES * config.student.seeds * _parameters("student", config.student.model)
    baselines = 1 + config.student.gold_arm
    teacher = _shape("teacher", config.teacher.model)
    kept = _WEIGHT_BYTES * teacher.parameters if teacher else 0
    in_training = _training_bytes(teacher, config.teacher) if teacher else 0
    arms = baselines + len(augmented_arms(config.synthesis.mode))
    return _OTHER_BYTES + max(in_training + baselines * student, kept + arms * student)


def _training_bytes(shape: ModelShape, config: TeacherConfig) -> int:
    if config.epochs == 0:
        return 0
    lora = config.method == "lora"
    trained = shape.lora_parameters(config.lora_rank) if lora else shape.parameters
    checkpoint = (_ZERO_CHECKPOINT_BYTES if config.zero_stage else _CHECKPOINT_BYTES) * trained
    return (config.keep_checkpoints + 1) * checkpoint + _WEIGHT_BYTES * trained


def _parameters(section: str, model: str) -> int:
    shape = _shape(section, model)
    return shape.parameters if shape else 0


def _shape(section: str, model: str) -> ModelShape | None:
    try:
        return model_shape(section, model)
    except ConfigError as error:
        log.info("room on the disk is not asked for this model: %s", error)
        return None
