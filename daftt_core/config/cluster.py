"""Settings of where the work is done: the teacher's job, and the pods of a cluster."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from daftt_core.config.section import ObjectName, Section, read_json
from daftt_core.errors import shortened

GpuModel = Literal[
    "", "a100-40", "a100-80", "h100-80", "h200-141", "l4-24", "t4-16", "v100-16", "v100-32"
]

_YEAR_SECONDS = 365 * 86_400
_LABEL_TEXT = re.compile(r"[A-Za-z0-9._/-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_TOLERATION_KEYS = {"key", "operator", "value", "effect", "tolerationSeconds"}
_COMPILED_IN_NAMES = (
    *("light_cpus", "light_memory", "node_selector", "tolerations", "queue"),
    *("hub_secret", "pull_secret", "storage_secret", "environment"),
)
_COMPILED_IN = "Fixed when the pipeline is uploaded (daftt upload --settings)."


def _read_text(value: object) -> object:
    """Return the value of a JSON text: a form or a command line can give nothing else."""
    return read_json(value) if isinstance(value, str) else value


PerPod = Annotated[int, Field(ge=0, le=64)]
Seconds = Annotated[int, Field(ge=60, le=_YEAR_SECONDS)]
OptionalName = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
# as many digits as a double holds exactly, which is what Kubernetes' JSON may become on its way
Cpus = Annotated[str, Field(pattern=r"^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$")]
Bytes = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,3})?([KMGTPE]i?)?$")]
NodeLabels = Annotated[dict[str, str], BeforeValidator(_read_text)]
Tolerations = Annotated[list[dict[str, Any]], BeforeValidator(_read_text)]


class PodConfig(Section):
    """What a pod gets: GPUs, CPUs and memory, the nodes it may run on, the taints it tolerates."""

    # "4" and 4 are the same count; Kubernetes wants text
    model_config = ConfigDict(coerce_numbers_to_str=True)

    gpu_resource: str = Field(default="nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    """Name the cluster gives its GPUs."""
    gpus: PerPod = 0
    """GPUs of each pod."""
    cpus: Cpus = "2"
    """CPU cores of each pod."""
    memory: Bytes = "8Gi"
    """Memory of each pod."""
    node_selector: NodeLabels = Field(default={})
    """Labels of the nodes to use, as JSON, such as {"cloud.google.com/gke-accelerator":
    "nvidia-l4"}."""
    tolerations: Tolerations = Field(default=[])
    """Taints that are no obstacle, as JSON, such as [{"key": "nvidia.com/gpu", "operator":
    "Exists"}]."""

    # Kubeflow Pipelines puts these into pods by itself, so nothing in them can be escaped.

    @field_validator("node_selector")
    @classmethod
    def _check_node_selector(cls, labels: dict[str, str]) -> dict[str, str]:
        for text in (*labels, *labels.values()):
            _check_label_text(text)
        return labels

    @field_validator("tolerations")
    @classmethod
    def _check_tolerations(cls, tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for toleration in tolerations:
            for key, value in toleration.items():
                if key not in _TOLERATION_KEYS:
                    known = ", ".join(sorted(_TOLERATION_KEYS))
                    raise ValueError(f"a toleration has no {key!r} (it may have: {known})")
                if key == "tolerationSeconds":
                    _check_seconds(value)
                else:
                    _check_label_text(value)
        return tolerations


class JobConfig(PodConfig):
    """Where the teacher is trained: on this machine, or as a job in the cluster."""

    launcher: Literal["local", "pytorchjob", "trainjob"] = "local"
    """Train in the step itself (local), as a PyTorchJob of the Training Operator, or as a
    TrainJob of Kubeflow Trainer."""
    image: str = ""
    """Image of the job's pods. Empty: the project's training image."""
    nodes: int = Field(default=1, ge=1, le=1000)
    """Pods of the job, one on each node."""
    gpus: PerPod = 0
    """GPUs of each pod; 0: what the machine has, or none."""
    gpu_model: GpuModel = ""
    """Kind of the GPUs that train the teacher. Where it is said, a teacher that cannot fit is
    refused before anything starts. Empty: not known."""
    processes_per_node: PerPod = 0
    """Processes of each pod; 0: one for each GPU, or one."""
    cpus: Cpus = "4"
    """CPU cores of each pod."""
    memory: Bytes = "16Gi"
    """Memory of each pod."""
    shm_size: Bytes = "2Gi"
    """Shared memory (/dev/shm) of each pod; it counts as the pod's memory."""
    priority_class: OptionalName = ""
    """Priority class of the pods. Empty: none."""
    queue: OptionalName = ""
    """Kueue's LocalQueue. Empty: start without a queue."""
    service_account: OptionalName = ""
    """Service account of the pods. Empty: the default."""
    namespace: OptionalName = ""
    """Namespace of the job. Empty: that of the step."""
    secrets: str = ""
    """Secrets the pods see as environment variables, such as HF_TOKEN=huggingface/token
    (variable=secret/key, separated by commas)."""
    env: str = ""
    """Environment variables of the pods, a JSON object such as {"NCCL_DEBUG": "INFO"}; nothing
    secret."""
    runtime: OptionalName = "daftt-torch"
    """ClusterTrainingRuntime that a TrainJob builds on."""
    deadline_seconds: Seconds = 86_400
    """The job is ended when it has run for so long."""
    start_timeout_seconds: int = Field(default=1800, ge=1, le=_YEAR_SECONDS)
    """The job is given up when its pods have not started for so long; waiting in a queue does
    not count."""
    ttl_seconds: Seconds = 86_400
    """A finished job is removed after so long."""
    max_restarts: int = Field(default=3, ge=0, le=1000)
    """Restarts after an eviction, a lost node, too little memory or a preemption."""
    grace_seconds: int = Field(default=600, ge=60, le=86_400)
    """Time a pod of the job has to store a checkpoint when it is told to end; a node that is
    taken away may give less."""

    @property
    def each_nodes_processes(self) -> int:
        """Return the processes of each pod: as set, or one for each GPU."""
        return self.processes_per_node or max(1, self.gpus)

    @model_validator(mode="after")
    def _fit_the_launcher(self) -> JobConfig:
        if self.launcher == "local" and self.nodes > 1:
            raise ValueError("launcher local has one machine: set nodes to 1, or another launcher")
        if self.launcher == "trainjob" and self.priority_class:
            raise ValueError("a TrainJob takes its priority class from its runtime: leave it empty")
        return self

    @model_validator(mode="after")
    def _read_what_is_packed(self) -> JobConfig:
        self.variables()
        self.secret_keys()
        return self

    def variables(self) -> dict[str, str]:
        """Return ``env`` as a mapping."""
        try:
            variables = read_json(self.env or "{}")
        except ValueError as error:
            raise ValueError(f"env {error}") from None
        if not isinstance(variables, dict) or not all(
            isinstance(value, str) for value in variables.values()
        ):
            raise ValueError("env must be a JSON object whose values are strings")
        return variables

    def secret_keys(self) -> dict[str, tuple[str, str]]:
        """Return the secret and the key in it for each environment variable of ``secrets``."""
        keys: dict[str, tuple[str, str]] = {}
        for item in filter(None, (part.strip() for part in self.secrets.split(","))):
            variable, _, source = item.partition("=")
            secret, _, key = source.partition("/")
            if not (variable.isidentifier() and secret and key):
                raise ValueError(f"secrets: {item!r} must be VARIABLE=secret/key")
            keys[variable] = (secret, key)
        return keys


