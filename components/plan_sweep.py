"""Component: lay out the cells of a sweep.

Returns:
    The items of the loop over cells: the run, the digest of its settings, and what its pods
    with a model get.
"""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def plan_sweep(
    fractions: list,
    mixtures: list,
    modes: list,
    name: str,
    output: str,
    preset: str,
    ratios: list,
    settings: dict,
    task: str,
    compiled_in: str,
) -> list:
    """Check every cell's settings, report every mistake at once, and commit each cell's."""
    form = dict(locals())
    import os

    from daftt_core.config import from_argument
    from daftt_core.sweep import commit_cells, read_sweep_form
    from daftt_core.telemetry import stage_process

    with stage_process():
        return commit_cells(
            read_sweep_form(from_argument(form), on_cluster="KFP_POD_NAME" in os.environ)
        )
