"""Component: keep the synthetic examples that are worth learning from."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def curate(
    run: str, config: str, data: str, synthetic: list, arms: list, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("digest", str), ("arms", list)]):
    """Run every filter, and count each rejection by its reason.

    Args:
        run: The run.
        config: The curation settings.
        data: Digest of the data.
        synthetic: The shards.
        arms: The arms that are asked for.
        metrics: The funnel.

    Returns:
        Digest of the curated examples, and the arms whose sources have any.
    """
    from daftt_core.config import CurationConfig, parse_section
    from daftt_core.curation import curate as run_filters
    from daftt_core.stages.results import numbers, references
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        result = run_filters(
            parse_section(Run, run),
            parse_section(CurationConfig, config),
            data,
            references(synthetic),
            [item["arm"] for item in arms],
        )
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        return (result.digest, [{"arm": arm} for arm in result.summary["arms"]])
