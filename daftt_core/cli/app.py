"""The ``daftt`` command: its subcommands, its exit codes, and how its errors look."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from io import StringIO
from typing import Any

import click

from daftt_core import __version__, errors
from daftt_core.cli.authoring.compile import compile_command
from daftt_core.cli.authoring.plan import plan_command, validate_command
from daftt_core.cli.authoring.task import task_command
from daftt_core.cli.cluster.logs import logs_command
from daftt_core.cli.cluster.models import models_command
from daftt_core.cli.cluster.reap import reap_command
from daftt_core.cli.cluster.schedule import schedule_command
from daftt_core.cli.cluster.stop import stop_command
from daftt_core.cli.cluster.submit import submit_command
from daftt_core.cli.cluster.upload import upload_command
from daftt_core.cli.installation import completion_command, doctor_command, fetch_command
from daftt_core.cli.local.launch import INTERRUPTED, StoppedError
from daftt_core.cli.local.run import run_command
from daftt_core.cli.local.sweep import sweep_command
from daftt_core.cli.printing import say, warn_in_plain_text
from daftt_core.cli.runs.costs import costs_command
from daftt_core.cli.runs.registry import registry_command
from daftt_core.cli.runs.report import notify_command, report_command, review_command
from daftt_core.cli.runs.runs import clean_command, runs_command
from daftt_core.cli.runs.students import export_command, predict_command
from daftt_core.errors import did_you_mean, shortened

_SUGGESTIONS = {
    "serve": "a champion is served from the folder that this writes: daftt export TASK FOLDER",
    "deploy": "a champion is served from the folder that this writes: daftt export TASK FOLDER",
    "train": "training is part of: daftt run",
    "init": "a task for your own data is written by: daftt task new",
    "status": "runs and their states are listed by: daftt runs",
}
"""Commands of other programs, and what does the same here."""

_PATH_FAULTS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Faults of a path that a user has named, and not of DAFTT, so there is no stack trace."""


def exit_codes() -> list[tuple[str, str]]:
    """Return each exit code and its meaning, read off the error classes themselves."""
    meanings: dict[int, list[str]] = {
        0: ["Success."],
        1: ["A check failed (compile --check, doctor), or a fault that no other code fits."],
    }
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.DafttError) and kind.exit_code > 1:
            meanings.setdefault(kind.exit_code, []).append(str(kind.__doc__).splitlines()[0])
    meanings[INTERRUPTED] = ["Stopped with Ctrl-C."]
    rows = ((str(code), " ".join(texts)) for code, texts in sorted(meanings.items()))
    return [(code, text.replace("`", "")) for code, text in rows]


class _Daftt(click.Group):
    """The top command: lists its commands in the order of use and explains the exit codes."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; if there is none, suggest another."""
        name = args[0]
        if name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        suggestion = _SUGGESTIONS.get(name)
        hint = f"; {suggestion}" if suggestion else did_you_mean(name, self.commands)
        raise errors.ConfigError(f"there is no command {shortened(repr(name))}{hint}")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl(exit_codes())
        with formatter.section("Examples"):
            formatter.write_dl(
                [
                    ("daftt doctor", "is everything in place?"),
                    ("daftt run", "the built-in demo"),
                    ("daftt run --task my-task.yaml --data-train my.csv", "your own task"),
                    ("daftt report latest --open", "look at the result"),
                    ("daftt submit --output gs://my-bucket/daftt", "the same on a cluster"),
                ]
            )


@click.group(
    cls=_Daftt,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="daftt")
def cli() -> None:
    """Turn a handful of labels into a good small model.

    A teacher language model is fine-tuned on few labels, it annotates and writes more examples,
    and small students are trained with and without them and compared honestly.
    """


for _command in (
    doctor_command,
    fetch_command,
    task_command,
    validate_command,
    plan_command,
    run_command,
    sweep_command,
    runs_command,
    report_command,
    costs_command,
    review_command,
    notify_command,
    registry_command,
    export_command,
    predict_command,
    reap_command,
    clean_command,
    compile_command,
    models_command,
    upload_command,
    submit_command,
    schedule_command,
    logs_command,
    stop_command,
    completion_command,
):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: The words after ``daftt``; None takes those of this process.

    Returns:
        The exit code.
    """
    warn_in_plain_text()
    try:
        result: Any = cli.main(args=args, prog_name="daftt", standalone_mode=False)
    except StoppedError as error:
        say(str(error), err=True)
        return error.exit_code
    except click.ClickException as error:  # a word of the command line that click cannot place
        shown = StringIO()
        error.show(shown)
        say(shown.getvalue(), err=True, nl=False)
        return error.exit_code
    except errors.DafttError as error:
        for sentence in str(error).splitlines():
            say(f"error: {sentence}", err=True)
        for note in getattr(error, "__notes__", []):
            say(note, err=True)
        return error.exit_code
    except OSError as error:
        if error.errno not in _PATH_FAULTS or error.filename is None:
            raise
        say(f"error: {error.filename}: cannot be used: {error.strerror}", err=True)
        return errors.StorageError.exit_code
    except (click.Abort, KeyboardInterrupt):  # outside a run: nothing to resume
        say("Stopped.", err=True)
        return INTERRUPTED
    return result if isinstance(result, int) else 0
