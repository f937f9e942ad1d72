"""The whole configuration: what each setting means, what it allows, and its one default.

Each stage has a *section*. The Kubeflow UI, the command line and YAML files show the same settings
as flat names, ``<section>_<field>`` (the ``run`` section goes without its prefix):
``student_learning_rate`` is ``student.learning_rate``. :func:`from_flat` checks all of them at
once and reports every mistake in one message.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from daftt_core.errors import ConfigError, did_you_mean

__all__ = [
    "ClusterConfig",
    "Config",
    "CurationConfig",
    "DataConfig",
    "EvaluationConfig",
    "GpuModel",
    "JobConfig",
    "MixtureConfig",
    "RunConfig",
    "Section",
    "StudentConfig",
    "SynthesisConfig",
    "TeacherConfig",
    "flat_fields",
    "from_flat",
    "parse_section",
    "read_settings",
    "to_flat",
]


Precision = Literal["auto", "float32", "bfloat16"]
_PRECISION = (
    "Number format of the training's matrix products: float32, bfloat16, or auto (bfloat16 where "
    "the processor multiplies it faster)."
)
GpuModel = Literal[
    "", "a100-40", "a100-80", "h100-80", "h200-141", "l4-24", "t4-16", "v100-16", "v100-32"
]


class Section(BaseModel):
    """A frozen group of settings; an unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunConfig(Section):
    """What is run, and where its results go."""

    task: str = Field(
        default="movie-reviews",
        min_length=1,
        description="Name of a built-in task, or path of a task's YAML file.",
    )
    output: str = Field(
        default="runs",
        min_length=1,
        description="Folder (or storage prefix) under which each run gets a folder of its own.",
    )
    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Name of the run's folder. Empty: task and a digest of the settings, so that "
        "the same command continues the same run.",
    )
    seed: int = Field(
        default=13, ge=0, description="Seed of every random choice: splits, training, sampling."
    )
    on_gate_fail: Literal["stop", "continue"] = Field(
        default="stop",
        description="What happens when the teacher is not better on dev than the baseline "
        "student: stop (the run fails, nothing more is spent) or continue.",
    )


class DataConfig(Section):
    """Where examples come from and how they are split."""

    train: str = Field(
        default="",
        description="File of labelled examples (.csv, .tsv, .jsonl). Empty: the task's own data.",
    )
    dev: str = Field(
        default="", description="File of labelled dev examples. Empty: split off from train."
    )
    test: str = Field(
        default="", description="File of labelled test examples. Empty: split off from train."
    )
    unlabelled: str = Field(
        default="",
        description="File of inputs to annotate. Empty: the rest of train, its labels hidden.",
    )
    labelled_count: int = Field(
        default=64, ge=1, description="Labelled examples to learn from, stratified by label."
    )
    labelled_fraction: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training pool to learn from; if above 0 it replaces "
        "labelled_count (the paper: 0.01 to 0.1).",
    )
    dev_count: int = Field(
        default=200, ge=1, description="Dev examples, at most: they choose settings and thresholds."
    )
    test_count: int = Field(
        default=1000, ge=1, description="Test examples, at most: the evaluation alone reads them."
    )
    dev_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of train reserved for dev when it is split."
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="Share of train reserved for test when it is split."
    )
    unlabelled_count: int = Field(
        default=1500, ge=0, description="Unlabelled examples offered to the teacher, at most."
    )

    @model_validator(mode="after")
    def _leave_a_pool(self) -> DataConfig:
        if self.dev_share + self.test_share >= 0.9:
            raise ValueError("dev_share and test_share together must leave a tenth for training")
        return self


