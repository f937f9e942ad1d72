"""Settings of what is trained: the teacher and the students."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from daftt_core.config.section import (
    BatchSize,
    NonNegative,
    Positive,
    ProperShare,
    Section,
    ShareBelowOne,
)
from daftt_core.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]
CURVE_EXAMPLES = 100
"""Dev examples behind the teacher's learning curve: enough for its shape, cheap enough for every
epoch."""
ENOUGH_DEV = 100
"""Dev examples that choose between two ways of training; with fewer, labels held out do as well."""
FOLDS = 4
"""Parts of the labels that are held out in turn."""
PLAIN, CONTRASTIVE, DISTILLED = "plain", "contrastive", "distilled"
"""The ways in which students are trained."""
ALL, SUREST = "all", "surest"
"""The recipes: what they learn from beside the real labels."""
SUREST_SHARE = 0.6
"""Of the annotated examples of each label, those that the recipe ``surest`` keeps."""
CONTRASTIVE_BATCH = 32
"""Inputs that are compared with each other in a step of contrastive training."""
_CONTRASTIVE_STEPS, _CONTRASTIVE_PASSES = 40, 10  # at least

_MODEL = (
    "a bundled model, a model folder, here or in a bucket, or a Hub id (org/name or "
    "org/name@revision)."
)
_PRECISION = (
    "Number format of the training's matrix products: float32, bfloat16, or auto (bfloat16 where "
    "the processor multiplies it faster)."
)


class TeacherConfig(Section):
    """How the teacher is fine-tuned and judged."""

    model: str = Field(
        default="smollm2-135m-instruct", min_length=1, description=f"Teacher: {_MODEL}"
    )
    epochs: int = Field(default=3, ge=0, le=10_000)
    """Passes over the examples; 0: not tuned."""
    learning_rate: ProperShare = 5e-5
    """Peak learning rate."""
    batch_size: BatchSize = 8
    """Examples per optimizer step."""
    warmup_ratio: ShareBelowOne = 0.1
    """Share of the steps in which the rate rises."""
    weight_decay: float = Field(default=0.0, ge=0, le=100)
    """Decoupled weight decay."""
    adam_beta1: ShareBelowOne = 0.9
    """Adam: how long the mean of the gradients lasts."""
    adam_beta2: ShareBelowOne = 0.999
    """Adam: how long the mean of their squares lasts."""
    adam_epsilon: float = Field(default=1e-8, gt=0, le=1)
    """Adam: what keeps its quotient finite."""
    max_grad_norm: float = Field(default=1.0, gt=0, le=1_000_000_000)
    """Gradient clipping norm."""
    precision: Precision = Field(default="auto", description=_PRECISION)
    max_length: int = Field(default=256, ge=16, le=2**20)
    """Tokens per example; longer inputs are cut and counted."""
    directions: Literal["label", "both"] = "both"
    """Learn to answer inputs (label), or also to write inputs for answers (both)."""
    packing: bool = True
    """Put several examples into one row, none seeing another, so that nothing is padded and
    shared beginnings are computed once; models for which that is not known to be exact are
    padded."""
    method: Literal["full", "lora"] = "full"
    """Train all weights (full), or small matrices beside them that are merged at the end (lora)."""
    lora_rank: int = Field(default=16, ge=1, le=2**16)
    """Rank of LoRA's matrices."""
    lora_alpha: int = Field(default=32, ge=1, le=1_000_000)
    """LoRA's scale: what it learns counts alpha / rank times."""
    lora_dropout: ShareBelowOne = 0.0
    """Share of LoRA's inputs dropped while training."""
    patience: int = Field(default=0, ge=0, le=1_000_000)
    """Stop after so many epochs without a lower loss on dev; 0: never. The best epoch's weights
    are kept in any case."""
    checkpoint_steps: Positive = 16
    """Optimizer steps between two checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=1, le=10_000)
    """Checkpoints kept while the teacher is trained, the newest."""
    micro_batch_size: int = Field(default=0, ge=0, le=2**16)
    """Examples that one process takes through the model at once; the rest of its share of a
    batch follows before the optimizer's step. 0: its whole share."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about
    a third more work."""
    zero_stage: int = Field(default=0, ge=0, le=3)
    """What DeepSpeed divides among the processes: 1 the optimizer's state, 2 also gradients, 3
    also weights; 0: nothing, without DeepSpeed."""
    offload: Literal["none", "cpu", "nvme"] = "none"
    """Where what ZeRO has divided is kept: on the GPUs (none), in the machine's memory (cpu), or
    on its disk (nvme; with zero_stage 3)."""
    offload_folder: str = ""
    """Folder on each machine's fast disk, for offload nvme."""

    @model_validator(mode="after")
    def _fit_the_stage(self) -> TeacherConfig:
        if self.offload != "none" and self.zero_stage == 0:
            raise ValueError(f"offload {self.offload} needs a zero_stage of 1, 2 or 3")
        if self.offload == "nvme" and (self.zero_stage < 3 or not self.offload_folder):
            raise ValueError("offload nvme needs zero_stage 3 and an offload_folder")
        return self

    @property
    def direction_count(self) -> int:
        """Return how often each example is learned in a pass: once for each direction."""
        return 2 if self.directions == "both" else 1

    def micro_batches(self, processes: int) -> tuple[int, int]:
        """Return how processes divide a batch: examples a forward pass, and forward passes a step.

        Args:
            processes: Processes that train the teacher together.

        Raises:
            ValueError: The batch cannot be divided evenly.
        """
        each = processes * max(1, self.micro_batch_size)
        if self.batch_size % each:
            micro = f", {self.micro_batch_size} at once," if self.micro_batch_size else ""
            raise ValueError(
                f"batch_size {self.batch_size} cannot be divided among {processes} "
                f"process{'es' if processes > 1 else ''}{micro} evenly; choose a multiple of {each}"
            )
        local_size = self.batch_size // processes
        size = self.micro_batch_size or local_size
        return size, local_size // size


