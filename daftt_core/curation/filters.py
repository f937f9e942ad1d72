"""The filters that a synthetic example passes, in order, and why it may be rejected.

A filter takes the examples that are left and splits them into kept and rejected. It looks at
nothing but its arguments, and the order of the examples does not matter to it. A new filter is a
function and a line in ``FILTERS``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from daftt_core.config import CurationConfig
from daftt_core.heldout import Heldout
from daftt_core.records import Rejection, SyntheticExample, seed_for
from daftt_core.tasks import Task

__all__ = ["FILTERS", "Filter", "Outcome", "Surroundings", "run_filters", "settle"]


@dataclass(frozen=True)
class Surroundings:
    """What the filters know besides the examples.

    Attributes:
        config: The settings.
        seed: The run's seed.
        task: The task.
        heldout: The dev and test examples, to be recognized and not read.
        labelled_ids: Ids of the real labelled examples.
        unlabelled_ids: Ids of the real inputs that were offered for annotation.
    """

    config: CurationConfig
    seed: int
    task: Task
    heldout: Heldout
    labelled_ids: frozenset[str]
    unlabelled_ids: frozenset[str]


@dataclass
class Outcome:
    """What a filter makes of the examples it is given; each is in one of the two lists."""

    kept: list[SyntheticExample] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


# Why an example is rejected, and the id of what it collides with; None where it is kept.
_Verdict = tuple[str, str | None] | None
Filter = Callable[[Sequence[SyntheticExample], Surroundings], Outcome]


def run_filters(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """Send examples through all filters.

    Args:
        examples: Of both sources, in any order.
        around: What the filters know besides.

    Returns:
        The kept ones by id, and the rejected ones by filter and then by id.
    """
    left, rejected = sorted(examples, key=_order), list[Rejection]()
    for apply in FILTERS.values():
        outcome = apply(left, around)
        left = outcome.kept
        rejected += outcome.rejected
    return Outcome(left, rejected)


def settle(example: SyntheticExample, config: CurationConfig, task: Task) -> SyntheticExample:
    """An example with the output it is to be used with, should it be kept.

    With ``verify`` off, a generated example keeps the label it was asked to have, and the
    confidence is that label's.
    """
    asked = example.asked
    if config.verify != "off" or not task.is_classification or asked is None:
        return example
    confidence = example.distribution.get(asked, example.confidence)
    return example.model_copy(update={"output": asked, "confidence": confidence})


def _order(example: SyntheticExample) -> tuple[str, ...]:
    # "annotated" comes before "generated": of two equal inputs the real one stays
    return (example.id, example.source, example.model_dump_json())


def _one_by_one(
    name: str, examples: Sequence[SyntheticExample], judge: Callable[[SyntheticExample], _Verdict]
) -> Outcome:
    outcome = Outcome()
    for example in examples:
        verdict = judge(example)
        if verdict is None:
            outcome.kept.append(example)
        else:
            detail, other = verdict
            outcome.rejected.append(
                Rejection(example=example, reason=name, detail=detail, collides_with=other)
            )
    return outcome


def _unusable(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The teacher's answer could not be read, or is no label of the task."""
    labels = around.task.label_names

    def judge(example: SyntheticExample) -> _Verdict:
        if example.problem is not None:
            return example.problem, None
        if example.output is None:
            return "it has no output", None
        for said in (example.output, example.asked):
            if around.task.is_classification and said is not None and said not in labels:
                return f"{said!r} is not one of the labels {', '.join(labels)}", None
        return None

    return _one_by_one("unusable", examples, judge)


