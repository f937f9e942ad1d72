from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from daftt_core.config import CurationConfig
from daftt_core.curation import EXAMPLE_FILTERS, FUNNEL, curate
from daftt_core.curation.diversity import measure_diversity
from daftt_core.errors import DataError, StorageError
from daftt_core.records import (
    Example,
    Rejection,
    SyntheticExample,
    content_id,
    read_jsonl,
    write_jsonl,
)
from daftt_core.records.fingerprints import write_fingerprints
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, StageResult, run_stage

ARMS = ["real+both", "real+annotated", "real+generated"]
CONFIG = CurationConfig(min_characters=5, keep_share=1.0, balance=False)
NO_PAIRS = CONFIG.model_copy(update={"near_duplicate": 0})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path), seed=7, task=load_task("movie-reviews"))


def _data(run: Run) -> str:
    def work(folder: Path) -> dict[str, object]:
        write_jsonl(folder / "labelled.jsonl", [Example.of("a labelled film", output="positive")])
        write_jsonl(folder / "unlabelled.jsonl", [Example.of("an unlabelled film")])
        write_fingerprints(folder / "heldout.json", [Example.of("a held-out film")])
        return {}

    return run_stage(run, "data", [], work).digest


def _synthetic(run: Run, name: str, examples: Sequence[SyntheticExample]) -> dict[str, str]:
    def work(folder: Path) -> dict[str, object]:
        write_jsonl(folder / "examples.jsonl", examples)
        return {}

    return {name: run_stage(run, name, [[e.model_dump() for e in examples]], work).digest}


def _example(text: str, source: str, output: str | None, **fields: object) -> SyntheticExample:
    values = {"source": source, "output": output, "confidence": 0.9, **fields}
    return SyntheticExample.model_validate({"id": content_id(text), "text": text, **values})


def _curate(run: Run, config: CurationConfig = CONFIG) -> StageResult:
    first = [
        _example("an unlabelled film", "annotated", "positive"),
        _example("a held-out film", "annotated", "negative"),
        _example("tiny", "annotated", "negative"),
    ]
    second = [
        _example("a made-up film", "generated", "positive", asked="negative"),
        _example("another made-up film", "generated", "negative", asked="negative"),
        _example("an unlabelled film", "generated", "negative", asked="negative"),
        _example("", "generated", None, asked="positive", problem="unfinished"),
    ]
    synthetic = _synthetic(run, "synthetic/annotated-000-of-001", first)
    synthetic |= _synthetic(run, "synthetic/generated-000-of-001", second)
    return curate(run, config, _data(run), synthetic, ARMS)


def test_the_funnel_counts_everything_that_was_read(run: Run) -> None:
    summary = _curate(run).summary
    for counts in summary["funnel"].values():
        assert counts.pop("diversity")["texts"] == counts["kept"]
    assert summary["funnel"]["annotated"] == {
        "read": 3,
        "rejected": {"length": 1, "overlap": 1},
        "kept": 1,
        "redacted": 0,
        "problems": {},
        "shortened": 0,
        "by_label": {
            "negative": {"read": 2, "kept": 0},
            "positive": {"read": 1, "kept": 1},
        },
    }
    assert summary["funnel"]["generated"] == {
        "read": 4,
        "rejected": {"unusable": 1, "copy": 1},
        "kept": 2,
        "redacted": 0,
        "problems": {"unfinished": 1},
        "shortened": 0,
        "by_label": {
            "negative": {"read": 2, "kept": 1},
            "positive": {"read": 1, "kept": 1},
        },
    }
    assert summary["label_agreement"] == pytest.approx(2 / 3)


def test_kept_and_rejected_examples_are_written(run: Run) -> None:
    _curate(run)
    folder = run.folder / "curated"
    annotated = read_jsonl(folder / "annotated.jsonl", SyntheticExample)
    generated = read_jsonl(folder / "generated.jsonl", SyntheticExample)
    rejected = read_jsonl(folder / "rejected.jsonl", Rejection)
    assert [example.text for example in annotated] == ["an unlabelled film"]
    assert {e.text for e in generated} == {"a made-up film", "another made-up film"}
    assert [r.reason for r in rejected] == ["unusable", "length", "copy", "overlap"]


def test_diversity_is_measured_on_what_was_kept_against_the_labelled(run: Run) -> None:
    summary = _curate(run).summary
    kept = read_jsonl(run.folder / "curated" / "generated.jsonl", SyntheticExample)
    expected = measure_diversity([example.text for example in kept], ["a labelled film"])
    found = summary["funnel"]["generated"]["diversity"]
    assert expected is not None
    assert found == pytest.approx(expected.model_dump())
    assert found["near_real_share"] == 0
    assert 0 < found["nearest_real"] < 1
    stored = json.loads((run.folder / "curated" / FUNNEL).read_text())
    assert stored["funnel"]["generated"]["diversity"] == found


