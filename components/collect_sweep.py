"""Component: the table of a sweep, whether all of its cells ended well or not.

It lays out the cells again, as it is told nothing by other stages: it runs after a failure of
any of them.
"""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def collect_sweep(
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
    table: dsl.Output[dsl.HTML],
):
    """Collect the results of all cells; a cell that failed leaves its error there."""
    form = dict(locals())
    from pathlib import Path

    from daftt_core.config import from_argument
    from daftt_core.sweep import read_sweep_form, render, write_table
    from daftt_core.telemetry import stage_process

    with stage_process():
        shown = form.pop("table")
        results = write_table(read_sweep_form(from_argument(form)))
        Path(shown.path).write_text(render(results), encoding="utf-8")
