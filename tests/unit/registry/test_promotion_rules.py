"""The rules of promotion against answers known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_task import TASK

from daftt_core.config import EvaluationConfig, PromotionConfig, from_flat
from daftt_core.errors import ConfigError, DataError, StorageError
from daftt_core.evaluation import ArmResult, Evaluation, Interval
from daftt_core.preflight import check_settings, preflight, resolve
from daftt_core.records import Prediction, Traits
from daftt_core.registry.decide import Challenger, Champion, decide, judge_slices
from daftt_core.registry.models import Decision
from daftt_core.tasks import Task

MEALS = Task.model_validate(TASK)
SETTINGS = EvaluationConfig(bootstrap_samples=2000)


def answers(right: list[bool]) -> list[Prediction]:
    """Even numbers are kind, odd ones unkind."""
    labels = ("kind", "unkind")
    return [
        Prediction(
            id=f"{n:04d}",
            arm="real",
            seed=0,
            gold=labels[n % 2],
            output=labels[n % 2 if is_right else 1 - n % 2],
            distribution={},
        )
        for n, is_right in enumerate(right)
    ]


def evaluation() -> Evaluation:
    arm = ArmResult(
        arm="real",
        training_examples={},
        dev_scores=(0.9,),
        scores=(0.9,),
        mean=0.9,
        sd=None,
        interval=Interval(low=0, high=1),
        metrics={},
    )
    return Evaluation(
        task_id="meals",
        kind="classification",
        metric="accuracy",
        confidence=0.95,
        test_examples=400,
        seeds=(0,),
        labels=("kind", "unkind"),
        arms=(arm,),
        chosen_arm="real",
        headline="",
    )


def judge(
    champion: list[bool],
    challenger: list[bool],
    characters: list[int] | None = None,
    **rule: object,
) -> Decision:
    theirs = answers(champion)
    lengths = dict(zip((p.id for p in theirs), characters or [5] * len(theirs), strict=True))
    return decide(
        MEALS,
        Challenger("c" * 12, "real", 0, 0.9, answers(challenger)),
        Champion("a" * 12, theirs, Traits(characters=lengths), ()),
        evaluation(),
        PromotionConfig.model_validate(rule),
        SETTINGS,
        seed=1,
        evaluation_digest="e",
    )


def right(share: float, count: int = 400) -> list[bool]:
    """Spread evenly over both classes."""
    return [(n * 7919) % count < share * count for n in range(count)]


def test_the_interval_is_the_normal_one_of_paired_differences() -> None:
    before, after = right(0.80), right(0.90)
    found = judge(before, after)
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean = sum(differences) / 400
    half = 196 * (sum((d - mean) ** 2 for d in differences) / 400 / 400) ** 0.5
    assert found.interval is not None
    assert found.gain == pytest.approx(100 * mean)
    assert found.interval.low == pytest.approx(100 * mean - half, abs=0.5)
    assert found.interval.high == pytest.approx(100 * mean + half, abs=0.5)


@pytest.mark.parametrize(
    ("challenger", "rule", "promoted"),
    [
        (0.90, {}, True),
        (0.80, {}, False),
        (0.90, {"margin": 8}, False),
        (0.80, {"rule": "non-inferiority", "margin": 1}, True),
        (0.79, {"rule": "non-inferiority", "margin": 3}, True),
        (0.79, {"rule": "non-inferiority", "margin": 1}, False),
        (0.70, {"rule": "non-inferiority", "margin": 3}, False),
    ],
)
def test_superiority_and_non_inferiority(
    challenger: float, rule: dict[str, object], promoted: bool
) -> None:
    found = judge(right(0.80), right(challenger), **rule)
    assert found.interval is not None
    needed = float(str(rule.get("margin", 0)))
    if rule.get("rule") == "non-inferiority":
        needed = -needed
    assert found.promoted == (found.interval.low > needed)
    assert found.promoted == promoted


def test_a_refusal_names_all_reasons_with_their_numbers_in_one_sentence() -> None:
    found = judge(right(0.9), right(0.7), floors="accuracy=0.8, macro_f1=0.75")
    assert not found.promoted
    assert found.reason.startswith(
        "Not promoted: real, seed 0 (cccccccccccc), 70.0 accuracy on 400 test examples: "
        "-20.0 points (95% interval -2"
    )
    assert "over champion aaaaaaaaaaaa, which is not shown to be above 0; " in found.reason
    assert "accuracy 0.700 is below its floor 0.8; macro F1 0.700 is below its floor 0.75;" in (
        found.reason
    )
    assert "class kind falls by " in found.reason
    assert found.reason.count(". ") == 0


def test_a_floor_holds_even_for_the_better_one() -> None:
    assert judge(right(0.5), right(0.7), floors="accuracy=0.7").promoted
    refused = judge(right(0.5), right(0.7), floors="matthews=0.5")
    assert not refused.promoted
    assert "Matthews correlation 0.400 is below its floor 0.5" in refused.reason


def test_a_class_must_not_fall_though_the_whole_rises() -> None:
    champion = [n % 2 == 0 or n % 8 == 1 for n in range(400)]  # kind: all; unkind: a quarter
    challenger = [n % 2 == 1 or n % 20 < 18 for n in range(400)]  # kind: 90%; unkind: all
    found = judge(champion, challenger)
    assert found.gain == pytest.approx(32.5)
    assert not found.promoted
    assert "class kind falls by 10.0 points, from 100.0 to 90.0 on 200 examples (p " in found.reason
    assert judge(champion, challenger, slice_drop=10).promoted
    few = judge(champion, challenger, slice_min_examples=201)
    assert few.promoted
    assert [part.judged for part in few.slices if part.name.startswith("class")] == [False, False]


def test_a_length_must_not_fall() -> None:
    characters = [3] * 140 + [8] * 130 + [20] * 130
    champion = [True] * 140 + [n % 4 < 2 for n in range(260)]
    challenger = [n % 4 < 3 for n in range(140)] + [True] * 260
    found = judge(champion, challenger, characters)
    assert {part.name: part.examples for part in found.slices if "char" in part.name} == {
        "3 characters": 140,
        "8 characters": 130,
        "20 characters": 130,
    }
    assert not found.promoted
    said = "3 characters falls by 25.0 points, from 100.0 to 75.0 on 140 examples (p "
    assert said in found.reason


def test_a_value_of_the_users_column_must_not_fall() -> None:
    theirs, ours = answers([True] * 400), answers([n % 10 > 0 for n in range(400)])
    values = {one.id: "shop" if n < 100 else "web" for n, one in enumerate(theirs)}
    lengths = dict.fromkeys(values, 5)
    found = decide(
        MEALS,
        Challenger("c" * 12, "real", 0, 0.9, ours),
        Champion("a" * 12, theirs, Traits(characters=lengths, column="from", values=values), ()),
        evaluation(),
        PromotionConfig(),
        SETTINGS,
        seed=1,
        evaluation_digest="e",
    )
    assert "from shop falls by 10.0 points, from 100.0 to 90.0 on 100 examples (p" in found.reason


def test_one_that_is_as_good_everywhere_is_seldom_refused_for_a_slice() -> None:
    """Ten values of 50 examples each; both are right on 80%, and differ on a sixth of them."""
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(100):
        draws = rng.random((2, 500))
        both = rng.random(500) < 0.68
        scores = np.where(both, 1.0, draws < 0.375)
        ids = [f"{n:03d}" for n in range(500)]
        traits = Traits(
            characters=dict.fromkeys(ids, 5),
            column="shop",
            values={one: str(n % 10) for n, one in enumerate(ids)},
        )
        golds = ["kind" if n % 20 < 10 else "unkind" for n in range(500)]
        checks = list(
            judge_slices(MEALS, ids, golds, scores, traits, PromotionConfig(), SETTINGS, seed=1)
        )
        assert len([check for check in checks if check.judged]) == 13
        refused += not all(check.passed for check in checks)
    assert refused <= 7  # 2.5 are expected at most, and more than 7 in one of 200 such series


def test_lengths_that_cannot_be_told_apart_are_one_slice() -> None:
    found = judge(right(0.8), right(0.9), [7] * 400)
    assert [part.name for part in found.slices] == ["class kind", "class unkind", "7 characters"]


def test_hostile_labels_stay_text() -> None:
    labels = [{"name": "<script>|*", "verbalizer": "a"}, {"name": "b", "verbalizer": "b"}]
    task = Task.model_validate({**TASK, "labels": labels})
    same = [
        p.model_copy(update={"gold": "<script>|*" if p.gold == "kind" else "b", "output": "b"})
        for p in answers(right(0.5))
    ]
    found = decide(
        task,
        Challenger("c" * 12, "real", 0, 0.9, same),
        Champion("a" * 12, same, None, ()),
        evaluation(),
        PromotionConfig(),
        SETTINGS,
        seed=1,
        evaluation_digest="e",
    )
    assert found.slices[0].name == "class <script>|*"


def test_other_test_examples_are_no_comparison() -> None:
    with pytest.raises(DataError, match="have not answered the same test examples"):
        decide(
            MEALS,
            Challenger("c" * 12, "real", 0, 0.9, answers([True] * 9)),
            Champion("a" * 12, answers([True] * 8), None, ()),
            evaluation(),
            PromotionConfig(),
            SETTINGS,
            seed=1,
            evaluation_digest="e",
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"promotion_floors": "accuracy"}, "floors: 'accuracy' must be metric=score"),
        ({"promotion_floors": "accuracy=80"}, "a score lies between -1 and 1"),
        ({"promotion_floors": "accuracy=nan"}, "a score lies between -1 and 1"),
        ({"promotion_rule": "non-inferiority"}, "needs a margin above 0"),
        ({"promotion_rule": "better"}, "should be 'superiority' or 'non-inferiority'"),
    ],
)
def test_mistakes_in_the_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_flat(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"promotion_floors": "rougeL=0.3"}, "'rougeL' is no metric of the task movie-reviews"),
        ({"promotion_floors": "acuracy=0.3"}, "did you mean 'accuracy'"),
        ({"name": "registry"}, "'registry' is the folder of the champions"),
    ],
)
def test_preflight_finds_what_cannot_be(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        preflight(from_flat({"output": str(tmp_path / "runs"), **settings}))


def test_a_registry_that_cannot_be_written_is_found_before_anything_is_computed(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    given = {"output": str(tmp_path / "runs"), "teacher_model": "nobody/teacher"}
    with pytest.raises(StorageError, match="Not a directory"):
        preflight(from_flat({**given, "promotion_registry": str(tmp_path / "file" / "registry")}))
    config = from_flat({**given, "promotion_registry": "az://bucket/registry"})
    with pytest.raises(ConfigError, match=r"^promotion_registry: .*the scheme 'az' is not known"):
        check_settings(config, resolve(config))
