"""Component: the arms against each other on test, promotion and the report.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    test: Digest of the test examples, whose texts no other component reads.
    baseline: The students of arms without a teacher.
    augmented: The students of arms with synthetic examples.
    promotes: Whether the chosen student may become the champion (promotion_enabled).
    scores: What two runs are compared by, in percent and in points of it.
    confusion_matrix: Of the arm that dev chose.
    student: The students of that arm, and where they are.
    report: The run's report.

Returns:
    The result in one sentence, and whether the student was promoted: not to be promoted is a
    normal end.
"""

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def evaluate(
    run: str,
    settings: str,
    test: str,
    baseline: str,
    augmented: list,
    promotes: bool,
    scores: dsl.Output[dsl.Metrics],
    confusion_matrix: dsl.Output[dsl.ClassificationMetrics],
    student: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Predict test, compare every arm with real examples alone, promote what is proven better."""
    from pathlib import Path

    from components.images import IMAGES
    from daftt_core.evaluation import evaluate as compare
    from daftt_core.evaluation import read_evaluation
    from daftt_core.registry import promote, who
    from daftt_core.reporting import report_page, tell_again, track_or_warn, write_report
    from daftt_core.stages import STUDENTS, students_by_arm
    from daftt_core.student import predict_test
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, record_artifact, require_stage

    with stage_process():
        here, config = load_run(run, settings)
        students = students_by_arm([baseline, *augmented])
        predictions = predict_test(here, config.student, test, students).digest
        compared = compare(here, config.evaluation, predictions, students)
        evaluation = read_evaluation(here, compared.digest)
        for name, value in compared.result.percentages.items():
            scores.log_metric(name, value)
        chosen = evaluation.chosen
        if chosen.confusion:
            rows = [list(row) for row in chosen.confusion]
            confusion_matrix.log_confusion_matrix(list(evaluation.labels), rows)
        arm = STUDENTS.part(chosen.arm)
        record_artifact(student, here, arm, require_stage(here, arm, students[chosen.arm]))
        outcome = evaluation.headline
        write_report(here)  # there is one, whatever comes of the promotion
        if promotes and config.promotion.enabled:
            promoted = promote(
                here,
                config.promotion,
                config.student,
                config.evaluation,
                by=who(),
                images=IMAGES,
                evaluation_digest=compared.digest,
            )
            outcome = f"{outcome} {promoted.result.reason}"
            write_report(here)
        Path(report.path).write_text(report_page(here), encoding="utf-8")
        track_or_warn(here, config)
        tell_again(here, config)
        return outcome
