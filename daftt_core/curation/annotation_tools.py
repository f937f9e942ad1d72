"""The sheet as files that annotation tools import, and what people marked in them.

Both tools show the questions of the sheet, and what they export is read as strictly as it.

Argilla 2 (docs.argilla.io, "Importing and exporting datasets and records"): ``Dataset.from_disk``
imports a folder of ``.argilla/dataset.json``, ``.argilla/settings.json`` and ``records.json``;
``Dataset.to_disk`` writes such a folder, and ``records.to_json`` its last file. A record is
``{"id": ..., "fields": {...}, "responses": {QUESTION: [{"value": ..., "user_id": ...}]}}``.

Label Studio (labelstud.io/guide/task_format): tasks are imported as ``[{"data": {...}}]``, beside
the labeling configuration of the project, which is XML; the export "JSON" adds to each task
``"annotations": [{"was_cancelled": ..., "result": [{"from_name": ..., "value": {...}}]}]``, with
``{"choices": [...]}`` or ``{"text": [...]}`` as the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from pydantic import BaseModel, ValidationError

from daftt_core.errors import DataError
from daftt_core.records import SyntheticExample, explain
from daftt_core.tasks import Task

Tool = Literal["argilla", "label-studio"]

_TITLES = {
    "label_ok": "Is the label right?",
    "hallucination": "Does the text state what cannot be so?",
    "usable": "Can one learn from it?",
}
_CORRECTION = "correction"
_CORRECTION_TITLE = "If the label is wrong: the right one"
_RECORDS = "records.json"


def files_for(tool: Tool, drawn: Sequence[SyntheticExample], task: Task) -> dict[str, str]:
    """Return the files that a tool imports, by name.

    Args:
        tool: The tool.
        drawn: The examples.
        task: Says which labels may be chosen; several of them are written as a text.
    """
    return _argilla(drawn, task) if tool == "argilla" else _label_studio(drawn, task)


def is_export(path: Path) -> bool:
    """Return whether a path is a tool's export and not a CSV sheet."""
    return path.is_dir() or path.suffix == ".json"


