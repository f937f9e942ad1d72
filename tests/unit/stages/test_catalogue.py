"""The catalogue: every stage once, in the order of a run."""

from __future__ import annotations

import pytest

from daftt_core.errors import StorageError
from daftt_core.stages import (
    ASSESSMENT,
    BASELINES,
    DATA,
    EVALUATION,
    MAKING,
    REVIEW_MARKS,
    STAGES,
    STUDENTS,
    SYNTHETIC,
    TEACHER,
    place_of,
    shard_of,
    stage_of,
)


def test_every_stage_comes_after_what_it_needs() -> None:
    for stage in (*STAGES, *BASELINES):
        for name in stage.needs:
            assert stage_of(name) in STAGES
            assert place_of(name) < place_of(stage.name) or stage.about_results, (stage, name)


def test_names_are_unique_and_lead_back_to_their_stage() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    assert all(stage_of(stage.name) is stage for stage in STAGES)


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("students/real+both", STUDENTS),
        ("synthetic/annotated-000-of-002", SYNTHETIC),
        ("review/marks", REVIEW_MARKS),
        ("data/dev", None),
        ("review", None),
        ("notes", None),
    ],
)
def test_a_folder_is_known_by_its_name(folder: str, stage: object) -> None:
    assert stage_of(folder) is stage


def test_a_part_has_a_folder_of_its_own() -> None:
    assert str(STUDENTS.part("real")) == "students/real"
    assert shard_of("generated", 1, 12).name == "synthetic/generated-001-of-012"
    assert shard_of("generated", 1, 12).result is SYNTHETIC.result


def test_students_without_a_teacher_may_come_beside_it_and_the_others_come_late() -> None:
    assert place_of("students/real") == place_of("students/gold") == place_of(TEACHER.name)
    assert place_of("students/real+both") > place_of("curated")
    assert place_of("what another version made") > place_of("promotion")


def test_synthetic_examples_take_what_comes_before_them() -> None:
    assert all(place_of(stage.name) <= place_of("curated") for stage in MAKING)
    assert {ASSESSMENT, DATA} < set(MAKING)


def test_a_summary_of_something_else_is_a_sentence() -> None:
    with pytest.raises(StorageError, match=r"^runs/one/evaluation/manifest.json: summary.arms: "):
        EVALUATION.parse({"arms": []}, "runs/one/evaluation/manifest.json")
