"""Component: the students of one arm.

Args:
    arm: The arm.
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    curated: Digest of the curated examples; empty for arms without any.
    metrics: Counts of examples.

Returns:
    Name and digest of the arm's students.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_students(
    arm: str, run: str, settings: str, data: str, curated: str, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("reference", str)]):
    """Train every seed of one arm; resumes after its last finished seed."""
    from daftt_core.stages import log_numbers
    from daftt_core.student import train_arm
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        result = train_arm(here, config.student, arm, data, curated)
        log_numbers(metrics, result.summary)
        for seed, score in enumerate(result.summary["dev_scores"]):
            metrics.log_metric(f"dev_score.seed_{seed}", score)
        return (result.reference,)
