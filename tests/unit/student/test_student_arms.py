from __future__ import annotations

import pytest
from student_examples import commit_examples, sentiment_examples, synthetic

from daftt_core.errors import ConfigError, DataError, StorageError
from daftt_core.stages import ARMS
from daftt_core.student import read_arm
from daftt_core.workspace import Run

REAL = [e.id for e in sentiment_examples(16)]
ANNOTATED = [e.id for e in sentiment_examples(8, 200)]
GENERATED = [e.id for e in sentiment_examples(6, 300)]
GOLD = [e.id for e in sentiment_examples(12, 200)]


@pytest.mark.parametrize(
    ("arm", "ids"),
    [
        ("real", REAL),
        ("real+annotated", REAL + ANNOTATED),
        ("real+generated", REAL + GENERATED),
        ("real+both", REAL + ANNOTATED + GENERATED),
        ("gold", REAL + GOLD),
    ],
)
def test_what_each_arm_learns_from(
    run: Run, prepared: dict[str, str], arm: str, ids: list[str]
) -> None:
    found = read_arm(run, arm, prepared["data"], prepared["curated"])
    assert [example.id for example in found.examples] == ids
    assert sum(found.counts.values()) == len(ids)
    assert list(found.counts) == ["real", "annotated", "generated", "gold"]


def test_every_arm_has_the_real_examples() -> None:
    assert all(sources[0] == "real" for sources in ARMS.values())


def test_an_unknown_arm_is_answered_with_a_suggestion(run: Run, prepared: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"no arm 'real\+anotated'; did you mean 'real\+annot"):
        read_arm(run, "real+anotated", prepared["data"])


def test_an_arm_without_its_synthetic_examples_is_refused(
    run: Run, prepared: dict[str, str]
) -> None:
    curated = commit_examples(run, "curated", {"annotated": [], "generated": []})
    with pytest.raises(DataError, match=r"arm 'real\+both': there are no annotated examples"):
        read_arm(run, "real+both", prepared["data"], curated.digest)


def test_synthetic_arms_need_the_curated_stage(run: Run, prepared: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="digest of the stage 'curated' is not given"):
        read_arm(run, "real+annotated", prepared["data"])


def test_a_stage_made_anew_is_not_mixed_in(run: Run, prepared: dict[str, str]) -> None:
    new = synthetic(sentiment_examples(3, 500), "annotated")
    commit_examples(run, "curated", {"annotated": new})
    with pytest.raises(StorageError, match="was rebuilt"):
        read_arm(run, "real+annotated", prepared["data"], prepared["curated"])
