"""The extensions and the task that docs/extending.md shows, as they stand there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from documented_code import code_blocks, run_code

from daftt_core.cli.app import cli
from daftt_core.config import CurationConfig
from daftt_core.curation import EXAMPLE_FILTERS, curate
from daftt_core.evaluation import score, score_all, score_examples
from daftt_core.records import Example, SyntheticExample, read_jsonl, write_jsonl
from daftt_core.records.fingerprints import write_fingerprints
from daftt_core.tasks import METRICS, Task, load_task
from daftt_core.workspace import Run, read_stage, run_stage

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "own_task"


def test_the_example_task_is_right_and_is_the_one_on_the_page() -> None:
    path = str(FOLDER / "task.yaml")
    (shown,) = code_blocks("extending", "A task", "yaml")
    assert Task.model_validate(yaml.safe_load(shown)) == load_task(path)
    checked = CliRunner().invoke(cli, ["task", "validate", path])
    assert checked.exit_code == 0, checked.output
    files = {name: str(FOLDER / f"{name}.csv") for name in ("labelled", "unlabelled")}
    given = ["--task", path, "--settings", str(FOLDER / "run.yaml")]
    given += ["--data-train", files["labelled"], "--data-unlabelled", files["unlabelled"]]
    checked = CliRunner().invoke(cli, ["validate", *given])
    assert checked.exit_code == 0, checked.output


@pytest.mark.slow
def test_the_python_example_runs_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("DAFTT_LOOP_WIDTH", "64")  # tiny models are slower on more than one thread
    import own_task  # loads torch, as does the next
    from tiny_models import tiny_bert, tiny_gpt_neox

    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.iterdir())]
    teacher = tiny_gpt_neox(tmp_path / "teacher", [*texts, "Definition: Input: Output:\n"])
    student = tiny_bert(tmp_path / "student", texts)
    given = ["--teacher", teacher, "--student", student, "--output", tmp_path / "runs"]
    own_task.main([str(FOLDER), *map(str, given)])
    printed = capsys.readouterr().out
    assert "real+annotated" in printed
    report = Path(printed.split("Report: ")[1].strip())
    assert "support-desk" in report.read_text(encoding="utf-8")


def made(text: str) -> SyntheticExample:
    given = {"output": "delivery", "confidence": 0.9, "source": "annotated"}
    return SyntheticExample.model_validate({**Example.of(text).model_dump(), **given})


def test_the_filter_on_the_page_rejects_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXAMPLE_FILTERS, "address", EXAMPLE_FILTERS["length"])  # is taken out again
    run = Run(uri=str(tmp_path), seed=7, task=load_task(str(FOLDER / "task.yaml")))

    def data(folder: Path) -> dict[str, object]:
        write_jsonl(folder / "labelled.jsonl", [Example.of("a lost box", output="delivery")])
        write_jsonl(folder / "unlabelled.jsonl", [])
        write_fingerprints(folder / "heldout.json", [])
        return {}

    def synthetic(folder: Path) -> dict[str, object]:
        texts = ("my parcel is late", "see www.example.org/track for it", "the box was wet")
        write_jsonl(folder / "examples.jsonl", map(made, texts))
        return {}

    run_code("extending", "A filter")
    shard = run_stage(run, "synthetic/annotated-000-of-001", [], synthetic)
    settings = CurationConfig(min_characters=0, keep_share=1.0)
    read = run_stage(run, "data", [], data).digest
    found = curate(run, settings, read, {shard.name: shard.digest}, ["real+annotated"])
    folder, _ = read_stage(run, "curated", found.digest)
    kept = read_jsonl(folder / "annotated.jsonl", SyntheticExample)
    assert {one.text for one in kept} == {"my parcel is late", "the box was wet"}
    (line,) = (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    (shown,) = code_blocks("extending", "A filter", "json")
    assert json.loads(shown).items() <= json.loads(line).items()
    assert found.summary["funnel"]["annotated"]["rejected"] == {"address": 1}


def test_the_metric_on_the_page_is_right_and_may_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    score("accuracy", ["a"], ["a"])  # imports evaluate as the library does, without torch
    from daftt_core.evaluation.metrics import FUNCTIONS

    for table in (METRICS, FUNCTIONS):
        monkeypatch.setitem(table, "chrf", table["rougeL"])  # is taken out again
    run_code("extending", "A metric")
    assert score("chrf", ["abc", "abd"], ["abd", "abd"]) == pytest.approx((7 / 18 + 1) / 2)
    scores = score_examples("chrf", ["abc", "нет", "да"], ["abd", "нет", "нет"])
    np.testing.assert_allclose(scores, [7 / 18, 1, 0])
    task = load_task("e2e").model_dump() | {"metric": "chrf"}
    assert "chrf" in score_all(Task.model_validate(task), ["a"], ["a"])
