"""Component: read the sources and split them."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def prepare_data(
    run: str, config: str, student: str, metrics: dsl.Output[dsl.Metrics]
) -> NamedTuple("Outputs", [("data", str), ("test", str), ("baseline_arms", list)]):
    """Read the sources, split them, and check that no split leaks into another.

    Args:
        run: The run, as preflight resolved it.
        config: The data settings.
        student: The student settings, which say whether the gold arm is wanted.
        metrics: Counts of examples.

    Returns:
        Digests of the data and the test examples, and the arms that need no teacher.
    """
    from daftt_core.config import DataConfig, StudentConfig, parse_section
    from daftt_core.data import prepare
    from daftt_core.entrypoints import numbers, stage_process
    from daftt_core.preflight import baseline_arms
    from daftt_core.workspace import Run

    with stage_process():
        result = prepare(parse_section(Run, run), parse_section(DataConfig, config))
        for name, value in numbers(result.summary).items():
            metrics.log_metric(name, value)
        arms = baseline_arms(
            parse_section(StudentConfig, student), gold_is_known=result.summary["gold_is_known"]
        )
        return result.digest, result.summary["test_digest"], [{"arm": arm} for arm in arms]
