"""Component: what became of the run, whether it ended well or not.

It takes the form and not the run that preflight made of it: it is told nothing by other
stages, because it runs after a failure of any of them.
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
):
    """Say in a few lines how the run ended and how far each stage came."""
    form = dict(locals())
    from pathlib import Path

    from daftt_core.config import from_argument, read_form
    from daftt_core.errors import DafttError
    from daftt_core.jobs import why_steps_died
    from daftt_core.notifications import ending_of, notify
    from daftt_core.preflight import resolve
    from daftt_core.reporting import summarize as describe
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import current_attempt

    with stage_process():
        final, shown = form.pop("status"), form.pop("summary")
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
        Path(shown.path).write_text(describe(run, ending), encoding="utf-8")
