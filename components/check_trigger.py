"""Component: whether there is a reason to train.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    metrics: New labelled rows and inputs, and the tests for drift.
    verdict: Why the run trains, or why not, in one sentence.

Returns:
    ``yes`` or ``no``, and why: no reason to train is a normal end.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def check_trigger(
    run: str, settings: str, metrics: dsl.Output[dsl.Metrics], verdict: dsl.Output[dsl.Markdown]
) -> NamedTuple("Outputs", [("train", str), ("reason", str)]):
    """Compare the data with the champion's, before anything is trained."""
    from pathlib import Path

    from daftt_core.records import escape_markdown
    from daftt_core.retraining import check_trigger as check
    from daftt_core.stages import log_numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        result = check(here, config.trigger, config.data, config.promotion)
        train, reason = result.summary["train"], result.summary["reason"]
        log_numbers(metrics, {**result.summary, "train": float(train)})
        Path(verdict.path).write_text(f"{escape_markdown(reason)}\n", encoding="utf-8")
        return ("yes" if train else "no", reason)