class MixtureConfig(Section):
    """Which other tasks the teacher learns beside the target task."""

    source: str = Field(
        default="",
        description="Folder or gs:// prefix of Super-NaturalInstructions task files; or a saved "
        "data set's folder or Hugging Face Hub id with the columns task_name, definition, inputs "
        "and targets. Empty: the small mixture that comes with DAFTT.",
    )
    tasks: int = Field(default=0, ge=0, description="Tasks to mix in; 0: no mixture.")
    instances: int = Field(
        default=40, ge=1, description="Instances of each task, at most; larger tasks weigh no more."
    )
    weighting: Literal["proportional", "temperature"] = Field(
        default="proportional",
        description="Tasks weigh in proportion to their instances, or more evenly (temperature).",
    )
    temperature: float = Field(
        default=2.0,
        ge=1,
        description="With weighting temperature, a task of n instances weighs n^(1/temperature).",
    )
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="The target task's share of the training, which decides how many instances "
        "are taken from all tasks together.",
    )
    positive_examples: int = Field(
        default=0, ge=0, le=10, description="Solved examples shown before each instance, at most."
    )
    exclude: str = Field(
        default="",
        description="Tasks or sources to leave out, such as task363,rotten_tomatoes: whole words "
        "of a task's name, source or URL. The task's own mixture_exclude holds as well.",
    )
    languages: str = Field(
        default="English",
        description="Languages of the tasks taken, separated by commas. Empty: all.",
    )
    overlap_words: int = Field(
        default=8,
        ge=2,
        description="An instance that shares this many words in a row with dev or test is left "
        "out.",
    )


