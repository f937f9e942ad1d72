"""Proposals for a task from its data: columns, kind and labels, for a person to confirm.

Where data do not decide between several answers, all of them are returned, and none is proposed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property

from daftt_core.errors import DataError
from daftt_core.tasks.label_sets import SEPARATOR
from daftt_core.tasks.task import Columns, spelling

_FEW_LABELS = 20
_FEW_ROWS = 20
_MOST_LABEL_CHARACTERS = 60
_LEAST_OF_EACH = 2
_MOSTLY, _HARDLY = 0.8, 0.1

_LABELS = frozenset({"label", "labels", "class", "target", "gold"})
_TOPICS = _LABELS | {"category", "categories", "sentiment", "emotion", "topic", "intent"}
_TEXTS = frozenset(
    {"output", "summary", "answer", "response", "completion", "reference", "translation", "reply"}
)
_ABOUT_ROWS = frozenset(
    (
        *("id", "date", "year", "month", "customer", "client", "author", "user", "annotator"),
        *("source", "channel", "platform", "device", "language", "lang", "locale", "country"),
        *("region", "split", "fold", "dataset"),
    )
)
"""Words in the names of columns about the origin of a row."""
_INPUTS = frozenset(
    (
        *("text", "sentence", "review", "message", "body", "content", "document", "article"),
        *("question", "input", "instruction", "prompt", "query", "utterance", "comment", "tweet"),
        *("post", "dialogue", "description"),
    )
)
_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "passage"),
    ("question", "context"),
    ("text1", "text2"),
)
_NUMBER = re.compile(r"[\d\W_]+")  # or a date
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ][\d:.,+Z ]*)?")
# numbers, dates, addresses, identifiers, and values of JSON
_CODE = re.compile(r"[\[{].*|(?=[!-~]+?(?:://|@)[!-~]|[!-~]*?\d)[!-~]++|[\d\W]+", re.S)
_CODE_CHARACTERS = 200  # that are looked at

_LIST = re.compile(r"""\[\s*(["'\d\[]|\])""")
_PARTING = re.compile(r"[;|\n]")
"""Separators that hardly occur within a label, so one known part is enough to see several."""
_JOINING = re.compile(r"[;|\n,/+]")


class _Column:
    """The nature of a column's values; empty ones do not count."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values = values

    @cached_property
    def counts(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for value, count in Counter(self.values).items():
            counts[spelling(value)] += count
        del counts[""]
        return counts

    @cached_property
    def is_code(self) -> bool:
        return self._are_all(_CODE.fullmatch)

    @cached_property
    def kind(self) -> str | None:
        rows, different = self.counts.total(), len(self.counts)
        repeated = sum(count for count in self.counts.values() if count > 1)
        if all(len(value) <= _MOST_LABEL_CHARACTERS for value in self.counts):
            few = 2 <= different <= min(_FEW_LABELS, rows // _LEAST_OF_EACH)
            if few or (repeated > _MOSTLY * rows and not self._are_all(_NUMBER.fullmatch)):
                return "classification"
            if rows < _FEW_ROWS:
                return None
        return None if repeated > _HARDLY * rows or self.is_code else "text2text"

    @cached_property
    def holds_labels(self) -> bool:
        """Return whether short values repeat; many codes name things, and not kinds of things."""
        named = self._are_all(_DATE.fullmatch) or (self.is_code and len(self.counts) > _FEW_LABELS)
        return len(self.counts) > 1 and self.kind == "classification" and not named

    @cached_property
    def holds_texts(self) -> bool:
        return len(self.counts) > 1 and not self.is_code

    @cached_property
    def is_full(self) -> bool:
        return self.counts.total() > (1 - _HARDLY) * len(self.values)

    @cached_property
    def characters(self) -> int:
        return sum(map(len, self.values))

    def _are_all(self, looks_so: Callable[[str], object]) -> bool:
        """Return whether nearly all values meet a condition."""
        matching = sum(bool(looks_so(value[:_CODE_CHARACTERS].rstrip())) for value in self.counts)
        return matching > (1 - _HARDLY) * len(self.counts)


_Columns = Mapping[str, _Column]


def propose_kind(outputs: Sequence[str]) -> str | None:
    """Return ``classification`` where short outputs repeat, ``text2text`` where they hardly do.

    Returns:
        The kind, or None where the outputs do not decide.
    """
    return _Column(outputs).kind


def propose_outputs(table: Mapping[str, Sequence[str]], inputs: Collection[str] = ()) -> list[str]:
    """Return the columns that may hold the outputs, by their names and their values.

    Args:
        table: The examples, by column.
        inputs: Columns that hold inputs; none: any may.

    Returns:
        The columns among which data do not decide; one where they do.

    Raises:
        DataError: There is only one column.
    """
    return _outputs(_columns(table), inputs)


def propose_columns(table: Mapping[str, Sequence[str]], output: str | None = None) -> Columns:
    """Return the columns that may hold inputs and outputs.

    Args:
        table: The examples, by column.
        output: The column of outputs; None: the first possible one.

    Raises:
        DataError: There is only one column.
    """
    columns = _columns(table)
    output = _outputs(columns, ())[0] if output is None else output
    rest = {name: column for name, column in columns.items() if name != output}
    for first, second in _PAIRS:
        if first in rest and second in rest:
            return Columns(text=first, text_pair=second, output=output)
    return Columns(text=_likely_input(rest), output=output)


def several_labels(outputs: Sequence[str]) -> dict[str, list[str]]:
    """Return the outputs that seem to be several labels in one cell, with the labels of each.

    They are those whose parts between separators occur in other cells as well, and lists.
    """
    divided = {
        value: [part for part in map(spelling, _JOINING.split(value)) if part]
        for value in dict.fromkeys(outputs)
    }
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for value, held in divided.items():
        for part in held:
            parts[part].add(spelling(value))
    several = {}
    for value, held in divided.items():
        whole = [part in parts[part] for part in held]
        known = [len(parts[part]) > 1 for part in held]
        parted = _PARTING.search(value) and (any(whole) or all(known))
        if (len(held) > 1 and (parted or all(whole))) or _LIST.match(value):
            several[value] = held
    return several


def propose_separator(outputs: Iterable[str]) -> str:
    """Return what most of some outputs with several labels each have between these.

    Lists need no separator; where there are only lists, it is the default one.
    """
    cells = [value for value in outputs if not _LIST.match(value)]
    counts = Counter(mark for value in cells for mark in set(_JOINING.findall(value)))
    return max(counts, key=lambda mark: (counts[mark], mark), default=SEPARATOR)


def _columns(table: Mapping[str, Sequence[str]]) -> _Columns:
    if len(table) < 2:
        raise DataError(f"there is one column, {next(iter(table))!r}; a task needs two at least")
    return {name: _Column(values) for name, values in table.items()}


def _outputs(columns: _Columns, inputs: Collection[str]) -> list[str]:
    rest = {name: column for name, column in columns.items() if name not in inputs}
    if named := [name for name in rest if _plain(name) in _LABELS]:
        return _distinct(columns, named)
    likely_input = None if inputs else _likely_input(rest)
    free = [name for name in rest if name != likely_input]
    labels = [name for name in free if rest[name].holds_labels]
    about = [name for name in labels if _words(name) & _ABOUT_ROWS]
    labels = [name for name in labels if name not in about]
    topics = [name for name in labels if _words(name) & _TOPICS]
    topics += [name for name in free if _plain(name) in _TOPICS and rest[name].holds_texts]
    texts = [name for name in rest if _plain(name) in _TEXTS and len(rest[name].counts) > 1]
    if chosen := list(dict.fromkeys((topics or labels) + texts)):
        return _distinct(columns, chosen)
    texts = [name for name in rest if name not in about and rest[name].holds_texts]
    if not inputs:
        # an output comes after its input, unless names say otherwise
        unnamed = [name for name in texts if _plain(name) not in _INPUTS]
        texts = unnamed if 0 < len(unnamed) < len(texts) else texts[1:]
    return about + texts or free


def _likely_input(columns: _Columns) -> str:
    """Return the column of the longest texts; full columns and telling names come first."""

    def weight(name: str) -> tuple[bool, bool, bool, bool, int]:
        column = columns[name]
        is_named, is_label = _plain(name) in _INPUTS, column.kind == "classification"
        return column.holds_texts, column.is_full, is_named, not is_label, column.characters

    return max(columns, key=weight)


def _distinct(columns: _Columns, names: Sequence[str]) -> list[str]:
    """Return the columns without those that repeat another; words are preferred to codes.

    Columns such as ``label`` and ``label_text`` repeat each other: each value of one stands beside
    one value of the other, and their names share a word.
    """
    distinct: list[str] = []
    for name in names:
        same = [key for key in columns if key == name or _are_the_same(columns, name, key)]
        best = min(same, key=lambda key: (columns[key].is_code, key != name))
        if not any(key in distinct for key in same):
            distinct.append(best)
    return distinct


def _are_the_same(columns: _Columns, first: str, second: str) -> bool:
    if not _words(first) & _words(second) or not columns[second].holds_labels:
        return False
    pairs = set(zip(columns[first].values, columns[second].values, strict=True))
    return len(pairs) == len(set(columns[first].values)) == len(set(columns[second].values))


def _plain(name: str) -> str:
    return name.strip().casefold()


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.casefold()))
