"""The first stage: the whole configuration is checked before anything costs money."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from daftt_core import __version__
from daftt_core.accounting import PRICES_FILE, read_prices
from daftt_core.config import DATA_FILES, Config
from daftt_core.errors import ConfigError, ModelError, StorageError, did_you_mean, shortened
from daftt_core.planning import check_teacher_fits, disk_bytes
from daftt_core.records import digest, write_text
from daftt_core.stages import PREFLIGHT, PreflightResult
from daftt_core.storage import SCHEMES, open_storage
from daftt_core.storage.models import find_remote_model, is_remote_model
from daftt_core.tasks import builtin_tasks, load_task
from daftt_core.workspace import (
    CONFIG_FILE,
    RUN_FILE,
    Run,
    StageResult,
    check_run,
    is_remote,
    read_file,
    run_stage,
)

_PACKAGES = ("kfp", "torch", "transformers", "datasets", "evaluate", "numpy", "scikit-learn")


def resolve(config: Config) -> Run:
    """Find the task and the run's folder; write nothing.

    Without a name, the folder is named after the task and a digest of the settings that decide the
    result, so the same command finds the same run again.

    Raises:
        TaskError: The task is unknown or wrong.
    """
    task = load_task(config.run.task)
    name = config.run.name or f"{task.id}-{digest(deciding_settings(config), task, length=8)}"
    return Run(
        uri=f"{config.run.output.rstrip('/')}/{name}",
        seed=config.run.seed,
        task=task,
        on_gate_fail=config.run.on_gate_fail,
    )


def deciding_settings(config: Config) -> dict[str, dict[str, Any]]:
    """Return the settings that decide the result of a run, by section."""
    deciding = config.model_dump(mode="json")
    for name in ("output", "name", "prices"):
        del deciding["run"][name]
    for section in ("trigger", "promotion", "job", "cluster", "notify", "mlflow"):
        del deciding[section]
    return deciding


def differing_settings(config: Config, run: Run) -> list[str]:
    """Return what differs in the settings that a run's folder holds; empty where nothing does.

    A setting that only one of the two versions of DAFTT knows is left out.

    Args:
        config: The settings that the run is to have.
        run: The run.

    Raises:
        StorageError: The folder cannot be read, or is damaged.
    """
    texts = [read_file(run.uri, PREFLIGHT, name) for name in (CONFIG_FILE, RUN_FILE)]
    if None in texts:
        return []
    try:
        before, described = (json.loads(text) for text in texts if text is not None)
        known = {section: dict(before[section]) for section in before}
        task = described["task"]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{run.uri}/{PREFLIGHT}: its settings are damaged: {error}") from None
    differing = [] if task == run.task.model_dump(mode="json") else ["task: another"]
    for section, settings in deciding_settings(config).items():
        for name, value in settings.items():
            old = known.get(section, {}).get(name, value)
            if old != value and (section, name) != ("run", "task"):
                flat = name if section == "run" else f"{section}_{name}"
                differing.append(
                    f"{flat}: {shortened(repr(old))} there, {shortened(repr(value))} here"
                )
    return differing


def resolve_checked(config: Config) -> Run:
    """Find a run as :func:`resolve` does, and check it with :func:`check_settings`."""
    run = resolve(config)
    check_settings(config, run)
    return run


def check_settings(config: Config, run: Run) -> None:
    """Check the settings against the task, the machines and other files; write nothing.

    Raises:
        ConfigError: The teacher cannot fit the GPUs that the settings name, the students'
            settings do not fit the task, the language cannot be recognized, the price file cannot
            be used, or promotion has a floor for another task's metric or an unknown kind of
            registry.
    """
    if config.curation.language:
        from daftt_core.curation import check_language  # its libraries take seconds to load

        check_language(config.curation.language)
    check_teacher_fits(config)
    config.student.check_task(is_classification=run.task.is_classification)
    _check_promotion(config, run)
    if config.run.prices:
        read_prices(config.run.prices)


def check_for_pods(config: Config) -> None:
    """Check that pods can reach everything that the settings name; opens nothing.

    A pod sees storage, the Hub, what is bundled, and no file of the machine that submits a run.

    Raises:
        ConfigError: Names every setting that a pod cannot see.
    """
    reasons = ((name, location, _unseen(location)) for name, location in _locations(config))
    mistakes = [
        f"{name}: {shortened(repr(location))} {why}" for name, location, why in reasons if why
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _locations(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the settings that must be a place in a storage, with their values."""
    yield "output", config.run.output
    for name in DATA_FILES:
        location = getattr(config.data, name)
        if location and not location.startswith("hub:"):
            yield f"data_{name}", location
    task = config.run.task
    if "\n" not in task.strip() and task not in builtin_tasks():  # or it is the text of a file
        yield "task", task
    for name, location in (
        ("prices", config.run.prices),
        ("promotion_registry", config.promotion.registry),
    ):
        if location:
            yield name, location
    for name, model in (
        ("teacher_model", config.teacher.model),
        ("student_model", config.student.model),
        ("mixture_source", config.mixture.source),
    ):
        if _is_file_here(model):
            yield name, model


