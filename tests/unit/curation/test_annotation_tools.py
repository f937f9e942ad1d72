"""The sheet in Argilla and in Label Studio: what they import, and what they export.

The exports here have the form of the tools' documents: Label Studio's "JSON format of annotated
tasks" (labelstud.io/guide/task_format), and Argilla's ``Record.to_dict`` (docs.argilla.io,
rg.Record; "responses": a list of value and user_id for each question).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from test_curation_review import _curated, _example

from daftt_core.curation import CORRECTIONS, make_sheet, read_marks
from daftt_core.curation.annotation_tools import Tool, files_for
from daftt_core.errors import DataError, StorageError
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, read_stage

QUESTIONS = ("label_ok", "hallucination", "usable")
WELL = {"label_ok": "y", "hallucination": "n", "usable": "y"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(uri=str(tmp_path / "run"), seed=7, task=load_task("movie-reviews"))
    _curated(run, extra=('a <b>"bold"</b> & =1+1 film',))
    return run


def argilla_export(records: list[dict[str, Any]], marks: list[dict[str, str]]) -> list[Any]:
    return [
        {
            **record,
            "suggestions": {},
            "responses": {name: [{"value": v, "user_id": "u1"}] for name, v in mark.items()},
            "vectors": {},
            "status": "completed",
            "_server_id": "s",
        }
        for record, mark in zip(records, marks, strict=True)
    ]


def label_studio_export(tasks: list[dict[str, Any]], marks: list[dict[str, str]]) -> list[Any]:
    return [
        {
            "id": number,
            **task,
            "annotations": [
                {"was_cancelled": True, "result": [chosen("label_ok", "n")]},
                {"was_cancelled": False, "result": [chosen(*pair) for pair in mark.items()]},
            ],
            "predictions": [],
        }
        for number, (task, mark) in enumerate(zip(tasks, marks, strict=True), start=1)
    ]


def chosen(name: str, value: str) -> dict[str, Any]:
    return {
        "from_name": name,
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [value]},
        "origin": "manual",
    }


EXPORTS = {
    "argilla": ("records.json", argilla_export),
    "label-studio": ("tasks.json", label_studio_export),
}


def exported(run: Run, tool: Tool, folder: Path, marks: dict[int, dict[str, str]]) -> Path:
    """What a tool exports when all is well, except for what ``marks`` says of some examples."""
    make_sheet(run, folder / "sheet", 30, tool=tool)
    name, export = EXPORTS[tool]
    imported = json.loads((folder / "sheet" / name).read_text())
    rows = [WELL | marks.get(place, {}) for place in range(len(imported))]
    path = folder / "export.json"
    path.write_text(json.dumps(export(imported, rows)))
    return path


@pytest.mark.parametrize("tool", EXPORTS)
def test_what_people_marked_in_a_tool_is_read_as_a_sheet_is(
    run: Run, tmp_path: Path, tool: Tool
) -> None:
    wrong = {"label_ok": "n", "correction": "positive"}
    path = exported(run, tool, tmp_path, {3: {"hallucination": "y"}})
    examples = json.loads((tmp_path / "sheet" / EXPORTS[tool][0]).read_text())
    content = [each.get("fields") or each["data"] for each in examples]
    place = next(n for n, each in enumerate(content) if each["label"] == "negative")
    _name, export = EXPORTS[tool]
    rows = [WELL | ({} if n != place else wrong) for n in range(len(examples))]
    path.write_text(json.dumps(export(examples, rows)))
    result = read_marks(run, path)
    assert result.summary["all label_ok"] == 1
    assert result.summary["corrections"] == 1
    lines = (read_stage(run, "review/marks")[0] / CORRECTIONS).read_text().splitlines()
    corrected = json.loads(lines[0])
    assert corrected["text"] == content[place]["text"]
    assert corrected["label"] == "positive"


def test_argillas_folder_as_a_whole_is_read(run: Run, tmp_path: Path) -> None:
    path = exported(run, "argilla", tmp_path, {})
    (tmp_path / "back").mkdir()
    path.rename(tmp_path / "back" / "records.json")
    assert read_marks(run, tmp_path / "back").summary["all label_ok"] == 0


@pytest.mark.parametrize("tool", EXPORTS)
def test_an_example_that_nobody_marked_is_named(run: Run, tmp_path: Path, tool: Tool) -> None:
    path = exported(run, tool, tmp_path, {})
    records = json.loads(path.read_text())
    records[4] |= {"responses": {}} if tool == "argilla" else {"annotations": []}
    path.write_text(json.dumps(records))
    with pytest.raises(DataError, match=r"export\.json, record 5: label_ok: it is empty"):
        read_marks(run, path)


def test_people_who_disagree_are_told(run: Run, tmp_path: Path) -> None:
    path = exported(run, "argilla", tmp_path, {0: {"label_ok": "n", "correction": "positive"}})
    records = json.loads(path.read_text())
    for name in ("usable", "correction"):
        other = {"usable": "n", "correction": "negative"}[name]
        records[0]["responses"][name].append({"value": other, "user_id": "u2"})
        path.write_text(json.dumps(records))
        words = {"usable": "usable: 'y, n'; write y or n", "correction": "gave 2 different ones"}
        with pytest.raises(DataError, match=rf"record 1: .*{words[name]}"):
            read_marks(run, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "is no list of records"),
        ("[", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[7]", "record 1: is no annotated record"),
        ('[{"id": "x", "responses": {"label_ok": "y"}}]', "record 1: is no annotated record"),
        ('[{"id": "x", "responses": {}}]', "record 1: id: 'x' is not on this run's sheet"),
        ('[{"data": {}, "annotations": []}]', "record 1: id: 'None' is not on this run's sheet"),
    ],
)
def test_what_is_no_export_is_refused(run: Run, tmp_path: Path, text: str, words: str) -> None:
    make_sheet(run, tmp_path / "sheet", 30, tool="argilla")
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(DataError, match=rf"export\.json.*{words}"):
        read_marks(run, tmp_path / "export.json")


def test_a_folder_is_never_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sheet").mkdir()
    with pytest.raises(StorageError, match="is there already"):
        make_sheet(run, tmp_path / "sheet", 30, tool="label-studio")
    assert not list((tmp_path / "sheet").iterdir())


def test_the_labeling_configuration_names_all_that_a_task_has() -> None:
    task = load_task("movie-reviews")
    example = _example("a <View> & more", "generated", "positive")
    files = files_for("label-studio", [example], task)
    view = ElementTree.fromstring(files["labeling.xml"])
    (data,) = [each["data"] for each in json.loads(files["tasks.json"])]
    shown = {each.get("value", "").removeprefix("$") for each in view.iter("Text")}
    assert shown == {"text", "label"} <= set(data)
    choices = {each.get("name"): [c.get("value") for c in each] for each in view.iter("Choices")}
    assert choices == {**{key: ["y", "n"] for key in QUESTIONS}, "correction": [*task.label_names]}


def test_a_task_of_texts_is_corrected_by_a_text() -> None:
    task = load_task("past-tense")
    example = _example("to go", "generated", "goed")
    view = ElementTree.fromstring(files_for("label-studio", [example], task)["labeling.xml"])
    assert [each.get("name") for each in view.iter("TextArea")] == ["correction"]
    files = files_for("argilla", [example], task)
    (question,) = [
        each
        for each in json.loads(files[".argilla/settings.json"])["questions"]
        if each["name"] == "correction"
    ]
    assert (question["settings"], question["required"]) == ({"type": "text"}, False)


def test_several_labels_are_corrected_as_a_text() -> None:
    task = load_task("word-classes")
    settings = json.loads(files_for("argilla", [], task)[".argilla/settings.json"])
    kinds = {question["name"]: question["settings"]["type"] for question in settings["questions"]}
    assert kinds == dict.fromkeys(QUESTIONS, "label_selection") | {"correction": "text"}
    view = ElementTree.fromstring(files_for("label-studio", [], task)["labeling.xml"])
    assert [area.get("name") for area in view.iter("TextArea")] == ["correction"]
    assert "noun" not in {choice.get("value") for choice in view.iter("Choice")}