def _length(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The input is too short or too long."""
    least, most = around.config.min_characters, around.config.max_characters

    def judge(example: SyntheticExample) -> _Verdict:
        count = len(example.text.strip()) + len((example.text_pair or "").strip())
        if least <= count <= most:
            return None
        return f"{count} characters; {least} to {most} are allowed", None

    return _one_by_one("length", examples, judge)


def _duplicate(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The input is that of a labelled example, of another synthetic one, or an echo."""
    seen: set[str] = set()

    def judge(example: SyntheticExample) -> _Verdict:
        if example.id in around.labelled_ids:
            return "a labelled example has this input", example.id
        if example.source == "generated" and example.id in around.unlabelled_ids:
            return "an echo: a real unlabelled example has this input", example.id
        if example.id in seen:
            return "another synthetic example has this input", example.id
        seen.add(example.id)
        return None

    return _one_by_one("duplicate", sorted(examples, key=_order), judge)


def _overlap(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The input is, or shares a run of words with, a dev or test example."""

    def judge(example: SyntheticExample) -> _Verdict:
        other = around.heldout.collides(example.text, example.text_pair)
        if other is None:
            return None
        if other == example.id:
            return "a dev or test example has this input", other
        words = around.config.overlap_words
        return f"it shares {words} words in a row with a dev or test example", other

    return _one_by_one("overlap", examples, judge)


def _verify(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The teacher, asked again, gives another label than the one it wrote the input for."""
    settled = [settle(example, around.config, around.task) for example in examples]
    if around.config.verify != "drop" or not around.task.is_classification:
        return Outcome(settled)

    def judge(example: SyntheticExample) -> _Verdict:
        if example.asked is None or example.asked == example.output:
            return None
        return f"written for {example.asked!r}, labelled {example.output!r}", None

    return _one_by_one("verify", settled, judge)


def _confidence(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """The confidence is below the threshold, or low among the annotated ones of its label."""
    least, share = around.config.min_confidence, around.config.keep_share
    sure = [example for example in examples if example.confidence >= least]
    ranked = [e for e in sure if e.source == "annotated" and around.task.is_classification]
    counts = Counter(example.output for example in ranked)
    # rounded first: 0.1 * 30 is 3.0000000000000004, and must not keep a fourth
    places = {label: math.ceil(round(share * count, 6)) for label, count in counts.items()}
    ranks = _ranks(ranked)

    def judge(example: SyntheticExample) -> _Verdict:
        if example.confidence < least:
            return f"{example.confidence:.3f} is below {least:g}", None
        is_ranked = example.source == "annotated" and example.id in ranks
        if is_ranked and ranks[example.id] >= places[example.output]:
            return (
                f"{example.confidence:.3f} is not among the most confident {share:.0%} of the "
                f"{counts[example.output]} annotated {example.output!r}",
                None,
            )
        return None

    return _one_by_one("confidence", examples, judge)


def _balance(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """There are more generated examples of this label than of the rarest one."""
    if not around.config.balance or not around.task.is_classification:
        return Outcome(list(examples))
    generated = [example for example in examples if example.source == "generated"]
    counts = Counter(example.output for example in generated)
    places = min((counts[label] for label in around.task.label_names), default=0)
    ranks = _ranks(generated)

    def judge(example: SyntheticExample) -> _Verdict:
        if example.source == "annotated" or ranks[example.id] < places:
            return None
        return f"{places} of the {counts[example.output]} generated {example.output!r} stay", None

    return _one_by_one("balance", examples, judge)


def _ratio(examples: Sequence[SyntheticExample], around: Surroundings) -> Outcome:
    """There are more examples of this source than the ratio to the labelled ones allows."""
    if not around.config.ratio:
        return Outcome(list(examples))
    limit = round(around.config.ratio * len(around.labelled_ids))
    counts = Counter(example.source for example in examples)
    places = {source: _drawing(examples, source, around) for source in counts}

    def judge(example: SyntheticExample) -> _Verdict:
        if places[example.source][example.id] < limit:
            return None
        return f"{limit} of the {counts[example.source]} {example.source} ones are drawn", None

    return _one_by_one("ratio", examples, judge)


def _drawing(
    examples: Sequence[SyntheticExample], source: str, around: Surroundings
) -> Mapping[str, int]:
    """For each id its place in a random order in which every beginning has all labels' shares.

    A smaller ratio's examples are so among a larger one's.
    """
    by_label: dict[str | None, list[str]] = {}
    for example in examples:
        if example.source == source:
            label = example.output if around.task.is_classification else None
            by_label.setdefault(label, []).append(example.id)
    spread = []
    for ids in by_label.values():
        ids.sort(key=lambda each: seed_for(around.seed, "ratio", each))
        spread += [((place + 0.5) / len(ids), each) for place, each in enumerate(ids)]
    return {each: place for place, (_, each) in enumerate(sorted(spread))}


def _ranks(examples: Sequence[SyntheticExample]) -> Mapping[str, int]:
    """For each id its place among the examples of its label, the most confident being 0."""
    seen: Counter[str | None] = Counter()
    ranks = {}
    for example in sorted(examples, key=lambda example: (-example.confidence, example.id)):
        ranks[example.id] = seen[example.output]
        seen[example.output] += 1
    return ranks


FILTERS: dict[str, Filter] = {
    "unusable": _unusable,
    "length": _length,
    "duplicate": _duplicate,
    "overlap": _overlap,
    "verify": _verify,
    "confidence": _confidence,
    "balance": _balance,
    "ratio": _ratio,
}
"""The filters by name, in the order in which they are applied."""
