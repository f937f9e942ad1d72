"""Component: the only one that reads the test examples' texts."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def predict_test(run: str, config: str, test: str, baseline: list, augmented: list) -> NamedTuple(
    "Outputs", [("digest", str)]
):
    """Let every student of every arm answer the test examples.

    Args:
        run: The run.
        config: The student settings.
        test: Digest of the test examples.
        baseline: The arms without a teacher.
        augmented: The arms with synthetic examples.

    Returns:
        Digest of the predictions.
    """
    from daftt_core.config import StudentConfig, parse_section
    from daftt_core.stages.results import references
    from daftt_core.student import predict_test as predict
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        students = references([*baseline, *augmented])
        result = predict(
            parse_section(Run, run),
            parse_section(StudentConfig, config),
            test,
            {name.removeprefix("students/"): digest for name, digest in students.items()},
        )
        return (result.digest,)
