"""Component: the gate between the teacher and what it may teach."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def assess_teacher(
    run: str,
    config: str,
    synthesis: str,
    data: str,
    teacher: str,
    baseline: list,
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("digest", str)]):
    """Score the teacher on dev, calibrate it, and compare it with the baseline student.

    Args:
        run: The run.
        config: The teacher settings.
        synthesis: The synthesis settings.
        data: Digest of the data.
        teacher: Digest of the teacher.
        baseline: The baseline students.
        metrics: Dev scores and calibration errors.

    Returns:
        Digest of the assessment.
    """
    from daftt_core.config import SynthesisConfig, TeacherConfig, parse_section
    from daftt_core.stages.results import numbers, references
    from daftt_core.teacher import assess
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        result = assess(
            parse_section(Run, run),
            parse_section(TeacherConfig, config),
            parse_section(SynthesisConfig, synthesis),
            data,
            teacher,
            references(baseline)["students/real"],
        )
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        return (result.digest,)
