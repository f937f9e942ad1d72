"""The ``daftt`` command: its subcommands, its exit codes, and how its errors look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from daftt_core import __version__, errors
from daftt_core.cli.clean import clean_command
from daftt_core.cli.compile import compile_command
from daftt_core.cli.completion import completion_command
from daftt_core.cli.costs import costs_command
from daftt_core.cli.doctor import doctor_command
from daftt_core.cli.export import export_command
from daftt_core.cli.fetch import fetch_command
from daftt_core.cli.logs import logs_command
from daftt_core.cli.notify import notify_command
from daftt_core.cli.outcome import INTERRUPTED, StoppedError
from daftt_core.cli.plan import plan_command
from daftt_core.cli.reap import reap_command
from daftt_core.cli.registry import registry_command
from daftt_core.cli.report import report_command
from daftt_core.cli.review import review_command
from daftt_core.cli.run import run_command
from daftt_core.cli.runs import runs_command
from daftt_core.cli.schedule import schedule_command
from daftt_core.cli.submit import submit_command
from daftt_core.cli.sweep import sweep_command
from daftt_core.cli.task import task_command
from daftt_core.cli.upload import upload_command
from daftt_core.cli.validate import validate_command

__all__ = ["cli", "exit_codes", "main"]


def exit_codes() -> list[tuple[str, str]]:
    """Each exit code and what it means, read off the error classes themselves."""
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
                    ("daftt run --task my-task.yaml --data-train my.csv", "one's own task"),
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
    reap_command,
    clean_command,
    compile_command,
    upload_command,
    submit_command,
    schedule_command,
    logs_command,
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
    try:
        result: Any = cli.main(args=args, prog_name="daftt", standalone_mode=False)
    except StoppedError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except click.ClickException as error:  # a word of the command line that click cannot place
        error.show()
        return error.exit_code
    except errors.DafttError as error:
        for sentence in str(error).splitlines():
            click.echo(f"error: {_harmless(sentence)}", err=True)
        for note in getattr(error, "__notes__", []):
            click.echo(note, err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):  # outside a run: nothing to go on with
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _harmless(sentence: str) -> str:
    """A sentence that may quote a file, without what would turn or colour a terminal."""
    if sentence.isprintable():
        return sentence
    from daftt_core.reporting.escape import visible  # loads what the report is drawn with

    return visible(sentence)
