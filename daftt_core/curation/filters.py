"""The filters that a synthetic example passes, in order, and why it may be rejected.

There are two kinds, and neither depends on the order in which examples come:

- an *example filter* looks at one example. It returns it, changed or not, or the reason against it;
- a *set filter* looks at all examples that are left together, one row each, in the order of their
  ids. It yields for each row None, or the reason against it.

A new filter is a function and a line in ``EXAMPLE_FILTERS`` or ``SET_FILTERS``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from daftt_core.config import CurationConfig
from daftt_core.curation.context import Reason, Surroundings, field_names
from daftt_core.curation.detectors import find_in_example, foreign_language
from daftt_core.curation.duplicates import near_duplicates
from daftt_core.curation.rows import Row
from daftt_core.records import SyntheticExample, content_id, is_character, seed_for, words_of
from daftt_core.tasks import Task

ExampleFilter = Callable[[SyntheticExample, Surroundings], SyntheticExample | Reason]
SetFilter = Callable[[Sequence[Row], Surroundings], Iterable[Reason | None]]


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


def _unusable(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The teacher's answer could not be read, or is no label of the task."""
    labels = around.task.label_names
    if example.problem is not None:
        return Reason(example.problem)
    if example.output is None:
        return Reason("it has no output")
    for said in (example.output, example.asked):
        if around.task.is_classification and said is not None and said not in labels:
            return Reason(f"{said!r} is not one of the labels {', '.join(labels)}")
    return example


