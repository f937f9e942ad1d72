"""Settings of the run itself: task and place, data, the teacher's other tasks, the comparison."""

from __future__ import annotations

import unicodedata
from typing import Literal

from pydantic import Field, field_validator, model_validator

from daftt_core.config.section import (
    NonNegative,
    ObjectName,
    Positive,
    ProperShare,
    RunOfWords,
    Section,
    Share,
)
from daftt_core.network import address_problem


class RunConfig(Section):
    """What is run, and where its results go."""

    task: str = Field(default="movie-reviews", min_length=1)
    """A task: the name of a built-in one, a YAML file (also in a bucket), or the text of such a
    file."""
    output: str = Field(default="runs", min_length=1)
    """Folder (or storage prefix) under which each run gets a folder of its own."""
    name: str = Field(default="", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*)?$", max_length=128)
    """Name of the run's folder. Empty: task and a digest of the settings, so that the same
    command continues the same run."""
    seed: int = Field(default=13, ge=0, le=2**32 - 1)
    """Seed of every random choice: splits, training, sampling."""
    on_gate_fail: Literal["stop", "continue"] = "stop"
    """What happens when the teacher is clearly no better on dev than the baseline student: stop
    (the run fails, nothing more is spent) or continue."""
    prices: str = ""
    """YAML file of prices, also in a bucket, for the report's costs. Empty: they are given in
    hours and bytes alone."""


DATA_FILES = ("train", "dev", "test", "unlabelled", "corrections")
"""The settings of DataConfig that name files."""


class DataConfig(Section):
    """Where examples come from and how they are split."""

    train: str = ""
    """Labelled examples: a file, folder, pattern, gs:// or s3:// prefix, or hub: data set
    (docs/data.md). Empty: the task's own data."""
    dev: str = ""
    """Labelled dev examples, likewise. Empty: split off from train."""
    test: str = ""
    """Labelled test examples, likewise. Empty: split off from train."""
    unlabelled: str = ""
    """Inputs to annotate, likewise; beside them rows of train without a label, and those that
    labelled_count leaves over, their labels hidden."""
    corrections: str = ""
    """Examples whose labels people have put right (daftt review), likewise: they are learned from
    beside labelled_count, and their labels win over those in train. What is in dev or test is left
    out."""
    labelled_count: NonNegative = 0
    """Labelled examples to learn from, stratified by label. 0: all that dev and test leave over;
    of a task's own data so many as the task's labelled_count says."""
    labelled_fraction: Share = 0.0
    """Share of the training pool to learn from; if above 0 it replaces labelled_count (the
    paper: 0.01 to 0.1)."""
    draw: int = Field(default=0, ge=0, le=1_000_000)
    """Which labelled examples are drawn where not all are used: another number draws others, while
    dev and test stay the same. Several draws show how much a result owes to the luck of one."""
    dev_count: Positive = 200
    """Dev examples, at most: they choose settings and thresholds."""
    test_count: Positive = 1000
    """Test examples, at most: the evaluation alone reads them."""
    dev_share: ProperShare = 0.1
    """Share of train reserved for dev when it is split."""
    test_share: ProperShare = 0.2
    """Share of train reserved for test when it is split."""
    unlabelled_count: NonNegative = 1500
    """Unlabelled examples offered to the teacher, at most."""
    slice_column: str = ""
    """Column of the test file (or of train, if test is split off it) by whose values the scores
    are shown as well, such as a region or a product. Empty: none."""

    def asked_labelled(self, own: int) -> int:
        """Return how many labelled examples are wanted; 0: all that dev and test leave over.

        Args:
            own: The number that the task sets for its own data.
        """
        return self.labelled_count or (0 if self.train else own)

    @field_validator("slice_column")
    @classmethod
    def _spell_as_in_files(cls, name: str) -> str:
        return unicodedata.normalize("NFC", name)

    @model_validator(mode="after")
    def _leave_a_pool(self) -> DataConfig:
        if self.dev_share + self.test_share >= 0.9:
            raise ValueError("dev_share and test_share together must leave a tenth for training")
        return self

    @model_validator(mode="after")
    def _name_the_slices_file(self) -> DataConfig:
        if self.slice_column and not (self.test or self.train):
            raise ValueError("slice_column is a column of data_test or data_train: name a file")
        return self


class MixtureConfig(Section):
    """Which other tasks the teacher learns beside the target task."""

    source: str = ""
    """Folder, gs:// or s3:// prefix of Super-NaturalInstructions task files; or a saved data set's
    folder or Hugging Face Hub id (org/name or org/name@revision) with the columns task_name,
    definition, inputs and targets. Empty: the small mixture that comes with DAFTT."""
    tasks: int = Field(default=0, ge=0, le=100_000)
    """Tasks to mix in; 0: no mixture."""
    instances: int = Field(default=40, ge=1, le=1_000_000)
    """Instances of each task, at most; larger tasks weigh no more."""
    weighting: Literal["proportional", "temperature"] = "proportional"
    """Tasks weigh in proportion to their instances, or more evenly (temperature)."""
    temperature: float = Field(default=2.0, ge=1, le=1000)
    """With weighting temperature, a task of n instances weighs n^(1/temperature)."""
    share: ProperShare = 0.5
    """The target task's share of the training, which decides how many instances are taken from
    all tasks together."""
    positive_examples: int = Field(default=0, ge=0, le=10)
    """Solved examples shown before each instance, at most."""
    exclude: str = ""
    """Tasks or sources to leave out, such as task363,rotten_tomatoes: whole words of a task's
    name, source or URL. The task's own mixture_exclude holds as well."""
    languages: str = "English"
    """Languages of the tasks taken, separated by commas. Empty: all."""
    overlap_words: RunOfWords = 8
    """An instance that shares this many words in a row with dev or test is left out."""


class EvaluationConfig(Section):
    """How the arms are compared."""

    bootstrap_samples: int = Field(default=5000, ge=100, le=1_000_000)
    """Resamples behind each interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Coverage of the intervals."""


class NotifyConfig(Section):
    """Who is told when a run has ended, whatever its end."""

    format: Literal["none", "webhook", "slack"] = "none"
    """Send a message at the end of a run (not of a sweep): plain JSON (webhook), or Slack's. The
    URL is in the environment variable DAFTT_NOTIFY_URL, never in a setting."""
    secret: ObjectName = Field(default="daftt-notify")
    """Secret of the cluster whose key 'url' is the URL; it may be missing."""


class MlflowConfig(Section):
    """The run's results in MLflow, beside its report."""

    tracking_uri: str = ""
    """Address of an MLflow tracking server, with scheme and port. Empty: that of the environment
    variable MLFLOW_TRACKING_URI, or none."""
    experiment: str = Field(default="", max_length=250)
    """Experiment of the runs. Empty: daftt-TASK."""

    @field_validator("tracking_uri")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if address and (problem := address_problem(address)):
            raise ValueError(problem)
        return address
