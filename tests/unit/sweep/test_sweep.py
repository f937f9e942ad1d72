"""Sweeps: their cells, and the table of what came of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from scipy.stats import binom

from daftt_core.errors import ConfigError, DataError, TaskError
from daftt_core.evaluation import ArmResult, Comparison, Evaluation, Interval
from daftt_core.preflight import resolve
from daftt_core.records import Prediction, write_jsonl, write_text
from daftt_core.stages import synthesis_shards
from daftt_core.sweep import Cell, Sweep, effect_sentences, plan_sweep, read_table, write_table
from daftt_core.synthesis.shards import deciding
from daftt_core.tasks import Task, load_task
from daftt_core.workspace import run_stage

ONE = {"fractions": [0.1], "ratios": [1], "modes": ["both"], "mixtures": [0]}


def plan(
    folder: Path, fractions=(0.05, 0.01), ratios=(1, 0), mixtures=(0,), **settings: object
) -> Sweep:
    varied = {**ONE, "fractions": fractions, "ratios": ratios, "mixtures": mixtures}
    return plan_sweep({"output": str(folder), **settings}, **varied)


def mistakes(settings: dict[str, object], **varied: list[object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(settings, **{**ONE, **varied})
    return str(caught.value).splitlines()


def test_too_many_cells_are_refused_in_one_sentence_before_any_is_looked_at() -> None:
    fractions = [f"0.{number:03}" for number in range(1, 201)]
    varied = {"fractions": fractions, "ratios": list(range(1, 101)), "mixtures": [0]}
    assert mistakes({"colour": "blue", "task": "none.yaml"}, **varied) == [
        "a sweep has at most 500 cells, and this one has 20,000 "
        "(fractions: 200 x ratios: 100 x modes: 1 x mixtures: 1); give fewer values"
    ]


def test_as_many_cells_as_are_allowed_read_their_task_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def load(name: str) -> Task:
        read.append(name)
        return load_task(name)

    monkeypatch.setattr("daftt_core.preflight.load_task", load)
    fractions = [f"0.{number:03}" for number in range(1, 251)]
    sweep = plan(tmp_path, fractions=fractions)
    assert len({cell.run.uri for cell in sweep.cells}) == 500
    assert read == ["movie-reviews"]
    for cell in (sweep.cells[0], sweep.cells[-1]):
        assert cell.run == resolve(cell.config).model_copy(update={"family": sweep.uri})


def evaluation() -> Evaluation:
    """Two arms, the second ten points better."""
    gain = Comparison(
        gain=10.0,
        interval=Interval(low=2.0, high=18.0),
        mcnemar_p=None,
        mcnemar_p_holm=None,
        significant=True,
        gap_closed=None,
    )
    arms = tuple(
        ArmResult(
            arm=name,
            training_examples={"real": 8, "annotated": 4, "generated": 2},
            dev_scores=(mean,),
            scores=(mean,),
            mean=mean,
            sd=None,
            interval=Interval(low=mean - 0.1, high=mean + 0.1),
            metrics={},
            comparison=comparison,
        )
        for name, mean, comparison in (("real", 0.5, None), ("real+both", 0.6, gain))
    )
    return Evaluation(
        task_id="movie-reviews",
        kind="classification",
        metric="accuracy",
        confidence=0.95,
        test_examples=100,
        seeds=(0,),
        labels=("negative", "positive"),
        arms=arms,
        chosen_arm="real+both",
        headline="real+both is better.",
    )


def assess(cell: Cell, right: int, *, keep_answers: bool = True, **more: float) -> None:
    """Make a cell's assessment: of 40 dev examples the first ``right`` are answered rightly."""

    def work(folder: Path) -> dict[str, object]:
        if keep_answers:
            answers = (
                Prediction(
                    id=f"{number:02}",
                    arm="teacher",
                    seed=0,
                    gold="positive",
                    output="positive" if number < right else "negative",
                )
                for number in range(40)
            )
            write_jsonl(folder / "dev-predictions.jsonl", answers)
        scores = {"dev_score": right / 40, "untuned_dev_score": 0.5, "baseline_dev_score": 0.6}
        return {"metric": "accuracy", "dev_examples": 40, **scores, **more}

    run_stage(cell.run, "assessment", [right], work)


def finish(cell: Cell, attempt: int = 1) -> None:
    """Make a cell's stages as a run does that ends well."""

    def work(folder: Path) -> dict[str, object]:
        write_text(folder / "evaluation.json", evaluation().model_dump_json())
        return {}

    run_stage(cell.run, "data", [attempt], lambda _: {})
    run_stage(cell.run, "evaluation", [attempt], work)
    run_stage(cell.run, "report", [attempt], lambda _: {})


