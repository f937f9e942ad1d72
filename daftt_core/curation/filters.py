"""The filters that a synthetic example passes, in order, and why it may be rejected.

There are two kinds, and neither depends on the order in which examples come:

- an *example filter* gets one example. It returns it, changed or not, or the reason to reject it;
- a *set filter* gets all remaining examples together, one row each, in the order of their ids. It
  yields for each row None, or the reason to reject it.

A new filter is a function and a line in ``EXAMPLE_FILTERS`` or ``SET_FILTERS``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from daftt_core.config import CurationConfig
from daftt_core.curation.detectors import find_in_example, foreign_language
from daftt_core.curation.duplicates import EchoIndex, near_duplicates
from daftt_core.curation.rows import Row
from daftt_core.records import SyntheticExample, content_id, seed_for
from daftt_core.records.fingerprints import Heldout
from daftt_core.records.words import is_character, words_of
from daftt_core.tasks import FIELD_NAME, Task


@dataclass(frozen=True)
class FilterContext:
    """What the filters know besides the examples.

    Attributes:
        config: The settings.
        seed: The run's seed.
        task: The task.
        heldout: Fingerprints of the dev and test examples.
        labelled_ids: Ids of the real labelled examples.
        unlabelled_ids: Ids of the real inputs that were offered for annotation.
        echoes: What the teacher was shown: its prompt and the labelled examples.
        own_fields: Names of a prompt's fields with which lines of the user's own outputs begin, in
            lowercase.
    """

    config: CurationConfig
    seed: int
    task: Task
    heldout: Heldout
    labelled_ids: frozenset[str]
    unlabelled_ids: frozenset[str]
    echoes: EchoIndex
    own_fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reason:
    """Why an example is rejected.

    Attributes:
        detail: The finding in words.
        collides_with: Id of the example it is too close to, where that is the reason.
    """

    detail: str
    collides_with: str | None = None


ExampleFilter = Callable[[SyntheticExample, FilterContext], SyntheticExample | Reason]
SetFilter = Callable[[Sequence[Row], FilterContext], Iterable[Reason | None]]


def field_names(text: str) -> list[str]:
    """Return the names of a prompt's fields with which lines of a text begin."""
    return [" ".join(match.group().split()) for match in FIELD_NAME.finditer(text)]


def settle(example: SyntheticExample, config: CurationConfig, task: Task) -> SyntheticExample:
    """Return an example with the output it is used with if it is kept.

    With ``verify`` off, a generated example keeps the label it was asked to have, and the
    confidence is that label's.
    """
    asked = example.asked
    if config.verify != "off" or not task.is_classification or asked is None:
        return example
    confidence = example.confidence
    if example.distribution and task.allows(asked):
        confidence = task.probability_of(asked, example.distribution)
    return example.model_copy(update={"output": asked, "confidence": confidence})


