"""Component: the table of a sweep, whether all of its cells ended well or not."""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def collect_sweep(
    settings: dict,
    fractions: list,
    ratios: list,
    modes: list,
    mixtures: list,
    table: dsl.Output[dsl.HTML],
):
    """Collect the results of all cells; a cell that failed leaves its error there.

    It lays out the cells again, as it is told nothing by other stages: it runs after a failure of
    any of them.

    Args:
        settings: Flat settings that all cells share.
        fractions: Shares of the training pool.
        ratios: Synthetic examples for every labelled one.
        modes: What the teacher writes.
        mixtures: Numbers of other tasks that the teacher learns.
        table: The table.
    """
    from pathlib import Path

    from daftt_core.config import from_argument
    from daftt_core.sweep import plan_sweep, render, write_table
    from daftt_core.telemetry import stage_process

    with stage_process():
        sweep = plan_sweep(
            from_argument(settings),
            fractions=fractions,
            ratios=ratios,
            modes=modes,
            mixtures=mixtures,
        )
        found = write_table(sweep)
        Path(table.path).write_text(render(found), encoding="utf-8")
