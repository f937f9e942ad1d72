"""Component: fine-tune the teacher."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_teacher(run: str, config: str, data: str, metrics: dsl.Output[dsl.Metrics]) -> NamedTuple(
    "Outputs", [("digest", str)]
):
    """Fine-tune the teacher on the labelled examples; goes on from its newest checkpoint.

    Args:
        run: The run.
        config: The teacher settings.
        data: Digest of the data.
        metrics: Examples, tokens and steps.

    Returns:
        Digest of the teacher.
    """
    from daftt_core.config import TeacherConfig, parse_section
    from daftt_core.entrypoints import numbers, stage_process
    from daftt_core.teacher import train
    from daftt_core.workspace import Run

    with stage_process():
        result = train(parse_section(Run, run), parse_section(TeacherConfig, config), data)
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        return (result.digest,)
