"""``daftt completion``: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from daftt_core.cli.printing import say


@click.command(
    "completion", short_help="Print the script that completes commands with the Tab key."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes daftt's commands and options with the Tab key.

    \b
    Examples:
      eval "$(daftt completion bash)"                     # in ~/.bashrc
      eval "$(daftt completion zsh)"                      # in ~/.zshrc
      daftt completion fish > ~/.config/fish/completions/daftt.fish
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"click has no completion for {shell}")
    say(completion(ctx.find_root().command, {}, "daftt", "_DAFTT_COMPLETE").source())
