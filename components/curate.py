"""Component: keep the synthetic examples that are worth learning from.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    synthetic: The shards.
    metrics: The funnel.

Returns:
    Digest of the curated examples, and the arms whose sources have any.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def curate(
    run: str, settings: str, data: str, synthetic: list, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("digest", str), ("arms", list)]):
    """Run every filter, and count each rejection by its reason."""
    from daftt_core.curation import curate as run_filters
    from daftt_core.stages import augmented_arms, log_numbers, references
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        arms = augmented_arms(config.synthesis.mode)
        result = run_filters(here, config.curation, data, references(synthetic), arms)
        log_numbers(metrics, result.summary)
        return (result.digest, [{"arm": arm} for arm in result.summary["arms"]])
