"""``daftt export`` and ``daftt predict``: students of runs and of the registry, put to use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daftt_core.cli.printing import as_yaml, say
from daftt_core.cli.runs.predictions import predict
from daftt_core.cli.runs.registry import registry_at, with_places
from daftt_core.cli.runs.stored_runs import find_run, read_run
from daftt_core.errors import ConfigError, StorageError
from daftt_core.stages import PREFLIGHT
from daftt_core.workspace import RUN_FILE, Run, read_file

if TYPE_CHECKING:
    from daftt_core.registry.serving import Servable

_CHAMPION = "champion"


@dataclass(frozen=True)
class _Version:
    """A version of the registry."""

    registry: str
    task: str
    version: str


def _find(name: str, version: str, registry: str, output: str) -> _Version | Run:
    """Return the version or the run that a word of the command line names.

    A task with a champion wins over a run of the same name, which its path names.

    Raises:
        ConfigError: The task has no such version.
        StorageError: There is neither.
    """
    from daftt_core.registry import TaskRegistry, may_be_task

    place = registry_at(registry, output)
    is_task = may_be_task(name) and name != "latest"
    if version != _CHAMPION and not is_task:
        raise ConfigError(f"--version: is of a task in the registry, and {name!r} names a run")
    if is_task:
        tasks = TaskRegistry(place, name)
        if version != _CHAMPION or tasks.read().champion is not None:
            return _Version(place, name, tasks.find(version))
    try:
        return read_run(find_run(name, output))
    except StorageError as error:
        if not is_task:
            raise
        raise StorageError(f"{error}; and {place} has no champion of a task {name!r}") from None


@click.command("export")
@click.argument("name", metavar="TASK_OR_RUN")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--version", default=_CHAMPION, help="Of a task: another version than its champion.")
@click.option(
    "--onnx", is_flag=True, help="Also write model.onnx, checked to give the same logits."
)
@click.option(
    "--kserve",
    metavar="NAME",
    help="Print an InferenceService of this name; FOLDER may be left out.",
)
@click.option(
    "--storage-uri",
    default="",
    help="With --kserve: where the files are, if not in the registry's bucket.",
)
@click.option(
    "--canary",
    type=click.IntRange(0, 100),
    help="With --kserve: percent of the requests that it gets beside the one that serves.",
)
@click.option(
    "--service-account", default="", help="With --kserve: the service account that reads the files."
)
@with_places
def export_command(
    name: str,
    folder: Path | None,
    version: str,
    onnx: bool,
    kserve: str | None,
    storage_uri: str,
    canary: int | None,
    service_account: str,
    registry: str,
    output: str,
) -> None:
    """Write a task's champion, or a run's best student, into FOLDER: model, tokenizer, card.

    Of a run, promoted or not, it is the student that the run chooses: of the arm that is best on
    dev, the seed that is best on dev. Plain transformers loads the folder, without DAFTT:
    AutoTokenizer.from_pretrained(FOLDER), and
    AutoModelForSequenceClassification.from_pretrained(FOLDER), or for texts the class that the card
    names. --onnx needs the packages of daftt[onnx].

    --kserve prints the manifest of an InferenceService instead, which reads the champion from the
    bucket that the registry is in, or a copy of FOLDER from --storage-uri.

    \b
    Examples:
      daftt export movie-reviews serving/movie-reviews
      daftt export movie-reviews serving/old --version 3f2a91 --onnx
      daftt export latest serving/first-try
      daftt export movie-reviews --kserve reviews --output gs://my-bucket/daftt > reviews.yaml
    """
    if folder is None and (onnx or kserve is None):
        raise click.UsageError("Missing argument 'FOLDER'." + " --onnx needs it." * onnx)
    if kserve is None and (storage_uri or canary is not None or service_account):
        raise click.UsageError("--storage-uri, --canary and --service-account go with --kserve.")
    source = _find(name, version, registry, output)
    manifest = None
    if kserve is not None:
        from daftt_core.registry.kserve import inference_service

        manifest = inference_service(
            kserve,
            _servable(source),
            storage_uri,
            canary_percent=canary,
            service_account=service_account,
        )
    if folder is not None:
        _write(source, folder, onnx=onnx, err=manifest is not None)
    if manifest is not None:
        say(as_yaml(manifest), nl=False)


def _write(source: _Version | Run, folder: Path, *, onnx: bool, err: bool) -> None:
    from daftt_core.registry import run_config
    from daftt_core.registry.chosen import chosen_student
    from daftt_core.registry.export import decision_about, export_chosen, export_version

    if isinstance(source, _Version):
        difference = export_version(source.registry, source.task, source.version, folder, onnx=onnx)
        say(f"{folder}: version {source.version} of {source.task}", err=err)
    else:
        chosen = chosen_student(source, run_config(source).student)
        difference = export_chosen(chosen, folder, onnx=onnx)
        say(f"{folder}: {chosen.title}", err=err)
        say(decision_about(chosen).reason, err=err)
    if difference is not None:
        say(f"model.onnx: its logits differ by {difference:.1e} at most", err=err)


@click.command("predict")
@click.argument("name", metavar="MODEL_OR_RUN")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; else stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    help="What is written; by default as the name in --out ends, else csv.",
)
@click.option(
    "--keep", metavar="COLUMN", multiple=True, help="A column of FILE to write too; repeatable."
)
@click.option("--version", default=_CHAMPION, help="Of a task: another version than its champion.")
@with_places
def predict_command(
    name: str,
    file: Path | None,
    out: Path | None,
    form: str | None,
    keep: tuple[str, ...],
    version: str,
    registry: str,
    output: str,
) -> None:
    """Answer texts: labels with probabilities, or what a text-to-text student writes.

    MODEL_OR_RUN is a task, for its champion; a run, for the student it chooses; or a folder that
    daftt export has written, or its copy in a bucket. FILE has the task's columns (.csv, .tsv,
    .jsonl, .json, .parquet, .arrow), or any other name and one text a line; without FILE, texts
    are read from standard input. A file is checked to its end before the first answer.

    Each answer is a row with the line of its input. CSV has the label's probability, JSONL the
    probability of every label too. Texts are written as they were read: in a spreadsheet, one that
    begins with = is a formula.

    \b
    Examples:
      daftt predict movie-reviews new.csv --out labels.csv
      daftt predict latest texts.txt --format jsonl
      echo "a joy from start to end" | daftt predict serving/movie-reviews
    """
    from daftt_core.registry.serving import exported_student, is_exported

    is_run = "://" in name and read_file(name, PREFLIGHT, RUN_FILE) is not None
    if is_exported(Path(name).expanduser()) or ("://" in name and not is_run):
        source = exported_student(name)
    else:
        source = _servable(_find(name, version, registry, output))
    predict(source, None if file == Path("-") else file, out, form, keep)


def _servable(source: _Version | Run) -> Servable:
    from daftt_core.registry.serving import servable_student, servable_version

    if isinstance(source, _Version):
        return servable_version(source.registry, source.task, source.version)
    return servable_student(source)
