"""Examples with their ids, files that name the line of a mistake, and fingerprints of texts."""

from daftt_core.records.examples import (
    PILED_UP_MARKS,
    TRAITS,
    Example,
    Prediction,
    Rejection,
    SyntheticExample,
    TextSample,
    Traits,
    composed,
    content_id,
    digest,
    iterate_jsonl,
    normalize,
    read_jsonl,
    seed_for,
    write_jsonl,
)
from daftt_core.records.files import appearing, link_file, remove_stale, stale_partials, write_text
from daftt_core.records.fingerprints import FORM, Fingerprint, Heldout, write_fingerprints
from daftt_core.records.parsing import explain, parse_json, parse_yaml
from daftt_core.records.plain_text import visible, visible_line
from daftt_core.records.words import IGNORED, MARKS, apart, bare, is_character, words_of

__all__ = [
    "FORM",
    "IGNORED",
    "MARKS",
    "PILED_UP_MARKS",
    "TRAITS",
    "Example",
    "Fingerprint",
    "Heldout",
    "Prediction",
    "Rejection",
    "SyntheticExample",
    "TextSample",
    "Traits",
    "apart",
    "appearing",
    "bare",
    "composed",
    "content_id",
    "digest",
    "explain",
    "is_character",
    "iterate_jsonl",
    "link_file",
    "normalize",
    "parse_json",
    "parse_yaml",
    "read_jsonl",
    "remove_stale",
    "seed_for",
    "stale_partials",
    "visible",
    "visible_line",
    "words_of",
    "write_fingerprints",
    "write_jsonl",
    "write_text",
]