def _unusable(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an answer that could not be read or is not a label of the task."""
    task = context.task
    if example.problem is not None:
        return Reason(example.problem)
    if example.output is None:
        return Reason("it has no output")
    for output in (example.output, example.asked):
        if task.is_classification and output is not None and not task.allows(output):
            one = "a set" if task.is_multilabel else "one"
            return Reason(f"{output!r} is not {one} of the labels {', '.join(task.label_names)}")
    return example


def _personal(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Redact or reject an example with an e-mail address, a phone or a card number."""
    config = context.config
    if config.personal_data == "keep":
        return example
    changed, kinds = find_in_example(example, context.task, config.phone_region)
    if not changed:
        return example
    if config.personal_data == "drop":
        return Reason(f"it holds: {', '.join(sorted(kinds))}")
    redacted = example.model_copy(update=changed)
    new_id = content_id(redacted.text, redacted.text_pair)
    return redacted.model_copy(update={"id": new_id, "origin": example.origin or example.id})


def _length(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an input that is too short or too long."""
    least, most = context.config.min_characters, context.config.max_characters
    count = len(example.text.strip()) + len((example.text_pair or "").strip())
    if least <= count <= most:
        return example
    return Reason(f"{count} characters; {least} to {most} are allowed")


# controls except tab and line ends, halves of surrogate pairs, and the mark of a lost character
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_RUN_WORDS, _LEAST_ROUNDS = 3, 4


def _format(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an input that is not proper text, and what the teacher wrote in circles."""
    if not context.config.check_format:
        return example
    inputs = [text for text in (example.text, example.text_pair) if text is not None]
    for text in inputs:
        if character := _NO_TEXT.search(text):
            return Reason(f"the character U+{ord(character.group()):04X}, which is no text")
        if not words_of(text):
            return Reason("no word")
    written = inputs if example.source == "generated" else []
    if not context.task.is_classification and example.output is not None:
        written = [*written, example.output]
    for text in written:
        for name in field_names(text):
            if name.casefold() not in context.own_fields:
                return Reason(f"the prompt's field {name!r}")
        if (circle := _circle(words_of(text))) is not None:
            return Reason(f"it says {circle!r} over and over")
    return example


def _circle(words: Sequence[str]) -> str | None:
    """Return the run of words that fills half of a text or more, over and over.

    Where the run is one word again and again, it must fill three quarters.
    """
    runs = list(zip(*(words[start:] for start in range(_RUN_WORDS)), strict=False))
    for run, count in Counter(runs).most_common(1):
        starts = [start for start, each in enumerate(runs) if each == run]
        filled = {start + step for start in starts for step in range(_RUN_WORDS)}
        # a word repeated for emphasis, or laughter, is no circle
        least = 0.5 if len(set(run)) > 1 else 0.75
        if count >= _LEAST_ROUNDS and len(filled) >= least * len(words):
            return ("" if all(map(is_character, run)) else " ").join(run)
    return None


def _language(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an input that is clearly in another language."""
    expected = context.config.language
    if expected:
        text = f"{example.text}\n{example.text_pair or ''}".strip()
        language = foreign_language(text, expected)
        if language is not None:
            return Reason(f"its language is {language}, not {expected}")
    return example


def _copy(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject the input of a labelled example or, where it should be new, an unlabelled one."""
    for own_id in filter(None, (example.id, example.origin)):
        if own_id in context.labelled_ids:
            return Reason("a labelled example has this input", own_id)
        if example.source == "generated" and own_id in context.unlabelled_ids:
            return Reason("an echo: a real unlabelled example has this input", own_id)
    return example


def _echo(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an input that repeats the prompt or an example that the teacher learned from."""
    if example.source == "annotated" or not context.config.echo_share:
        return example
    echo = context.echoes.closest(example, context.config.echo_share)
    if echo is None:
        return example
    share, repeated = echo
    source = "the prompt" if repeated is None else "a labelled example"
    source += " that its prompt showed" if repeated in example.shown else ""
    words = context.config.echo_words
    return Reason(f"{share:.0%} of its runs of {words} words are those of {source}", repeated)


def _overlap(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject a dev or test input, nearly one, or one that shares a run of words with it."""
    heldout = context.heldout.collides(example.text, example.text_pair)
    if example.origin is not None and example.origin in context.heldout:
        heldout = example.origin
    if heldout is None:
        return example
    if heldout in (example.id, example.origin):
        return Reason("a dev or test example has this input", heldout)
    words = context.config.overlap_words
    return Reason(
        f"it is nearly a dev or test example, or shares {words} words in a row with one", heldout
    )


def _verify(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject an input to which the teacher now gives other labels than it wrote it for."""
    settled = settle(example, context.config, context.task)
    if context.config.verify != "drop" or not context.task.is_classification:
        return settled
    if example.asked is None or example.asked == example.output:
        return settled
    return Reason(f"written for {example.asked!r}, labelled {example.output!r}")


def _confidence(example: SyntheticExample, context: FilterContext) -> SyntheticExample | Reason:
    """Reject a confidence below the threshold."""
    least = context.config.min_confidence
    if example.confidence >= least:
        return example
    return Reason(f"{example.confidence:.3f} is below {least:g}")


def _duplicate(
    rows: Sequence[Row],
    context: FilterContext,  # noqa: ARG001  (every set filter is called like this)
) -> Iterator[Reason | None]:
    """Reject an input that another synthetic example has."""
    before = ""
    for row in rows:
        same = row.id == before
        before = row.id
        yield Reason("another synthetic example has this input", row.id) if same else None


def _near_duplicate(rows: Sequence[Row], context: FilterContext) -> Iterable[Reason | None]:
    """Reject an input that is nearly that of another synthetic example."""
    threshold = context.config.near_duplicate
    if not threshold:
        return [None] * len(rows)
    hits = near_duplicates(rows, threshold)
    return (hit and Reason(f"{hit[0]:.3f} like another synthetic example", hit[1]) for hit in hits)


def _share(rows: Sequence[Row], context: FilterContext) -> Iterator[Reason | None]:
    """Reject the least confident annotated examples, of each label or set if there are labels."""
    share = context.config.keep_share
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


def _balance(rows: Sequence[Row], context: FilterContext) -> Iterator[Reason | None]:
    """Reject generated examples of a label beyond the number of the rarest one.

    Sets of labels are left alone: the rarest of many may have a single example.
    """
    generated = [row for row in rows if row.source == "generated"]
    task = context.task
    if not context.config.balance or not task.is_classification or task.is_multilabel:
        generated = []
    counts = Counter(row.label for row in generated)
    places = min((counts[label] for label in task.label_names), default=0)
    ranks = _ranks(generated)
    for row in rows:
        if row.id not in ranks or ranks[row.id] < places:
            yield None
        else:
            yield Reason(f"{places} of the {counts[row.label]} generated {row.label!r} stay")


def _ratio(rows: Sequence[Row], context: FilterContext) -> Iterator[Reason | None]:
    """Reject examples of a source beyond the ratio to the labelled ones."""
    if not context.config.ratio:
        yield from [None] * len(rows)
        return
    limit = round(context.config.ratio * len(context.labelled_ids))
    counts = Counter(row.source for row in rows)
    places = {source: _drawing(rows, source, context.seed) for source in counts}
    for row in rows:
        if places[row.source][row.id] < limit:
            yield None
        else:
            yield Reason(f"{limit} of the {counts[row.source]} {row.source} ones are drawn")


def _drawing(rows: Sequence[Row], source: str, seed: int) -> Mapping[str, int]:
    """Return for each id its place in a random order in which every prefix has all labels' shares.

    So the examples of a smaller ratio are among those of a larger one.
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
    """Return for each id its rank among the examples of its label, 0 the most confident."""
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
"""The filters of single examples by name, in the order in which they are applied."""

SET_FILTERS: dict[str, SetFilter] = {
    "duplicate": _duplicate,
    "near_duplicate": _near_duplicate,
    "share": _share,
    "balance": _balance,
    "ratio": _ratio,
}
"""The filters of all remaining examples by name, in the order in which they are applied."""
