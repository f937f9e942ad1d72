"""``daftt validate``: are these settings right? Nothing is run or written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daftt_core.cli.printing import as_yaml, say, say_json
from daftt_core.cli.settings import SettingsCommand, read_config, with_settings
from daftt_core.config import Config
from daftt_core.errors import ConfigError, TaskError

if TYPE_CHECKING:
    from daftt_core.workspace import Run


@click.command(
    "validate",
    cls=SettingsCommand,
    short_help="Check settings; show what they make.",
)
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate_command(settings_file: Path | None, as_json: bool, **given: Any) -> int:
    """Check settings and show the whole configuration they make.

    \b
    Examples:
      daftt validate --student-epochs 5
      daftt validate --settings my-settings.yaml --json
    """
    try:
        config = read_config(settings_file, given)
        run = _resolve(config)
    except (ConfigError, TaskError) as error:
        if not as_json:
            raise
        mistakes = str(error).splitlines()
        say_json({"valid": False, "mistakes": mistakes})
        return error.exit_code
    nested = config.model_dump(mode="json")
    if as_json:
        say_json({"valid": True, "folder": run.uri, "config": nested})
    else:
        say(as_yaml(nested), nl=False)
        say(f"# The settings are right. The run's folder is {run.uri}")
    return 0


def _resolve(config: Config) -> Run:
    from daftt_core.preflight import check_settings, resolve

    run = resolve(config)
    check_settings(config, run)
    return run
