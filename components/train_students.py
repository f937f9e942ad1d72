"""Component: the students of some arms, one arm after the other.

Args:
    arms: The arms, separated by commas.
    run: The run's folder or prefix.
    settings: Digest of its settings.
    data: Digest of the data.
    curated: Digest of the curated examples; empty for arms that need none.
    baseline: Digest of the students of the labels alone, from which others may start; empty for
        arms that start from the model.

Returns:
    Names and digests of the arms' students, separated by commas.
"""

from kfp import dsl

from components.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_students(
    arms: str, run: str, settings: str, data: str, curated: str, baseline: str
) -> str:
    """Train every seed of each arm; resumes after the last finished seed."""
    from daftt_core.student import train_arm
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run

    with stage_process(in_loop=bool(curated)):
        here, config = load_run(run, settings)
        trained = [
            train_arm(here, config.student, arm, data, curated, baseline).reference
            for arm in arms.split(",")
        ]
        return ",".join(trained)