class ClusterConfig(PodConfig):
    """What the pods of a pipeline get on a cluster; a run on one machine ignores it."""

    gpus: PerPod = 0
    """GPUs of each pod that runs a model: assessment, synthesis, students, test predictions."""
    teacher_gpus: PerPod = 0
    """GPUs of the teacher's own step; 0 where a job of several pods trains it."""
    cpus: Cpus = "2"
    """CPU cores of each pod that runs a model."""
    memory: Bytes = "8Gi"
    """Memory of each pod that runs a model."""
    light_cpus: Cpus = Field(
        default="1", description=f"CPU cores of each pod that runs none. {_COMPILED_IN}"
    )
    light_memory: Bytes = Field(
        default="2Gi", description=f"Memory of each pod that runs none. {_COMPILED_IN}"
    )
    node_selector: NodeLabels = Field(
        default={},
        description="Labels of the nodes for pods that run a model, as JSON, such as "
        f'{{"cloud.google.com/gke-accelerator": "nvidia-l4"}}. {_COMPILED_IN}',
    )
    tolerations: Tolerations = Field(
        default=[],
        description="Taints that pods that run a model tolerate, as JSON, such as "
        f'[{{"key": "nvidia.com/gpu", "operator": "Exists"}}]. {_COMPILED_IN}',
    )
    queue: OptionalName = Field(
        default="",
        description="Kueue's LocalQueue of pods that run a model, where Kueue manages pods. Empty: "
        f"start without a queue. {_COMPILED_IN}",
    )
    hub_secret: ObjectName = Field(
        default="daftt-hub",
        description="Secret whose key 'token' opens private models of the Hub; it may be missing. "
        f"{_COMPILED_IN}",
    )
    pull_secret: OptionalName = Field(
        default="",
        description=f"Secret that opens a private image registry. Empty: none. {_COMPILED_IN}",
    )
    storage_secret: OptionalName = Field(
        default="",
        description="Secret whose keys 'accesskey' and 'secretkey' open an S3 store, such as "
        "mlpipeline-minio-artifact, that of Kubeflow Pipelines' own store. Empty: the role of the "
        f"pods' service account. {_COMPILED_IN}",
    )
    environment: Annotated[dict[str, str], BeforeValidator(_read_text)] = Field(
        default={},
        description="Environment variables of every pod, as JSON, such as "
        '{"OMP_NUM_THREADS": "4"}; nothing secret. '
        f"{_COMPILED_IN}",
    )

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{shortened(repr(name))} is no name of an environment variable")
            if "{{" in value or "$(" in value or not value.isprintable():
                raise ValueError(
                    f"{name}: {shortened(repr(value))} holds a placeholder of Argo or Kubernetes "
                    "({{ or $() or a character that cannot be printed"
                )
        return environment

    @property
    def compiled_in(self) -> dict[str, Any]:
        """Return the settings that are fixed when a pipeline is compiled, by their names here."""
        return {name: getattr(self, name) for name in _COMPILED_IN_NAMES}

    @property
    def resources(self) -> dict[str, str]:
        """Return what a run may choose for its pods that run a model, as a pipeline passes it."""
        names = ("gpu_resource", "gpus", "teacher_gpus", "cpus", "memory")
        return {name: str(getattr(self, name)) for name in names}


def _check_label_text(value: object) -> None:
    if not isinstance(value, str) or not _LABEL_TEXT.fullmatch(value):
        raise ValueError(
            f"{shortened(repr(value))} is not a text that Kubernetes takes there: letters, digits, "
            "'.', '_', '-' and '/' are allowed"
        )


def _check_seconds(value: object) -> None:
    if type(value) is not int or not 0 <= value <= _YEAR_SECONDS:
        raise ValueError(
            f"tolerationSeconds: {shortened(repr(value))} must be a whole number from 0 to "
            f"{_YEAR_SECONDS:,}"
        )
