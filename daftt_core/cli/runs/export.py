"""``daftt export``: a champion as a folder for serving."""

from __future__ import annotations

from pathlib import Path

import click

from daftt_core.cli.printing import say
from daftt_core.cli.runs.registry import open_registry, registry_place, with_registry


@click.command("export", short_help="Write a champion as a folder that transformers loads.")
@click.argument("task")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", default="champion", help="Another version than the champion.")
@click.option(
    "--onnx", is_flag=True, help="Also write model.onnx, checked to give the same logits."
)
@with_registry
def export_command(
    task: str, folder: Path, version: str, onnx: bool, registry: str, output: str
) -> None:
    """Write TASK's champion into FOLDER: model, tokenizer and model card.

    Plain transformers loads it, without DAFTT: AutoTokenizer.from_pretrained(FOLDER), and
    AutoModelForSequenceClassification.from_pretrained(FOLDER), or for texts the class that the card
    names. For --onnx the packages of daftt[onnx] are needed.

    \b
    Examples:
      daftt export movie-reviews serving/movie-reviews
      daftt export movie-reviews serving/old --version 3f2a91 --onnx
    """
    from daftt_core.registry.export import export_version

    found = open_registry(registry, output, task).find(version)
    place = registry_place(registry, output)
    difference = export_version(place, task, found, folder, onnx=onnx)
    say(f"{folder}: version {found} of {task}")
    if difference is not None:
        say(f"model.onnx: its logits differ by {difference:.1e} at most")
