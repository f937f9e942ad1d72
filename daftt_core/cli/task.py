"""``daftt task``: look at a task, check its file, and write a new one for one's own data."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from daftt_core.errors import ConfigError, DataError, did_you_mean
from daftt_core.records import Example, normalize
from daftt_core.storage import write_text
from daftt_core.tasks import (
    Prompt,
    Task,
    answer_prompt,
    builtin_tasks,
    load_task,
    look_at,
    parse_task,
    propose_columns,
    propose_kind,
    writing_prompt,
)

__all__ = ["task_command"]

_NO_LIMIT = 10**9
_WORD = re.compile(r"[^\W\d_]{2}")  # a label without one is a number or a code


@click.group("task", short_help="Show, check or write the description of a task.")
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(name: str, as_json: bool) -> None:
    """Show the task NAME (built in, or a .yaml file) and a prompt of each direction.

    Without NAME, the built-in tasks are listed.
    """
    tasks = [load_task(one) for one in ([name] if name else builtin_tasks())]
    if as_json:
        dumped = [task.model_dump(mode="json") for task in tasks]
        click.echo(json.dumps(dumped[0] if name else dumped, indent=1))
    elif name:
        _echo(_as_yaml(tasks[0].model_dump(mode="json", exclude_defaults=True)))
        _show_prompts(tasks[0])
    else:
        width = max(len(task.id) for task in tasks)
        for task in tasks:
            _echo(f"{task.id:<{width}}  {task.description}\n")


@task_command.command("validate", short_help="Check a task's file; show its prompts.")
@click.argument("file")
@click.option(
    "--tokenizer",
    default="",
    metavar="MODEL",
    help="Count the prompts' tokens as this model does: a bundled name, a folder or a Hub id.",
)
def validate_command(file: str, tokenizer: str) -> None:
    """Check the task FILE and show a prompt of each direction; every mistake is told at once.

    \b
    Examples:
      daftt task validate tickets.yaml
      daftt task validate tickets.yaml --tokenizer smollm2-135m-instruct
    """
    task = load_task(file)
    _show_prompts(task, _counter(tokenizer) if tokenizer else None)
    _echo(f"The task {task.id}, version {task.version}, is right.\n")


@task_command.command("new", short_help="Write a task's file for data of your own.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="A .csv, .tsv or .jsonl file of examples; columns and labels are proposed from it.",
)
@click.option("--kind", type=click.Choice(["classification", "text2text"]), help="Kind of task.")
@click.option("--text", metavar="COLUMN", help="Column of the input.")
@click.option("--text-pair", metavar="COLUMN", help="Column of a second input; '' for none.")
@click.option("--output", metavar="COLUMN", help="Column of the label or text to be given.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="VALUE=WORDS",
    help="What a value of the output column is called; once for each value that is no word.",
)
@click.option("--description", help="What the task is, in one sentence.")
@click.option("--definition", help="The instruction for answering an input.")
@click.option("--writing-definition", help="The instruction for writing an input.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
def new_command(file: Path, data: Path, yes: bool, labels: tuple[str, ...], **given: Any) -> None:
    """Write the task FILE (.yaml) for the examples in --data, asking what it cannot see there.

    \b
    Examples:
      daftt task new tickets.yaml --data tickets.csv
      daftt task new tickets.yaml --data tickets.csv --label 0=later --label 1=urgent --yes
    """
    if file.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{file}: the name of a task's file must end in .yaml")
    if file.exists():
        raise ConfigError(f"{file}: is there already; give another name, or remove it first")
    fields = _ask_fields(file, look_at(data), dict(map(_named_label, labels)), given, yes=yes)
    text = _as_yaml(fields)
    parse_task(str(file), text)
    write_text(file, text)
    task, source = shlex.quote(str(file)), shlex.quote(str(data))
    _echo(
        f"Wrote {file}. Read its definitions and make them yours. Check it, then run it:\n"
        f"  daftt task validate {task}\n"
        f"  daftt run --task {task} --data-train {source}\n"
    )


def _named_label(text: str) -> tuple[str, str]:
    value, found, words = text.partition("=")
    if not (found and value and words):
        raise ConfigError(f"--label: {text!r} must be VALUE=WORDS, such as 1=urgent")
    return value, words


def _ask_fields(
    file: Path,
    table: dict[str, list[str]],
    words: dict[str, str],
    given: dict[str, Any],
    *,
    yes: bool,
) -> dict[str, Any]:
    """The fields of a task: what was given, and else what is proposed or a person answers."""

    def ask(name: str, question: str, proposed: str) -> str:
        if given.get(name) is not None:
            return str(given[name])
        if yes:
            return proposed
        return _prompt(question, proposed)

    def column(name: str, question: str, proposed: str) -> str:
        chosen = ask(name, question, proposed)
        if chosen not in table and not (name == "text_pair" and not chosen):
            known = ", ".join(map(repr, table))
            hint = did_you_mean(chosen, table)
            raise DataError(f"there is no column {chosen!r}{hint} (columns found: {known})")
        return chosen

    proposed = propose_columns(table)
    columns = {"text": column("text", "Column of the input", proposed.text)}
    if pair := column("text_pair", "Column of a second input, if any", proposed.text_pair or ""):
        columns["text_pair"] = pair
    columns["output"] = column("output", "Column of the label or text to be given", proposed.output)
    outputs = [value.strip() for value in table[columns["output"]] if value.strip()]
    kind = ask("kind", "Kind: classification or text2text", propose_kind(outputs))
    fields: dict[str, Any] = {"id": _slug(file.stem), "kind": kind, "columns": columns}
    if kind == "classification":
        asked = "" if yes else "What does the label {!r} mean, in a word or two?"
        fields["labels"] = _labels(outputs, words, asked)
        called = ", ".join(f'"{label["verbalizer"]}"' for label in fields["labels"])
        answer, write = f"Read this text and answer with one of {called}.", "this answer"
    elif words:
        raise ConfigError("--label: a text2text task has no labels")
    else:
        answer, write = "Read this text and write the answer to it.", "an answer"
    fields["description"] = ask("description", "The task in one sentence", answer)
    fields["definition"] = ask("definition", "Instruction for answering an input", answer)
    fields["writing_definition"] = ask(
        "writing_definition", "Instruction for writing an input", f"Write a text with {write}."
    )
    return fields


def _labels(outputs: Sequence[str], words: dict[str, str], question: str) -> list[dict[str, Any]]:
    """The labels that these outputs are; spellings that differ in case or spaces are one label."""
    counts = Counter(outputs)
    if unknown := [value for value in words if value not in counts]:
        hint = did_you_mean(unknown[0], counts)
        raise DataError(f"--label: the output column does not hold {unknown[0]!r}{hint}")
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for value in sorted(counts, key=lambda value: (-counts[value], value)):
        alike[normalize(value)].append(value)
    labels = []
    for spellings in sorted(alike.values()):
        called = next((words[one] for one in spellings if one in words), None)
        if called is None:
            called = spellings[0].replace("_", " ")
            if question and not _WORD.search(called):
                called = _prompt(question.format(spellings[0]), called)
        others = [one for one in spellings if one != called]
        aliases = {"aliases": others} if others else {}
        labels.append({"name": called, "verbalizer": called, **aliases})
    return labels


def _prompt(question: str, proposed: str) -> str:
    # shown by itself, as what is proposed comes from a file
    shown = _visible(f"{question} [{proposed}]")
    return str(click.prompt(shown, default=proposed, show_default=False)).strip()


def _slug(text: str) -> str:
    letters = (c if c.isascii() and c.isalnum() else "-" for c in text.casefold())
    return "-".join(part for part in "".join(letters).split("-") if part) or "task"


def _as_yaml(fields: dict[str, Any]) -> str:
    text = str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100))
    if text == _visible(text):
        return text
    # what cannot be seen is written as \u escapes, so that whoever reads the file sees it
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=False, width=100))


def _show_prompts(task: Task, count: Callable[[Prompt], str] | None = None) -> None:
    example = _sample(task)
    directions = {
        "Asked for an output": answer_prompt(task, example),
        "Asked for an input": writing_prompt(task, example),
    }
    for title, prompt in directions.items():
        counted = f" ({count(prompt)})" if count else ""
        _echo(f"\n{title}{counted}:\n\n{textwrap.indent(str(prompt), '    ')}\n")
    _echo("\n")


def _sample(task: Task) -> Example:
    """An example with the names of the task's columns in the place of what they hold."""
    columns = task.columns
    pair = f"<{columns.text_pair}>" if columns.text_pair else None
    output = task.label_names[0] if task.labels else f"<{columns.output}>"
    return Example.of(f"<{columns.text}>", pair, output=output)


def _counter(model: str) -> Callable[[Prompt], str]:
    """Says how many tokens a prompt has for a model."""
    from daftt_core.engines import encode  # loads torch
    from daftt_core.modeling import be_quiet, load_tokenizer

    be_quiet()
    tokenizer = load_tokenizer(model)

    def count(prompt: Prompt) -> str:
        encoded = encode(prompt, tokenizer, _NO_LIMIT)
        whole = len(encoded.prefix) + len(encoded.rest) + len(encoded.answer)
        return f"{whole} tokens, {len(encoded.prefix)} of them the same for every example"

    return count


def _echo(text: str) -> None:
    click.echo(_visible(text), nl=False)


def _visible(text: str) -> str:
    from daftt_core.reporting.escape import visible  # loads what the report is drawn with

    return visible(text)
