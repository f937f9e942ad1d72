"""Component: whether there is a reason to train."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def check_trigger(
    run: str,
    config: str,
    data: str,
    promotion: str,
    metrics: dsl.Output[dsl.Metrics],
    verdict: dsl.Output[dsl.Markdown],
) -> NamedTuple("Outputs", [("train", str), ("reason", str)]):
    """Compare the data with the champion's, before anything is trained.

    Args:
        run: The run, as preflight resolved it.
        config: The trigger's settings.
        data: The data settings.
        promotion: The promotion settings, which say where the champion is.
        metrics: New labelled rows and inputs, and the tests for drift.
        verdict: Why the run trains, or why not, in one sentence.

    Returns:
        ``yes`` or ``no``, and why: no reason to train is a normal end.
    """
    from pathlib import Path

    from daftt_core.config import DataConfig, PromotionConfig, TriggerConfig, parse_section
    from daftt_core.registry import escape
    from daftt_core.retraining import check_trigger as check
    from daftt_core.stages.results import numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        result = check(
            parse_section(Run, run),
            parse_section(TriggerConfig, config),
            parse_section(DataConfig, data),
            parse_section(PromotionConfig, promotion),
        )
        train, reason = result.summary["train"], result.summary["reason"]
        metrics.log_metric("train", float(train))
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        Path(verdict.path).write_text(f"{escape(reason)}\n", encoding="utf-8")
        return ("yes" if train else "no", reason)
