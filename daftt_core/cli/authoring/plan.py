"""``daftt validate`` and ``daftt plan``: check settings, and forecast what a run takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from daftt_core.cli.printing import PlainConsole, as_yaml, new_table, say, say_json, with_json
from daftt_core.cli.settings import FiniteRange, SettingsCommand, read_config, with_settings
from daftt_core.config import Config
from daftt_core.errors import ConfigError, TaskError
from daftt_core.planning import Assumptions, Choice, Plan, find_gpu, make_plan
from daftt_core.stages import TEACHER, augmented_arms, baseline_arms

_GIB = 2**30


@click.command("validate", cls=SettingsCommand, short_help="Check settings; show all of them.")
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


@click.command("plan", cls=SettingsCommand, short_help="Memory, hours and price of a run.")
@with_settings
@click.option(
    "--tokens-per-example",
    type=click.IntRange(min=1, max=2**20),
    help="Mean tokens of prompt and answer; default: every example is as long as allowed.",
)
@click.option(
    "--utilization",
    type=FiniteRange(min=0, max=1, min_open=True),
    default=Assumptions.training_utilization,
    show_default=True,
    help="Share of the GPU's peak that training reaches.",
)
@click.option(
    "--price", type=FiniteRange(min=0), help="Price of one GPU for one hour, in any currency."
)
@with_json
def plan_command(
    settings_file: Path | None,
    tokens_per_example: int | None,
    utilization: float,
    price: float | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show what a run will need and cost; exit code 2 when its teacher cannot fit.

    Nothing is downloaded or started: models are known by their config.json, which is bundled or
    lies in a model folder.

    \b
    Examples:
      daftt plan --job-gpu-model l4-24
      daftt plan --preset gpt-neox-20b,gpu-8x80 --price 2.5
      daftt plan --settings my-settings.yaml --tokens-per-example 150 --json
    """
    config = read_config(settings_file, options)
    plan = _make(
        config,
        Assumptions(
            tokens_per_example=tokens_per_example,
            training_utilization=utilization,
            price_per_gpu_hour=price,
        ),
    )
    if as_json:
        say_json(_as_json(plan))
        return ConfigError.exit_code if plan.refusal else 0
    _show(config, plan)
    if plan.refusal:
        raise ConfigError(f"teacher: {config.teacher.model} {plan.refusal}")
    return 0


def _make(config: Config, assumed: Assumptions) -> Plan:
    from daftt_core.tasks import load_task

    if not config.job.gpu_model:
        raise ConfigError("job_gpu_model: say for which kind of GPU to plan, such as a100-80")
    task = load_task(config.run.task)
    if config.data.labelled_fraction or not config.data.asked_labelled(task.labelled_count):
        setting = "fraction" if config.data.labelled_fraction else "count"
        raise ConfigError(
            f"data_labelled_{setting}: how many examples that is cannot be told without the data; "
            "give their number as data_labelled_count"
        )
    baseline = baseline_arms(config.student.gold_arm, gold_is_known=True)
    arms = [*baseline, *augmented_arms(config.synthesis.mode)]
    return make_plan(config, task, find_gpu(config.job.gpu_model), arms, assumed)


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "fits": not plan.refusal,
        "refusal": plan.refusal,
        "gpu": {**asdict(plan.gpu), "usable_bytes": plan.gpu.usable_bytes},
        "parameters": plan.teacher.parameters,
        "teacher": _choice_as_json(plan.chosen),
        "choices": [_choice_as_json(choice) for choice in plan.choices],
        "stages": [
            {**asdict(stage), "gpu_hours": stage.gpu_hours, "cost": plan.cost(stage.gpu_hours)}
            for stage in plan.stages
        ],
        "gpu_hours": plan.gpu_hours,
        "cost": plan.cost(plan.gpu_hours),
        "assumptions": asdict(plan.assumed),
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
    for line in _assumptions(config, plan):
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
    priced = plan.assumed.price_per_gpu_hour is not None
    numeric = ["GPUs", "GiB each", "tokens", "hours", "GPU-hours", *["cost"] * priced]
    table = new_table(["stage", *numeric], numeric=numeric, title="Stages")
    for stage in plan.stages:
        table.add_row(
            stage.name,
            str(stage.gpus),
            f"{stage.gpu_bytes / _GIB:,.1f}" + ("" if stage.fits else " too large"),
            f"{stage.tokens:,}",
            f"{stage.hours:,.3f}",
            f"{stage.gpu_hours:,.3f}",
            *_price(plan, stage.gpu_hours),
        )
    hours = sum(stage.hours for stage in plan.stages)
    total = f"{plan.gpu_hours:,.3f}"
    table.add_row("all", "", "", "", f"{hours:,.3f}", total, *_price(plan, plan.gpu_hours))
    return table


def _price(plan: Plan, gpu_hours: float) -> list[str]:
    cost = plan.cost(gpu_hours)
    return [] if cost is None else [f"{cost:,.2f}"]


def _assumptions(config: Config, plan: Plan) -> list[str]:
    assumed, gpu, setup = plan.assumed, plan.gpu, plan.chosen.setup
    tokens = assumed.tokens_per_example
    peak = gpu.peak_flops(bf16=setup.bf16) / 1e12
    lines = [
        "every example is as long as its max_length allows: an upper bound (--tokens-per-example)"
        if tokens is None
        else f"{tokens} tokens for each example, prompt and answer together",
        f"training reaches {assumed.training_utilization:.0%} of {peak:g} TFLOP/s "
        f"({'bfloat16' if setup.bf16 else 'float32'}; {gpu.source}); small models reach less",
        f"the other stages read at {assumed.inference_utilization:.0%} of "
        f"{gpu.peak_flops(bf16=True) / 1e12:g} TFLOP/s (students in float32: "
        f"{gpu.peak_flops(bf16=False) / 1e12:g}) and write "
        f"at {assumed.bandwidth_utilization:.0%} of {gpu.bandwidth_gb:,.0f} GB/s, on one GPU",
        "memory counts the logits of all tokens; packing computes those of the answers alone",
        "students learn from every synthetic example that curation may keep",
        "not counted: loading weights, starting pods, checkpoints, dev's evaluation while training",
    ]
    if config.cluster.gpus == 0:
        lines.append(
            "cluster_gpus is 0: on a cluster the other stages' pods would have no GPU at all, and "
            "take many times as long as on the one that is planned for"
        )
    if setup.offload != "none":
        lines.append(
            f"offload moves {assumed.link_gb:g} GB/s between a GPU and its machine, Adam on the "
            f"CPU {assumed.host_gb:g} GB/s, the disks {assumed.disk_gb:g} GB/s"
        )
    if assumed.price_per_gpu_hour is None:
        lines.append("no price was given (--price), so no cost is worked out")
    return lines
