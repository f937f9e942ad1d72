"""Component: read the sources and split them."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def prepare_data(
    run: str,
    config: str,
    mixture: str,
    teacher: str,
    student: str,
    metrics: dsl.Output[dsl.Metrics],
    tasks: dsl.Output[dsl.Markdown],
) -> NamedTuple(
    "Outputs", [("data", str), ("test", str), ("mixture", str), ("baseline_arms", list)]
):
    """Read the sources, split them, check that no split leaks, and choose the mixture.

    Args:
        run: The run, as preflight resolved it.
        config: The data settings.
        mixture: The mixture's settings.
        teacher: The teacher settings, which say in how many directions the target is learned.
        student: The student settings, which say whether the gold arm is wanted.
        metrics: Counts of examples.
        tasks: The mixture's tasks, with their licenses.

    Returns:
        Digests of the data, the test examples and the mixture, and the arms that need no teacher.
    """
    from pathlib import Path

    from daftt_core.config import (
        DataConfig,
        MixtureConfig,
        StudentConfig,
        TeacherConfig,
        parse_section,
    )
    from daftt_core.data import describe_mixture, prepare, prepare_mixture
    from daftt_core.stages import baseline_arms, numbers
    from daftt_core.telemetry import stage_process
    from daftt_core.workspace import Run

    with stage_process():
        where = parse_section(Run, run)
        result = prepare(where, parse_section(DataConfig, config))
        mixed = prepare_mixture(
            where,
            parse_section(MixtureConfig, mixture),
            result.digest,
            directions=2 if parse_section(TeacherConfig, teacher).directions == "both" else 1,
        )
        Path(tasks.path).write_text(describe_mixture(mixed), encoding="utf-8")
        found = result.summary | {"mixture": mixed.summary if mixed else {}}
        for name, value in numbers(found).items():
            metrics.log_metric(name, value)
        arms = baseline_arms(
            parse_section(StudentConfig, student).gold_arm,
            gold_is_known=result.summary["gold_is_known"],
        )
        return (
            result.digest,
            result.summary["test_digest"],
            mixed.digest if mixed else "",
            [{"arm": arm} for arm in arms],
        )
