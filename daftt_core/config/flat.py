"""All sections together, and their flat form, which the UI, flags and YAML files show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError, model_validator
from pydantic.fields import FieldInfo

from daftt_core.config.cluster import ClusterConfig, JobConfig
from daftt_core.config.retraining import PromotionConfig, TriggerConfig
from daftt_core.config.run import (
    DataConfig,
    EvaluationConfig,
    MixtureConfig,
    MlflowConfig,
    NotifyConfig,
    RunConfig,
)
from daftt_core.config.section import Section
from daftt_core.config.synthesis import CurationConfig, SynthesisConfig
from daftt_core.config.training import StudentConfig, TeacherConfig
from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.records import explain, parse_yaml


class Config(Section):
    """All sections."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    trigger: TriggerConfig = TriggerConfig()
    mixture: MixtureConfig = MixtureConfig()
    teacher: TeacherConfig = TeacherConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    curation: CurationConfig = CurationConfig()
    student: StudentConfig = StudentConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    notify: NotifyConfig = NotifyConfig()
    mlflow: MlflowConfig = MlflowConfig()
    promotion: PromotionConfig = PromotionConfig()
    job: JobConfig = JobConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _have_a_champion_to_compare_with(self) -> Config:
        if self.trigger.when != "always" and not self.promotion.enabled:
            raise ValueError(
                f"trigger_when: {self.trigger.when!r} compares with the champion, and without "
                "promotion_enabled there is none"
            )
        return self

    @model_validator(mode="after")
    def _divide_the_teachers_batch(self) -> Config:
        try:
            self.teacher.micro_batches(self.job.nodes * self.job.each_nodes_processes)
        except ValueError as error:
            raise ValueError(f"teacher: {error}") from None
        return self

    @model_validator(mode="after")
    def _keep_the_balance_asked_for(self) -> Config:
        if self.synthesis.label_balance == "as-labelled" and self.curation.balance:
            raise ValueError(
                "synthesis_label_balance: as-labelled is undone by curation_balance, which keeps "
                "as many generated examples of each label: set it to false"
            )
        return self


_UNPREFIXED = "run"


def flat_fields() -> dict[str, FieldInfo]:
    """Return all settings by flat name, each with type, default, limits and description."""
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
        for field, problem in explain(error, Config, own_with_value=True):
            section, _, name = field.partition(".")
            flat_name = name if section == _UNPREFIXED else field.replace(".", "_", 1)
            mistakes.append(_sentence(flat_name, problem))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _sentence(field: str, problem: str) -> str:
    return f"{field}: {problem}" if field else problem


def to_flat(config: Config) -> dict[str, Any]:
    """Return a configuration as flat settings, from which :func:`from_flat` makes it again."""
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
        mistakes = explain(error, model, own_with_value=True)
        lines = "\n".join(_sentence(field, problem) for field, problem in mistakes)
        raise ConfigError(f"{model.__name__}: {lines}") from None


def read_settings(path: Path) -> dict[str, object]:
    """Read flat settings from a YAML file.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not map names to values.
    """
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise ConfigError(f"{path}: must map parameter names to values, such as 'seed: 7'")
    return settings
