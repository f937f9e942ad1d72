"""The whole configuration: each setting's meaning, limits and one default.

Each stage has a *section*. The Kubeflow UI, the command line and YAML files show the same settings
as flat names, ``<section>_<field>`` (the ``run`` section goes without its prefix):
``student_learning_rate`` is ``student.learning_rate``. :func:`from_flat` checks all of them at
once and reports every mistake in one message.
"""

from daftt_core.config.cluster import ClusterConfig, GpuModel, JobConfig
from daftt_core.config.flat import (
    Config,
    flat_fields,
    from_flat,
    parse_section,
    read_settings,
    to_flat,
)
from daftt_core.config.form import (
    FORM_SETTINGS,
    FROM_PRESET,
    as_argument,
    check_compiled_in,
    form_arguments,
    form_choices,
    form_descriptions,
    from_argument,
    json_argument,
    merge_form,
    read_form,
    split_presets,
)
from daftt_core.config.presets import preset_kinds, preset_names, read_preset, read_presets
from daftt_core.config.retraining import PromotionConfig, TriggerConfig
from daftt_core.config.run import (
    DATA_FILES,
    DataConfig,
    EvaluationConfig,
    MixtureConfig,
    MlflowConfig,
    NotifyConfig,
)
from daftt_core.config.section import Section
from daftt_core.config.synthesis import CurationConfig, SynthesisConfig
from daftt_core.config.training import Precision, StudentConfig, TeacherConfig

__all__ = [
    "DATA_FILES",
    "FORM_SETTINGS",
    "FROM_PRESET",
    "ClusterConfig",
    "Config",
    "CurationConfig",
    "DataConfig",
    "EvaluationConfig",
    "GpuModel",
    "JobConfig",
    "MixtureConfig",
    "MlflowConfig",
    "NotifyConfig",
    "Precision",
    "PromotionConfig",
    "Section",
    "StudentConfig",
    "SynthesisConfig",
    "TeacherConfig",
    "TriggerConfig",
    "as_argument",
    "check_compiled_in",
    "flat_fields",
    "form_arguments",
    "form_choices",
    "form_descriptions",
    "from_argument",
    "from_flat",
    "json_argument",
    "merge_form",
    "parse_section",
    "preset_kinds",
    "preset_names",
    "read_form",
    "read_preset",
    "read_presets",
    "read_settings",
    "split_presets",
    "to_flat",
]
