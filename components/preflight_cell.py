"""Component: the settings of one cell of a sweep."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def preflight_cell(
    settings: dict, fraction: str, ratio: str, mode: str, mixture_tasks: str
) -> NamedTuple(
    "Outputs",
    [
        ("run", str),
        ("data", str),
        ("mixture", str),
        ("teacher", str),
        ("synthesis", str),
        ("curation", str),
        ("student", str),
        ("evaluation", str),
        ("job", str),
        ("shards", list),
        ("augmented_arms", list),
    ],
):
    """Do for one cell what preflight does for a run.

    Args:
        settings: Flat settings that all cells share.
        fraction: The cell's share of the training pool.
        ratio: The cell's synthetic examples for every labelled one.
        mode: What the cell's teacher writes.
        mixture_tasks: Other tasks that the cell's teacher learns.

    Returns:
        The run and each stage's section as JSON, and the items of the pipeline's two loops.
    """
    from daftt_core.config import from_argument
    from daftt_core.preflight import hand_out, preflight
    from daftt_core.sweep import plan_sweep
    from daftt_core.telemetry import stage_process

    with stage_process():
        (cell,) = plan_sweep(
            from_argument(settings),
            fractions=[fraction],
            ratios=[ratio],
            modes=[mode],
            mixtures=[mixture_tasks],
        ).cells
        preflight(cell.config, cell.run)
        return hand_out(cell.config, cell.run)
