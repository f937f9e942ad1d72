"""``daftt schedule``: the pipeline again and again, at the times a cron expression names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from daftt_core.cli.cluster.order import Order, place_order, with_order
from daftt_core.cli.cluster.recurring import find_schedules, remove_idle
from daftt_core.cli.cluster.remote import Remote
from daftt_core.cli.cluster.schedules import (
    list_command,
    pause_command,
    remove_command,
    resume_command,
)
from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.settings import SettingsGroup
from daftt_core.config import read_preset, read_settings
from daftt_core.errors import ConfigError

_TRIGGER = "drift"
_CONCURRENCY = 1  # two runs of the same settings would work in the same folder


@click.group("schedule", cls=SettingsGroup, invoke_without_command=True)
@with_order
@click.option("--cron", help="When, such as '0 3 * * 1': Mondays at three (UTC). Required.")
@click.option("--schedule-name", help="Name to replace it by; left out: the pipeline's.")
@with_json
@click.pass_context
def schedule_command(
    ctx: click.Context,
    /,
    dry_run: bool,
    cron: str | None,
    schedule_name: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Run the pipeline at set times: create the recurring run of that name, or replace it.

    Each run reads the data again, with files that have come to match a pattern, and trains when
    there is reason to: unless settings say otherwise, trigger_when is drift. One run at a time;
    missed times are not caught up. A recurring run that is the same already is left alone, and one
    that is replaced stays, switched off, while a run of it is in progress. A run repeats only what
    depends on data that has changed.

    \b
    Examples:
      daftt schedule --cron '0 3 * * 1' --output gs://my-bucket/daftt
      daftt schedule --cron '0 3 * * *' --settings my-settings.yaml \\
        --data-train 'gs://my-bucket/labels/*.csv' --trigger-min-new-labels 200
      daftt schedule --cron '0 3 1 * *' --settings my-settings.yaml --trigger-when always --dry-run
      daftt schedule list
      daftt schedule pause daftt
    """
    if ctx.invoked_subcommand:
        _check_nothing_given(ctx, ctx.invoked_subcommand)
        return
    if cron is None:
        raise ConfigError(
            "--cron: is missing; say when, such as --cron '0 3 * * 1' for Mondays at three (UTC), "
            "or see the schedules that are there: daftt schedule list"
        )
    expression = six_fields(cron)
    order = place_order(dry_run=dry_run, **_with_trigger(given))
    remote, name = order.remote, schedule_name or order.version.pipeline
    # a dry run did not create the experiment
    present = find_schedules(remote, order.experiment_id, name) if order.experiment_id else []
    same = [run for run in present if _is_same(run, expression, order)]
    if same:
        remove_idle(remote, [each for each in present if each is not same[0]])
        schedule, changed = same[0], False
    else:
        schedule = _replace(
            remote,
            present,
            experiment_id=order.experiment_id,
            job_name=name,
            cron_expression=expression,
            max_concurrency=_CONCURRENCY,
            no_catchup=True,
            params=order.parameters,
            pipeline_id=order.version.pipeline_id,
            version_id=order.version.version_id,
            service_account=order.service_account or None,
        )
        changed = True
    if schedule is None:  # a dry run
        return
    if as_json and not dry_run:
        answer = {"recurring_run_id": schedule.recurring_run_id, "cron": expression}
        say_json({**answer, "changed": changed})
        return
    done = f"set to {expression!r}" if changed else f"is set to {expression!r} already"
    page = remote.link(f"recurringrun/details/{schedule.recurring_run_id}")
    say(f"{name}: {done}\n{page}")


for _command in (list_command, pause_command, resume_command, remove_command):
    schedule_command.add_command(_command)


def _check_nothing_given(ctx: click.Context, subcommand: str) -> None:
    """Refuse options before a command of the group, which would not get them.

    Raises:
        ConfigError: There is one.
    """
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = parameter.opts[0]
            raise ConfigError(
                f"{option}: stands before {subcommand!r}, which does not get it; write daftt "
                f"schedule {subcommand} ... {option} ..."
            )


def _with_trigger(given: dict[str, Any]) -> dict[str, Any]:
    """Options that let a run train only when there is reason to, unless settings say when."""
    named = given["settings_file"]
    settings = read_settings(named) if named else {}
    if given["preset"]:
        settings = read_preset(given["preset"]) | settings
    asked = given["pipeline"] == "sweep" or "trigger_when" in settings
    return given if asked or given["trigger_when"] else given | {"trigger_when": _TRIGGER}


def six_fields(cron: str) -> str:
    """Return a cron expression as Kubeflow Pipelines reads it: with seconds in front.

    Args:
        cron: Five fields, as everywhere, or six.

    Raises:
        ConfigError: It has another number of fields.
    """
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise ConfigError(
            f"--cron: {cron!r} has {len(fields)} fields; it needs 5 (minute, hour, day, month, "
            "weekday), or 6 with seconds in front"
        )
    return " ".join(fields if len(fields) == 6 else ["0", *fields])


def _is_same(run: Any, cron: str, order: Order) -> bool:
    reference, schedule = run.pipeline_version_reference, run.trigger and run.trigger.cron_schedule
    return bool(
        run.mode == "ENABLE"
        and schedule
        and schedule.cron == cron
        and int(run.max_concurrency) == _CONCURRENCY
        and run.no_catchup
        and reference
        and reference.pipeline_version_id == order.version.version_id
        and run.runtime_config
        and run.runtime_config.parameters == order.parameters
        # none was named: whatever the installation has chosen
        and (not order.service_account or run.service_account == order.service_account)
    )


def _replace(remote: Remote, old: Sequence[Any], **new: Any) -> Any:
    """Put a recurring run in the place of others; on failure the others stay as they were."""
    enabled = [schedule for schedule in old if schedule.mode == "ENABLE"]
    for schedule in enabled:
        remote.change(
            "switch off the recurring run that is replaced",
            remote.client.disable_recurring_run,
            recurring_run_id=schedule.recurring_run_id,
        )
    try:
        made = remote.change("create the recurring run", remote.client.create_recurring_run, **new)
    except BaseException:
        with remote.doing("switch on the recurring run again"):
            for schedule in enabled:
                remote.client.enable_recurring_run(schedule.recurring_run_id)
        raise
    remove_idle(remote, old)
    return made
