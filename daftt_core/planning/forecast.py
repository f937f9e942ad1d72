"""A whole run on paper: what each stage needs, how long it takes, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daftt_core.config import Config
from daftt_core.planning.fit import fits
from daftt_core.planning.machines import (
    Assumptions,
    Gpu,
    reading_seconds,
    training_seconds,
    writing_seconds,
)
from daftt_core.planning.memory import MemoryParts, host_bytes, inference_parts, training_parts
from daftt_core.planning.settings import (
    host_limit,
    model_shape,
    refusal,
    teacher_setup,
    uses_bfloat16,
)
from daftt_core.planning.shapes import BFLOAT16, FLOAT32, Method, ModelShape, Offload, Setup
from daftt_core.stages import ASSESSMENT, PREDICTIONS, STUDENTS, TEACHER

if TYPE_CHECKING:
    from daftt_core.tasks import Task

_DIVISIONS: tuple[tuple[int, Offload], ...] = (
    (0, "none"), (1, "none"), (1, "cpu"), (2, "none"), (2, "cpu"), (3, "none"), (3, "cpu"),
    (3, "nvme"),
)  # fmt: skip
_PREDICTED_AT_ONCE = 64
"""Inputs in one forward pass of a student that answers."""


@dataclass(frozen=True)
class Choice:
    """The teacher's memory under one choice of settings.

    Attributes:
        setup: The settings.
        parts: Bytes on each GPU.
        host_bytes: Bytes on each machine.
        fits: Whether that is there.
    """

    setup: Setup
    parts: MemoryParts
    host_bytes: float
    fits: bool


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        name: Its name.
        gpus: GPUs it uses at once.
        gpu_bytes: Bytes on each.
        fits: Whether a GPU has so many.
        tokens: Tokens that pass through a model, or are written.
        hours: Time on the clock, if it has its GPUs for itself.
    """

    name: str
    gpus: int
    gpu_bytes: float
    fits: bool
    tokens: int
    hours: float

    @property
    def gpu_hours(self) -> float:
        """Hours of all its GPUs."""
        return self.gpus * self.hours


