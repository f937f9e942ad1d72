"""``daftt plan`` for a machine without a GPU: how long a run will take on this one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from daftt_core.cli.local.warm import is_worthwhile
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.tables import PlainConsole, new_table
from daftt_core.config import DATA_FILES, Config, DataConfig
from daftt_core.data import prepare
from daftt_core.data.locate import HUB
from daftt_core.errors import ConfigError
from daftt_core.planning import (
    Lengths,
    Pace,
    TimePlan,
    measure_lengths,
    model_shape,
    plan_times,
    student_shape,
    with_counts,
)
from daftt_core.preflight import resolve
from daftt_core.records import Example
from daftt_core.stages import DATA, baseline_arms
from daftt_core.storage.assets import known_assets, verify
from daftt_core.tasks import Task, load_task
from daftt_core.telemetry import duration
from daftt_core.workspace import read_examples


def plan_here(config: Config, tokens_per_example: int | None, *, as_json: bool) -> None:
    """Measure this machine, and print how long a run will take on it.

    Args:
        config: The run's settings.
        tokens_per_example: Mean tokens of prompt and answer; None: those of the data, if it is on
            this machine.
        as_json: Whether to print JSON.

    Raises:
        ConfigError: The run cannot be planned here; says why.
        DataError: The data cannot be used.
    """
    task = load_task(config.run.task)
    examples: Sequence[Example] = []
    gold_is_known = True
    is_here = _is_here(config.data, task)
    if is_here:
        config, examples, gold_is_known = _with_data(config)
    check_counts(config, task)
    student = student_shape(config, task)
    teacher = model_shape("teacher", config.teacher.model)
    lengths = measure_lengths(config, task, teacher, student, examples, tokens_per_example)
    baseline = baseline_arms(config.student.gold_arm, gold_is_known=gold_is_known)

    from daftt_core.rehearsal import check_machine, rehearse  # they know torch

    check_machine(config)
    say("Measuring this machine, for about half a minute ...", err=True)
    pace = rehearse(config, task, lengths)
    copies = is_worthwhile()
    plan = plan_times(config, task, teacher, student, baseline, lengths, pace, copies=copies)
    if as_json:
        say_json(_as_json(plan, lengths, pace))
    else:
        if tokens_per_example is not None:
            source = "as --tokens-per-example says"
        elif is_here:
            source = "at four bytes of text for each"
        else:
            source = "as many as are allowed, as the data is not on this machine: an upper bound"
        _show(config, plan, lengths, pace, source)


def check_counts(config: Config, task: Task) -> None:
    """Check that the settings or the task say how many labelled examples there are.

    Raises:
        ConfigError: That cannot be told without the data.
    """
    if config.data.labelled_fraction or not config.data.asked_labelled(task.labelled_count):
        setting = "fraction" if config.data.labelled_fraction else "count"
        raise ConfigError(
            f"data_labelled_{setting}: how many examples that is cannot be told without the data; "
            "give their number as data_labelled_count"
        )


def _is_here(data: DataConfig, task: Task) -> bool:
    """Return whether all of a run's data is on this machine, so that nothing is fetched."""
    places = [place for name in DATA_FILES if (place := getattr(data, name))]
    if any(place.startswith(HUB) or "://" in place for place in places):
        return False
    if data.train:
        return True
    return task.source in known_assets() and verify(str(task.source)) is not None


def _with_data(config: Config) -> tuple[Config, list[Example], bool]:
    """Split the data as the run will.

    Returns:
        The settings with the numbers of examples that there are; examples to learn from and to
        annotate; and whether the true labels of the latter are known.
    """
    with tempfile.TemporaryDirectory(prefix="daftt-") as folder:
        place = config.run.model_copy(update={"output": folder, "name": "plan"})
        run = resolve(config.model_copy(update={"run": place}))
        data = prepare(run, config.data)
        names = ("labelled", "unlabelled")
        examples = [e for name in names for e in read_examples(run, DATA, data.digest, name)]
    return with_counts(config, data.result.sizes), examples, data.result.gold_is_known


def _as_json(plan: TimePlan, lengths: Lengths, pace: Pace) -> dict[str, Any]:
    return {
        "pace": asdict(pace),
        "tokens_per_example": asdict(lengths),
        "stages": [asdict(stage) for stage in plan.stages],
        "starts": plan.starts,
        "seconds_of_stages": plan.seconds_of_stages,
        "seconds": plan.seconds,
    }


def _show(config: Config, plan: TimePlan, lengths: Lengths, pace: Pace, source: str) -> None:
    console = PlainConsole(width_of_a_pipe=120)
    numbers = "bfloat16" if pace.bfloat16 else "float32"
    cores = f"{pace.cores} core" + "s" * (pace.cores > 1)
    console.print(
        f"Teacher {config.teacher.model} and student {config.student.model} on this machine: "
        f"{cores}, the teacher's training in {numbers}\n",
        soft_wrap=True,
    )
    numeric = ["times", "tokens", "time of each"]
    table = new_table(["stage", *numeric], numeric=numeric, title="Stages")
    for stage in plan.stages:
        times = str(stage.processes) if stage.processes > 1 else ""
        table.add_row(stage.name, times, f"{stage.tokens:,}", duration(stage.seconds))
    starts = str(plan.starts) if plan.starts > 1 else ""
    table.add_row("loading libraries", starts, "", duration(pace.start))
    console.print(table)
    console.print(
        f"\nAll stages together: {duration(plan.seconds_of_stages)}. The run, in which shards and "
        f"augmented arms go two at a time: about {duration(plan.seconds)}.\n",
        soft_wrap=True,
    )
    notes = [
        f"an example of the teacher has {lengths.taught} tokens and one of a student "
        f"{lengths.learned}, {source}",
        "students learn from every synthetic example that curation may keep",
        "an estimate, measured in seconds with random weights on the machine as busy as it is now: "
        "expect the run to take between two thirds and one and a half times as long",
    ]
    for note in notes:
        console.print(f"- {note}", soft_wrap=True)
