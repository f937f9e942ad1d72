"""``daftt doctor``, ``fetch`` and ``completion``: what is missing here, and what completes it."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class
from rich.text import Text

from daftt_core.cli.checks import machine_checks, show_checks
from daftt_core.cli.cluster.doctor import Target, cluster_checks
from daftt_core.cli.printing import say, with_json
from daftt_core.cli.settings import read_config
from daftt_core.cli.tables import PlainConsole
from daftt_core.records import visible_line


@click.command("doctor")
@click.option("--cluster", is_flag=True, help="Check a cluster instead of this machine.")
@click.option(
    "--namespace",
    default="kubeflow",
    show_default=True,
    envvar="DAFTT_KFP_NAMESPACE",
    show_envvar=True,
    help="With --cluster: where the pods run.",
)
@click.option(
    "--service-account",
    default="",
    envvar="DAFTT_KFP_SERVICE_ACCOUNT",
    show_envvar=True,
    help="With --cluster: as whom they run; empty: your own rights are checked.",
)
@click.option("--queue", default="", help="With --cluster: Kueue's queue that jobs go to.")
@click.option("--output", help="With --cluster: the storage prefix to try.")
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --cluster: YAML file of the run's settings, for its GPUs, secrets and storage.",
)
@click.option(
    "--preset", metavar="NAME", multiple=True, help="With --cluster: the presets of that run."
)
@with_json
def doctor_command(
    cluster: bool,
    namespace: str,
    service_account: str,
    queue: str,
    output: str | None,
    settings_file: Path | None,
    preset: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check that everything a run needs is in place; exit code 1 when something is missing.

    \b
    Examples:
      daftt doctor
      daftt doctor --json
      daftt doctor --cluster --output gs://my-bucket/daftt --service-account pipeline-runner
    """
    if cluster:
        config = read_config(settings_file, {"output": output, "preset": preset})
        checks = cluster_checks(Target(config, namespace, service_account, queue))
    else:
        checks = machine_checks()
    return 0 if show_checks(checks, as_json=as_json) else 1


@click.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def fetch_command(names: tuple[str, ...]) -> None:
    """Fetch the bundled models and data; without a NAME, all of them.

    What is already in the cache is checked and not fetched again. The cache is ~/.cache/daftt, or
    the folder that the environment variable DAFTT_CACHE names.

    \b
    Examples:
      daftt fetch
      daftt fetch all-minilm-l6-v2
    """
    from daftt_core.storage import assets

    console = PlainConsole(stderr=True)
    for name in names or assets.known_assets():
        if not console.is_terminal:
            console.print(f"{name}: checking the cache, fetching if needed")
        with console.status(Text(visible_line(f"{name}: fetching"))):
            path = assets.fetch(name)
        say(f"{name}: {path}")


@click.command("completion")
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