def test_diversity_of_many_is_that_of_a_draw(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["daftt_core.curation.curate"], "_COMPARED", 10)
    many = [_example(f"film with number {i}", "annotated", "positive") for i in range(40)]
    halves = (many[::2], many[1::2])
    found = []
    for shards in ((many,), halves):
        synthetic: dict[str, str] = {}
        for place, shard in enumerate(shards):
            name = f"synthetic/annotated-{place:03d}-of-{len(shards):03d}"
            synthetic |= _synthetic(run, name, shard)
        summary = curate(run, NO_PAIRS, _data(run), synthetic, []).summary
        assert summary["funnel"]["annotated"]["kept"] == 40
        assert summary["funnel"]["generated"]["diversity"] is None
        found.append(summary["funnel"]["annotated"]["diversity"])
    assert found[0]["texts"] == 10
    assert found[0] == found[1]


def test_with_verify_off_labels_are_counted_as_they_were_asked_for(run: Run) -> None:
    by_label = _curate(run, CONFIG.model_copy(update={"verify": "off"})).summary["funnel"][
        "generated"
    ]["by_label"]
    assert by_label == {
        "negative": {"read": 3, "kept": 2},
        "positive": {"read": 1, "kept": 0},
    }


def test_a_source_of_which_nothing_is_kept_is_announced(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    stage = _synthetic(
        run, "synthetic/annotated-000-of-001", [_example("x", "annotated", "positive")]
    )
    with caplog.at_level(logging.WARNING, logger="daftt"):
        result = curate(run, CONFIG, _data(run), stage, [])
    assert "none of 1 annotated examples is kept (length 1)" in caplog.text
    assert "generated" not in caplog.text
    assert result.summary["label_agreement"] is None
    assert read_jsonl(run.folder / "curated" / "generated.jsonl", SyntheticExample) == []


def test_a_label_without_any_example_is_announced(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="daftt"):
        _curate(run)
    assert "no annotated example of negative is kept" in caplog.text


def test_a_leak_stops_the_stage_even_if_the_filter_is_gone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(EXAMPLE_FILTERS, "overlap")
    with pytest.raises(DataError, match=f"{content_id('a held-out film')}.*'overlap' is missing"):
        _curate(run)
    assert not (run.folder / "curated" / "manifest.json").exists()


def test_a_stage_that_was_made_anew_is_refused(run: Run) -> None:
    with pytest.raises(StorageError, match="was rebuilt"):
        curate(run, CONFIG, _data(run)[::-1], {}, ARMS)


def test_the_shards_do_not_matter(run: Run, tmp_path: Path) -> None:
    examples = [_example(f"film number {i}", "annotated", "positive") for i in range(6)]
    one = _synthetic(run, "synthetic/annotated-000-of-001", examples)
    curate(run, CONFIG, _data(run), one, ["real+annotated"])
    whole = (run.folder / "curated" / "annotated.jsonl").read_text()
    two = _synthetic(run, "synthetic/annotated-000-of-002", examples[::2])
    two |= _synthetic(run, "synthetic/annotated-001-of-002", examples[1::2])
    curate(run, CONFIG, _data(run), two, ["real+annotated"])
    assert (run.folder / "curated" / "annotated.jsonl").read_text() == whole


def test_an_arm_whose_source_is_empty_is_left_out(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    written = [_example("an unlabelled film", "annotated", "positive")]
    synthetic = _synthetic(run, "synthetic/annotated-000-of-001", written)
    short = [_example("tiny", "generated", "positive", asked="positive")]
    synthetic |= _synthetic(run, "synthetic/generated-000-of-001", short)
    with caplog.at_level(logging.WARNING, logger="daftt"):
        summary = curate(run, CONFIG, _data(run), synthetic, ARMS).summary
    assert summary["arms"] == ["real+annotated"]
    assert set(summary["left_out"]) == {"real+both", "real+generated"}
    assert "real+generated is left out: curation kept no generated example" in caplog.text


def test_a_run_whose_arms_all_have_nothing_ends_with_one_sentence(run: Run) -> None:
    short = [_example("tiny", source, "positive") for source in ("annotated", "generated")]
    synthetic = _synthetic(run, "synthetic/annotated-000-of-001", short)
    said = (
        r"^curation kept nothing that real\+both or real\+annotated or real\+generated could "
        r"learn from \(annotated: 1 read, rejected 1 by length; "
        r"generated: 1 read, rejected 1 by length\): "
        r"loosen the curation settings, or let the teacher write more$"
    )
    with pytest.raises(DataError, match=said):
        curate(run, CONFIG, _data(run), synthetic, ARMS)
    assert len(read_jsonl(run.folder / "curated" / "rejected.jsonl", Rejection)) == 2
