"""Component: lay out the cells of a sweep."""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def plan_sweep(settings: dict, fractions: list, ratios: list, modes: list, mixtures: list) -> list:
    """Check every cell's settings, and report every mistake in one message.

    Args:
        settings: Flat settings that all cells share.
        fractions: Shares of the training pool.
        ratios: Synthetic examples for every labelled one.
        modes: What the teacher writes.
        mixtures: Numbers of other tasks that the teacher learns.

    Returns:
        The items of the loop over cells.
    """
    from daftt_core.config import from_argument
    from daftt_core.sweep import plan_sweep as plan
    from daftt_core.telemetry import stage_process

    with stage_process():
        sweep = plan(
            from_argument(settings),
            fractions=fractions,
            ratios=ratios,
            modes=modes,
            mixtures=mixtures,
        )
        return [cell.item for cell in sweep.cells]
