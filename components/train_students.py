"""Component: the students of one arm."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_students(
    arm: str, run: str, config: str, data: str, curated: str, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("reference", str)]):
    """Train every seed of one arm; goes on from its last finished seed.

    Args:
        arm: The arm.
        run: The run.
        config: The student settings.
        data: Digest of the data.
        curated: Digest of the curated examples; empty for arms without any.
        metrics: Counts of examples.

    Returns:
        Name and digest of the arm's students.
    """
    from daftt_core.config import StudentConfig, parse_section
    from daftt_core.stages.results import numbers
    from daftt_core.student import train_arm
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        result = train_arm(
            parse_section(Run, run), parse_section(StudentConfig, config), arm, data, curated
        )
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        for seed, score in enumerate(result.summary["dev_scores"]):
            metrics.log_metric(f"dev_score.seed_{seed}", score)
        return (result.reference,)