class TeacherConfig(Section):
    """How the teacher is fine-tuned and judged."""

    model: str = Field(
        default="smollm2-135m-instruct",
        min_length=1,
        description="Teacher: a bundled model, a model folder, or a Hugging Face Hub id.",
    )
    epochs: int = Field(default=3, ge=0, description="Passes over the examples; 0: not tuned.")
    learning_rate: float = Field(default=5e-5, gt=0, lt=1, description="Peak learning rate.")
    batch_size: int = Field(default=8, ge=1, description="Examples per optimizer step.")
    warmup_ratio: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay.")
    adam_beta1: float = Field(
        default=0.9, ge=0, lt=1, description="Adam: how long the mean of the gradients lasts."
    )
    adam_beta2: float = Field(
        default=0.999, ge=0, lt=1, description="Adam: how long the mean of their squares lasts."
    )
    adam_epsilon: float = Field(
        default=1e-8, gt=0, description="Adam: what keeps its quotient finite."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradient clipping norm.")
    precision: Precision = Field(default="auto", description=_PRECISION)
    max_length: int = Field(
        default=256, ge=16, description="Tokens per example; longer inputs are cut and counted."
    )
    directions: Literal["label", "both"] = Field(
        default="both",
        description="Learn to answer inputs (label), or also to write inputs for answers (both).",
    )
    packing: bool = Field(
        default=True,
        description="Put several examples into one row, none seeing another, so that nothing is "
        "padded and shared beginnings are computed once; models for which that is not known to be "
        "exact are padded.",
    )
    method: Literal["full", "lora"] = Field(
        default="full",
        description="Train all weights (full), or small matrices beside them that are merged at "
        "the end (lora).",
    )
    lora_rank: int = Field(default=16, ge=1, description="Rank of LoRA's matrices.")
    lora_alpha: int = Field(
        default=32, ge=1, description="LoRA's scale: what it learns counts alpha / rank times."
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of LoRA's inputs dropped while training."
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Stop after so many epochs without a lower loss on dev; 0: never. The best "
        "epoch's weights are kept in any case.",
    )
    checkpoint_steps: int = Field(
        default=16, ge=1, description="Optimizer steps between two checkpoints."
    )
    keep_checkpoints: int = Field(
        default=2, ge=1, description="Checkpoints kept while the teacher is trained, the newest."
    )
    micro_batch_size: int = Field(
        default=0,
        ge=0,
        description="Examples that one process takes through the model at once; the rest of its "
        "share of a batch follows before the optimizer's step. 0: its whole share.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Compute activations again in the backward pass instead of keeping them: less "
        "memory, about a third more work.",
    )
    zero_stage: int = Field(
        default=0,
        ge=0,
        le=3,
        description="What DeepSpeed divides among the processes: 1 the optimizer's state, 2 also "
        "gradients, 3 also weights; 0: nothing, without DeepSpeed.",
    )
    offload: Literal["none", "cpu", "nvme"] = Field(
        default="none",
        description="Where what ZeRO has divided is kept: on the GPUs (none), in the machine's "
        "memory (cpu), or on its disk (nvme; with zero_stage 3).",
    )
    offload_folder: str = Field(
        default="", description="Folder on each machine's fast disk, for offload nvme."
    )

    @model_validator(mode="after")
    def _fit_the_stage(self) -> TeacherConfig:
        if self.offload != "none" and self.zero_stage == 0:
            raise ValueError(f"offload {self.offload} needs a zero_stage of 1, 2 or 3")
        if self.offload == "nvme" and (self.zero_stage < 3 or not self.offload_folder):
            raise ValueError("offload nvme needs zero_stage 3 and an offload_folder")
        return self

    def micro_batches(self, processes: int) -> tuple[int, int]:
        """How processes share a batch: examples in one forward pass, and forward passes a step.

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
                f"process{'es' if processes > 1 else ''}{micro} without a rest; choose a multiple "
                f"of {each}"
            )
        share = self.batch_size // processes
        size = self.micro_batch_size or share
        return size, share // size


class SynthesisConfig(Section):
    """What the teacher writes."""

    mode: Literal["annotate", "generate", "both"] = Field(
        default="both",
        description="annotate unlabelled inputs, generate new pairs, or both.",
    )
    annotate_temperature: float = Field(
        default=0.1, ge=0, le=2, description="Sampling temperature of labels (the paper: 0.1)."
    )
    correct_prior: bool = Field(
        default=True,
        description="Divide the teacher's preference for some labels, measured on inputs without "
        "content, out of its answers.",
    )
    min_precision: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of labels that should be right, as measured on dev: below the "
        "confidence that reaches it the teacher gives no label. 0: it always gives one.",
    )
    generate_count: int = Field(default=600, ge=1, description="New inputs to write.")
    generate_temperature: float = Field(
        default=0.8, gt=0, le=2, description="Sampling temperature of inputs (the paper: 0.8)."
    )
    generate_top_p: float = Field(
        default=0.95, gt=0, le=1, description="Nucleus of the sampled distribution."
    )
    max_new_tokens: int = Field(
        default=48, ge=1, description="Tokens of a written text, at most; a longer one is rejected."
    )
    max_length: int = Field(
        default=256,
        ge=32,
        description="Tokens of prompt and answer together; longer inputs lose their end.",
    )
    batch_size: int = Field(default=32, ge=1, description="Sequences in one forward pass, at most.")
    batch_tokens: int = Field(
        default=8192,
        ge=1,
        description="Tokens in one forward pass, and in the cache of the texts that are written "
        "side by side, at most; lowered by itself when memory runs out.",
    )
    engine: Literal["local", "server"] = Field(
        default="local",
        description="What asks the teacher: this process (local) or an OpenAI-compatible "
        "completions server (server), given by synthesis_server_url or synthesis_server_command.",
    )
    server_url: str = Field(
        default="",
        description="Address of a running server, with scheme, port and path (usually /v1); its "
        "key, if it wants one, comes from the environment variable DAFTT_SERVER_API_KEY.",
    )
    server_command: str = Field(
        default="",
        description="Command that starts a server beside each stage, as words or a JSON list; "
        "{model} is the fine-tuned teacher's folder and {port} a free port, as in: vllm serve "
        "{model} --port {port}.",
    )
    server_model: str = Field(
        default="", description="Name of the model on the server; may be empty if it has only one."
    )
    server_concurrency: int = Field(
        default=16, ge=1, le=1024, description="Prompts that a server is asked at the same time."
    )
    server_start_seconds: int = Field(
        default=900, ge=1, description="How long a started server may take to load its model."
    )
    chunk_size: int = Field(
        default=64, ge=1, description="Examples finished and committed together."
    )
    shards: int = Field(default=2, ge=1, le=256, description="Tasks that share the work of a mode.")

    @model_validator(mode="after")
    def _name_one_server(self) -> SynthesisConfig:
        named = bool(self.server_url) + bool(self.server_command)
        if self.engine == "local" and (named or self.server_model):
            raise ValueError("a server is described, but engine is local: set engine to server")
        if self.engine == "server" and named != 1:
            raise ValueError("engine server needs either server_url or server_command")
        if self.server_url and not self.server_url.startswith(("http://", "https://")):
            raise ValueError("server_url must begin with http:// or https://")
        if self.server_command and not any("{port}" in word for word in self.server_words()):
            raise ValueError("server_command must say {port} where the port goes")
        return self

    def server_words(self) -> list[str]:
        """``server_command``, read: its program and arguments."""
        if not self.server_command.lstrip().startswith("["):
            try:
                return shlex.split(self.server_command)
            except ValueError as error:
                raise ValueError(f"server_command: {error}") from None
        words = _json("server_command", self.server_command, "[]")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("server_command must be a JSON list of strings")
        return words


class CurationConfig(Section):
    """Which synthetic examples are kept."""

    verify: Literal["off", "drop", "relabel"] = Field(
        default="relabel",
        description="Generated pairs are labelled again by the teacher: ignore that (off), keep "
        "only pairs that agree (drop), or take the new label (relabel).",
    )
    min_confidence: float = Field(
        default=0.0, ge=0, le=1, description="Least confidence of a kept example."
    )
    keep_share: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Share of each label's annotated examples to keep, the most confident first.",
    )
    min_characters: int = Field(default=10, ge=0, description="Least length of a kept input.")
    max_characters: int = Field(default=2000, ge=1, description="Greatest length of a kept input.")
    check_format: bool = Field(
        default=True,
        description="Remove texts with control characters, without a word, with the prompt's field "
        "names, or that repeat themselves.",
    )
    language: str = Field(
        default="",
        pattern=r"^([a-z]{2,3})?$",
        description="ISO 639-1 code of the inputs' language, such as en; inputs that are clearly "
        "in another one are removed. Empty: any language.",
    )
    personal_data: Literal["redact", "drop", "keep"] = Field(
        default="redact",
        description="E-mail addresses, phone and card numbers: replace them (redact), remove the "
        "example (drop), or do not look (keep).",
    )
    phone_region: str = Field(
        default="",
        pattern=r"^([A-Z]{2})?$",
        description="Country (ISO 3166, such as US) whose phone numbers are known without a "
        "country code. Empty: only numbers that begin with one.",
    )
    echo_words: int = Field(
        default=4, ge=2, le=20, description="Length of the runs of words that tell an echo."
    )
    echo_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="A generated input that has this share of its runs of words from the prompt or "
        "from one labelled example is removed; 0: none is.",
    )
    near_duplicate: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Jaccard similarity of character 5-grams from which two inputs are near "
        "duplicates, of which one stays: 0.6 to 1; 0: do not look.",
    )
    overlap_words: int = Field(
        default=8,
        ge=2,
        description="An input that shares this many words in a row with dev or test is removed.",
    )
    balance: bool = Field(
        default=True, description="Keep the same number of generated examples for each label."
    )
    ratio: float = Field(
        default=0.0,
        ge=0,
        description="Kept examples of each source for every labelled one, at most, drawn at "
        "random by label; 0: no limit.",
    )

    @field_validator("near_duplicate")
    @classmethod
    def _check_near_duplicate(cls, value: float) -> float:
        if 0 < value < 0.6:
            raise ValueError("must be 0, or at least 0.6: below that, unlike texts are compared")
        return value


class StudentConfig(Section):
    """How the students are trained."""

    model: str = Field(
        default="all-minilm-l6-v2",
        min_length=1,
        description="Student: a bundled model, a model folder, or a Hugging Face Hub id.",
    )
    seeds: int = Field(default=3, ge=1, le=50, description="Students per arm.")
    epochs: int = Field(default=2, ge=1, description="Passes over an arm's examples, at most.")
    min_steps: int = Field(
        default=60,
        ge=0,
        description="Optimizer steps at least; small arms get more passes to reach it.",
    )
    learning_rate: float = Field(default=2e-4, gt=0, lt=1, description="Peak learning rate.")
    batch_size: int = Field(default=16, ge=1, description="Examples per optimizer step.")
    warmup_ratio: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Decoupled weight decay.")
    precision: Precision = Field(default="auto", description=_PRECISION)
    max_length: int = Field(
        default=96, ge=8, description="Tokens of an input; longer ones are cut and counted."
    )
    max_target_length: int = Field(
        default=64, ge=2, description="Tokens of an output text; longer ones are cut and counted."
    )
    gold_arm: bool = Field(
        default=True,
        description="Also train on the true labels of the unlabelled inputs, where they are "
        "known: the upper bound.",
    )

    def steps(self, example_count: int) -> int:
        """Optimizer steps of one student: its epochs, and ``min_steps`` at least."""
        return max(self.epochs * math.ceil(example_count / self.batch_size), self.min_steps)


class EvaluationConfig(Section):
    """How the arms are compared."""

    bootstrap_samples: int = Field(
        default=5000, ge=100, le=1_000_000, description="Resamples behind each interval."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


_NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


class JobConfig(Section):
    """Where the teacher is trained: on this machine, or as a job in the cluster."""

    launcher: Literal["local", "pytorchjob", "trainjob"] = Field(
        default="local",
        description="Train in the step itself (local), as a PyTorchJob of the Training Operator, "
        "or as a TrainJob of Kubeflow Trainer.",
    )
    image: str = Field(
        default="", description="Image of the job's pods. Empty: the project's training image."
    )
    nodes: int = Field(default=1, ge=1, le=1000, description="Pods of the job, one on each node.")
    gpus_per_node: int = Field(
        default=0, ge=0, le=64, description="GPUs of each pod; 0: what the machine has, or none."
    )
    gpu_model: GpuModel = Field(
        default="",
        description="Kind of the GPUs that train the teacher. Where it is said, a teacher that "
        "cannot fit is refused before anything starts. Empty: not known.",
    )
    gpu_resource: str = Field(
        default="nvidia.com/gpu", min_length=1, description="Name the cluster gives its GPUs."
    )
    processes_per_node: int = Field(
        default=0, ge=0, le=64, description="Processes of each pod; 0: one for each GPU, or one."
    )
    cpu: str = Field(default="4", pattern=_QUANTITY, description="CPU cores of each pod.")
    memory: str = Field(default="16Gi", pattern=_QUANTITY, description="Memory of each pod.")
    shm_size: str = Field(
        default="2Gi",
        pattern=_QUANTITY,
        description="Shared memory (/dev/shm) of each pod; it counts as the pod's memory.",
    )
    node_selector: str = Field(
        default="", description='Labels of the nodes to use, a JSON object such as {"pool": "gpu"}.'
    )
    tolerations: str = Field(
        default="",
        description="Taints that are no obstacle, a JSON list such as "
        '[{"key": "nvidia.com/gpu", "operator": "Exists"}].',
    )
    priority_class: str = Field(
        default="", pattern=_NAME, description="Priority class of the pods. Empty: none."
    )
    queue: str = Field(
        default="", pattern=_NAME, description="Kueue's LocalQueue. Empty: start without a queue."
    )
    service_account: str = Field(
        default="", pattern=_NAME, description="Service account of the pods. Empty: the default."
    )
    namespace: str = Field(
        default="", pattern=_NAME, description="Namespace of the job. Empty: that of the step."
    )
    secrets: str = Field(
        default="",
        description="Secrets the pods see as environment variables, such as "
        "HF_TOKEN=huggingface/token (variable=secret/key, separated by commas).",
    )
    env: str = Field(
        default="",
        description='Environment variables of the pods, a JSON object such as {"NCCL_DEBUG": '
        '"INFO"}; nothing secret.',
    )
    runtime: str = Field(
        default="torch-distributed",
        pattern=_NAME,
        description="ClusterTrainingRuntime that a TrainJob builds on.",
    )
    deadline_seconds: int = Field(
        default=86_400, ge=60, description="The job is ended when it has run for so long."
    )
    start_timeout_seconds: int = Field(
        default=1800,
        ge=1,
        description="The job is given up when its pods have not started for so long; waiting in "
        "a queue does not count.",
    )
    ttl_seconds: int = Field(
        default=86_400, ge=60, description="A finished job is removed after so long."
    )
    max_restarts: int = Field(
        default=3,
        ge=0,
        description="Restarts after an eviction, a lost node, too little memory or a preemption.",
    )
    grace_seconds: int = Field(
        default=600,
        ge=60,
        description="Time a pod of the job has to store a checkpoint when it is told to end; a "
        "node that is taken away may give less.",
    )

    @property
    def each_nodes_processes(self) -> int:
        """Processes of each pod: as asked for, or one for each GPU."""
        return self.processes_per_node or max(1, self.gpus_per_node)

    @model_validator(mode="after")
    def _fit_the_launcher(self) -> JobConfig:
        if self.launcher == "local" and self.nodes > 1:
            raise ValueError("launcher local has one machine: set nodes to 1, or another launcher")
        if self.launcher == "trainjob" and self.priority_class:
            raise ValueError("a TrainJob takes its priority class from its runtime: leave it empty")
        return self

    @model_validator(mode="after")
    def _read_what_is_packed(self) -> JobConfig:
        self.labels_of_nodes()
        self.tolerated()
        self.variables()
        self.secret_keys()
        return self

    def labels_of_nodes(self) -> dict[str, str]:
        """``node_selector``, read."""
        return _strings("node_selector", self.node_selector)

    def variables(self) -> dict[str, str]:
        """``env``, read."""
        return _strings("env", self.env)

    def tolerated(self) -> list[dict[str, Any]]:
        """``tolerations``, read."""
        found = _json("tolerations", self.tolerations, "[]")
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ValueError("tolerations must be a JSON list of objects")
        return found

    def secret_keys(self) -> dict[str, tuple[str, str]]:
        """``secrets``, read: for each environment variable, the secret and the key in it."""
        found: dict[str, tuple[str, str]] = {}
        for item in filter(None, (part.strip() for part in self.secrets.split(","))):
            variable, _, source = item.partition("=")
            secret, _, key = source.partition("/")
            if not (variable.isidentifier() and secret and key):
                raise ValueError(f"secrets: {item!r} must be VARIABLE=secret/key")
            found[variable] = (secret, key)
        return found


def _json(name: str, text: str, when_empty: str) -> object:
    try:
        return json.loads(text or when_empty)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from None


def _strings(name: str, text: str) -> dict[str, str]:
    found = _json(name, text, "{}")
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"{name} must be a JSON object whose values are strings")
    return found


def _parse_json(value: object) -> object:
    """A text as the JSON it holds: a form or a command line can give nothing else."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None


_CPUS = r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$"
_BYTES = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i?)?$"
_OBJECT_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
_TOLERATION_KEYS = {"key", "operator", "value", "effect", "tolerationSeconds"}


