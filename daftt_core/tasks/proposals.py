"""What data suggest about their task: columns, kind and labels, for a person to confirm.

Where data do not say which of several answers is right, that is said, and none is proposed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from daftt_core.errors import DataError
from daftt_core.tasks.task import Columns, spelling

__all__ = ["propose_columns", "propose_kind", "propose_outputs", "several_labels"]

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
"""Words in the names of columns that say where a row comes from."""
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
# numbers, dates, addresses, identifiers, and values of JSON
_CODE = re.compile(r"[\[{].*|[!-~]+(://|@)[!-~]+|[!-~]*\d[!-~]*|[\d\W]+", re.S)
_CODE_CHARACTERS = 200  # that are looked at

_LIST = re.compile(r"""\[\s*(["'\d]|\])""")
_PARTING = re.compile(r"[;|\n]")
"""What hardly stands within a label, so one known part is enough to see several labels."""
_JOINING = re.compile(r"[;|\n,/+]")


def propose_kind(outputs: Sequence[str]) -> str | None:
    """``classification`` where short outputs come again, ``text2text`` where they hardly do.

    Returns:
        The kind, or None where it cannot be told.
    """
    counts = _counts(outputs)
    rows, different = counts.total(), len(counts)
    again = sum(count for count in counts.values() if count > 1)
    if all(len(value) <= _MOST_LABEL_CHARACTERS for value in counts):
        few = 2 <= different <= min(_FEW_LABELS, rows // _LEAST_OF_EACH)
        if few or (again > _MOSTLY * rows and not _are_all(_NUMBER, counts)):
            return "classification"
        if rows < _FEW_ROWS:
            return None
    return None if again > _HARDLY * rows or _are_all(_CODE, counts) else "text2text"


def propose_outputs(table: Mapping[str, Sequence[str]], inputs: Collection[str] = ()) -> list[str]:
    """Which columns may hold the outputs, by their names and by what they hold.

    Args:
        table: The examples, by column.
        inputs: Columns that hold inputs; none: any may.

    Returns:
        The columns among which data do not decide; one where they do.

    Raises:
        DataError: There is only one column.
    """
    _check_several(table)
    rest = [name for name in table if name not in inputs]
    named = [name for name in rest if _plain(name) in _LABELS]
    if named:
        return _told_apart(table, named)
    free = rest if inputs else [name for name in rest if name != _likely_input(table, rest)]
    labels = [name for name in free if _holds_labels(table[name])]
    about = [name for name in labels if _words(name) & _ABOUT_ROWS]
    labels = [name for name in labels if name not in about]
    topics = [name for name in labels if _words(name) & _TOPICS]
    texts = [name for name in rest if _plain(name) in _TEXTS and len(_counts(table[name])) > 1]
    if chosen := list(dict.fromkeys((topics or labels) + texts)):
        return _told_apart(table, chosen)
    texts = [name for name in rest if name not in about and _holds_texts(table[name])]
    if not inputs:
        texts = [name for name in texts if _plain(name) not in _INPUTS] or texts[-1:]
        if len(texts) == sum(_holds_texts(table[name]) for name in rest if name not in about):
            texts = texts[1:]  # an output comes after its input
    return about + texts or free


def propose_columns(table: Mapping[str, Sequence[str]], output: str | None = None) -> Columns:
    """Which columns may hold inputs and outputs.

    Args:
        table: The examples, by column.
        output: The column of outputs; None: the first that may be.

    Raises:
        DataError: There is only one column.
    """
    _check_several(table)
    output = propose_outputs(table)[0] if output is None else output
    rest = [name for name in table if name != output]
    for one, other in _PAIRS:
        if one in rest and other in rest:
            return Columns(text=one, text_pair=other, output=output)
    return Columns(text=_likely_input(table, rest), output=output)


def several_labels(outputs: Sequence[str]) -> dict[str, list[str]]:
    """The outputs that seem to be several labels in one cell, with what each consists of.

    It is so where the parts between separators are found in other cells as well, and where a cell
    holds a list.
    """
    divided = {
        value: [part for part in map(spelling, _JOINING.split(value)) if part]
        for value in dict.fromkeys(outputs)
    }
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for value, held in divided.items():
        for part in held:
            parts[part].add(spelling(value))
    found = {}
    for value, held in divided.items():
        whole = [part in parts[part] for part in held]
        known = [len(parts[part]) > 1 for part in held]
        parted = _PARTING.search(value) and (any(whole) or all(known))
        if (len(held) > 1 and (parted or all(whole))) or _LIST.match(value):
            found[value] = held
    return found


def _check_several(table: Mapping[str, Sequence[str]]) -> None:
    if len(table) < 2:
        raise DataError(f"there is one column, {next(iter(table))!r}; a task needs two at least")


def _counts(values: Sequence[str]) -> Counter[str]:
    """How often each value is there; empty ones do not count."""
    counts: Counter[str] = Counter()
    for value, count in Counter(values).items():
        counts[spelling(value)] += count
    del counts[""]
    return counts


def _are_all(pattern: re.Pattern[str], values: Collection[str]) -> bool:
    """Whether nearly all values look so."""
    fitting = sum(bool(pattern.fullmatch(value[:_CODE_CHARACTERS])) for value in values)
    return fitting > (1 - _HARDLY) * len(values)


def _holds_labels(values: Sequence[str]) -> bool:
    """Whether short values come again; many different codes name things rather than kinds."""
    counts = _counts(values)
    few = len(counts) <= _FEW_LABELS or not _are_all(_CODE, counts)
    return len(counts) > 1 and few and propose_kind(values) == "classification"


def _holds_texts(values: Sequence[str]) -> bool:
    counts = _counts(values)
    return len(counts) > 1 and not _are_all(_CODE, counts)


def _likely_input(table: Mapping[str, Sequence[str]], names: Sequence[str]) -> str:
    """The longest texts, if they are in nearly every row; a name that says so comes first."""

    def weight(name: str) -> tuple[bool, bool, bool, bool, int]:
        values = table[name]
        return (
            _holds_texts(values),
            _counts(values).total() > (1 - _HARDLY) * len(values),
            _plain(name) in _INPUTS,
            propose_kind(values) != "classification",
            sum(map(len, values)),
        )

    return max(names, key=weight)


def _told_apart(table: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    """Without those columns that say the same as another; words are preferred to codes.

    Columns such as ``label`` and ``label_text`` do: each value of one stands beside one value of
    the other, and their names share a word.
    """
    apart: list[str] = []
    for name in names:
        same = [other for other in table if other == name or _say_the_same(table, name, other)]
        best = min(same, key=lambda other: (_are_all(_CODE, _counts(table[other])), other != name))
        if not any(other in apart for other in same):
            apart.append(best)
    return apart


def _say_the_same(table: Mapping[str, Sequence[str]], one: str, other: str) -> bool:
    if not _words(one) & _words(other) or not _holds_labels(table[other]):
        return False
    pairs = set(zip(table[one], table[other], strict=True))
    return len(pairs) == len(set(table[one])) == len(set(table[other]))


def _plain(name: str) -> str:
    return name.strip().casefold()


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.casefold()))
