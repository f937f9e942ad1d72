"""Component: what became of the run, whether it ended well or not.

It takes the form and not the run that the first stage made of it: it is told nothing by other
stages, because it runs after a failure of any of them.

Args:
    status: How the run ended, in the words of Kubeflow Pipelines.
    summary: The outcome, the arms and the stages. The other arguments are those of ``prepare``.
    report: The run's report.
"""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def summarize(
    data_labelled_count: str,
    data_test: str,
    data_train: str,
    data_unlabelled: str,
    name: str,
    on_gate_fail: str,
    output: str,
    preset: str,
    settings: dict,
    student_model: str,
    student_seeds: str,
    synthesis_mode: str,
    task: str,
    teacher_model: str,
    compiled_in: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
):
    """Say in a few lines how the run ended, and show its report as far as it came."""
    form = dict(locals())
    from pathlib import Path

    from daftt_core.config import from_argument, read_form
    from daftt_core.errors import DafttError
    from daftt_core.jobs import why_steps_died
    from daftt_core.notifications import ending_of, notify
    from daftt_core.preflight import resolve
    from daftt_core.reporting import report_page
    from daftt_core.reporting import summarize as describe
    from daftt_core.storage import open_storage
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import current_attempt, mark_stopped

    with stage_process():
        final, shown, page = form.pop("status"), form.pop("summary"), form.pop("report")
        run, channel, promotes = None, "none", False
        message = final.error_message or why_steps_died()
        try:
            config = read_form(from_argument(form))
            channel, promotes = config.notify.format, config.promotion.enabled
            run = resolve(config)
        except DafttError as error:  # preflight has said so, too
            message = str(error)
        attempt = current_attempt()
        ending = ending_of(run, final.state, message, promotes=promotes, attempt=attempt)
        notify(ending, channel)  # first: the run's folder may be unwritable
        if run is not None and attempt:  # all other pods of this run have ended
            reason = "was cut off in its work" + (f": {message}" if message else "")
            mark_stopped(open_storage(run.uri), reason, attempt)
        Path(shown.path).write_text(describe(run, ending, attempt), encoding="utf-8")
        if run is not None:
            Path(page.path).write_text(report_page(run), encoding="utf-8")
