"""Arms and the shards they learn from."""

from __future__ import annotations

from daftt_core.stages import ARMS, augmented_arms, baseline_arms, synthesis_shards


def test_the_gold_arm_needs_to_be_asked_for_and_to_be_known() -> None:
    assert baseline_arms(True, gold_is_known=True) == ["real", "gold"]
    assert baseline_arms(True, gold_is_known=False) == ["real"]
    assert baseline_arms(False, gold_is_known=True) == ["real"]


def test_each_shard_of_each_source_is_written() -> None:
    assert synthesis_shards("generate", 1) == [{"source": "generated", "shard": "0"}]
    assert synthesis_shards("both", 2) == [
        {"source": "annotated", "shard": "0"},
        {"source": "annotated", "shard": "1"},
        {"source": "generated", "shard": "0"},
        {"source": "generated", "shard": "1"},
    ]


def test_the_shards_written_are_those_that_the_arms_learn_from() -> None:
    for mode in ("annotate", "generate", "both"):
        written = {shard["source"] for shard in synthesis_shards(mode, 1)}
        learned = {source for arm in augmented_arms(mode) for source in ARMS[arm]}
        assert learned == {"real", *written}
