"""``daftt task``: look at a task, check its file, and write a new one for one's own data."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from daftt_core.cli.authoring.questions import KINDS, ask_fields
from daftt_core.cli.printing import as_yaml, say, say_json, with_json
from daftt_core.errors import ConfigError, StorageError
from daftt_core.records import Example, write_text
from daftt_core.tasks import (
    Prompt,
    Task,
    answer_prompts,
    builtin_tasks,
    load_task,
    parse_task,
    spelling,
    spoken,
    writing_prompt,
)

_NO_LIMIT = 10**9


@click.group("task")
def task_command() -> None:
    """Show, check or write the description of a task.

    \b
    Examples:
      daftt task show
      daftt task show rte
      daftt task new tickets.yaml --data tickets.csv
      daftt task validate tickets.yaml
    """


@task_command.command("show", short_help="Show a task and its prompts, or list those built in.")
@click.argument("name", default="")
@with_json
def show_command(name: str, as_json: bool) -> None:
    """Show the task NAME (built in, or a .yaml file) and a prompt of each direction.

    Without NAME, the built-in tasks are listed.
    """
    tasks = [load_task(task) for task in ([name] if name else builtin_tasks())]
    if as_json:
        dumped = [task.model_dump(mode="json") for task in tasks]
        say_json(dumped[0] if name else dumped)
    elif name:
        say(as_yaml(tasks[0].model_dump(mode="json", exclude_defaults=True)), nl=False)
        _show_prompts(tasks[0])
    else:
        width = max(len(task.id) for task in tasks)
        for task in tasks:
            say(f"{task.id:<{width}}  {task.description}")


@task_command.command("validate", short_help="Check a task's file; show its prompts.")
@click.argument("file")
@click.option(
    "--tokenizer",
    default="",
    metavar="MODEL",
    help="Count the prompts' tokens as this model does: a bundled name, a folder or a Hub id.",
)
def validate_command(file: str, tokenizer: str) -> None:
    """Check the task FILE and show a prompt of each direction; all mistakes are reported at once.

    \b
    Examples:
      daftt task validate tickets.yaml
      daftt task validate tickets.yaml --tokenizer smollm2-135m-instruct
    """
    task = load_task(file)
    _show_prompts(task, _counter(tokenizer) if tokenizer else None)
    say(f"The task {task.id}, version {task.version}, is right.")


@task_command.command("new", short_help="Write a task's file for data of your own.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="A .csv, .tsv, .jsonl or .json file; columns and labels are proposed from it.",
)
@click.option("--kind", type=click.Choice(KINDS), help="Kind of task.")
@click.option("--text", metavar="COLUMN", help="Column of the input.")
@click.option("--text-pair", metavar="COLUMN", help="Column of a second input; '' for none.")
@click.option("--output", metavar="COLUMN", help="Column of the label or text to be given.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="VALUE=WORDS",
    help="The name of a value in the output column; once for each value that is no word.",
)
@click.option("--description", help="What the task is, in one sentence.")
@click.option("--definition", help="The instruction for answering an input.")
@click.option("--writing-definition", help="The instruction for writing an input.")
@click.option("--yes", is_flag=True, help="Accept every proposal without asking.")
def new_command(file: Path, data: Path, yes: bool, labels: tuple[str, ...], **options: Any) -> None:
    """Write the task FILE (.yaml) for the examples in --data, asking what they do not show.

    \b
    Examples:
      daftt task new tickets.yaml --data tickets.csv
      daftt task new tickets.yaml --data tickets.csv --label 0=later --label 1=urgent --yes
    """
    if file.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{file}: the name of a task's file must end in .yaml")
    from daftt_core.data import look_at, try_reading  # loads pyarrow

    _check_place(file)
    words = _named_labels(labels)
    unwritten = f"{file} (not written)"

    def check(fields: dict[str, Any]) -> None:
        try_reading(data, parse_task(unwritten, as_yaml(fields)))

    fields, notes = ask_fields(file, look_at(data), words, options, check, yes=yes)
    text = as_yaml(fields)
    parse_task(unwritten, text)
    try:
        write_text(file, text)
    except OSError as error:
        raise StorageError(f"{file}: cannot be written: {error.strerror}") from None
    task, source = shlex.quote(str(file)), shlex.quote(str(data))
    for note in notes:
        say(f"{note}\n")
    say(
        f"Wrote {file}: {_summary(fields)}. Read its definitions and make them yours. Check it, "
        "then run it:\n"
        f"  daftt task validate {task}\n"
        f"  daftt run --task {task} --data-train {source}"
    )


def _summary(fields: dict[str, Any]) -> str:
    columns = fields["columns"]
    pair = f" and {columns['text_pair']!r}" if "text_pair" in columns else ""
    labels = ""
    if "labels" in fields:
        how_many = "any" if fields["kind"] == "multilabel" else "one"
        labels = f"{how_many} of the {len(fields['labels'])} labels in "
    return f"it reads {columns['text']!r}{pair} and answers with {labels}{columns['output']!r}"


def _check_place(file: Path) -> None:
    """Check, before anything is asked, that the file can be written: no answer must be lost."""
    try:
        if file.exists():
            raise ConfigError(f"{file}: already exists; give another name, or remove it first")
        above = next(folder for folder in file.absolute().parents if folder.exists())
    except OSError as error:  # such as a name that is too long
        raise StorageError(f"{file}: cannot be written: {error.strerror}") from None
    if not above.is_dir():
        raise StorageError(f"{file}: cannot be written: {above} is no folder")
    if not os.access(above, os.W_OK):
        raise StorageError(f"{file}: cannot be written: {above} may not be written")


def _named_labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the names of values, from texts such as ``1=urgent``."""
    names: dict[str, str] = {}
    for text in texts:
        value, _, name = map(spelling, text.partition("="))
        if not (value and spoken(name)):
            raise ConfigError(f"--label: {text!r} must be VALUE=WORDS, such as 1=urgent")
        if names.setdefault(value, name) != name:
            both = f"{names[value]!r} and {name!r}"
            raise ConfigError(f"--label: {value!r} is called both {both}; give one of them")
    return names


def _show_prompts(task: Task, count: Callable[[Prompt], str] | None = None) -> None:
    example = _sample(task)
    question = "Prompt for an output"
    if task.is_multilabel:
        question += ", the first of one for each label"
    directions = {
        question: answer_prompts(task, example)[0],
        "Prompt for an input": writing_prompt(task, example),
    }
    for title, prompt in directions.items():
        counted = f" ({count(prompt)})" if count else ""
        say(f"\n{title}{counted}:\n\n{textwrap.indent(str(prompt), '    ')}")
    say()


def _sample(task: Task) -> Example:
    """Return an example that holds the names of the task's columns in place of their content."""
    columns = task.columns
    pair = f"<{columns.text_pair}>" if columns.text_pair else None
    output = task.output_of(task.label_names[:1]) if task.labels else f"<{columns.output}>"
    return Example.of(f"<{columns.text}>", pair, output=output)


def _counter(model: str) -> Callable[[Prompt], str]:
    """Return a function that says how many tokens a prompt has for a model."""
    from daftt_core.engines import encode  # loads torch
    from daftt_core.modeling import be_quiet, load_tokenizer

    be_quiet()
    tokenizer = load_tokenizer(model)

    def count(prompt: Prompt) -> str:
        encoded = encode(prompt, tokenizer, _NO_LIMIT)
        whole = len(encoded.prefix) + len(encoded.rest) + len(encoded.answer)
        return f"{whole} tokens, {len(encoded.prefix)} of them the same for every example"

    return count
