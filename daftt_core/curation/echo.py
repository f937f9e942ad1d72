"""Recognizing what the teacher only repeats: its prompt, or an example it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from daftt_core.records import Example, words_of
from daftt_core.tasks import TURN, Task

__all__ = ["EchoIndex"]

_Run = tuple[str, ...]
_PROMPT = None


class EchoIndex:
    """Finds the text, of those the teacher was shown, that another text repeats.

    What counts is *containment*: the share of a text's different runs of words that one other text
    has too (Broder, "On the resemblance and containment of documents", 1997).

    Args:
        task: The task, for the instructions and the examples of its prompts.
        labelled: The real examples the teacher learned from, and that its prompts show.
        words: Length of the runs.
    """

    def __init__(self, task: Task, labelled: Iterable[Example], words: int) -> None:
        self._words = words
        self._holders: dict[_Run, list[str | None]] = {}
        solved = map(task.example_of, (*task.positive_examples, *task.negative_examples))
        own = [text for one in solved for text in (one.text, one.text_pair)]
        shown: list[tuple[str | None, Iterable[_Run]]] = [
            (_PROMPT, self._runs(task.definition, task.writing_definition, TURN, *own)),
            *((one.id, self._runs(one.text, one.text_pair)) for one in labelled),
        ]
        for holder, runs in shown:
            for run in runs:
                self._holders.setdefault(run, []).append(holder)

    def closest(self, example: Example, least: float) -> tuple[float, str | None] | None:
        """What an example repeats.

        Args:
            example: Only its input counts.
            least: The containment from which it is an echo.

        Returns:
            The containment and the id of the example that is repeated most, or None in its place
            where that is the prompt; None when nothing is repeated enough.
        """
        runs = self._runs(example.text, example.text_pair)
        known = [run for run in runs if run in self._holders]
        # only a suspect is compared with each text by itself: that takes longer
        if not runs or len(known) / len(runs) < least:
            return None
        hits = Counter(holder for run in known for holder in self._holders[run])
        holder, count = max(hits.items(), key=lambda item: (item[1], item[0] or ""))
        return (count / len(runs), holder) if count / len(runs) >= least else None

    def _runs(self, *texts: str | None) -> set[_Run]:
        return {run for text in texts if text for run in self._runs_of(words_of(text))}

    def _runs_of(self, words: list[str]) -> Iterator[_Run]:
        """The runs of a text; of a shorter one the whole, which equals a whole text or nothing."""
        for start in range(max(len(words) - self._words + 1, bool(words))):
            yield tuple(words[start : start + self._words])
