"""Component: split the data of a sweep's cell, whose settings are committed already.

Args:
    run: The run's folder or prefix.
    settings: Digest of its settings.
    labelled_data: What the sources held, and where the splits are.

Returns:
    Digests of the data, the test examples and the mixture, and the arms that need no teacher.
"""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def prepare_data(run: str, settings: str, labelled_data: dsl.Output[dsl.Dataset]) -> NamedTuple(
    "Outputs", [("data", str), ("test", str), ("mixture", str), ("baseline_arms", str)]
):
    """Read the sources, split them, check that no split leaks, and choose the mixture."""
    from daftt_core.data import prepare_with_mixture
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import load_run, record_artifact

    with stage_process():
        here, config = load_run(run, settings)
        prepared = prepare_with_mixture(here, config)
        record_artifact(labelled_data, here, "data", prepared.data)
        return prepared.handed_on