def _is_file_here(name: str) -> bool:
    """Tell whether a name that may be of the Hub is a path, or a place in a storage."""
    return bool(name) and ("://" in name or name[0] in "/.~" or Path(name).exists())


def _unseen(location: str) -> str:
    """Return why a pod cannot see a location; empty where it can."""
    if "://" not in location or location.startswith("file://"):
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES if scheme != "file")
        return f"is on this machine, which no pod sees; copy it to storage ({schemes}...)"
    try:
        open_storage(location)
    except StorageError as error:
        return f"cannot be reached by pods: {error}"
    return ""


def check_models(config: Config) -> None:
    """Check that models in a bucket are there and complete.

    Raises:
        ModelError: One is not, or its storage cannot be read.
    """
    for name, model in (
        ("teacher_model", config.teacher.model),
        ("student_model", config.student.model),
    ):
        if is_remote_model(model):
            try:
                find_remote_model(model)
            except (ModelError, StorageError) as error:
                raise ModelError(f"{name}: {error}") from None


def preflight(config: Config, run: Run | None = None) -> StageResult[PreflightResult]:
    """Check that a run can begin, and commit its settings for the stages that follow.

    Args:
        config: All settings.
        run: The run they describe; None resolves it.

    Raises:
        TaskError: The task is unknown or wrong.
        ConfigError: Settings do not fit together (:func:`check_settings`).
        ModelError: A model in a bucket is not there, or lacks something.
        StorageError: The folder or bucket of the run or of the registry cannot be written, or the
            disk is too full.
    """
    run = run or resolve(config)
    check_models(config)
    check_settings(config, run)
    # the stages of a remote run may be on different machines, each with its own disk
    check_run(run, 0 if is_remote(run) else disk_bytes(config))
    if config.promotion.enabled and config.promotion.registry:
        open_storage(config.promotion.registry).check_writable()
    prices = read_prices(config.run.prices) if config.run.prices else None

    def work(folder: Path) -> PreflightResult:
        if prices:
            write_text(folder / PRICES_FILE, yaml.safe_dump(prices.model_dump(), sort_keys=False))
        write_text(folder / CONFIG_FILE, config.model_dump_json(indent=1) + "\n")
        write_text(folder / RUN_FILE, run.model_dump_json(indent=1) + "\n")
        return PreflightResult(versions=_versions())

    described = run.model_dump(mode="json", exclude={"uri"})
    return run_stage(run, PREFLIGHT, [config, described, prices, __version__], work)


def _check_promotion(config: Config, run: Run) -> None:
    from daftt_core.evaluation import metrics_for_task

    known = metrics_for_task(run.task)
    for metric in config.promotion.floor_values():
        if metric not in known:
            raise ConfigError(
                f"promotion_floors: {metric!r} is no metric of the task {run.task.id}"
                f"{did_you_mean(metric, known)} (known: {', '.join(known)})"
            )
    if config.promotion.enabled and config.promotion.registry:
        try:
            open_storage(config.promotion.registry)
        except StorageError as error:
            raise ConfigError(f"promotion_registry: {error}") from None
    if run.name == "registry" and config.promotion.enabled and not config.promotion.registry:
        raise ConfigError(
            "name: 'registry' is the folder of the champions; choose another name, or another "
            "folder with promotion_registry"
        )


def _versions() -> dict[str, str]:
    versions = {"daftt": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
