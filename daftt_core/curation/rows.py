"""Keeps examples on disk, and in memory only what the filters compare.

A million examples do not fit into the memory of a small pod, but an id, a label, a confidence and
the place of the rest do.
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from daftt_core.records import SyntheticExample


class Spool:
    """A temporary file of JSON lines that are read back in any order.

    Args:
        folder: Where it is; None: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed with the spool)
        self._end = 0

    def add(self, record: BaseModel) -> tuple[int, bytes]:
        """Append a record; return its place and its line."""
        line = record.model_dump_json().encode() + b"\n"
        place = self._end
        self._file.seek(place)
        self._file.write(line)
        self._end += len(line)
        return place, line

    def line(self, place: int) -> bytes:
        """Return the line at a place that :meth:`add` returned."""
        self._file.seek(place)
        return self._file.readline()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Row:
    """One example of a spool.

    Attributes:
        id: The example's id.
        source: ``annotated`` or ``generated``.
        label: Its label, or its set of them as one text; None in a task without labels.
        confidence: Confidence of its output.
        place: Its place in the spool.
        tie: Checksum of its line: orders rows that are otherwise equal, whatever their shard.
        spool: Holds the rest of it.
    """

    id: str
    source: str
    label: str | None
    confidence: float
    place: int
    tie: int
    spool: Spool

    @classmethod
    def of(cls, example: SyntheticExample, spool: Spool, *, labelled: bool) -> Row:
        """Put an example into the spool; ``labelled`` says whether its output is a label."""
        place, line = spool.add(example)
        label = sys.intern(example.output) if labelled and example.output is not None else None
        source = sys.intern(example.source)
        return cls(example.id, source, label, example.confidence, place, zlib.crc32(line), spool)

    @property
    def order(self) -> tuple[str, str, int]:
        """Return a sort key; "annotated" sorts first: of equal inputs the real one stays."""
        return (self.id, self.source, self.tie)

    def read(self) -> SyntheticExample:
        """Return the whole example."""
        return SyntheticExample.model_validate_json(self.spool.line(self.place))