def fail(cell: Cell) -> None:
    def work(folder: Path) -> dict[str, object]:
        raise DataError("the file is <empty>")

    with pytest.raises(DataError):
        run_stage(cell.run, "data", ["broken"], work)


def test_each_cell_is_a_whole_run_of_its_own(tmp_path: Path) -> None:
    sweep = plan(tmp_path, name="mine", student_seeds=5)
    assert [cell.name for cell in sweep.cells] == [
        "fraction-0.01-ratio-1-both",
        "fraction-0.01-ratio-0-both",
        "fraction-0.05-ratio-1-both",
        "fraction-0.05-ratio-0-both",
    ]
    first = sweep.cells[0]
    assert first.run.folder == tmp_path / "mine" / first.name
    assert first.config.student.seeds == 5
    assert (first.config.data.labelled_fraction, first.config.curation.ratio) == (0.01, 1)


def test_a_cell_with_a_mixture_is_named_after_it_and_one_without_is_named_as_ever(
    tmp_path: Path,
) -> None:
    cells = plan(tmp_path, fractions=[0.1], ratios=[0], mixtures=["0", "6"]).cells
    assert {cell.name: cell.config.mixture.tasks for cell in cells} == {
        "fraction-0.1-ratio-0-both": 0,
        "fraction-0.1-ratio-0-both-mixture-6": 6,
    }
    assert [cell.mixture_tasks for cell in cells] == [0, 6]


def test_settings_may_be_what_json_makes_of_them(tmp_path: Path) -> None:
    settings = {"output": str(tmp_path), "student_seeds": 5.0}  # as Kubeflow hands integers on
    again = plan_sweep(settings, **{**ONE, "fractions": [0.05, 0.01], "ratios": [1.0, 0.0]})
    assert again == plan(tmp_path, student_seeds=5)


def test_cells_of_different_modes_share_what_the_teacher_says(tmp_path: Path) -> None:
    settings = {"output": str(tmp_path)}
    cells = plan_sweep(settings, **{**ONE, "modes": ["annotate", "both"]}).cells
    synthesis, same = (deciding(cell.config.synthesis) for cell in cells)
    assert synthesis == same
    shards = [
        synthesis_shards(cell.config.synthesis.mode, cell.config.synthesis.shards) for cell in cells
    ]
    assert all(shard in shards[1] for shard in shards[0])
    assert len(shards[0]) < len(shards[1])


def test_a_sweep_keeps_its_folder_when_cells_are_added(tmp_path: Path) -> None:
    assert plan(tmp_path).uri == plan(tmp_path, fractions=[0.2], ratios=[3], mixtures=[6]).uri
    assert plan(tmp_path).uri == plan(tmp_path, job_nodes=1, job_cpus="8").uri
    assert plan(tmp_path).uri != plan(tmp_path, student_seeds=5).uri


def test_every_mistake_is_told_before_anything_starts() -> None:
    wrong = {"seed": -1, "teached_epochs": 3}
    assert mistakes(wrong, fractions=[2, "x"], ratios=["0"], modes=["guess"]) == [
        "teached_epochs: there is no such parameter; did you mean 'teacher_epochs'?",
        "seed: -1 should be greater than or equal to 0",
        "data_labelled_fraction: 2 should be less than or equal to 1",
        "synthesis_mode: 'guess' should be 'annotate', 'generate' or 'both'",
        "data_labelled_fraction: 'x' should be a number",
    ]
    assert mistakes({}, fractions=[]) == ["fractions: at least one value is needed"]
    assert mistakes({}, fractions=["0.0"]) == [
        "fractions: 0 leaves no labelled examples; it must be above 0"
    ]
    assert mistakes({}, mixtures=[-1]) == ["mixture_tasks: -1 should be greater than or equal to 0"]
    assert mistakes({"curation_ratio": 2, "mixture_tasks": 6}) == [
        "curation_ratio: a sweep sets it for each cell; give ratios instead",
        "mixture_tasks: a sweep sets it for each cell; give mixtures instead",
    ]
    assert mistakes({}, fractions=[0.1, "0.1"]) == [
        "fraction-0.1-ratio-1-both: this cell occurs twice; remove a repeated value"
    ]
    with pytest.raises(TaskError):
        plan_sweep({"task": "nonsense"}, **ONE)


