"""What runs have used and cost: prices, the ledger, ``daftt costs`` and the report."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from daftt_core.accounting import example_prices, read_ledger, read_prices, run_prices
from daftt_core.accounting.prices import Prices, parse_prices
from daftt_core.cli.app import main
from daftt_core.config import from_flat
from daftt_core.errors import ConfigError, StorageError, TrainingError
from daftt_core.preflight import preflight
from daftt_core.reporting import write_report
from daftt_core.storage import Manifest
from daftt_core.tasks import load_task
from daftt_core.telemetry import Usage
from daftt_core.workspace import Run, run_stage

PRICES = Prices(
    source="a contract",
    currency="EUR",
    gpu_hour={"L4": 2.0, "L40S": 5.0},
    cpu_hour={"other": 0.5},
    stored_gb=0.1,
    fetched_gb=1.0,
)
HOUR = 3600.0
TEACHER = Usage(attempts=2, seconds=HOUR, gpu_seconds={"NVIDIA L4": 2 * HOUR}, tokens_read=500)
OTHERS = Usage(attempts=1, seconds=10, cpu_seconds={"EPYC": HOUR}, bytes_stored=10**10)
SUMMARIES: dict[str, dict[str, Any]] = {
    "curated": {"funnel": {"annotated": {"kept": 30}, "generated": {"kept": 20}}},
    "evaluation": {"chosen_arm": "real+both", "arms": {"real": {}, "real+both": {"gain": 4.0}}},
}


def make_run(folder: Path, usages: Mapping[str, Usage | None], copied: str = "") -> Run:
    """A run whose stages used what is said."""
    task = load_task("movie-reviews")
    run = Run(uri=str(folder), seed=1, task=task)
    for stage, usage in usages.items():
        summary = SUMMARIES.get(stage, {})
        run_stage(run, stage, [], lambda folder, summary=summary: summary)
        path = folder / stage / "manifest.json"
        found = Manifest.model_validate_json(path.read_text())
        changed = {"usage": usage, "copied": stage == copied, "seconds": 60.0}
        path.write_text(found.model_copy(update=changed).model_dump_json())
    return run


WHOLE = {"data": OTHERS, "teacher": TEACHER, "curated": OTHERS, "evaluation": OTHERS}


def test_time_becomes_money(tmp_path: Path) -> None:
    ledger = read_ledger(make_run(tmp_path / "one", WHOLE), PRICES)
    by_stage = {stage.name: stage for stage in ledger.stages}
    assert by_stage["teacher"].cost == pytest.approx(2 * 2.0)
    assert by_stage["data"].cost == pytest.approx(0.5 + 10 * 0.1)
    assert ledger.spent.cost == pytest.approx(4 + 3 * 1.5)
    assert (ledger.spent.gpu_hours, ledger.spent.cpu_hours) == (2, 3)
    assert ledger.spent.usage.attempts == 5
    assert ledger.kept_examples == 50
    example, point = ledger.per_kept_example, ledger.per_point
    assert example is not None
    assert example.cost == pytest.approx((4 + 2 * 1.5) / 50)  # not the evaluation
    assert example.gpu_hours == pytest.approx(2 / 50)
    assert point is not None
    assert point.cost == pytest.approx((4 + 3 * 1.5) / 4)


def test_a_gpus_price_may_leave_its_machine_to_be_paid() -> None:
    both = Usage(gpu_seconds={"NVIDIA L4": HOUR}, cpu_seconds={"EPYC": HOUR})
    assert PRICES.cost(both) == pytest.approx(2.0)
    apart = PRICES.model_copy(update={"gpu_hour_covers_cpus": False})
    assert apart.cost(both) == pytest.approx(2.5)


def test_a_price_is_found_by_whole_words_and_the_longest_of_them() -> None:
    def price(kind: str, **gpu_hour: float) -> float | None:
        prices = Prices(source="x", currency="EUR", gpu_hour=gpu_hour)
        return prices.cost(Usage(gpu_seconds={kind: HOUR}))

    assert price("NVIDIA L40S", L4=1, L40S=2) == 2
    assert price("NVIDIA L40S", L4=1) is None
    assert price("NVIDIA L40S", L4=1, other=9) == 9
    assert price("NVIDIA A100-SXM4-80GB", A100=1, **{"A100-SXM4-80GB": 3}) == 3
    assert PRICES.unpriced(Usage(gpu_seconds={"Tesla T4": 1})) == {"Tesla T4"}


def test_a_copied_stage_is_spent_once_and_counts_for_what_it_made(tmp_path: Path) -> None:
    ledger = read_ledger(make_run(tmp_path / "two", WHOLE, copied="teacher"), PRICES)
    assert ledger.spent.cost == pytest.approx(3 * 1.5)
    assert ledger.spent.gpu_hours == 0
    assert ledger.whole.cost == pytest.approx(4 + 3 * 1.5)
    assert ledger.per_kept_example is not None
    assert ledger.per_kept_example.cost == pytest.approx((4 + 2 * 1.5) / 50)


def test_a_failed_stage_costs_as_well(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one", {"data": OTHERS})

    def fail(folder: Path) -> dict[str, Any]:
        raise TrainingError("no")

    with pytest.raises(TrainingError):
        run_stage(run, "teacher", [], fail)
    ledger = read_ledger(run, PRICES)
    assert [(stage.name, stage.finished) for stage in ledger.stages] == [
        ("data", True),
        ("teacher", False),
    ]
    assert ledger.spent.usage.attempts == 2
    assert (ledger.kept_examples, ledger.per_kept_example, ledger.per_point) == (None, None, None)


def test_of_an_earlier_versions_stage_the_time_is_known_and_no_cost(tmp_path: Path) -> None:
    ledger = read_ledger(make_run(tmp_path / "one", {"data": None}), PRICES)
    [stage] = ledger.stages
    assert (stage.measured, stage.usage.seconds, stage.cost) == (False, 60, None)
    assert ledger.spent.cost is None


def test_reports_and_reviews_are_not_in_it(tmp_path: Path) -> None:
    used = {"data": OTHERS, "report": OTHERS, "review/sheet": OTHERS}
    ledger = read_ledger(make_run(tmp_path / "one", used))
    assert [stage.name for stage in ledger.stages] == ["data"]


def test_no_gain_has_no_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {"real": {}, "real+both": {"gain": -1.0}}
    monkeypatch.setitem(SUMMARIES, "evaluation", {"chosen_arm": "real+both", "arms": arms})
    ledger = read_ledger(make_run(tmp_path / "one", WHOLE), PRICES)
    assert (ledger.gain, ledger.per_point) == (-1.0, None)


def test_the_example_is_one_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(example_prices())
    prices = read_prices(str(tmp_path / "prices.yaml"))
    assert "example" in prices.source
    assert prices.cost(Usage(cpu_seconds={"any": HOUR})) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "is not YAML"),
        ("source: 2024-13-45", "is not YAML"),
        ("- 1", "the file"),
        ("source: x\ncurrency: EUR\ngpu_hour: {L4: -1}", r"gpu_hour\.L4"),
        ("source: x\ncurrency: EUR\ncpu_hour: {other: .nan}", r"cpu_hour\.other"),
        ("currency: EUR", "source"),
        ("source: x\ncurrency: EUR\ngpu_hours: {}", "gpu_hours"),
    ],
)
def test_a_bad_price_file_is_explained(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"prices: my\.yaml: .*{said}|prices: my.yaml: {said}"):
        parse_prices("my.yaml", text.encode())


def test_the_preflight_refuses_a_price_file_that_is_not_there(tmp_path: Path) -> None:
    config = from_flat({"output": str(tmp_path), "prices": str(tmp_path / "none.yaml")})
    with pytest.raises(ConfigError, match="there is no such file"):
        preflight(config)


def priced_run(
    folder: Path, name: str, usages: Mapping[str, Usage | None] = WHOLE, output: str = "runs"
) -> Run:
    prices = folder / "prices.yaml"
    prices.write_text(json.dumps(PRICES.model_dump()))
    given = {"output": str(folder / output), "name": name, "prices": str(prices)}
    # neither is trained, and not counted for the disk
    given |= {"teacher_model": "nobody/teacher", "student_model": "nobody/student"}
    preflight(from_flat(given))
    return make_run(folder / output / name, usages)


def test_a_run_keeps_its_prices_and_its_report_shows_them(tmp_path: Path) -> None:
    run = priced_run(tmp_path, "one", {"data": OTHERS, "predictions": TEACHER})
    (tmp_path / "prices.yaml").unlink()
    assert run_prices(run) == PRICES
    write_report(run)
    page = (run.folder / "report" / "report.html").read_text()
    assert "Time and costs" in page
    assert "a contract" in page
    assert "4.00 EUR" in page
    table = page[page.index('class="dense times"') :].partition("</thead>")[0]
    assert all(column in table for column in ("Cost", "GPU-hours", "Stored"))
    assert "Fetched" not in table  # zero in every stage
    before = (run.folder / "report" / "manifest.json").stat().st_mtime_ns
    write_report(run)
    assert (run.folder / "report" / "manifest.json").stat().st_mtime_ns == before


def test_the_table_over_runs_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        priced_run(tmp_path, name)
    output = str(tmp_path / "runs")
    assert main(["costs", output]) == 0
    shown = capsys.readouterr().out
    assert "Prices: a contract" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:4]] in (
        ["one", "two", "all"],
        ["two", "one", "all"],
    )
    assert main(["costs", output, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    each = [run["spent"]["cost"] for run in found["runs"]]
    assert each[0] >= 8.5
    assert found["spent"]["cost"] == pytest.approx(sum(each))
    assert found["runs"][0]["cost_per_point"] == pytest.approx(each[0] / 4)
    assert main(["costs", output, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert sorted(row["run"] for row in rows) == ["one", "two"]
    assert rows[0]["currency"] == "EUR"
    assert float(rows[0]["cost"]) == pytest.approx(each[0])


def test_the_cells_of_a_sweep_are_runs_as_well_and_count_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    priced_run(tmp_path, "alone", {"data": OTHERS})
    priced_run(tmp_path, "fraction-0.1", WHOLE, "runs/my-sweep")
    second = priced_run(tmp_path, "fraction-0.5", {"data": OTHERS}, "runs/my-sweep")
    make_run(second.folder, {"teacher": TEACHER}, copied="teacher")
    kept = Run(uri=str(runs / "registry" / "movie-reviews"), seed=0, task=second.task)
    run_stage(kept, "versions/abc", [], lambda _: {})  # as the registry keeps a champion
    assert main(["costs", str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    spent = {run["run"]: run["spent"]["gpu_hours"] for run in found["runs"]}
    assert spent == {"alone": 0, "my-sweep/fraction-0.1": 2, "my-sweep/fraction-0.5": 0}
    assert found["spent"]["gpu_hours"] == 2
    assert main(["costs", str(runs / "my-sweep"), "--json"]) == 0
    names = {run["run"] for run in json.loads(capsys.readouterr().out)["runs"]}
    assert names == {"fraction-0.1", "fraction-0.5"}
    assert main(["runs", str(runs), "--json"]) == 0
    assert [run["name"] for run in json.loads(capsys.readouterr().out)] == ["alone"]


def damage(run: Run) -> None:
    (run.folder / "preflight" / "run.json").write_text('{"x": 1}')


def write_as_another_version(run: Run) -> None:
    def write(folder: Path) -> dict[str, Any]:
        (folder / "run.json").write_text('{"x": 1}')
        return {}

    run_stage(run, "preflight", ["another version"], write)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damage, "does not match the manifest beside it; it was changed"),
        (write_as_another_version, "is not a run of this version of DAFTT: uri: is missing"),
    ],
)
def test_a_damaged_run_is_named_and_hides_no_other(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Run], None],
    reason: str,
) -> None:
    priced_run(tmp_path, "one")
    second = priced_run(tmp_path, "two")
    spoil(second)
    said = f"{second.folder / 'preflight' / 'run.json'}: {reason}"
    assert main(["costs", str(tmp_path / "runs"), "--json"]) == 0
    spent = {run["run"]: run["spent"] for run in json.loads(capsys.readouterr().out)["runs"]}
    assert spent["one"]["gpu_hours"] == 2
    assert (spent["two"]["gpu_hours"], spent["two"]["seconds"]) == (0, 0)
    assert f"{said}; its costs are unknown and left out" in caplog.text
    assert main(["costs", str(tmp_path / "runs")]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("two")]
    assert row.split() == ["two", "interrupted", "not", "known"]
    for words in (
        ["costs", str(tmp_path / "runs" / "two")],
        ["report", "two", "--output", str(tmp_path / "runs")],
        ["registry", "promote", "two", "--output", str(tmp_path / "runs")],
        ["notify", "two", "--show", "--output", str(tmp_path / "runs")],
    ):
        assert main(words) == 5
        assert capsys.readouterr().err == f"error: {said}\n"


@pytest.mark.parametrize(
    ("stage", "summary", "said"),
    [
        (
            "evaluation",
            {"chosen_arm": "real", "arms": []},
            "summary.arms: must hold names",
        ),
        ("evaluation", {"chosen_arm": "real", "arms": {"real": []}}, "summary.arms.real: must"),
        ("curated", {"funnel": []}, "summary.funnel: must hold names"),
        ("curated", {"funnel": {"annotated": {}}}, "summary.funnel.annotated.kept: is missing"),
    ],
)
def test_a_damaged_summary_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    summary: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setitem(SUMMARIES, stage, summary)
    run = make_run(tmp_path / "one", WHOLE)
    with pytest.raises(StorageError, match=f"one/{stage}/manifest.json: {said}"):
        read_ledger(run, PRICES)


def test_a_place_that_is_not_there_is_a_mistake_unless_nobody_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["costs"]) == 0
    assert capsys.readouterr().out.startswith("There is no run in runs;")
    assert main(["costs", "nowhere"]) == 5
    assert capsys.readouterr().err == "error: nowhere: there is no such folder\n"
    (tmp_path / "empty").mkdir()
    assert main(["costs", "empty"]) == 0


def test_one_run_is_shown_stage_by_stage_by_other_prices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = priced_run(tmp_path, "one")
    other = tmp_path / "other.yaml"
    other.write_text("source: today\ncurrency: CHF\ncpu_hour: {other: 1}\n")
    assert main(["costs", run.uri, "--prices", str(other)]) == 0
    shown = capsys.readouterr().out
    assert "each kept synthetic example" in shown
    assert "There is no price for NVIDIA L4" in shown
    assert main(["costs", run.uri, "--csv"]) == 0
    rows = {row["stage"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert float(rows["teacher"]["cost"]) == pytest.approx(4.0)
    assert rows["teacher"]["tokens_read"] == "500"


def test_amounts_in_different_currencies_are_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    priced_run(tmp_path, "one")
    two = priced_run(tmp_path, "two")
    path = two.folder / "preflight" / "prices.yaml"
    text = path.read_text().replace("EUR", "CHF")
    path.unlink()
    run_stage(two, "preflight", ["chf"], lambda folder: _write(folder, two, text))
    assert main(["costs", str(tmp_path / "runs"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spent"]["cost"] is None


def _write(folder: Path, run: Run, prices: str) -> dict[str, Any]:
    (folder / "run.json").write_text(run.model_dump_json())
    (folder / "prices.yaml").write_text(prices)
    return {}
