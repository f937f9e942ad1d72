"""Component: merge and check every setting before anything costs money.

Returns:
    The run's folder or prefix, the digest of its settings, and what pods with a model get.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def preflight(
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
) -> NamedTuple(
    "Outputs",
    [
        ("run", str),
        ("digest", str),
        ("gpu_resource", str),
        ("gpus", str),
        ("teacher_gpus", str),
        ("cpus", str),
        ("memory", str),
    ],
):
    """Merge the form, presets and settings, report every mistake at once, and commit the result."""
    form = dict(locals())
    import os

    from daftt_core.config import as_argument, from_argument, read_form
    from daftt_core.preflight import check_for_pods, resolve
    from daftt_core.preflight import preflight as commit
    from daftt_core.telemetry import stage_process

    with stage_process():
        on_cluster = "KFP_POD_NAME" in os.environ
        config = read_form(from_argument(form), on_cluster=on_cluster)
        if on_cluster:
            check_for_pods(config)
        run = resolve(config)
        committed = commit(config, run)
        return (as_argument(run.uri), committed.digest, *config.cluster.resources.values())
