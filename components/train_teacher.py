"""Component: fine-tune the teacher.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings, which say whether it is trained here or as a job.
    data: Digest of the data.
    mixture: Digest of the mixture; empty where there is none.
    teacher: What it was trained on, and where it is.

Returns:
    Digest of the teacher.
"""

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_teacher(
    run: str, settings: str, data: str, mixture: str, teacher: dsl.Output[dsl.Model]
) -> str:
    """Fine-tune the teacher on the labelled examples; resumes from its newest checkpoint."""
    from components.images import TRAIN_IMAGE
    from daftt_core.jobs import launcher_for, teacher_request
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, record_artifact, require_stage

    with stage_process():
        here, config = load_run(run, settings)
        request = teacher_request(here, settings, config.job, data, TRAIN_IMAGE, mixture)
        launcher_for(config.job).launch(request)
        trained = require_stage(here, "teacher")
        record_artifact(teacher, here, "teacher", trained)
        return trained.digest
