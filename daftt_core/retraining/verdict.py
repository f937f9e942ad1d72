"""Whether there is a reason to train, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from daftt_core.config import TriggerConfig
from daftt_core.data import Population, sample_of
from daftt_core.evaluation.statistics import holm
from daftt_core.records import Example, seed_for
from daftt_core.retraining.drift import inputs_differ, labels_differ, permutations_for

_DIFFERS = {"inputs": "the inputs differ", "labels": "the balance of labels differs"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Comparison(_Part):
    """The data against those of an earlier run.

    Attributes:
        since: The version that the earlier run trained, in words.
        known_labels: Labelled rows that it had.
        new_labels: Labelled rows that it did not have, or had with another label.
        new_share: Their share of ``known_labels``.
        new_inputs: Inputs that it did not have, of those that could be annotated.
        inputs_p: P value of the new inputs having the old ones' distribution, corrected for the
            number of tests; None if it was not tested.
        labels_p: The same for the balance of labels.
        reasons: Reasons to train.
    """

    since: str
    known_labels: int
    new_labels: int
    new_share: float
    new_inputs: int
    inputs_p: float | None = None
    labels_p: float | None = None
    reasons: tuple[str, ...] = ()


class Verdict(_Part):
    """Whether the run trains.

    Attributes:
        train: Whether it does.
        reason: Why, or why not, in one sentence.
        comparisons: Comparisons with the data of the champion, and of the last challenger if that
            is not the champion.
    """

    train: bool
    reason: str
    comparisons: tuple[Comparison, ...] = ()


def compare(
    now: Population,
    inputs: Sequence[Example],
    before: Population,
    since: str,
    config: TriggerConfig,
    seed: int,
) -> Comparison:
    """Compare the data with those of an earlier run.

    Args:
        now: The data.
        inputs: Inputs among them that could be annotated.
        before: The earlier run's data.
        since: The version that it trained, in words.
        config: What counts as a reason.
        seed: Decides the tests' permutations.
    """
    is_new, new_inputs = now.new_rows(before), before.new_inputs(inputs)
    count, known = int(is_new.sum()), len(before.rows)
    share = count / known if known else float(count)
    p_values: dict[str, float] = {}
    if config.when == "drift":
        p_values = _test(now.label_counts(is_new), new_inputs, before, config.alpha, seed)
    reasons = []
    if count >= config.min_new_labels and share >= config.min_new_share:
        reasons.append(f"{_new_rows(count, known)} since {since}")
    reasons += [
        f"{difference} from those of {since} (p = {p_values[name]:.2g})"
        for name, difference in _DIFFERS.items()
        if p_values.get(name, 1.0) <= config.alpha
    ]
    return Comparison(
        since=since,
        known_labels=known,
        new_labels=count,
        new_share=round(share, 4),
        new_inputs=len(new_inputs),
        inputs_p=p_values.get("inputs"),
        labels_p=p_values.get("labels"),
        reasons=tuple(reasons),
    )


def _test(
    labels: Mapping[str, int],
    inputs: Sequence[Example],
    before: Population,
    alpha: float,
    seed: int,
) -> dict[str, float]:
    """Return p values, corrected by Holm's method, of the tests for which there are rows."""
    permutations, p_values = permutations_for(alpha), {}
    if inputs and before.sample.shape[0]:
        new = sample_of(inputs)
        draws = seed_for(seed, "drift", "inputs")
        p_values["inputs"] = inputs_differ(before.sample, new, draws, permutations)
    if sum(labels.values()) and before.labels:
        draws = seed_for(seed, "drift", "labels")
        p_values["labels"] = labels_differ(before.label_counts(), labels, draws, permutations)
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def decide(comparisons: Sequence[Comparison], config: TriggerConfig) -> Verdict:
    """Train if every comparison gives a reason: data that were tried once are not tried again.

    There is at least one comparison, that with the champion's data first.
    """
    unchanged = [comparison for comparison in comparisons if not comparison.reasons]
    if unchanged:
        reason = f"No training: {_too_little(unchanged[0], config)}."
    else:
        reason = f"Training: {'; '.join(comparisons[0].reasons)}."
    return Verdict(train=not unchanged, reason=reason, comparisons=tuple(comparisons))


def _too_little(comparison: Comparison, config: TriggerConfig) -> str:
    rows = _new_rows(comparison.new_labels, comparison.known_labels)
    needed = f"{config.min_new_labels} and {config.min_new_share:.0%} are needed"
    sentence = f"{rows} since {comparison.since} ({needed})"
    if config.when != "drift":
        return sentence
    p_values = {"inputs": comparison.inputs_p, "labels": comparison.labels_p}
    tests = ", ".join(f"{name} p = {p:.2g}" for name, p in p_values.items() if p is not None)
    if not tests:
        return f"{sentence}, and no new input"
    return f"{sentence}, and no drift is found ({tests}; alpha {config.alpha:g})"


def _new_rows(count: int, known: int) -> str:
    share = f" ({count / known:.1%} of {known:,})" if known else ""
    return f"{count:,} new labelled row{'' if count == 1 else 's'}{share}"
