"""Component: fine-tune the teacher."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_teacher(
    run: str, config: str, job: str, data: str, mixture: str, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("digest", str)]):
    """Fine-tune the teacher on the labelled examples; goes on from its newest checkpoint.

    Args:
        run: The run.
        config: The teacher settings.
        job: The job settings: here, or as a job of the cluster.
        data: Digest of the data.
        mixture: Digest of the mixture; empty where there is none.
        metrics: Examples, tokens and steps.

    Returns:
        Digest of the teacher.
    """
    from components.images import TRAIN_IMAGE
    from daftt_core.config import JobConfig, TeacherConfig, parse_section
    from daftt_core.jobs import launcher_for, teacher_request
    from daftt_core.stages.results import numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run, read_stage

    with stage_process():
        where = parse_section(Run, run)
        where_to_train = parse_section(JobConfig, job)
        launcher_for(where_to_train).launch(
            teacher_request(
                where,
                parse_section(TeacherConfig, config),
                where_to_train,
                data,
                TRAIN_IMAGE,
                mixture,
            )
        )
        _, made = read_stage(where, "teacher")
        for name, value in numbers(made.summary).items():
            metrics.log_metric(name, value)
        return (made.digest,)