def test_the_table_says_what_came_of_every_cell(tmp_path: Path) -> None:
    sweep = plan(tmp_path)
    done, failed, begun, _ = sweep.cells
    assess(done, 30)
    finish(done)
    fail(failed)
    run_stage(begun.run, "data", [], lambda _: {})
    table = write_table(sweep)
    assert [cell.status for cell in table.cells] == ["done", "failed", "unfinished", "unfinished"]
    assert [cell.message for cell in table.lost] == [
        "stage data: the file is <empty>",
        "it came as far as stage data",
        "it has not begun",
    ]
    assert table.cells[1].exit_code == DataError.exit_code
    assert read_table(sweep) == table
    folder = Path(sweep.uri)
    assert json.loads((folder / "sweep.json").read_text())["cells"][0]["evaluation"]["arms"]
    rows = list(csv.DictReader(io.StringIO((folder / "sweep.csv").read_text())))
    assert [row["arm"] for row in rows] == ["real", "real+both", "", "", ""]
    assert rows[1]["gain"] == "10.0"
    assert [row["teacher_dev"] for row in rows] == ["0.75", "0.75", "", "", ""]
    assert (rows[0]["untuned_dev"], rows[0]["mixture_tasks"]) == ("0.5", "0")
    page = (folder / "sweep.html").read_text()
    assert "failed: stage data: the file is &lt;empty&gt;" in page
    assert "+10.0" in page
    assert '<td class="number">75.0</td>' in page
    assert table.mixtures == ()
    assert "trained once" not in page


def test_a_result_of_other_settings_is_not_taken_for_the_cells(tmp_path: Path) -> None:
    sweep = plan(tmp_path, fractions=[0.1], ratios=[0])
    (cell,) = sweep.cells
    finish(cell)
    assert write_table(sweep).cells[0].status == "done"
    fail(cell)
    assert write_table(sweep).cells[0].status == "failed"
    finish(cell, attempt=2)
    assert write_table(sweep).cells[0].status == "done"


def mixed(folder: Path, plain: int, with_six: int, **assessed: object) -> Sweep:
    """A sweep of two ratios with and without a mixture; teachers answer so many rightly."""
    sweep = plan(folder, fractions=[0.1], mixtures=[0, 6])
    for cell in sweep.cells:
        assess(cell, with_six if cell.mixture_tasks else plain, **assessed)
        finish(cell)
    return sweep


def test_teachers_with_and_without_a_mixture_are_compared_example_by_example(
    tmp_path: Path,
) -> None:
    sweep = mixed(tmp_path, plain=20, with_six=30)
    (effect,) = write_table(sweep).mixtures
    # each of 10 examples in 40 is gained: the resampled gain is binomial(40, 1/4) / 40
    exact = [100 * binom.ppf(share, 40, 0.25) / 40 for share in (0.025, 0.975)]
    assert [effect.interval.low, effect.interval.high] == pytest.approx(exact, abs=2.6)
    assert effect.sentence.startswith(
        "At fraction 0.1, with 6 other tasks mixed in, the tuned teacher's accuracy on dev is "
        "75.0, without 50.0 (40 examples; paired difference +25.0, 95% interval +"
    )
    assert effect.sentence.endswith("): the mixture helped.")
    page = (Path(sweep.uri) / "sweep.html").read_text()
    assert "accuracy on dev is 75.0, without 50.0 (40 examples" in page
    assert "Each of these teachers was trained once" in page


@pytest.mark.parametrize(
    ("with_six", "verdict"),
    [(10, "): the mixture did harm."), (21, "): whether the mixture helped cannot be told.")],
)
def test_no_more_is_said_of_a_mixture_than_the_interval_allows(
    tmp_path: Path, with_six: int, verdict: str
) -> None:
    (sentence, _) = effect_sentences(write_table(mixed(tmp_path, 20, with_six)).mixtures)
    assert sentence.endswith(verdict)


def test_without_the_teachers_answers_the_difference_has_no_interval(tmp_path: Path) -> None:
    (effect,) = write_table(mixed(tmp_path, 20, 30, keep_answers=False)).mixtures
    assert effect.interval is None
    assert "difference +25.0, no interval without the answers of both)" in effect.sentence


def test_where_another_model_teaches_the_tuned_teachers_are_compared(tmp_path: Path) -> None:
    table = write_table(mixed(tmp_path, 20, 30, tuned_dev_score=0.7))
    assert {cell.teacher.dev_score for cell in table.cells} == {0.5, 0.75}
    assert (table.mixtures[0].mixed, table.mixtures[0].plain) == (0.7, 0.7)


def test_a_sweep_without_a_table_has_none(tmp_path: Path) -> None:
    assert read_table(plan(tmp_path)) is None
