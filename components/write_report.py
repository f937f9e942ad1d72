"""Component: the report.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    evaluation: Digest of the evaluation, which the report needs finished; empty where the
        run does not train.
    report: The report.

Returns:
    Digest of the report.
"""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def write_report(run: str, settings: str, evaluation: str, report: dsl.Output[dsl.HTML]) -> str:
    """Write the run's report as one self-contained HTML file."""
    import shutil

    from daftt_core.reporting import write_report as write
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, read_stage

    with stage_process():
        here, _ = load_run(run, settings)
        if evaluation:
            read_stage(here, "evaluation", evaluation)
        result = write(here)
        folder, _ = read_stage(here, "report", result.digest)
        shutil.copyfile(folder / "report.html", report.path)
        return result.digest
