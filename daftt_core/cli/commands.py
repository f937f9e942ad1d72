"""The commands in groups, as ``daftt`` lists them; each is imported when it is called.

What lists them (``daftt``, ``daftt --help``, the Tab key) reads this file only, so it answers at
once whatever a command needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


IN_PROGRESS = 11
"""Exit code of ``daftt status`` for a run that is not over."""


class Listed(NamedTuple):
    """A command that is listed.

    Attributes:
        module: The module of ``daftt_core.cli`` that has it, as ``<name>_command``.
        summary: What it does, in one line.
    """

    module: str
    summary: str


GROUPS = {
    "Start": {
        "doctor": Listed("installation", "Check that everything a run needs is in place."),
        "fetch": Listed("installation", "Fetch the bundled models and data."),
        "task": Listed("authoring.task", "Show, check or write the description of a task."),
        "validate": Listed("authoring.plan", "Check settings; show all of them."),
        "plan": Listed("authoring.plan", "Show the memory and work of a run."),
        "run": Listed("local.run", "Run the whole pipeline on this machine."),
        "sweep": Listed("local.sweep", "Run fractions x ratios x modes x mixtures here."),
    },
    "Results": {
        "runs": Listed("runs.runs", "List the runs of this machine, a bucket or a cluster."),
        "report": Listed("runs.report", "Rebuild a run's report and show it."),
        "costs": Listed("runs.costs", "Show what runs have used and cost."),
        "review": Listed("runs.report", "Let people check a sample of the kept examples."),
    },
    "Models": {
        "registry": Listed("runs.registry", "Champions: list, show, diff, promote, rollback."),
        "predict": Listed("runs.students", "Label texts with a student, or let it write."),
        "export": Listed(
            "runs.students", "Write a student as a folder for serving, or for KServe."
        ),
        "models": Listed("cluster.models", "Bring models to where a cluster can read them."),
    },
    "Cluster": {
        "compile": Listed("authoring.compile", "Write the pipelines as YAML."),
        "upload": Listed("cluster.upload", "Upload the compiled pipeline as a new version."),
        "submit": Listed("cluster.submit", "Run the whole pipeline on a cluster."),
        "schedule": Listed("cluster.schedule", "Run the pipeline at set times."),
        "status": Listed("cluster.status", "Show how far a run is, how it ended and why."),
        "logs": Listed("cluster.logs", "Show what the steps of a run wrote."),
        "stop": Listed("cluster.stop", "Stop a run on a cluster."),
    },
    "Care": {
        "clean": Listed("runs.clean", "Remove what nothing refers to from a run."),
        "reap": Listed("cluster.reap", "Remove training jobs that nobody waits for."),
        "notify": Listed("runs.report", "Try out the message about a run's end."),
        "completion": Listed("installation", "Print the script that completes with the Tab key."),
    },
}
"""The commands by group, in the order of use."""

_LISTED = {name: listed for group in GROUPS.values() for name, listed in group.items()}


class LazyGroup(click.Group):
    """A group of the commands in ``GROUPS``; one is imported when it is asked for by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of use."""
        return list(_LISTED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is no such one."""
        if cmd_name in _LISTED and cmd_name not in self.commands:
            module = import_module(f"daftt_core.cli.{_LISTED[cmd_name].module}")
            self.add_command(getattr(module, f"{cmd_name}_command"), cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group with a line for each command."""
        width = max(map(len, _LISTED))
        for title, group in GROUPS.items():
            with formatter.section(title):
                rows = [(name.ljust(width), listed.summary) for name, listed in group.items()]
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with what was typed."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=listed.summary)
            for name, listed in _LISTED.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)
