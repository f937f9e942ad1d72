"""Where a sweep's curves saturate, what it recommends, and that dev alone decides both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daftt_core.config import from_flat, read_settings, to_flat
from daftt_core.evaluation import ArmResult, Comparison, Evaluation, Interval
from daftt_core.records import Prediction, write_jsonl, write_text
from daftt_core.sweep import (
    RECOMMENDED,
    Cell,
    Sweep,
    SweepTable,
    plan_sweep,
    verdicts,
    write_table,
)
from daftt_core.workspace import run_stage

DEV = 400
SEEDS = 2
HALF = (0, 200)
Right = dict[str, tuple[int, int]]
"""By arm, the range of dev examples that its students answer rightly."""


def plan(folder: Path, ratios=(1, 4, 0), **varied: list[object]) -> Sweep:
    values = {"fractions": [0.1], "modes": ["annotate"], "mixtures": [0], **varied}
    settings = {"output": str(folder), "name": "toy", "student_seeds": SEEDS}
    settings |= {"evaluation_bootstrap_samples": 1000}
    return plan_sweep(settings, ratios=list(ratios), **values)


def arm_result(name: str, right: tuple[int, int], test: float) -> ArmResult:
    gain = Comparison(
        gain=5.0,
        interval=Interval(low=1.0, high=9.0),
        mcnemar_p=None,
        mcnemar_p_holm=None,
        significant=True,
        gap_closed=None,
    )
    return ArmResult(
        arm=name,
        training_examples={"real": 10, "annotated": 0 if name == "real" else 40},
        dev_scores=((right[1] - right[0]) / DEV,) * SEEDS,
        scores=(test,) * SEEDS,
        mean=test,
        sd=0.0,
        interval=Interval(low=test - 0.02, high=test + 0.02),
        metrics={},
        comparison=None if name == "real" else gain,
    )


def finish(cell: Cell, right: Right, test: float = 0.7, *, keep_answers: bool = True) -> None:
    """Make of a cell what a run leaves that ends well."""
    arms = tuple(arm_result(name, some, test) for name, some in right.items())
    found = Evaluation(
        task_id="movie-reviews",
        kind="classification",
        metric="accuracy",
        confidence=0.95,
        test_examples=100,
        seeds=(0, 1),
        labels=("negative", "positive"),
        arms=arms,
        chosen_arm=arms[-1].arm,
        headline="It is better.",
    )
    for name, (first, last) in right.items() if keep_answers else ():
        answers = [
            Prediction(
                id=f"{n:04}",
                arm=name,
                seed=seed,
                gold="positive",
                output="positive" if first <= n < last else "negative",
            )
            for seed in range(SEEDS)
            for n in range(DEV)
        ]

        def students(folder: Path, answers: list[Prediction] = answers) -> dict[str, object]:
            write_jsonl(folder / "dev-predictions.jsonl", answers)
            return {}

        run_stage(cell.run, f"students/{name}", [right], students)

    def evaluation(folder: Path) -> dict[str, object]:
        write_text(folder / "evaluation.json", found.model_dump_json())
        return {}

    run_stage(cell.run, "evaluation", [right, test], evaluation)


def sweep_of(folder: Path, *annotated: tuple[int, int], real: tuple[int, int] = HALF) -> SweepTable:
    sweep = plan(folder, ratios=(1, 4, 0)[: len(annotated)])
    for cell, right in zip(sweep.cells, annotated, strict=True):
        finish(cell, {"real": real, "real+annotated": right})
    return write_table(sweep)


def test_a_curve_saturates_at_the_smallest_ratio_not_shown_to_be_worse(tmp_path: Path) -> None:
    # the best is 1 point above ratio 4, 20 examples lost and 24 won, and 11 above ratio 1
    table = sweep_of(tmp_path, (0, 300), (0, 340), (20, 364))
    (curve,) = table.curves
    assert [point.ratio for point in curve.points] == [1, 4, 0]
    assert curve.best.ratio == 0
    assert curve.saturation is not None
    assert curve.saturation.ratio == 4
    assert curve.saturation.behind == pytest.approx(1)
    (said, advice) = verdicts(table)
    assert said.startswith(
        "Fraction 0.1, mode annotate, real+annotated: saturates at ratio 4 of those tried "
        "(1, 4, no limit): 85.0 on dev, 1.0 points behind ratio no limit, the best, paired 95% "
        "interval \u2212"
    )
    assert advice.startswith("Recommended: fraction 0.1, ratio 4, mode annotate (real+annotated, ")
    page = (tmp_path / "toy" / "sweep.html").read_text()
    assert "saturates at ratio 4" in page
    figures = re.findall(r'<svg[^>]*aria-labelledby="([\w-]+)-title', page)
    assert figures == ["legend", "dev-0", "test-0"]
    assert (
        "<h1>10% of the labels with 4 synthetic examples of each source for each of them are "
        "enough: real+annotated reaches 85.0% accuracy on dev, 35.0 points above these labels alone"
        "</h1>"
    ) in page


def test_all_figures_of_a_sweep_have_one_scale_and_one_legend(tmp_path: Path) -> None:
    sweep = plan(tmp_path, fractions=[0.1, 0.2])
    for place, cell in enumerate(sweep.cells):
        right = {"real": (0, 100), "real+annotated": (0, 120 + 40 * place)}
        finish(cell, right, test=0.4 + 0.1 * place)
    write_table(sweep)
    page = (tmp_path / "toy" / "sweep.html").read_text()
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 5  # a legend, and two for each fraction
    scales = [re.findall(r">(\d+)</text>", figure) for figure in figures[1:]]
    heights = [[number for number in scale if int(number) >= 20] for scale in scales]
    assert len(heights[0]) > 3
    assert all(each == heights[0] for each in heights)
    named = [figure.count("real+annotated</text>") for figure in figures]
    assert named == [1, 0, 0, 0, 0]
    assert 'scope="col" class="number">mixture' not in page  # no cell has one


@pytest.mark.parametrize(
    ("annotated", "sentence"),
    [
        (
            [(0, 240), (0, 300), (0, 360)],
            "no saturation among the ratios tried (1, 4, no limit); on dev the largest is shown to "
            "be better than each of the others.",
        ),
        (
            [(0, 198), (2, 205), (3, 204)],
            "no gain is shown on dev at any ratio (1, 4, no limit) over real examples only (",
        ),
        ([(0, 150), (0, 150)], "no gain is shown on dev at any ratio (1, 4) over real examples on"),
        ([(0, 300)], "one ratio (1) tells of no saturation; on dev it is a gain."),
    ],
)
def test_no_more_is_said_of_a_curve_than_dev_shows(
    tmp_path: Path, annotated: list[tuple[int, int]], sentence: str
) -> None:
    (curve,) = sweep_of(tmp_path, *annotated).curves
    assert curve.sentence.startswith(f"Fraction 0.1, mode annotate, real+annotated: {sentence}")


def test_the_recommended_settings_are_those_of_the_cell(tmp_path: Path) -> None:
    sweep = plan(tmp_path)
    for cell, right in zip(sweep.cells, [(0, 300), (0, 340), (20, 364)], strict=True):
        finish(cell, {"real": HALF, "real+annotated": right})
    advice = write_table(sweep).recommendation
    chosen = next(cell for cell in sweep.cells if cell.name == advice.cell)
    path = tmp_path / "toy" / RECOMMENDED
    assert path.read_text().startswith(f"# {advice.sentence}\n# daftt run --settings ")
    settings = read_settings(path)
    assert settings["curation_ratio"] == 4
    again = to_flat(from_flat(settings))
    wanted = to_flat(chosen.config) | {"name": "", "output": again["output"]}
    assert again == wanted


def test_test_scores_decide_nothing(tmp_path: Path) -> None:
    sweep = plan(tmp_path, ratios=(1, 4))
    finish(sweep.cells[0], {"real": HALF, "real+annotated": (0, 360)}, test=0.4)
    finish(sweep.cells[1], {"real": HALF, "real+annotated": (0, 250)}, test=0.9)
    table = write_table(sweep)
    assert table.recommendation.cell == sweep.cells[0].name
    assert table.curves[0].saturation.ratio == 1


def test_without_a_gain_nothing_is_recommended_and_no_file_is_left(tmp_path: Path) -> None:
    sweep = plan(tmp_path, ratios=(1,))
    finish(sweep.cells[0], {"real": HALF, "real+annotated": (0, 300)})
    write_table(sweep)
    assert (tmp_path / "toy" / RECOMMENDED).exists()
    finish(sweep.cells[0], {"real": HALF, "real+annotated": (0, 199)})
    table = write_table(sweep)
    assert table.recommendation.cell is None
    assert "synthetic examples show no gain" in table.recommendation.sentence
    assert not (tmp_path / "toy" / RECOMMENDED).exists()


def test_each_fraction_has_its_figures_and_a_lost_cell_takes_none_with_it(tmp_path: Path) -> None:
    sweep = plan(tmp_path, ratios=(1, 4), fractions=[0.1, 0.2], modes=["both"])
    arms = ("real+annotated", "real+generated", "real+both")
    for cell in sweep.cells[1:]:
        finish(cell, {"real": HALF, **dict.fromkeys(arms, (0, 300))})
    table = write_table(sweep)
    assert [(curve.fraction, curve.arm, len(curve.points)) for curve in table.curves] == [
        (fraction, arm, count) for fraction, count in ((0.1, 1), (0.2, 2)) for arm in arms
    ]
    page = (tmp_path / "toy" / "sweep.html").read_text()
    assert page.count("<svg") == 1 + 4  # the legend, and two for each fraction
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "unfinished: it has not begun" in page


def test_without_the_answers_to_dev_scores_are_shown_without_intervals(tmp_path: Path) -> None:
    sweep = plan(tmp_path, ratios=(1, 4))
    for cell in sweep.cells:
        finish(cell, {"real": HALF, "real+annotated": (0, 300)}, keep_answers=False)
    table = write_table(sweep)
    assert table.curves[0].sentence.endswith("saturation cannot be told.")
    assert table.recommendation.cell == sweep.cells[0].name
    assert "It has the best score of all on dev." in table.recommendation.sentence
