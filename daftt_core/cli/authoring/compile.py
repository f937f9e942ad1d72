"""``daftt compile``: the pipelines as the YAML files that Kubeflow Pipelines reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from daftt_core.cli.printing import say
from daftt_core.config import Config, form_choices

PIPELINES = ("daftt", "sweep")
"""The pipelines, by the names of their files."""

_FOLDER = Path("pipelines/compiled")


@click.command("compile")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=_FOLDER, metavar="[FOLDER]"
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is out of date.")
def compile_command(folder: Path, check: bool) -> int:
    """Write each pipeline as YAML into FOLDER (pipelines/compiled): daftt.yaml, sweep.yaml.

    \b
    Examples:
      daftt compile
      daftt compile --check
      daftt compile /tmp/compiled
    """
    paths = [folder / f"{name}.yaml" for name in PIPELINES]
    if check:
        old = [path for path in paths if not is_up_to_date(path)]
        for path in paths:
            state = "out of date; run: daftt compile" if path in old else "up to date"
            say(f"{path} is {state}")
        return 1 if old else 0
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        compile_pipeline(path)
        say(path)
    return 0


def is_up_to_date(path: Path) -> bool:
    """Return whether a compiled file is, byte for byte, what the code compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / path.name
        compile_pipeline(fresh)
        return path.is_file() and path.read_bytes() == fresh.read_bytes()


def compile_pipeline(path: Path, config: Config | None = None) -> None:
    """Compile a pipeline into a file.

    Args:
        path: The file; its name says which pipeline it is.
        config: Holds what is fixed when a pipeline is compiled: parts of the section ``cluster``,
            and the secret of messages. None takes the defaults.
    """
    from kfp import compiler

    config = config or Config()
    if path.stem == "sweep":
        from pipelines.sweep import build_pipeline
    else:
        from pipelines.daftt import build_pipeline
    pipeline = build_pipeline(config.cluster, config.notify)
    # the page of Kubeflow Pipelines 2.17 draws literals as drop-downs; its SDK writes none
    fields = pipeline.component_spec.implementation.graph.root.input_definitions.parameters
    for name, choices in form_choices().items():
        if name in fields:
            for choice in choices:
                fields[name].literals.add().string_value = choice
    compiler.Compiler().compile(pipeline, str(path))