class StudentConfig(Section):
    """How the students are trained."""

    model: str = Field(default="all-minilm-l6-v2", min_length=1, description=f"Student: {_MODEL}")
    pooling: Literal["mean", "own"] = "mean"
    """What a new classifier reads: the mean over an input's tokens (mean; models of BERT's and
    RoBERTa's kinds), or what the model's own head reads, such as the first token (own)."""
    baseline: Literal["best", "plain", "contrastive"] = "best"
    """How students of the labels alone are trained: fine-tuned (plain), by contrast of their inputs
    and a regression on top (contrastive; one label an input, and mean pooling), or both ways, of
    which dev takes the better (best)."""
    seeds: int = Field(default=3, ge=1, le=50)
    """Students per arm."""
    start: Literal["labels", "model"] = "labels"
    """What a classifier of the arm real+annotated starts from: the student of the labels alone with
    its number, where those were trained by contrast (labels), or the student model (model)."""
    epochs: int = Field(default=2, ge=1, le=10_000)
    """Passes over an arm's examples, at most; half as many, rounded up, where a student starts from
    one of the labels alone."""
    min_steps: NonNegative = 60
    """Optimizer steps at least; small arms get more passes to reach it."""
    learning_rate: ProperShare = 2e-4
    """Peak learning rate."""
    batch_size: BatchSize = 16
    """Examples per optimizer step."""
    warmup_ratio: ShareBelowOne = 0.1
    """Share of the steps in which the rate rises."""
    weight_decay: float = Field(default=0.01, ge=0, le=100)
    """Decoupled weight decay."""
    precision: Precision = Field(default="auto", description=_PRECISION)
    max_length: int = Field(default=96, ge=8, le=2**20)
    """Tokens of an input; longer ones are cut and counted."""
    max_target_length: int = Field(default=64, ge=2, le=2**20)
    """Tokens of an output text; longer ones are cut and counted."""
    patience: int = Field(default=0, ge=0, le=1_000_000)
    """Stop after so many looks at dev without a lower loss there, and keep the weights of the
    best look; 0: train all steps and keep the last weights."""
    dev_steps: Positive = 20
    """Optimizer steps between two looks at dev, where patience is set."""
    example_weights: Literal["none", "class", "confidence"] = "none"
    """How much an example counts: as much as any other (none), so that all labels count the same
    together (class), or by the teacher's confidence where it wrote the output (confidence)."""
    real_weight: float = Field(default=1.0, gt=0, le=1000)
    """How much more a real labelled example counts than another one."""
    soft_labels: bool = True
    """Learn the calibrated probabilities of the labels where the teacher gave the label, not the
    label alone. Without effect where outputs are texts."""
    recipe: Literal["best", "all", "surest"] = "best"
    """What a classifier learns from beside the real labels: all synthetic examples (all), or of the
    annotated ones the surest three fifths of each label, with labels instead of probabilities
    (surest). best: all, unless a first student of each shows on dev that surest is better."""
    distil: bool = False
    """Train an arm's classifiers once more, on the mean of the first ones' probabilities for its
    synthetic examples; dev takes the better."""
    order: Literal["together", "real-last"] = "together"
    """Real examples among the others (together), or after them, with steps of their own
    (real-last)."""
    gold_arm: bool = True
    """Also train on the true labels of the unlabelled inputs, where they are known: the upper
    bound."""

    def steps(self, real: int, others: int = 0, *, ahead: bool = False) -> int:
        """Return the optimizer steps of one student: its epochs, and ``min_steps`` at least.

        Args:
            real: Real labelled examples.
            others: Synthetic and gold ones; with order real-last the two are trained on in turn.
            ahead: Whether it starts from a student of the labels alone.
        """
        phases = [real, others] if self.order == "real-last" else [real + others]
        passes = (self.epochs + 1) // 2 if ahead else self.epochs
        return sum(
            max(passes * math.ceil(examples / self.batch_size), self.min_steps)
            for examples in phases
            if examples
        )

    def ways(self, arm: str, kind: str, *, pooled: bool) -> tuple[str, ...]:
        """Return the ways in which an arm's students are trained, the simpler first.

        Args:
            arm: The arm.
            kind: The task's kind.
            pooled: Whether the students read the mean over an input's tokens.
        """
        if kind != "classification" or arm == "gold":
            return (PLAIN,)
        if arm != "real":
            return (PLAIN, DISTILLED) if self.distil else (PLAIN,)
        if not pooled:
            return (PLAIN,)
        return (PLAIN, CONTRASTIVE) if self.baseline == "best" else (self.baseline,)

    def may_start_ahead(self, arm: str) -> bool:
        """Return whether an arm's students may start from those of the labels alone.

        Not those that learn from inputs of the teacher's own: trials showed no gain.
        """
        return self.start == "labels" and arm == "real+annotated"

    def recipes(self, kind: str, annotated: int) -> tuple[str, ...]:
        """Return what an arm's students may learn from, the simpler first.

        Args:
            kind: The task's kind.
            annotated: The arm's annotated examples.
        """
        if kind != "classification" or not annotated:
            return (ALL,)
        return (ALL, SUREST) if self.recipe == "best" else (self.recipe,)

    @staticmethod
    def contrastive_steps(examples: int) -> int:
        """Return the steps of a student that is trained by contrast, for a number of labels."""
        passes = math.ceil(_CONTRASTIVE_PASSES * examples / CONTRASTIVE_BATCH)
        return max(_CONTRASTIVE_STEPS, passes)

    def check_task(self, *, is_classification: bool) -> None:
        """Refuse a setting that needs labels for a task that has none.

        Raises:
            ConfigError: The setting needs a classification task.
        """
        if self.example_weights == "class" and not is_classification:
            raise ConfigError(
                "student_example_weights: class needs a classification task, and this one writes "
                "texts"
            )
