"""Component: read the sources and split them.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    metrics: Counts of examples.
    tasks: The mixture's tasks, with their licenses.

Returns:
    Digests of the data, the test examples and the mixture, and the arms that need no teacher.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def prepare_data(
    run: str, settings: str, metrics: dsl.Output[dsl.Metrics], tasks: dsl.Output[dsl.Markdown]
) -> NamedTuple(
    "Outputs", [("data", str), ("test", str), ("mixture", str), ("baseline_arms", list)]
):
    """Read the sources, split them, check that no split leaks, and choose the mixture."""
    from pathlib import Path

    from daftt_core.data import describe_mixture, prepare, prepare_mixture
    from daftt_core.stages import baseline_arms, log_numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        result = prepare(here, config.data)
        mixture = prepare_mixture(
            here, config.mixture, result.digest, directions=config.teacher.direction_count
        )
        Path(tasks.path).write_text(describe_mixture(mixture), encoding="utf-8")
        log_numbers(metrics, result.summary | {"mixture": mixture.summary if mixture else {}})
        arms = baseline_arms(config.student.gold_arm, gold_is_known=result.summary["gold_is_known"])
        return (
            result.digest,
            result.summary["test_digest"],
            mixture.digest if mixture else "",
            [{"arm": arm} for arm in arms],
        )
