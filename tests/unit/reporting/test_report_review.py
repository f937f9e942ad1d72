"""What people found, and the data card."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import yaml
from sample_run import make_run

from daftt_core.cli.app import main
from daftt_core.config import from_flat
from daftt_core.curation import make_sheet, read_marks
from daftt_core.reporting import collect, render, write_report
from daftt_core.workspace import Run, run_stage


def _plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of which a sheet was marked: every fourth label wrong, one text unusable."""
    folder = tmp_path_factory.mktemp("runs")
    run = make_run(folder / "one", until="curated")
    make_sheet(run, folder / "sheet.csv", 40)
    text = (folder / "sheet.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for place, row in enumerate(rows):
        row |= {"label_ok": "yn"[place % 4 == 0], "hallucination": "n", "usable": "yn"[place == 0]}
    with (folder / "sheet.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    read_marks(run, folder / "sheet.csv")
    return run


def test_the_report_shows_what_people_found(run: Run) -> None:
    text = _plain(render(collect(run)))
    assert "What people found 40 kept examples" in text
    # by hand, Wilson of 10 in 40: (0.25 + z2/80 -+ z sqrt(0.1875/40 + z2/6400)) / (1 + z2/40)
    assert "all 25.0% (10 of 40) 14.2 to 40.2 0.0% (0 of 40) 0.0 to 8.8 2.5% (1 of 40)" in text


def test_a_review_is_no_work_of_the_pipeline(run: Run) -> None:
    data = collect(run)
    assert not [stage.name for stage in data.stages if stage.name.startswith("review")]
    assert not [stage.name for stage in data.missing if stage.name.startswith("review")]


def test_without_a_review_there_is_no_section(tmp_path: Path) -> None:
    assert "What people found" not in render(collect(make_run(tmp_path, until="data")))


def test_the_data_card_says_what_was_made_from_what(run: Run) -> None:
    write_report(run)
    card = (run.folder / "report" / "data-card.md").read_text(encoding="utf-8")
    _, heading, body = card.split("---\n", 2)
    assert yaml.safe_load(heading) == {
        "pretty_name": "Synthetic examples of one",
        "license": "mit",
        "task_categories": ["text-classification"],
        "size_categories": ["1K<n<10K"],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["found", "machine-generated"],
        "tags": ["synthetic", "daftt"],
        "configs": [
            {"config_name": "annotated", "data_files": "../curated/annotated.jsonl"},
            {"config_name": "generated", "data_files": "../curated/generated.jsonl"},
        ],
    }
    for config in yaml.safe_load(heading)["configs"]:
        assert (run.folder / "report" / config["data_files"]).is_file()
    for words in (
        "- 900 annotated examples: real inputs that the teacher labelled",
        "- Real data: movie-reviews. License: MIT (C. J. Hutto, vaderSentiment 3.3.2)",
        "- Teacher: smollm2-135m-instruct, fine-tuned on the labelled examples. License: Apache",
        "- Temperature of annotation: 0.1",
        "- `curation_near_duplicate`: 0.8",
        "| labelled by the teacher | 1,500 | 750 | 750 |",
        "| written by the teacher | 600 | 300 | 300 |",
        "| rejected: share | 553 | 276 | 276 |",
        "| all | wrong labels | 10 of 40 | 25.0 | 14.2 to 40.2 |",
    ):
        assert words in body


def test_the_commands_make_a_sheet_and_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "one", until="curated")
    settings = run.model_dump_json()
    # what preflight leaves, so that the command finds the run again
    run_stage(run, "preflight", ["anew"], lambda folder: _write_run(folder, run, settings))
    assert main(["review", run.uri, "--count", "12"]) == 0
    sheet = run.folder / "review.csv"
    assert f"{sheet}: 12 examples; mark them" in capsys.readouterr().out
    assert main(["review", run.uri, "--read", str(sheet)]) == 3
    assert "line 2: label_ok: it is empty; write y or n" in capsys.readouterr().err
    marked = sheet.read_text("utf-8-sig").replace('"","","","",""', '"","y","n","y",""')
    right = "negative" if '"positive"' in marked.splitlines()[1] else "positive"
    sheet.write_text(marked.replace('"","y","n","y",""', f'"","n","n","y","{right}"', 1))
    assert main(["review", run.uri, "--read", str(sheet)]) == 0
    out = capsys.readouterr().out
    path = run.folder / "review" / "marks" / "corrections.jsonl"
    assert (
        f"1 corrections; a later run learns from them:\n  daftt run --data-corrections {path}"
        in out
    )
    assert path.read_text().count("\n") == 1
    assert re.search(r"all +wrong labels +1 of 12 +8\.3% +1\.5 to 35\.4", out)
    assert "What people found" in (run.folder / "report" / "report.html").read_text("utf-8")
    assert main(["review", run.uri]) == 5
    assert "is there already" in capsys.readouterr().err


def _write_run(folder: Path, run: Run, settings: str) -> dict[str, object]:
    (folder / "run.json").write_text(settings, encoding="utf-8")
    (folder / "config.json").write_text(from_flat({"seed": run.seed}).model_dump_json())
    return {}
