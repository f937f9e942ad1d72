"""Component: one shard of what the teacher writes.

Args:
    source: annotated or generated.
    shard: Which shard, from 0.
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    teacher: Digest of the teacher.
    assessment: Digest of the assessment.

Returns:
    Name and digest of the shard.
"""

from kfp import dsl

from components.images import SERVE_IMAGE


@dsl.component(base_image=SERVE_IMAGE, install_kfp_package=False)
def synthesize(
    source: str, shard: str, run: str, settings: str, data: str, teacher: str, assessment: str
) -> str:
    """Annotate unlabelled inputs or generate new pairs; resumes after its last finished chunk."""
    from daftt_core.synthesis import annotate, generate
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process(in_loop=True):
        here, config = load_run(run, settings)
        write = {"annotated": annotate, "generated": generate}[source]
        made = write(here, config.synthesis, config.student, int(shard), data, teacher, assessment)
        return made.reference
