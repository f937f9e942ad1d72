"""Component: one shard of what the teacher writes."""

from typing import NamedTuple

from kfp import dsl

from components.images import SERVE_IMAGE


@dsl.component(base_image=SERVE_IMAGE, install_kfp_package=False)
def synthesize(
    source: str,
    shard: str,
    run: str,
    config: str,
    data: str,
    teacher: str,
    assessment: str,
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("reference", str)]):
    """Annotate unlabelled inputs or generate new pairs; goes on from its last finished chunk.

    Args:
        source: annotated or generated.
        shard: Which shard, from 0.
        run: The run.
        config: The synthesis settings.
        data: Digest of the data.
        teacher: Digest of the teacher.
        assessment: Digest of the assessment.
        metrics: Counts of examples.

    Returns:
        Name and digest of the shard.
    """
    from daftt_core.config import SynthesisConfig, parse_section
    from daftt_core.stages.results import numbers
    from daftt_core.synthesis import annotate, generate
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        where = parse_section(Run, run)
        settings = parse_section(SynthesisConfig, config)
        if source == "annotated":
            result = annotate(where, settings, int(shard), data, teacher, assessment)
        else:
            result = generate(where, settings, int(shard), data, teacher, assessment)
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        return (result.reference,)
