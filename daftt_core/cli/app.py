"""The ``daftt`` command: its subcommands, its exit codes, and how its errors look."""

from __future__ import annotations

import errno
import gc
import signal
from collections.abc import Sequence
from io import StringIO
from typing import Any, cast

import click

from daftt_core import __version__, errors
from daftt_core.cli.commands import IN_PROGRESS, LazyGroup
from daftt_core.cli.printing import say, warn_in_plain_text
from daftt_core.errors import did_you_mean, shortened

INTERRUPTED = 128 + signal.SIGINT  # as shells report it

_SUGGESTIONS = {
    "serve": "a champion is served from the folder that this writes: daftt export TASK FOLDER",
    "deploy": "a champion is served from the folder that this writes: daftt export TASK FOLDER",
    "train": "training is part of: daftt run",
    "init": "a task for your own data is written by: daftt task new",
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
    meanings[IN_PROGRESS] = ["The run that daftt status shows is in progress."]
    meanings[INTERRUPTED] = ["Stopped with Ctrl-C."]
    rows = ((str(code), " ".join(texts)) for code, texts in sorted(meanings.items()))
    return [(code, text.replace("`", "")) for code, text in rows]


class _Daftt(LazyGroup):
    """The top command: lists its commands by group and explains the exit codes."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; if there is none, suggest another."""
        name = args[0]
        if name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        suggestion = _SUGGESTIONS.get(name)
        hint = f"; {suggestion}" if suggestion else did_you_mean(name, self.list_commands(ctx))
        raise errors.ConfigError(f"there is no command {shortened(repr(name))}{hint}")

    def get_overview(self, ctx: click.Context) -> str:
        """Return the commands by group, without what ``--help`` adds to them."""
        formatter = ctx.make_formatter()
        formatter.write_text(str(self.help).splitlines()[0])
        self.format_commands(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("More: daftt COMMAND --help. A first run: daftt doctor && daftt run")
        return formatter.getvalue()

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
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="daftt")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn a handful of labels into a good small model.

    A teacher language model is fine-tuned on few labels, it annotates and writes more examples,
    and small students are trained with and without them and compared honestly.
    """
    if ctx.invoked_subcommand is None:
        say(cast(_Daftt, ctx.command).get_overview(ctx), nl=False)


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
    except click.ClickException as error:  # such as a word that click cannot place
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


def run() -> int:
    """Run the command line as a process of its own, which ends with it."""
    code = main()
    gc.freeze()  # or Python would search all that is left for garbage, an eighth of a short command
    return code
