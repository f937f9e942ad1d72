"""A run before it is started: what each of its stages must hold and work through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daftt_core.config import Config
from daftt_core.planning.fit import Gpu, misfit
from daftt_core.planning.memory import MemoryParts, host_bytes, inference_parts, training_parts
from daftt_core.planning.settings import (
    host_limit,
    model_shape,
    refusal,
    student_shape,
    teacher_setup,
    uses_bfloat16,
)
from daftt_core.planning.shapes import BFLOAT16, FLOAT32, Method, ModelShape, Offload, Setup
from daftt_core.planning.work import Work
from daftt_core.stages import ASSESSMENT, PREDICTIONS, STUDENTS, TEACHER

if TYPE_CHECKING:
    from daftt_core.tasks import Task

_DIVISIONS: tuple[tuple[int, Offload], ...] = (
    (0, "none"), (1, "none"), (1, "cpu"), (2, "none"), (2, "cpu"), (3, "none"), (3, "cpu"),
    (3, "nvme"),
)  # fmt: skip
_METHODS: tuple[Method, ...] = ("full", "lora")
_PREDICTED_AT_ONCE = 64
"""Inputs in one forward pass of a student that predicts."""


@dataclass(frozen=True)
class Choice:
    """The teacher's memory under one choice of settings.

    Attributes:
        setup: The settings.
        parts: Bytes on each GPU.
        host_bytes: Bytes on each machine.
        fits: Whether GPU and machine have that much.
    """

    setup: Setup
    parts: MemoryParts
    host_bytes: float
    fits: bool


@dataclass(frozen=True)
class StagePlan:
    """One stage that uses a GPU.

    Attributes:
        name: Its name.
        gpus: GPUs it uses at once.
        gpu_bytes: Bytes on each.
        fits: Whether a GPU has that much.
        tokens: Tokens that a model reads or writes, at most.
    """

    name: str
    gpus: int
    gpu_bytes: float
    fits: bool
    tokens: int


@dataclass(frozen=True)
class Plan:
    """A run before it is started.

    Attributes:
        teacher: The teacher's shape.
        gpu: The kind of GPU.
        chosen: The teacher's memory as configured.
        choices: The same under other settings.
        refusal: Why the teacher cannot be trained, and the nearest settings that fit; empty when
            it can.
        stages: The stages that use a GPU, in order.
        tokens_per_example: Mean tokens of prompt and answer; None: as many as are allowed.
    """

    teacher: ModelShape
    gpu: Gpu
    chosen: Choice
    choices: tuple[Choice, ...]
    refusal: str
    stages: tuple[StagePlan, ...]
    tokens_per_example: int | None


def make_plan(
    config: Config,
    task: Task,
    gpu: Gpu,
    arms: Sequence[str],
    tokens_per_example: int | None = None,
) -> Plan:
    """Plan a run.

    Args:
        config: Its settings; they or the task say how many labelled examples there are.
        task: Its task.
        gpu: The kind of GPU that all its stages use.
        arms: The students' arms.
        tokens_per_example: Mean tokens of prompt and answer; None: as many as are allowed.

    Raises:
        ConfigError: A model's configuration is not here, or its architecture is not known.
    """
    teacher = model_shape("teacher", config.teacher.model)
    setup = teacher_setup(config, bf16=uses_bfloat16(config.teacher.precision, gpu))
    limit = host_limit(config)

    def choice(setup: Setup) -> Choice:
        parts = training_parts(teacher, setup)
        fits = not misfit(teacher, setup, gpu, limit)
        return Choice(setup, parts, host_bytes(teacher, setup), fits)

    alternatives = (
        replace(
            setup,
            zero_stage=stage,
            offload=offload,
            method=method,
            gradient_checkpointing=checkpointing,
        )
        for stage, offload in _DIVISIONS
        for method in _METHODS
        for checkpointing in (False, True)
    )
    stages = _Stages(config, task, gpu, tokens_per_example, teacher, setup)
    return Plan(
        teacher=teacher,
        gpu=gpu,
        chosen=choice(setup),
        choices=tuple(map(choice, alternatives)),
        refusal=refusal(teacher, setup, gpu, limit),
        stages=tuple(stages.all(arms)),
        tokens_per_example=tokens_per_example,
    )


class _Stages:
    """Works out one stage after the other."""

    def __init__(
        self,
        config: Config,
        task: Task,
        gpu: Gpu,
        tokens_per_example: int | None,
        teacher: ModelShape,
        setup: Setup,
    ) -> None:
        self._config, self._task, self._gpu = config, task, gpu
        self._tokens_per_example = tokens_per_example
        self._teacher, self._setup = teacher, setup
        self._student = student_shape(config, task)
        self._work = Work(config, task, self._student)

    def all(self, arms: Sequence[str]) -> Iterator[StagePlan]:
        """Yield the stages that use a GPU, in the order of the pipeline."""
        data, synthesis = self._config.data, self._config.synthesis
        if self._config.teacher.epochs:
            parts = training_parts(self._teacher, self._setup)
            yield self._stage(TEACHER.name, parts, self._teacher_tokens(), self._setup.gpus)
        inference = self._teacher_inference()
        questions = data.dev_count * self._work.questions
        # before and after the fine-tuning
        asked = 2 * questions + self._work.channel_reads(data.dev_count)
        yield self._stage(ASSESSMENT.name, inference, self._answered(asked))
        judged = self._with_students(inference)
        if synthesis.mode != "generate" and data.unlabelled_count:
            tokens = self._judged(data.unlabelled_count)
            yield self._stage("annotation", judged, tokens)
        if synthesis.mode != "annotate":
            count = synthesis.generate_count
            tokens = self._written(count) + self._judged(count)
            yield self._stage("generation", judged, tokens)
        yield self._train_students(arms)
        yield self._predict(arms)

    def _stage(self, name: str, parts: MemoryParts, tokens: int, gpus: int = 1) -> StagePlan:
        return StagePlan(name, gpus, parts.total, parts.total <= self._gpu.usable_bytes, tokens)

    def _tokens(self, allowed: int) -> int:
        return min(self._tokens_per_example or allowed, allowed)

    def _teacher_tokens(self) -> int:
        teacher = self._config.teacher
        examples = self._work.taught + self._work.mixed_in
        return teacher.epochs * examples * self._tokens(teacher.max_length)

    def _judged(self, inputs: int) -> int:
        """Return the tokens that the teacher reads and writes to give inputs their outputs."""
        work = self._work
        return self._answered(work.outputs(inputs) + work.channel_reads(inputs))

    def _answered(self, outputs: int) -> int:
        """Return the tokens of outputs of the task: labels are scored, texts are written."""
        if self._task.is_classification:
            return outputs * self._tokens(self._config.synthesis.max_length)
        return self._written(outputs)

    def _written(self, texts: int) -> int:
        synthesis = self._config.synthesis
        prompt = max(self._tokens(synthesis.max_length) - synthesis.max_new_tokens, 1)
        return texts * (prompt + synthesis.max_new_tokens)

    def _teacher_inference(self) -> MemoryParts:
        synthesis = self._config.synthesis
        rows = max(1, min(synthesis.batch_size, synthesis.batch_tokens // synthesis.max_length))
        return inference_parts(
            self._teacher,
            batch_size=rows,
            row_tokens=synthesis.max_length,
            weight_bytes=BFLOAT16 if self._gpu.has_bfloat16 else FLOAT32,
        )

    def _with_students(self, inference: MemoryParts) -> MemoryParts:
        """Add the students of the labels alone and others that judge beside the teacher."""
        weights = self._work.others() * FLOAT32 * self._student.parameters
        return replace(inference, parameters=inference.parameters + weights)

    def _train_students(self, arms: Sequence[str]) -> StagePlan:
        student = self._config.student
        setup = Setup(
            micro_batch_size=student.batch_size,
            row_tokens=self._student_tokens(),
            bf16=uses_bfloat16(student.precision, self._gpu),
        )
        inputs = sum(map(self._work.learned, arms))
        tokens = inputs * self._tokens(self._student_tokens())
        parts = training_parts(self._student, setup)
        return self._stage(f"{STUDENTS} ({len(arms)} arms)", parts, tokens)

    def _student_tokens(self) -> int:
        student = self._config.student
        if self._student.kind == "classifier" or self._task.is_classification:
            return student.max_length
        if self._student.kind == "causal":
            return student.max_length + student.max_target_length
        return max(student.max_length, student.max_target_length)

    def _predict(self, arms: Sequence[str]) -> StagePlan:
        student = self._config.student
        row = self._tokens(student.max_length)
        if not self._task.is_classification:
            row += student.max_target_length
        parts = inference_parts(
            self._student,
            batch_size=_PREDICTED_AT_ONCE,
            row_tokens=self._student_tokens(),
            weight_bytes=FLOAT32,
        )
        tokens = len(arms) * student.seeds * self._config.data.test_count * row
        return self._stage(PREDICTIONS.name, parts, tokens)
