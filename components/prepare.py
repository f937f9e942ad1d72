"""Component: all that comes before a model is needed.

Args:
    compiled_in: What is fixed in the pipeline, as JSON. The other arguments are the form's fields.
    labelled_data: What the sources held, and where the splits are.
    mixture_tasks: The mixture's tasks, with their licenses.

Returns:
    The run's folder or prefix, the digest of its settings, whether to train (``yes`` or ``no``: no
    reason to is a normal end) and why, what pods with a model get, the digests of the data, the
    test examples and the mixture, and the arms that need no teacher. Where there is no reason to
    train, the last four are empty.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def prepare(
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
    labelled_data: dsl.Output[dsl.Dataset],
    mixture_tasks: dsl.Output[dsl.Markdown],
) -> NamedTuple(
    "Outputs",
    [
        ("run", str),
        ("digest", str),
        ("Output", str),  # whether to train: kfp.local finds a condition by this name alone
        ("reason", str),
        ("gpu_resource", str),
        ("gpus", str),
        ("teacher_gpus", str),
        ("cpus", str),
        ("memory", str),
        ("data", str),
        ("test", str),
        ("mixture", str),
        ("baseline_arms", str),
    ],
):
    """Check every setting, look for a reason to train, and split the data."""
    form = dict(locals())
    import os
    from pathlib import Path

    from daftt_core.config import as_argument, from_argument, read_form
    from daftt_core.data import describe_mixture, prepare_with_mixture
    from daftt_core.preflight import check_for_pods, preflight, resolve
    from daftt_core.reporting import write_report
    from daftt_core.retraining import check_trigger
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import record_artifact

    with stage_process():
        on_cluster = "KFP_POD_NAME" in os.environ
        shown = form.pop("labelled_data"), form.pop("mixture_tasks")
        config = read_form(from_argument(form), on_cluster=on_cluster)
        if on_cluster:
            check_for_pods(config)
        run = resolve(config)
        digest = preflight(config, run).digest
        reason = check_trigger(run, config.trigger, config.data, config.promotion).result
        answer = ("yes" if reason.train else "no", reason.reason)
        start = (as_argument(run.uri), digest, *answer, *config.cluster.resources.values())
        if not reason.train:
            write_report(run)
            return (*start, "", "", "", "")
        prepared = prepare_with_mixture(run, config)
        record_artifact(shown[0], run, "data", prepared.data)
        Path(shown[1].path).write_text(describe_mixture(prepared.mixture), encoding="utf-8")
        return (*start, *prepared.handed_on)
