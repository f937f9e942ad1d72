"""Component: the report."""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def write_report(run: str, evaluation: str, report: dsl.Output[dsl.HTML]) -> str:
    """Write the run's report as one self-contained HTML file.

    Args:
        run: The run.
        evaluation: Digest of the evaluation, which the report needs finished; empty where the
            run does not train.
        report: The report.

    Returns:
        Digest of the report.
    """
    import shutil

    from daftt_core.reporting import write_report as write
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run, read_stage

    with stage_process():
        where = Run.model_validate_json(run)
        if evaluation:
            read_stage(where, "evaluation", evaluation)
        result = write(where)
        folder, _ = read_stage(where, "report", result.digest)
        shutil.copyfile(folder / "report.html", report.path)
        return result.digest
