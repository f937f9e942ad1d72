"""Component: the run's best student against the task's champion.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    evaluation: Digest of the evaluation.
    report: Digest of the report, which is written before this and again with the decision.
    images: The container images by kind, for the lineage.
    metrics: The student's score on test, and its gain.
    decision: The decision in one sentence.
    page: The report with the decision.

Returns:
    Whether the student was promoted, and why or why not: not to be promoted is a normal end.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def promote(
    run: str,
    settings: str,
    evaluation: str,
    report: str,
    images: dict,
    metrics: dsl.Output[dsl.Metrics],
    decision: dsl.Output[dsl.Markdown],
    page: dsl.Output[dsl.HTML],
) -> NamedTuple("Outputs", [("promoted", bool), ("reason", str)]):
    """Let the student take the champion's place where it is proven better; else say why not."""
    import shutil
    from pathlib import Path

    from daftt_core.records import escape_markdown
    from daftt_core.registry import promote as compare
    from daftt_core.registry import who
    from daftt_core.reporting import write_report
    from daftt_core.stages import log_numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, read_stage

    with stage_process():
        here, config = load_run(run, settings)
        promoted, reason = False, "Not asked for (promotion_enabled)."
        if config.promotion.enabled:
            result = compare(
                here,
                config.promotion,
                config.student,
                config.evaluation,
                by=who(),
                images=images,
                evaluation_digest=evaluation,
            )
            promoted, reason = result.summary["promoted"], result.summary["reason"]
            log_numbers(metrics, {**result.summary, "promoted": float(promoted)})
            report = write_report(here).digest
        Path(decision.path).write_text(f"{escape_markdown(reason)}\n", encoding="utf-8")
        folder, _ = read_stage(here, "report", report)
        shutil.copyfile(folder / "report.html", page.path)
        return (promoted, reason)
