"""Component: the arms against each other, from the saved predictions alone.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    predictions: Digest of the predictions.
    baseline: The arms without a teacher.
    augmented: The arms with synthetic examples.
    metrics: Scores and gains.
    confusion: Confusion matrix of the arm that dev chose.

Returns:
    Digest of the evaluation.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def evaluate(
    run: str,
    settings: str,
    predictions: str,
    baseline: list,
    augmented: list,
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> NamedTuple("Outputs", [("digest", str)]):
    """Compare every arm with real examples alone, with intervals and tests."""
    from daftt_core.evaluation import evaluate as compare
    from daftt_core.evaluation import read_evaluation
    from daftt_core.stages import log_numbers, students_by_arm
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        students = students_by_arm([*baseline, *augmented])
        result = compare(here, config.evaluation, predictions, students)
        log_numbers(metrics, result.summary)
        evaluation = read_evaluation(here, result.digest)
        chosen = next(arm for arm in evaluation.arms if arm.arm == evaluation.chosen_arm)
        if chosen.confusion:
            confusion.log_confusion_matrix(
                list(evaluation.labels), [list(row) for row in chosen.confusion]
            )
        return (result.digest,)
