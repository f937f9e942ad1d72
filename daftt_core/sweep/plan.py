"""The plan of a sweep: its cells, each with complete settings, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from daftt_core.config import (
    Config,
    as_argument,
    check_compiled_in,
    flat_fields,
    from_flat,
    merge_form,
    to_flat,
)
from daftt_core.errors import ConfigError
from daftt_core.preflight import check_for_pods, preflight, resolve
from daftt_core.records import digest
from daftt_core.tasks import Task
from daftt_core.workspace import Run

_VARIED = {
    "fractions": "data_labelled_fraction",
    "ratios": "curation_ratio",
    "modes": "synthesis_mode",
    "mixtures": "mixture_tasks",
}
"""What a sweep varies, and the setting that each stands for."""

MOST_CELLS_OF_A_WORKFLOW = 12  # tests/pipelines/test_workflow_size.py
_MOST_CELLS = 500  # each is a run of its own, and a line in the table and on the display


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: Name of its folder.
        fraction: Share of the training pool that is labelled.
        ratio: Synthetic examples of each source for every labelled one, at most; 0: no limit.
        mode: What the teacher writes.
        mixture_tasks: Other tasks that the teacher learns; 0: none.
        config: All its settings.
        run: The run that they describe.
    """

    name: str
    fraction: float
    ratio: float
    mode: str
    mixture_tasks: int
    config: Config
    run: Run


@dataclass(frozen=True)
class Sweep:
    """A sweep.

    Attributes:
        name: Name of its folder; it does not depend on the cells, so that more may be added later.
        uri: Its folder, or its prefix in a storage.
        cells: The cells.
    """

    name: str
    uri: str
    cells: tuple[Cell, ...]


def plan_sweep(
    settings: Mapping[str, object],
    *,
    fractions: Sequence[object],
    ratios: Sequence[object],
    modes: Sequence[object],
    mixtures: Sequence[object],
) -> Sweep:
    """Plan a sweep's cells, the smallest fraction first.

    Args:
        settings: Flat settings that all cells share; a missing one takes its default.
        fractions: Values of ``data_labelled_fraction``.
        ratios: Values of ``curation_ratio``.
        modes: Values of ``synthesis_mode``.
        mixtures: Values of ``mixture_tasks``.

    Raises:
        ConfigError: There are too many cells, or mistakes in settings and values: it names all.
        TaskError: The task is unknown or wrong.
    """
    values = {"fractions": fractions, "ratios": ratios, "modes": modes, "mixtures": mixtures}
    _check_size(values)
    mistakes = [*_misplaced(settings), *_missing(values)]
    configs: list[Config] = []
    for combination in product(*values.values()):
        varied = dict(zip(_VARIED.values(), combination, strict=True))
        try:
            configs.append(from_flat({**settings, **varied}))
        except ConfigError as error:
            mistakes += str(error).splitlines()
    mistakes += _repeated(configs)
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))
    configs.sort(key=lambda config: config.data.labelled_fraction)
    common = configs[0]
    run = resolve(common)
    name = common.run.name or _name(common, run.task)
    uri = f"{common.run.output.rstrip('/')}/{name}"
    return Sweep(name, uri, tuple(_cell(config, uri, run) for config in configs))


def _check_size(values: Mapping[str, Sequence[object]]) -> None:
    """Refuse too many cells before any is checked."""
    counts = {name: len(listed) for name, listed in values.items()}
    cells = math.prod(counts.values())
    if cells > _MOST_CELLS:
        product_of = " x ".join(f"{name}: {count:,}" for name, count in counts.items())
        raise ConfigError(
            f"a sweep has at most {_MOST_CELLS} cells, and this one has {cells:,} ({product_of}); "
            "give fewer values"
        )