def _personal(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """There is an e-mail address, a phone or a card number in it, and such are to be dropped."""
    config = around.config
    if config.personal_data == "keep":
        return example
    changed, kinds = find_in_example(example, around.task, config.phone_region)
    if not changed:
        return example
    if config.personal_data == "drop":
        return Reason(f"it holds: {', '.join(sorted(kinds))}")
    redacted = example.model_copy(update=changed)
    new_id = content_id(redacted.text, redacted.text_pair)
    return redacted.model_copy(update={"id": new_id, "origin": example.origin or example.id})


def _length(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input is too short or too long."""
    least, most = around.config.min_characters, around.config.max_characters
    count = len(example.text.strip()) + len((example.text_pair or "").strip())
    if least <= count <= most:
        return example
    return Reason(f"{count} characters; {least} to {most} are allowed")


# controls except tab and line ends, halves of surrogate pairs, and the mark of a lost character
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_RUN_WORDS, _LEAST_ROUNDS = 3, 4


def _format(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input is no proper text, or what the teacher wrote goes round in circles."""
    if not around.config.check_format:
        return example
    inputs = [text for text in (example.text, example.text_pair) if text is not None]
    for text in inputs:
        if odd := _NO_TEXT.search(text):
            return Reason(f"the character U+{ord(odd.group()):04X}, which is no text")
        if not words_of(text):
            return Reason("no word")
    written = inputs if example.source == "generated" else []
    if not around.task.is_classification and example.output is not None:
        written = [*written, example.output]
    for text in written:
        for name in field_names(text):
            if name.casefold() not in around.own_fields:
                return Reason(f"the prompt's field {name!r}")
        if (circle := _circle(words_of(text))) is not None:
            return Reason(f"it says {circle!r} over and over")
    return example


def _circle(words: Sequence[str]) -> str | None:
    """The run of words that fills half of a text or more, over and over.

    Where the run is one word again and again, it must fill three quarters.
    """
    runs = list(zip(*(words[start:] for start in range(_RUN_WORDS)), strict=False))
    for run, count in Counter(runs).most_common(1):
        starts = [start for start, other in enumerate(runs) if other == run]
        filled = {start + step for start in starts for step in range(_RUN_WORDS)}
        # who laughs or stresses a word writes it several times: that alone is no circle
        least = 0.5 if len(set(run)) > 1 else 0.75
        if count >= _LEAST_ROUNDS and len(filled) >= least * len(words):
            return ("" if all(map(is_character, run)) else " ").join(run)
    return None


def _language(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input is clearly in another language."""
    wanted = around.config.language
    if wanted:
        text = f"{example.text}\n{example.text_pair or ''}".strip()
        found = foreign_language(text, wanted)
        if found is not None:
            return Reason(f"its language is {found}, not {wanted}")
    return example


def _copy(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input is that of a labelled example or, where it should be new, of an unlabelled one."""
    for own_id in filter(None, (example.id, example.origin)):
        if own_id in around.labelled_ids:
            return Reason("a labelled example has this input", own_id)
        if example.source == "generated" and own_id in around.unlabelled_ids:
            return Reason("an echo: a real unlabelled example has this input", own_id)
    return example


def _echo(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input repeats the prompt or an example that the teacher learned from."""
    if example.source == "annotated" or not around.config.echo_share:
        return example
    found = around.echoes.closest(example, around.config.echo_share)
    if found is None:
        return example
    share, other = found
    what = "the prompt" if other is None else "a labelled example"
    what += " that its prompt showed" if other in example.shown else ""
    words = around.config.echo_words
    return Reason(f"{share:.0%} of its runs of {words} words are those of {what}", other)


def _overlap(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The input is a dev or test example, nearly one, or shares a run of words with one."""
    other = around.heldout.collides(example.text, example.text_pair)
    if example.origin is not None and example.origin in around.heldout:
        other = example.origin
    if other is None:
        return example
    if other in (example.id, example.origin):
        return Reason("a dev or test example has this input", other)
    words = around.config.overlap_words
    return Reason(
        f"it is nearly a dev or test example, or shares {words} words in a row with one", other
    )


def _verify(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The teacher, asked again, gives another label than the one it wrote the input for."""
    settled = settle(example, around.config, around.task)
    if around.config.verify != "drop" or not around.task.is_classification:
        return settled
    if example.asked is None or example.asked == example.output:
        return settled
    return Reason(f"written for {example.asked!r}, labelled {example.output!r}")


def _confidence(example: SyntheticExample, around: Surroundings) -> SyntheticExample | Reason:
    """The confidence is below the threshold."""
    least = around.config.min_confidence
    if example.confidence >= least:
        return example
    return Reason(f"{example.confidence:.3f} is below {least:g}")


def _duplicate(
    rows: Sequence[Row],
    around: Surroundings,  # noqa: ARG001  (every set filter is called like this)
) -> Iterator[Reason | None]:
    """Another synthetic example has the input."""
    before = ""
    for row in rows:
        same = row.id == before
        before = row.id
        yield Reason("another synthetic example has this input", row.id) if same else None


def _near_duplicate(rows: Sequence[Row], around: Surroundings) -> Iterable[Reason | None]:
    """Another synthetic example has nearly the same input."""
    threshold = around.config.near_duplicate
    if not threshold:
        return [None] * len(rows)
    found = near_duplicates(rows, threshold)
    return (hit and Reason(f"{hit[0]:.3f} like another synthetic example", hit[1]) for hit in found)


def _share(rows: Sequence[Row], around: Surroundings) -> Iterator[Reason | None]:
    """The confidence is low among the annotated ones, of its label if it has one."""
    share = around.config.keep_share
    ranked = [row for row in rows if row.source == "annotated"]
    counts = Counter(row.label for row in ranked)
    # rounded first: 0.1 * 30 is 3.0000000000000004, and must not keep a fourth
    places = {label: math.ceil(round(share * count, 6)) for label, count in counts.items()}
    ranks = _ranks(ranked)
    for row in rows:
        if row.id in ranks and ranks[row.id] >= places[row.label]:
            yield Reason(
                f"{row.confidence:.3f} is not among the most confident {share:.0%} of the "
                f"{counts[row.label]} annotated {repr(row.label) if row.label else 'ones'}"
            )
        else:
            yield None


def _balance(rows: Sequence[Row], around: Surroundings) -> Iterator[Reason | None]:
    """There are more generated examples of this label than of the rarest one."""
    generated = [row for row in rows if row.source == "generated"]
    if not around.config.balance or not around.task.is_classification:
        generated = []
    counts = Counter(row.label for row in generated)
    places = min((counts[label] for label in around.task.label_names), default=0)
    ranks = _ranks(generated)
    for row in rows:
        if row.id not in ranks or ranks[row.id] < places:
            yield None
        else:
            yield Reason(f"{places} of the {counts[row.label]} generated {row.label!r} stay")


def _ratio(rows: Sequence[Row], around: Surroundings) -> Iterator[Reason | None]:
    """There are more examples of this source than the ratio to the labelled ones allows."""
    if not around.config.ratio:
        yield from [None] * len(rows)
        return
    limit = round(around.config.ratio * len(around.labelled_ids))
    counts = Counter(row.source for row in rows)
    places = {source: _drawing(rows, source, around.seed) for source in counts}
    for row in rows:
        if places[row.source][row.id] < limit:
            yield None
        else:
            yield Reason(f"{limit} of the {counts[row.source]} {row.source} ones are drawn")


def _drawing(rows: Sequence[Row], source: str, seed: int) -> Mapping[str, int]:
    """For each id its place in a random order in which every beginning has all labels' shares.

    A smaller ratio's examples are so among a larger one's.
    """
    by_label: dict[str | None, list[str]] = {}
    for row in rows:
        if row.source == source:
            by_label.setdefault(row.label, []).append(row.id)
    spread = []
    for ids in by_label.values():
        ids.sort(key=lambda each: seed_for(seed, "ratio", each))
        spread += [((place + 0.5) / len(ids), each) for place, each in enumerate(ids)]
    return {each: place for place, (_, each) in enumerate(sorted(spread))}


def _ranks(rows: Sequence[Row]) -> Mapping[str, int]:
    """For each id its place among the examples of its label, the most confident being 0."""
    seen: Counter[str | None] = Counter()
    ranks = {}
    for row in sorted(rows, key=lambda row: (-row.confidence, row.id)):
        ranks[row.id] = seen[row.label]
        seen[row.label] += 1
    return ranks


EXAMPLE_FILTERS: dict[str, ExampleFilter] = {
    "unusable": _unusable,
    "personal_data": _personal,
    "length": _length,
    "format": _format,
    "language": _language,
    "copy": _copy,
    "echo": _echo,
    "overlap": _overlap,
    "verify": _verify,
    "confidence": _confidence,
}
"""The filters that look at one example, by name, in the order in which they are applied."""

SET_FILTERS: dict[str, SetFilter] = {
    "duplicate": _duplicate,
    "near_duplicate": _near_duplicate,
    "share": _share,
    "balance": _balance,
    "ratio": _ratio,
}
"""The filters that look at all that are left then, by name, in the order of their application."""

RELATIVE = frozenset({"share"})
"""Filters that keep a part of whatever they get; the others reject nothing a second time."""
