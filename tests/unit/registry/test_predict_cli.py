"""``daftt predict`` and ``daftt export`` of runs, as a person uses them."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import pytest
import torch
from documented_code import run_code
from registry_runs import TEST, finished_run, promoted
from tiny_models import tiny_t5
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from daftt_core.cli.app import main
from daftt_core.cli.local import run as run_module
from daftt_core.cli.runs import predictions as predictions_module
from daftt_core.registry.serving import FACTS, ServingFacts
from daftt_core.reporting import write_report
from daftt_core.storage import commit
from daftt_core.tasks import Columns, Task


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose student is the champion, one that was refused, one that promotes nothing."""
    folder = tmp_path_factory.mktemp("predict")
    promoted(*finished_run(folder, "first", 0.9, student_max_length=8))
    promoted(*finished_run(folder, "second", 0.7, model_seed=1, student_max_length=8))
    finished_run(folder, "third", 0.8, model_seed=2, student_max_length=8)
    return folder / "runs"


def daftt(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def plain(model: Path, texts: list[str]) -> list[dict[str, float]]:
    """The probabilities that plain transformers gives."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForSequenceClassification.from_pretrained(model)
    found = []
    for text in texts:
        with torch.inference_mode():
            inputs = tokenizer(text, truncation=True, max_length=8, return_tensors="pt")
            values = loaded(**inputs).logits.softmax(-1)[0].tolist()
        found.append({loaded.config.id2label[i]: value for i, value in enumerate(values)})
    return found


def test_a_champion_labels_a_file_as_plain_transformers_does(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [one.text for one in TEST[:6]]
    texts[2] = f'=1+1, "quoted"\n{texts[2]}'
    with (tmp_path / "new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["no", "remark", "tone"])
        writer.writerows([n, text, "anything"] for n, text in enumerate(texts))
    words = ["predict", "meals", tmp_path / "new.csv", "--output", runs]
    code, out, err = daftt(capsys, *words, "--format", "jsonl", "--keep", "no", "--keep", "tone")
    assert code == 0
    assert "# version " in err
    assert "# inputs answered: 6; longer than 8 tokens, so that the end was cut: " in err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["line"] for row in rows] == [2, 3, 4, 6, 7, 8]
    assert [row["remark"] for row in rows] == texts
    assert [row["no"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert {row["tone"] for row in rows} == {"anything"}
    champion = json.loads((runs / "registry/meals/champion.json").read_text())["champion"]
    expected = plain(runs / "registry/meals/versions" / champion, texts)
    for row, probabilities in zip(rows, expected, strict=True):
        assert row["probabilities"] == pytest.approx(probabilities, abs=2e-6)
        assert row["predicted_tone"] == max(probabilities, key=lambda label: probabilities[label])
        assert row["probability"] == max(row["probabilities"].values())
    code, out, _ = daftt(capsys, *words, "--out", tmp_path / "labels.csv")
    assert (code, out) == (0, "")
    written = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text(), newline="")))
    assert list(written[0]) == ["line", "remark", "tone", "probability"]
    assert [row["remark"] for row in written] == texts
    assert [row["tone"] for row in written] == [row["predicted_tone"] for row in rows]


def test_texts_come_from_standard_input_in_pieces(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [one.text for one in TEST[:5]]
    content = f"{texts[0]}\r\n\n" + "\n".join(texts[1:])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    monkeypatch.setattr(predictions_module, "_AT_ONCE", 2)
    code, out, err = daftt(capsys, "predict", "meals", "--output", runs)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["line"], row["remark"]) for row in rows] == [
        (str(line), text) for line, text in zip([1, 3, 4, 5, 6], texts, strict=True)
    ]
    assert "predict: started" in err
    assert "# inputs answered: 5" in err


def test_runs_that_were_not_promoted_are_exported_and_answer_as_their_export(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.txt").write_text("\n".join(one.text for one in TEST[:4]))
    for name, reason in (
        ("second", "Not promoted: real+annotated, seed 1 ("),
        ("third", "Not compared with a champion: "),
    ):
        target = tmp_path / name
        code, out, _ = daftt(capsys, "export", runs / name, target)
        assert code == 0
        assert out.splitlines()[0].startswith(
            f"{target}: real+annotated, seed 1 of run {name} (version "
        )
        assert out.splitlines()[1].startswith(reason)
        card = (target / "README.md").read_text()
        assert reason.partition(":")[0] in card
        assert "| accuracy |" in card
        listed = {
            file["name"] for file in json.loads((target / "manifest.json").read_text())["files"]
        }
        assert {"model.safetensors", "README.md", FACTS} <= listed
        assert str(runs) not in (target / FACTS).read_text() + card
        said = [
            daftt(capsys, "predict", model, tmp_path / "new.txt", "--output", runs)[1]
            for model in (name, target)
        ]
        assert said[0] == said[1]
        assert len(said[0].splitlines()) == 5


def test_a_run_ends_with_its_headline_its_report_and_commands_that_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, config = finished_run(tmp_path / "a b", "first", 0.9, student_max_length=8)
    promoted(run, config)
    write_report(run)
    run_module._show(run, 61.0, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("Wall time: 1 min 1 s (some stages run side by side)")
    assert any("real+annotated reaches 90.0% accuracy" in line for line in lines[place:])
    assert any(line.startswith("Promoted: real+annotated, seed 1 (") for line in lines[place:])
    assert lines[-3] == f"Report: {run.folder / 'report' / 'report.html'}"
    (tmp_path / "new.txt").write_text("the soup was cold\n")
    for line, command, word in zip(
        lines[-2:], ("predict", "export"), (tmp_path / "new.txt", tmp_path / "model"), strict=True
    ):
        name, *words = shlex.split(line.partition("  ")[2])
        assert (name, words[:2]) == ("daftt", [command, str(run.folder)])
        assert daftt(capsys, *words[:-1], word)[0] == 0


def test_an_export_that_was_changed_or_is_none_is_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.txt").write_text("the soup was cold\n")
    export = tmp_path / "export"
    assert daftt(capsys, "export", "meals", export, "--output", runs)[0] == 0
    facts = json.loads((export / FACTS).read_text())
    facts["task"]["labels"].reverse()
    (export / FACTS).write_text(json.dumps(facts))
    code, _, err = daftt(capsys, "predict", export, tmp_path / "new.txt")
    assert (code, "daftt.json: does not match the manifest beside it; it was changed" in err) == (
        5,
        True,
    )
    (export / "manifest.json").unlink()
    code, _, err = daftt(capsys, "predict", export, tmp_path / "new.txt")
    assert (code, "was not trained for the labels unkind, kind" in err) == (4, True)
    (export / FACTS).write_text('{"version": "x"}')
    code, _, err = daftt(capsys, "predict", export, tmp_path / "new.txt")
    assert (code, "daftt.json: version: 'x' should match" in err) == (4, True)
    (export / FACTS).unlink()
    code, _, err = daftt(capsys, "predict", export, tmp_path / "new.txt")
    assert (code, "there is no run in it whose settings" in err) == (5, True)


@pytest.mark.parametrize(
    ("heading", "words"),
    [("Plain Python", []), pytest.param("ONNX", ["--onnx"], marks=pytest.mark.slow)],
)
def test_an_export_answers_as_the_page_on_serving_shows(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    heading: str,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    export = ["export", "meals", "serving/movie-reviews", "--output", runs, *words]
    assert daftt(capsys, *export)[0] == 0
    names = run_code("serving", heading)
    texts = [one.text for one in TEST[:5]]
    expected = plain(tmp_path / "serving/movie-reviews", texts)
    if heading == "ONNX":
        rows = torch.tensor(names["logits"](texts, 8)).softmax(-1).tolist()
        answers = [dict(zip(("kind", "unkind"), row, strict=True)) for row in rows]
    else:
        answers = names["label"](texts, 8)
    for answer, probabilities in zip(answers, expected, strict=True):
        assert answer == pytest.approx(probabilities, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("remark,no\nthe soup was cold,1\n,2\n", "a.csv", "a.csv, line 3: has no 'remark'"),
        ("text\nx\n", "a.csv", "a.csv: there is no column 'remark' (columns found: 'text'"),
        ('{"remark": "x"}\n{"remark": 3}\n', "a.jsonl", "a.jsonl, line 2: 'remark' must be text"),
        ("fine\n\x00\n", "a.txt", "a.txt, line 2: holds a NUL byte"),
        (None, "a.txt", "a.txt: cannot be read: No such file or directory"),
        (None, "a.csv", "a.csv: cannot be read: No such file or directory"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    name: str,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    out = tmp_path / "labels.csv"
    words = ["predict", "meals", tmp_path / name, "--out", out, "--output", runs]
    code, _, err = daftt(capsys, *words)
    assert code == 3
    assert message in err
    assert err.startswith("error: ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["meals", "new.txt", "--out", "new.txt"], 2, "--out: new.txt: is the file that is read"),
        (["meals", "new.txt", "--out", "new"], 2, "must end in .csv or .jsonl, or give --format"),
        (["meals", "new.txt", "--keep", "no"], 2, "--keep: 'no': only a file with columns"),
        (
            ["meals", "new.csv", "--keep", "nu"],
            3,
            "line 2: has no column 'nu', which --keep names",
        ),
        (["meals", "new.csv", "--version", "f00"], 2, "no promoted version begins with 'f00'"),
        (["runs/first", "new.csv", "--version", "f"], 2, "--version: is of a task"),
        (["lunch", "new.txt"], 5, "no such run in {runs}; and {runs}/registry has no champion"),
        (["../lunch", "new.txt"], 5, "../lunch: there is no such folder"),
    ],
)
def test_mistakes_are_one_sentence(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new.txt").write_text("the soup was cold\n")
    Path("new.csv").write_text("no,remark\n1,the soup was cold\n")
    actual, out, err = daftt(capsys, "predict", *words, "--output", runs)
    assert (actual, out) == (code, "")
    assert message.format(runs=runs) in err
    assert err.count("\n") == 1
    assert Path("new.txt").read_text() == "the soup was cold\n"


def test_a_student_that_writes_and_takes_pairs_writes_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = Task(
        id="join",
        kind="text2text",
        description="Join two lines.",
        definition="Join them.",
        writing_definition="Write two lines.",
        columns=Columns(text="line", text_pair="probability", output="joined"),
    )
    folder = tiny_t5(tmp_path / "model", ["one two three four"])
    facts = ServingFacts(version="a" * 12, task=task, max_length=16, max_target_length=4)
    (folder / FACTS).write_text(facts.model_dump_json())
    commit(folder, "key")
    (tmp_path / "new.jsonl").write_text('{"line": "one two", "probability": "three"}\n')
    code, out, err = daftt(capsys, "predict", folder, tmp_path / "new.jsonl", "--format", "jsonl")
    assert code == 0
    assert f"# {folder}, version {'a' * 12} of join" in err
    row = json.loads(out)
    assert list(row) == ["line_", "line", "probability", "joined"]
    assert (row["line_"], row["line"], row["probability"]) == (1, "one two", "three")
    assert isinstance(row["joined"], str)
    (tmp_path / "new.txt").write_text("one\n")
    code, _, err = daftt(capsys, "predict", folder, tmp_path / "new.txt")
    assert code == 2
    assert "has one text a line, but an input of the task join is two texts" in err
