"""Component: the only one that reads the test examples' texts.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    test: Digest of the test examples.
    baseline: The arms without a teacher.
    augmented: The arms with synthetic examples.

Returns:
    Digest of the predictions.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def predict_test(run: str, settings: str, test: str, baseline: list, augmented: list) -> NamedTuple(
    "Outputs", [("digest", str)]
):
    """Let every student of every arm answer the test examples."""
    from daftt_core.stages import students_by_arm
    from daftt_core.student import predict_test as predict
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        students = students_by_arm([*baseline, *augmented])
        return (predict(here, config.student, test, students).digest,)
