"""The whole configuration: what each setting means, what it allows, and its one default.

Each stage has a *section*. The Kubeflow UI, the command line and YAML files show the same settings
as flat names, ``<section>_<field>`` (the ``run`` section goes without its prefix):
``student_learning_rate`` is ``student.learning_rate``. :func:`from_flat` checks all of them at
once and reports every mistake in one message.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from daftt_core.errors import ConfigError, did_you_mean

__all__ = [
    "Config",
    "CurationConfig",
    "DataConfig",
    "EvaluationConfig",
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
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradient clipping norm.")
    precision: Precision = Field(default="auto", description=_PRECISION)
    max_length: int = Field(
        default=256, ge=16, description="Tokens per example; longer inputs are cut and counted."
    )
    directions: Literal["label", "both"] = Field(
        default="both",
        description="Learn to answer inputs (label), or also to write inputs for answers (both).",
    )
    checkpoint_steps: int = Field(
        default=16, ge=1, description="Optimizer steps between two checkpoints."
    )


class SynthesisConfig(Section):
    """What the teacher writes."""

    mode: Literal["annotate", "generate", "both"] = Field(
        default="both",
        description="annotate unlabelled inputs, generate new pairs, or both.",
    )
    annotate_temperature: float = Field(
        default=0.1, ge=0, le=2, description="Sampling temperature of labels (the paper: 0.1)."
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
    batch_size: int = Field(default=32, ge=1, description="Sequences in one forward pass.")
    chunk_size: int = Field(
        default=64, ge=1, description="Examples finished and committed together."
    )
    shards: int = Field(default=2, ge=1, le=256, description="Tasks that share the work of a mode.")


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
    overlap_words: int = Field(
        default=8,
        ge=2,
        description="An input that shares this many words in a row with dev or test is removed.",
    )
    balance: bool = Field(
        default=True, description="Keep the same number of generated examples for each label."
    )


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


class EvaluationConfig(Section):
    """How the arms are compared."""

    bootstrap_samples: int = Field(
        default=5000, ge=100, le=1_000_000, description="Resamples behind each interval."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


class Config(Section):
    """All sections."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    teacher: TeacherConfig = TeacherConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    curation: CurationConfig = CurationConfig()
    student: StudentConfig = StudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()


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