def read_export(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place and the marks of each example that a tool has exported.

    Marks that people disagree on are joined by a comma, which is no mark.

    Args:
        path: A JSON file, or the folder that Argilla writes.

    Raises:
        DataError: It cannot be read, or is not an export of one of the tools.
    """
    file = path / _RECORDS if path.is_dir() else path
    try:
        documents = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{file}: is not JSON") from None
    if not isinstance(documents, list):
        raise DataError(f"{file}: is no list of records, as Argilla and Label Studio export them")
    for number, document in enumerate(documents, start=1):
        place = f"record {number}"
        is_task = isinstance(document, dict) and "annotations" in document
        kind: type[_Task | _Record] = _Task if is_task else _Record
        try:
            row = kind.model_validate(document).row()
        except ValidationError as error:
            field, problem = next(explain(error, kind))
            where = f"{field}: " if field else ""
            raise DataError(f"{file}, {place}: is no annotated record: {where}{problem}") from None
        except ValueError as error:
            raise DataError(f"{file}, {place}: {error}") from None
        yield place, row


def _row(example_id: object, answers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the marks of one example.

    Raises:
        ValueError: People gave different corrections.
    """
    given: dict[str, list[str]] = {name: [] for name in (*_TITLES, _CORRECTION)}
    for name, value in answers:
        if name in given and value not in given[name]:
            given[name].append(value)
    if len(given[_CORRECTION]) > 1:
        count = len(given[_CORRECTION])
        raise ValueError(f"{_CORRECTION}: people gave {count} different ones; keep one of them")
    return {"id": str(example_id)} | {name: ", ".join(values) for name, values in given.items()}


class _Response(BaseModel):
    value: str | None = None


class _Record(BaseModel):
    """A record of Argilla."""

    id: str
    responses: dict[str, list[_Response]]

    def row(self) -> dict[str, str]:
        answers = (
            (name, response.value or "")
            for name, responses in self.responses.items()
            for response in responses
        )
        return _row(self.id, answers)


class _Value(BaseModel):
    choices: list[str] = []
    text: list[str] | str = []


class _Result(BaseModel):
    from_name: str
    value: _Value


class _Annotation(BaseModel):
    was_cancelled: bool = False
    result: list[_Result]


class _Task(BaseModel):
    """A task of Label Studio."""

    data: dict[str, Any]
    annotations: list[_Annotation]

    def row(self) -> dict[str, str]:
        results = (
            result
            for annotation in self.annotations
            if not annotation.was_cancelled
            for result in annotation.result
        )
        answers = (
            (result.from_name, value)
            for result in results
            for value in (*result.value.choices, *_lines(result.value.text))
        )
        return _row(self.data.get("id"), answers)


def _lines(text: list[str] | str) -> list[str]:
    return [text] if isinstance(text, str) else text


def _argilla(drawn: Sequence[SyntheticExample], task: Task) -> dict[str, str]:
    names = ["text", "text_pair", "label"] if task.columns.text_pair else ["text", "label"]
    fields = [
        {"name": name, "title": name, "required": True, "settings": {"type": "text"}}
        for name in names
    ]
    correction = _choice(task.label_names) if task.kind == "classification" else {"type": "text"}
    questions = [
        {"name": name, "title": title, "required": True, "settings": _choice(("y", "n"))}
        for name, title in _TITLES.items()
    ]
    questions.append(
        {
            "name": _CORRECTION,
            "title": _CORRECTION_TITLE,
            "required": False,
            "settings": correction,
        }
    )
    settings = {
        "questions": questions,
        "fields": fields,
        "vectors": [],
        "metadata": [],
        "allow_extra_metadata": True,
    }
    records = [
        {
            "id": example.id,
            "fields": {name: _content(example)[name] for name in names},
            "metadata": {"source": example.source},
        }
        for example in drawn
    ]
    return {
        ".argilla/dataset.json": _json({"name": f"daftt-review-{task.id}"}),
        ".argilla/settings.json": _json(settings),
        _RECORDS: _json(records),
    }


def _choice(values: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "label_selection",
        "options": [{"value": value, "text": value} for value in values],
    }


def _label_studio(drawn: Sequence[SyntheticExample], task: Task) -> dict[str, str]:
    view = ElementTree.Element("View")
    names = ["text", "text_pair", "label"] if task.columns.text_pair else ["text", "label"]
    for name in names:
        ElementTree.SubElement(view, "Header", value=name)
        ElementTree.SubElement(view, "Text", name=name, value=f"${name}")
    for name, title in _TITLES.items():
        _choices(view, name, title, ("y", "n"), required="true")
    if task.kind == "classification":
        _choices(view, _CORRECTION, _CORRECTION_TITLE, task.label_names, required="false")
    else:
        ElementTree.SubElement(view, "Header", value=_CORRECTION_TITLE)
        words = {"name": _CORRECTION, "toName": "text", "maxSubmissions": "1", "editable": "true"}
        ElementTree.SubElement(view, "TextArea", words)
    ElementTree.indent(view)
    tasks = [{"data": {"id": each.id, "source": each.source, **_content(each)}} for each in drawn]
    return {
        "labeling.xml": ElementTree.tostring(view, encoding="unicode") + "\n",
        "tasks.json": _json(tasks),
    }


def _choices(
    view: ElementTree.Element, name: str, title: str, values: Sequence[str], *, required: str
) -> None:
    ElementTree.SubElement(view, "Header", value=title)
    words = {"name": name, "toName": "text", "choice": "single", "required": required}
    choices = ElementTree.SubElement(view, "Choices", words)
    for value in values:
        ElementTree.SubElement(choices, "Choice", value=value)


def _content(example: SyntheticExample) -> dict[str, str]:
    return {
        "text": example.text,
        "text_pair": example.text_pair or "",
        "label": example.output or "",
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