@dataclass(frozen=True)
class Plan:
    """A run on paper.

    Attributes:
        teacher: The teacher's shape.
        gpu: The kind of GPU.
        chosen: The teacher's memory as configured.
        choices: The same under other settings.
        refusal: Why the teacher cannot be trained so, and what is nearest; empty when it can.
        stages: The stages that use a GPU, in order.
        assumed: What was assumed.
    """

    teacher: ModelShape
    gpu: Gpu
    chosen: Choice
    choices: tuple[Choice, ...]
    refusal: str
    stages: tuple[StagePlan, ...]
    assumed: Assumptions

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all stages."""
        return sum(stage.gpu_hours for stage in self.stages)

    def cost(self, gpu_hours: float) -> float | None:
        """The price of GPU-hours; None where no price was given."""
        price = self.assumed.price_per_gpu_hour
        return None if price is None else gpu_hours * price


def make_plan(
    config: Config, task: Task, gpu: Gpu, arms: Sequence[str], assumed: Assumptions
) -> Plan:
    """Plan a run.

    Args:
        config: Its settings; they or the task say how many labelled examples there are.
        task: Its task.
        gpu: The kind of GPU that all its stages use.
        arms: The students' arms.
        assumed: What settings do not say.

    Raises:
        ConfigError: A model's configuration is not here, or its architecture is not known.
    """
    teacher = model_shape("teacher", config.teacher.model)
    setup = teacher_setup(config, gpu)
    limit = host_limit(config)

    def choice(setup: Setup) -> Choice:
        return Choice(
            setup,
            training_parts(teacher, setup),
            host_bytes(teacher, setup),
            fits(teacher, setup, gpu, limit),
        )

    return Plan(
        teacher=teacher,
        gpu=gpu,
        chosen=choice(setup),
        choices=tuple(map(choice, _choices(setup))),
        refusal=refusal(teacher, setup, gpu, limit),
        stages=tuple(_Stages(config, task, gpu, assumed, teacher, setup).all(arms)),
        assumed=assumed,
    )


def _choices(setup: Setup) -> Iterator[Setup]:
    methods: tuple[Method, ...] = ("full", "lora")
    for stage, offload in _DIVISIONS:
        for method in methods:
            for checkpointing in (False, True):
                yield replace(
                    setup,
                    zero_stage=stage,
                    offload=offload,
                    method=method,
                    gradient_checkpointing=checkpointing,
                )


class _Stages:
    """Works out one stage after the other."""

    def __init__(
        self,
        config: Config,
        task: Task,
        gpu: Gpu,
        assumed: Assumptions,
        teacher: ModelShape,
        setup: Setup,
    ) -> None:
        self._config, self._task, self._gpu, self._assumed = config, task, gpu, assumed
        self._teacher, self._setup = teacher, setup
        self._labelled = config.data.asked_labelled(task.labelled_count)
        self._asked_bytes = BFLOAT16 if gpu.has_bfloat16 else FLOAT32
        self._student = model_shape("student", config.student.model, len(task.label_names) or 2)

    def all(self, arms: Sequence[str]) -> Iterator[StagePlan]:
        """The stages that use a GPU, in the order of the pipeline."""
        data, synthesis = self._config.data, self._config.synthesis
        if self._config.teacher.epochs:
            yield self._train_teacher()
        yield self._label(ASSESSMENT.name, 2 * data.dev_count)  # before and after the tuning
        if synthesis.mode != "generate" and data.unlabelled_count:
            yield self._label("annotation", self._outputs(data.unlabelled_count))
        if synthesis.mode != "annotate":
            yield self._generate()
        yield self._train_students(arms)
        yield self._predict(arms)

    def _tokens(self, allowed: int) -> int:
        return min(self._assumed.tokens_per_example or allowed, allowed)

    def _stage(
        self, name: str, gpus: int, parts: MemoryParts, tokens: int, seconds: float
    ) -> StagePlan:
        fitting = parts.total <= self._gpu.usable_bytes
        return StagePlan(name, gpus, parts.total, fitting, tokens, seconds / 3600)

    def _train_teacher(self) -> StagePlan:
        teacher = self._config.teacher
        examples = self._labelled * (2 if teacher.directions == "both" else 1)
        examples += self._mixed_in(examples)
        tokens = teacher.epochs * examples * self._tokens(teacher.max_length)
        steps = teacher.epochs * math.ceil(examples / teacher.batch_size)
        seconds = training_seconds(
            self._teacher, self._setup, self._gpu, tokens, steps, self._assumed
        )
        parts = training_parts(self._teacher, self._setup)
        return self._stage(TEACHER.name, self._setup.gpus, parts, tokens, seconds)

    def _mixed_in(self, learned: int) -> int:
        """Instances of other tasks, as :mod:`daftt_core.data.mixture` chooses them, at most."""
        mixture = self._config.mixture
        wanted = round(learned * (1 - mixture.share) / mixture.share)
        return min(mixture.tasks * mixture.instances, wanted)

    def _label(self, name: str, rows: int) -> StagePlan:
        seconds, tokens = self._answers(rows)
        return self._stage(name, 1, self._asking(), tokens, seconds)

    def _outputs(self, inputs: int) -> int:
        """How many outputs are written for so many inputs."""
        return inputs if self._task.is_classification else inputs * self._config.synthesis.samples

    def _answers(self, rows: int) -> tuple[float, int]:
        """Seconds and tokens of so many of the teacher's outputs."""
        synthesis = self._config.synthesis
        prompt = self._tokens(synthesis.max_length)
        if self._task.is_classification:
            seconds = reading_seconds(
                self._teacher,
                self._gpu,
                rows,
                prompt,
                self._assumed,
                weight_bytes=self._asked_bytes,
            )
            return seconds, rows * prompt
        return self._written(rows)

    def _written(self, rows: int) -> tuple[float, int]:
        synthesis = self._config.synthesis
        prompt = max(self._tokens(synthesis.max_length) - synthesis.max_new_tokens, 1)
        seconds = writing_seconds(
            self._teacher,
            self._gpu,
            rows,
            prompt,
            synthesis.max_new_tokens,
            self._rows_at_once(),
            self._assumed,
            weight_bytes=self._asked_bytes,
        )
        return seconds, rows * (prompt + synthesis.max_new_tokens)

    def _generate(self) -> StagePlan:
        rows = self._config.synthesis.generate_count
        parts = [self._written(rows), self._answers(self._outputs(rows))]
        seconds, tokens = (sum(column) for column in zip(*parts, strict=True))
        return self._stage("generation", 1, self._asking(), int(tokens), seconds)

    def _rows_at_once(self) -> int:
        synthesis = self._config.synthesis
        return max(1, min(synthesis.batch_size, synthesis.batch_tokens // synthesis.max_length))

    def _asking(self) -> MemoryParts:
        synthesis = self._config.synthesis
        return inference_parts(
            self._teacher,
            batch_size=self._rows_at_once(),
            row_tokens=synthesis.max_length,
            weight_bytes=self._asked_bytes,
        )

    def _train_students(self, arms: Sequence[str]) -> StagePlan:
        student = self._config.student
        setup = Setup(
            micro_batch_size=student.batch_size,
            row_tokens=self._student_tokens(),
            bf16=uses_bfloat16(student.precision, self._gpu),
        )
        real = self._labelled
        steps = student.seeds * sum(
            student.steps(real, self._arm_examples(arm) - real) for arm in arms
        )
        tokens = steps * student.batch_size * self._tokens(self._student_tokens())
        seconds = training_seconds(self._student, setup, self._gpu, tokens, steps, self._assumed)
        parts = training_parts(self._student, setup)
        return self._stage(f"{STUDENTS} ({len(arms)} arms)", 1, parts, tokens, seconds)

    def _arm_examples(self, arm: str) -> int:
        """Examples that an arm learns from, at most: what curation rejects is not known yet."""
        config = self._config
        real, unlabelled = self._labelled, config.data.unlabelled_count
        annotated = round(unlabelled * config.curation.keep_share)
        generated = config.synthesis.generate_count
        return {
            "real": real,
            "gold": real + unlabelled,
            "real+annotated": real + annotated,
            "real+generated": real + generated,
            "real+both": real + annotated + generated,
        }[arm]

    def _student_tokens(self) -> int:
        student = self._config.student
        if self._student.kind == "classifier" or self._task.is_classification:
            return student.max_length
        if self._student.kind == "causal":
            return student.max_length + student.max_target_length
        return max(student.max_length, student.max_target_length)

    def _predict(self, arms: Sequence[str]) -> StagePlan:
        student = self._config.student
        rows = len(arms) * student.seeds * self._config.data.test_count
        prompt = self._tokens(student.max_length)
        tokens = rows * prompt
        if self._task.is_classification:
            seconds = reading_seconds(
                self._student, self._gpu, rows, prompt, self._assumed, weight_bytes=FLOAT32
            )
        else:
            tokens += rows * student.max_target_length
            seconds = writing_seconds(
                self._student, self._gpu, rows, prompt, student.max_target_length,
                _PREDICTED_AT_ONCE, self._assumed, weight_bytes=FLOAT32,
            )  # fmt: skip
        parts = inference_parts(
            self._student,
            batch_size=_PREDICTED_AT_ONCE,
            row_tokens=self._student_tokens(),
            weight_bytes=FLOAT32,
        )
        return self._stage(PREDICTIONS.name, 1, parts, tokens, seconds)