class ClusterConfig(Section):
    """What the pods of a cluster get; a run on one machine takes no notice of it."""

    # "4" and 4 are the same count; Kubernetes wants text
    model_config = ConfigDict(coerce_numbers_to_str=True)

    gpu_type: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="Resource name of the cluster's GPUs.",
    )
    gpus: str = Field(
        default="0",
        pattern=r"^[0-9]+$",
        description="GPUs of each pod that runs a model: assessment, synthesis, students, test "
        "predictions.",
    )
    teacher_gpus: str = Field(
        default="0",
        pattern=r"^[0-9]+$",
        description="GPUs of the teacher's own step; 0 where a job of several pods trains it.",
    )
    cpus: str = Field(
        default="2", pattern=_CPUS, description="CPU cores of each pod that runs a model."
    )
    memory: str = Field(
        default="8Gi", pattern=_BYTES, description="Memory of each pod that runs a model."
    )
    light_cpus: str = Field(
        default="1", pattern=_CPUS, description="CPU cores of each pod that runs none."
    )
    light_memory: str = Field(
        default="2Gi", pattern=_BYTES, description="Memory of each pod that runs none."
    )
    node_selector: Annotated[dict[str, str], BeforeValidator(_parse_json)] = Field(
        default={},
        description="Labels of the nodes for pods that run a model, as JSON, such as "
        '{"cloud.google.com/gke-accelerator": "nvidia-l4"}.',
    )
    tolerations: Annotated[list[dict[str, Any]], BeforeValidator(_parse_json)] = Field(
        default=[],
        description="Taints that pods that run a model tolerate, as JSON, such as "
        '[{"key": "nvidia.com/gpu", "operator": "Exists"}].',
    )
    hub_secret: str = Field(
        default="daftt-hub",
        pattern=_OBJECT_NAME,
        description="Secret whose key 'token' opens private models of the Hub; it may be missing.",
    )
    pull_secret: str = Field(
        default="daftt-registry",
        pattern=_OBJECT_NAME,
        description="Secret that opens a private image registry; it may be missing.",
    )

    @field_validator("tolerations")
    @classmethod
    def _check_tolerations(cls, tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for toleration in tolerations:
            for key in toleration:
                if key not in _TOLERATION_KEYS:
                    known = ", ".join(sorted(_TOLERATION_KEYS))
                    raise ValueError(f"a toleration has no {key!r} (it may have: {known})")
        return tolerations


class Config(Section):
    """All sections."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    mixture: MixtureConfig = MixtureConfig()
    teacher: TeacherConfig = TeacherConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    curation: CurationConfig = CurationConfig()
    student: StudentConfig = StudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    job: JobConfig = JobConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _divide_the_teachers_batch(self) -> Config:
        try:
            self.teacher.micro_batches(self.job.nodes * self.job.each_nodes_processes)
        except ValueError as error:
            raise ValueError(f"teacher: {error}") from None
        return self


_UNPREFIXED = "run"


def flat_fields() -> dict[str, FieldInfo]:
    """The flat name of every setting, with its type, default, limits and description."""
    fields: dict[str, FieldInfo] = {}
    for section, info in Config.model_fields.items():
        model = cast(type[Section], info.annotation)
        for name, field in model.model_fields.items():
            fields[name if section == _UNPREFIXED else f"{section}_{name}"] = field
    return fields


def _split(flat_name: str) -> tuple[str, str]:
    section, _, field = flat_name.partition("_")
    if section != _UNPREFIXED and section in Config.model_fields and field:
        return section, field
    return _UNPREFIXED, flat_name


def from_flat(settings: Mapping[str, object]) -> Config:
    """Nest and check flat settings; what is left out takes its default.

    Raises:
        ConfigError: Names every unknown setting and every bad value, one line each.
    """
    known = flat_fields()
    mistakes = [
        f"{name}: there is no such parameter{did_you_mean(name, known)}"
        for name in settings
        if name not in known
    ]
    nested: dict[str, dict[str, object]] = {}
    for name, value in settings.items():
        if name in known:
            section, field = _split(name)
            nested.setdefault(section, {})[field] = value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        mistakes += [_sentence(details) for details in error.errors()]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _sentence(details: Any) -> str:
    where = ".".join(map(str, details["loc"]))
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(details["input"], str | int | float | bool):
        return f"{where}: {details['input']!r} {message}"
    return f"{where}: {message}"


def to_flat(config: Config) -> dict[str, Any]:
    """The inverse of :func:`from_flat`."""
    return {
        name: getattr(getattr(config, section), field)
        for name in flat_fields()
        for section, field in [_split(name)]
    }


S = TypeVar("S", bound=BaseModel)


def parse_section(model: type[S], text: str) -> S:
    """Read one section from the JSON that an earlier stage wrote.

    Raises:
        ConfigError: The text is not such a section.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        lines = "\n".join(_sentence(details) for details in error.errors())
        raise ConfigError(f"{model.__name__}: {lines}") from None


def read_settings(path: Path) -> dict[str, object]:
    """Read flat settings from a YAML file.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not map names to values.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise ConfigError(f"{path}: must map parameter names to values, such as 'seed: 7'")
    return settings
