"""Examples with their ids, files that name the line of a mistake, and texts.

Words are in :mod:`daftt_core.records.words`, fingerprints in
:mod:`daftt_core.records.fingerprints`.
"""

from daftt_core.records.examples import (
    TRAITS,
    Example,
    Prediction,
    Record,
    Rejection,
    SyntheticExample,
    TextSample,
    Traits,
    content_id,
    digest,
    iterate_jsonl,
    read_jsonl,
    seed_for,
    write_jsonl,
)
from daftt_core.records.files import appearing, link_file, remove_stale, stale_partials, write_text
from daftt_core.records.parsing import explain, parse_document, parse_json, parse_yaml
from daftt_core.records.text import (
    composed,
    escape_markdown,
    normalize,
    visible,
    visible_line,
)

__all__ = [
    "TRAITS",
    "Example",
    "Prediction",
    "Record",
    "Rejection",
    "SyntheticExample",
    "TextSample",
    "Traits",
    "appearing",
    "composed",
    "content_id",
    "digest",
    "escape_markdown",
    "explain",
    "iterate_jsonl",
    "link_file",
    "normalize",
    "parse_document",
    "parse_json",
    "parse_yaml",
    "read_jsonl",
    "remove_stale",
    "seed_for",
    "stale_partials",
    "visible",
    "visible_line",
    "write_jsonl",
    "write_text",
]
