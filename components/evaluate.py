"""Component: the arms against each other, from the saved predictions alone."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def evaluate(
    run: str,
    config: str,
    predictions: str,
    baseline: list,
    augmented: list,
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> NamedTuple("Outputs", [("digest", str)]):
    """Compare every arm with real examples alone, with intervals and tests.

    Args:
        run: The run.
        config: The evaluation settings.
        predictions: Digest of the predictions.
        baseline: The arms without a teacher.
        augmented: The arms with synthetic examples.
        metrics: Scores and gains.
        confusion: Confusion matrix of the arm that dev chose.

    Returns:
        Digest of the evaluation.
    """
    from daftt_core.config import EvaluationConfig, parse_section
    from daftt_core.evaluation import evaluate as compare
    from daftt_core.evaluation import read_evaluation
    from daftt_core.stages.results import numbers, references
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        where = parse_section(Run, run)
        students = references([*baseline, *augmented])
        result = compare(
            where,
            parse_section(EvaluationConfig, config),
            predictions,
            {name.removeprefix("students/"): digest for name, digest in students.items()},
        )
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        found = read_evaluation(where, result.digest)
        chosen = next(arm for arm in found.arms if arm.arm == found.chosen_arm)
        if chosen.confusion:
            confusion.log_confusion_matrix(
                list(found.labels), [list(row) for row in chosen.confusion]
            )
        return (result.digest,)