def read_sweep_form(form: Mapping[str, Any], *, on_cluster: bool = False) -> Sweep:
    """Plan the sweep that the form of its pipeline describes.

    Args:
        form: The fields of the form, and ``compiled_in``.
        on_cluster: Whether this runs in a pod, where compiled-in settings cannot be changed.

    Raises:
        ConfigError: Names every mistake of the settings and of the values.
        TaskError: The task is unknown or wrong.
    """
    settings = merge_form(form)
    if on_cluster:
        check_compiled_in(form, from_flat(settings))
    sweep = plan_sweep(settings, **{plural: form[plural] for plural in _VARIED})
    if on_cluster:
        check_sweep_for_pods(sweep)
    return sweep


def check_sweep_for_pods(sweep: Sweep) -> None:
    """Check that a sweep can be one run in Kubeflow Pipelines.

    Raises:
        ConfigError: It has too many cells, or names what pods cannot see.
    """
    if len(sweep.cells) > MOST_CELLS_OF_A_WORKFLOW:
        raise ConfigError(
            f"a sweep on a cluster has at most {MOST_CELLS_OF_A_WORKFLOW} cells, because Argo "
            f"keeps a whole run in one object of 1 MiB, and this one has {len(sweep.cells)}; "
            "submit it in parts, each with a name of its own"
        )
    check_for_pods(sweep.cells[0].config)


def commit_cells(sweep: Sweep) -> list[dict[str, str]]:
    """Commit the settings of each cell, and return the items of the pipeline's loop over them.

    Raises:
        ConfigError: The settings of a cell do not fit together.
        StorageError: A cell's folder cannot be written.
    """
    return [
        {
            "run": as_argument(cell.run.uri),
            "settings": preflight(cell.config, cell.run).digest,
            **cell.config.cluster.resources,
        }
        for cell in sweep.cells
    ]


def _misplaced(settings: Mapping[str, object]) -> Iterator[str]:
    fields = flat_fields()
    for plural, name in _VARIED.items():
        if settings.get(name, fields[name].default) != fields[name].default:
            yield f"{name}: a sweep sets it for each cell; give {plural} instead"


def _missing(values: Mapping[str, Sequence[object]]) -> Iterator[str]:
    for name, listed in values.items():
        if not listed:
            yield f"{name}: at least one value is needed"
    if any(_is_zero(value) for value in values["fractions"]):
        yield "fractions: 0 leaves no labelled examples; it must be above 0"


def _is_zero(value: object) -> bool:
    try:
        return float(str(value)) == 0
    except ValueError:  # no number at all: the configuration says so
        return False


def _repeated(configs: Sequence[Config]) -> Iterator[str]:
    seen = set()
    for config in configs:
        name = _cell_name(config)
        if name in seen:
            yield f"{name}: this cell occurs twice; remove a repeated value"
        seen.add(name)


def _name(common: Config, task: Task) -> str:
    deciding = {
        name: value
        for name, value in to_flat(common).items()
        if name not in (*_VARIED.values(), "output", "name")
        and not name.startswith(("job_", "cluster_"))
    }
    return f"{task.id}-sweep-{digest(deciding, task, length=8)}"


def _cell_name(config: Config) -> str:
    # %r and not %g: 0.1234567 and 0.1234568 are two fractions
    fraction, ratio = config.data.labelled_fraction, config.curation.ratio
    name = f"fraction-{fraction!r}-ratio-{ratio!r}-{config.synthesis.mode}".replace(".0-", "-")
    return f"{name}-mixture-{config.mixture.tasks}" if config.mixture.tasks else name


def _cell(config: Config, uri: str, run: Run) -> Cell:
    """Give a cell its own folder; the rest of its run is common to all cells."""
    name = _cell_name(config)
    config = from_flat({**to_flat(config), "output": uri, "name": name})
    return Cell(
        name=name,
        fraction=config.data.labelled_fraction,
        ratio=config.curation.ratio,
        mode=config.synthesis.mode,
        mixture_tasks=config.mixture.tasks,
        config=config,
        run=run.model_copy(update={"uri": f"{uri}/{name}", "family": uri}),
    )
