"""``daftt validate`` and ``daftt plan``: check settings, and show what a run will need."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from daftt_core.cli.printing import as_yaml, say, say_json, with_json
from daftt_core.cli.settings import SettingsCommand, read_config, with_settings
from daftt_core.cli.tables import PlainConsole, new_table
from daftt_core.config import Config
from daftt_core.errors import ConfigError, TaskError
from daftt_core.planning import Choice, Plan, find_gpu, make_plan
from daftt_core.stages import TEACHER, augmented_arms, baseline_arms

_GIB = 2**30


@click.command("validate", cls=SettingsCommand)
@with_settings
@with_json
def validate_command(settings_file: Path | None, as_json: bool, **options: Any) -> int:
    """Check settings and show the complete configuration; nothing is run or written.

    \b
    Examples:
      daftt validate --student-epochs 5
      daftt validate --settings my-settings.yaml --json
    """
    from daftt_core.preflight import resolve_checked

    try:
        config = read_config(settings_file, options)
        run = resolve_checked(config)
    except (ConfigError, TaskError) as error:
        if not as_json:
            raise
        say_json({"valid": False, "mistakes": str(error).splitlines()})
        return error.exit_code
    nested = config.model_dump(mode="json")
    if as_json:
        say_json({"valid": True, "folder": run.uri, "config": nested})
    else:
        say(as_yaml(nested), nl=False)
        say(f"# The settings are right. The run's folder is {run.uri}")
    return 0


@click.command("plan", cls=SettingsCommand)
@with_settings
@click.option(
    "--tokens-per-example",
    type=click.IntRange(min=1, max=2**20),
    help="Mean tokens of prompt and answer; default: every example is as long as allowed, or, "
    "without a GPU, as the data says.",
)
@with_json
def plan_command(
    settings_file: Path | None,
    tokens_per_example: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show what a run will need; exit code 2 when its teacher cannot fit.

    With a kind of GPU (--job-gpu-model) this is the memory of each GPU and the work of each stage.
    Without one it is the time on this machine, which is measured for about half a minute.

    Nothing is downloaded or started: models are known by their config.json, which is bundled or
    lies in a model folder.

    \b
    Examples:
      daftt plan
      daftt plan --job-gpu-model l4-24
      daftt plan --preset gpt-neox-20b,gpu-8x80
      daftt plan --settings my-settings.yaml --tokens-per-example 150 --json
    """
    config = read_config(settings_file, options)
    if not config.job.gpu_model and config.job.launcher == "local":
        from daftt_core.cli.authoring.plan_here import plan_here

        plan_here(config, tokens_per_example, as_json=as_json)
        return 0
    plan = _make(config, tokens_per_example)
    if as_json:
        say_json(_as_json(plan))
        return ConfigError.exit_code if plan.refusal else 0
    _show(config, plan)
    if plan.refusal:
        raise ConfigError(f"teacher: {config.teacher.model} {plan.refusal}")
    return 0


def _make(config: Config, tokens_per_example: int | None) -> Plan:
    from daftt_core.cli.authoring.plan_here import check_counts
    from daftt_core.tasks import load_task

    if not config.job.gpu_model:
        raise ConfigError("job_gpu_model: say for which kind of GPU to plan, such as a100-80")
    task = load_task(config.run.task)
    check_counts(config, task)
    baseline = baseline_arms(config.student.gold_arm, gold_is_known=True)
    arms = [*baseline, *augmented_arms(config.synthesis.mode)]
    return make_plan(config, task, find_gpu(config.job.gpu_model), arms, tokens_per_example)


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "fits": not plan.refusal,
        "refusal": plan.refusal,
        "gpu": {**asdict(plan.gpu), "usable_bytes": plan.gpu.usable_bytes},
        "parameters": plan.teacher.parameters,
        "teacher": _choice_as_json(plan.chosen),
        "choices": [_choice_as_json(choice) for choice in plan.choices],
        "stages": [asdict(stage) for stage in plan.stages],
        "tokens_per_example": plan.tokens_per_example,
    }


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    fields = asdict(choice)
    fields["parts"]["total"] = choice.parts.total
    return fields


def _show(config: Config, plan: Plan) -> None:
    console = PlainConsole(width_of_a_pipe=120)
    setup, gpu = plan.chosen.setup, plan.gpu
    console.print(
        f"Teacher {config.teacher.model}: {plan.teacher.parameters:,} parameters, "
        f"{setup.trained(plan.teacher):,} of them trained\n"
        f"{setup.gpus} x {gpu.name}, each with {gpu.usable_bytes / _GIB:.1f} GiB to use; a machine "
        f"has {setup.gpus_per_node} and needs about {plan.chosen.host_bytes / _GIB:,.0f} GiB of "
        "its own memory\n",
    )
    console.print(_parts_table(plan))
    console.print()
    console.print(_choices_table(plan))
    console.print("* fits, with gradient checkpointing (gc) or without\n")
    console.print(_stages_table(plan))
    console.print()
    for line in _notes(config, plan):
        console.print(f"- {line}", soft_wrap=True)
    too_large = [
        stage.name for stage in plan.stages if not stage.fits and stage.name != TEACHER.name
    ]
    if too_large:
        console.print(f"\nToo large for one {gpu.name}: {', '.join(too_large)}.", soft_wrap=True)
    if not plan.refusal:
        console.print("\nThe teacher's training fits.")


def _parts_table(plan: Plan) -> Table:
    parts = asdict(plan.chosen.parts) | {"total": plan.chosen.parts.total}
    table = new_table([*parts], numeric=parts, title="GiB on each GPU")
    table.add_row(*(f"{size / _GIB:,.2f}" for size in parts.values()))
    return table


def _choices_table(plan: Plan) -> Table:
    numeric = ["full", "full, gc", "lora", "lora, gc", "machine"]
    headings = ["zero_stage", "offload", *numeric]
    table = new_table(headings, numeric=["zero_stage", *numeric], title="GiB on each GPU if")
    rows: dict[tuple[int, str], list[Choice]] = {}
    for choice in plan.choices:
        rows.setdefault((choice.setup.zero_stage, choice.setup.offload), []).append(choice)
    for (stage, offload), choices in rows.items():
        cells = [f"{c.parts.total / _GIB:,.1f}{'*' if c.fits else ' '}" for c in choices]
        host = max(choice.host_bytes for choice in choices)
        table.add_row(str(stage), offload, *cells, f"{host / _GIB:,.0f}")
    return table


def _stages_table(plan: Plan) -> Table:
    numeric = ["GPUs", "GiB each", "tokens"]
    table = new_table(["stage", *numeric], numeric=numeric, title="Stages")
    for stage in plan.stages:
        table.add_row(
            stage.name,
            str(stage.gpus),
            f"{stage.gpu_bytes / _GIB:,.1f}" + ("" if stage.fits else " too large"),
            f"{stage.tokens:,}",
        )
    return table


def _notes(config: Config, plan: Plan) -> list[str]:
    tokens = plan.tokens_per_example
    lines = [
        "every example is as long as its max_length allows: an upper bound (--tokens-per-example)"
        if tokens is None
        else f"{tokens} tokens for each example, prompt and answer together",
        "memory counts the logits of all tokens; packing computes those of the answers alone",
        "students learn from every synthetic example that curation may keep",
        "not counted: dev's evaluation while training",
        "hours and prices are not forecast: daftt costs shows what finished runs took",
    ]
    if config.cluster.gpus == 0:
        lines.append("cluster_gpus is 0: on a cluster only the teacher's training has a GPU")
    return lines
