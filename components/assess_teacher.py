"""Component: the gate between the teacher and what it may teach.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    teacher: Digest of the teacher.
    baseline: The baseline students.

Returns:
    The shards that the teacher is to write, each with what its iteration needs.
"""

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def assess_teacher(run: str, settings: str, data: str, teacher: str, baseline: str) -> list:
    """Score the teacher on dev, calibrate it, and compare it with the baseline student."""
    from daftt_core.stages import references, synthesis_shards
    from daftt_core.teacher import assess
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process():
        here, config = load_run(run, settings)
        students = references([baseline])["students/real"]
        result = assess(here, config.teacher, config.synthesis, data, teacher, students)
        mode, shards = config.synthesis.mode, config.synthesis.shards
        digests = {"data": data, "teacher": teacher, "assessment": result.digest}
        return synthesis_shards(mode, shards, **digests)
