"""A report of a run that is not complete: what there is, and why the rest is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample_run import STAGES, fail, make_run

from daftt_core.errors import StorageError
from daftt_core.records import write_text
from daftt_core.reporting import collect, render, write_report
from daftt_core.workspace import Run


def _reasons(run: Run) -> dict[str, str]:
    return {stage.name: stage.reason for stage in collect(run).missing}


def test_a_complete_run_misses_nothing(tmp_path: Path) -> None:
    assert _reasons(make_run(tmp_path / "run")) == {}


@pytest.mark.parametrize("until", STAGES)
def test_every_unfinished_run_has_a_report(tmp_path: Path, until: str) -> None:
    run = make_run(tmp_path / "run", until=until)
    html = render(collect(run))
    assert ("This run is not complete" in html) == (until != "evaluation")


def test_a_failed_stage_is_shown_with_its_message(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="assessment")
    fail(run, "synthetic/annotated-001-of-002", "the loss <is> not a number")
    failed = "synthetic/annotated-001-of-002"
    because = f"not run, because {failed} did not finish"
    assert _reasons(run) == {
        failed: "the loss <is> not a number",
        **dict.fromkeys(("curated", "students", "predictions", "evaluation"), because),
    }
    html = render(collect(run))
    assert f"The run failed in {failed}" in html
    assert "the loss &lt;is&gt; not a number" in html
    assert "The teacher passed its gate" in html


def test_the_gate_is_named_as_the_reason(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="assessment", passed=False)
    because = "not run, because the teacher did not pass its gate"
    names = ("synthetic", "curated", "students", "predictions", "evaluation")
    assert _reasons(run) == dict.fromkeys(names, because)
    assert "Stopped by the gate" in render(collect(run))


def test_a_gate_that_lets_pass_is_not_the_reason(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="assessment", passed=False)
    going_on = run.model_copy(update={"on_gate_fail": "continue"})
    assert set(_reasons(going_on).values()) == {"not run"}
    assert "Stopped by the gate" not in render(collect(going_on))


def test_an_interrupted_stage_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="assessment")
    status = {"stage": "curated", "state": "running", "updated": 9e9}
    write_text(run.folder / ".status" / "curated.json", json.dumps(status))
    assert _reasons(run)["curated"] == "interrupted, or still running"
    assert _reasons(run)["evaluation"] == "not run, because curated did not finish"


def test_what_an_earlier_attempt_left_is_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    fail(run, "teacher", "the loss is not a number")
    reasons = _reasons(run)
    assert reasons["evaluation"] == "left by an earlier attempt with other settings; not shown"
    html = render(collect(run))
    assert "12.9 points" not in html
    assert "The run failed in teacher" in html


def test_shards_and_arms_of_other_settings_are_not_counted(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    run = make_run(tmp_path / "run", settings={"synthesis_shards": 1, "student_gold_arm": False})
    names = {stage.name for stage in collect(run).stages}
    assert {name for name in names if name.startswith("synthetic/")} == {
        "synthetic/annotated-000-of-001",
        "synthetic/generated-000-of-001",
    }
    assert "students/gold" not in names
    assert "students/real+both" in names


def test_without_preflight_the_settings_are_missing_and_the_rest_is_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.folder / "preflight" / "manifest.json").unlink()
    (run.folder / ".status" / "preflight.json").unlink()
    assert _reasons(run) == {"preflight": "not run"}
    html = render(collect(run))
    assert "12.9 points" in html
    assert 'id="settings"' not in html


def test_a_changed_file_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.folder / "evaluation" / "evaluation.json").write_text("{}")
    with pytest.raises(StorageError, match=r"evaluation\.json: does not match the manifest"):
        collect(run)


def test_a_file_of_another_version_is_an_error(tmp_path: Path) -> None:
    from daftt_core.workspace import run_stage

    run = make_run(tmp_path / "run", until="teacher")

    def work(folder: Path) -> dict[str, object]:
        write_text(folder / "assessment.json", '{"dev_score": "much"}')
        return {}

    run_stage(run, "assessment", [], work)
    with pytest.raises(StorageError, match=r"assessment\.json: \w+: .*another version of DAFTT"):
        collect(run)


def test_the_report_is_a_stage_that_is_written_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first = write_report(run)
    path = run.folder / "report" / "report.html"
    written = path.stat().st_mtime_ns
    assert first.summary == {
        "headline": "64 labels and 900 annotated by the teacher reach 82.1% accuracy, 12.9 points "
        "above the 64 labels alone (95% interval 10.4 to 15.5) and 3.0 points below all 1,564 true "
        "labels.",
        "missing": [],
    }
    assert write_report(run) == first
    assert path.stat().st_mtime_ns == written


def test_the_report_is_written_anew_when_the_run_has_changed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="curated")
    first = write_report(run)
    make_run(tmp_path / "run")
    second = write_report(run)
    assert second.digest != first.digest
    assert "12.9 points" in (run.folder / "report" / "report.html").read_text()


def test_the_samples_do_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    from daftt_core.storage import commit, read_manifest

    run = make_run(tmp_path / "run")
    before = collect(run).samples
    folder = run.folder / "curated"
    for path in folder.glob("*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(reversed(lines)))
    manifest = read_manifest(folder)
    assert manifest is not None
    commit(folder, manifest.key, manifest.summary)
    assert collect(run).samples == before
    assert [len(sample.kept) for sample in before] == [8, 8]
    assert [len(sample.rejected) for sample in before] == [8, 8]


def test_the_teachers_own_assessment_can_be_read(tmp_path: Path) -> None:
    from daftt_core.evaluation import Abstention, Assessment, Calibration, ReliabilityBin
    from daftt_core.workspace import run_stage

    run = make_run(tmp_path / "run", until="teacher")
    written = Assessment(
        metric="accuracy",
        dev_examples=200,
        teacher="large, as a server has it",
        dev_score=0.865,
        tuned_dev_score=0.81,
        untuned_dev_score=0.605,
        baseline_dev_score=0.69,
        gain_low=11.5,
        gain_high=23.5,
        passed=True,
        calibration=Calibration(weights=(0.6,), bias=(0.1, -0.1)),
        ece_before=0.117,
        ece_after=0.031,
        bins_before=[ReliabilityBin(0.9, 0.8, 200)],
        bins_after=[ReliabilityBin(0.8, 0.8, 200)],
        label_prior={"positive": 0.7, "negative": 0.3},
        abstention=Abstention(wanted=0.9, threshold=0.6, precision=0.91, coverage=0.5),
    )

    def work(folder: Path) -> dict[str, object]:
        write_text(folder / "assessment.json", written.model_dump_json())
        return {"passed": True}

    run_stage(run, "assessment", [], work)
    data = collect(run)
    read = data.assessment
    assert read is not None
    page = render(data)
    assert "on dev 50% of the examples get one, and 91% of those are right" in page
    assert "For an input without content it says: positive 70%, negative 30%." in page
    interval = "The 95% interval of the difference is {} to +23.5 points{}."
    assert interval.format("+11.5", "") in page
    wider = read.model_copy(update={"gain_low": -1.5})
    untold = ", so which is better cannot be told"
    assert interval.format("\u22121.5", untold) in render(
        data.model_copy(update={"assessment": wider})
    )
    for name, score in (
        ("teacher: large, as a server has it", "86.5"),
        ("fine-tuned teacher, not used", "81.0"),
    ):
        assert f'<th scope="row">{name}</th><td class="number">{score}</td>' in page
    assert read == written
