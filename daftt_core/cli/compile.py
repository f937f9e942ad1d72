"""``daftt compile``: the pipeline as the YAML file that Kubeflow Pipelines reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

__all__ = ["compile_command", "is_up_to_date"]

_DEFAULT = Path("pipelines/compiled/daftt.yaml")


@click.command("compile", short_help="Write the pipeline as YAML.")
@click.argument(
    "path", type=click.Path(path_type=Path, dir_okay=False), default=_DEFAULT, metavar="[PATH]"
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit code 1 if the file is out of date."
)
def compile_command(path: Path, check: bool) -> int:
    """Write the pipeline as YAML to PATH (pipelines/compiled/daftt.yaml).

    \b
    Examples:
      daftt compile
      daftt compile --check
      daftt compile /tmp/daftt.yaml
    """
    if check:
        ok = is_up_to_date(path)
        click.echo(f"{path} is {'up to date' if ok else 'out of date; run: daftt compile'}")
        return 0 if ok else 1
    path.parent.mkdir(parents=True, exist_ok=True)
    _compile(path)
    click.echo(path)
    return 0


def is_up_to_date(path: Path) -> bool:
    """Whether a compiled file is, byte for byte, what the code compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / path.name
        _compile(fresh)
        return path.is_file() and path.read_bytes() == fresh.read_bytes()


def _compile(path: Path) -> None:
    from kfp import compiler

    from pipelines.daftt import daftt_pipeline

    compiler.Compiler().compile(daftt_pipeline, str(path))
