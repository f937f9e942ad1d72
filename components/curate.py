"""Component: keep the synthetic examples that are worth learning from.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    baseline: The baseline students.
    synthetic: The shards.
    synthetic_data: The funnel, and where the examples are.

Returns:
    The arms whose sources have any examples, each with what its iteration needs.
"""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def curate(
    run: str,
    settings: str,
    data: str,
    baseline: str,
    synthetic: list,
    synthetic_data: dsl.Output[dsl.Dataset],
) -> list:
    """Run every filter, and count each rejection by its reason."""
    from daftt_core.curation import curate as run_filters
    from daftt_core.stages import augmented_arms, references
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, record_artifact

    with stage_process():
        here, config = load_run(run, settings)
        arms = augmented_arms(config.synthesis.mode)
        result = run_filters(here, config.curation, data, references(synthetic), arms)
        record_artifact(synthetic_data, here, "curated", result)
        students = references([baseline])["students/real"]
        digests = {"data": data, "curated": result.digest, "baseline": students}
        return [{"arms": arm, **digests} for arm in result.result.arms]
