"""Which synthetic examples are kept, and why the others are not."""

from daftt_core.curation.curate import FUNNEL, SOURCES, curate
from daftt_core.curation.detectors import check_language
from daftt_core.curation.duplicates import NearIndex
from daftt_core.curation.filters import EXAMPLE_FILTERS, SET_FILTERS, FilterContext
from daftt_core.curation.review import (
    CORRECTIONS,
    Review,
    kept_examples,
    make_sheet,
    read_marks,
    read_review,
)
from daftt_core.curation.runner import run_filters
from daftt_core.curation.sheet import QUESTIONS

__all__ = [
    "CORRECTIONS",
    "EXAMPLE_FILTERS",
    "FUNNEL",
    "QUESTIONS",
    "SET_FILTERS",
    "SOURCES",
    "FilterContext",
    "NearIndex",
    "Review",
    "check_language",
    "curate",
    "kept_examples",
    "make_sheet",
    "read_marks",
    "read_review",
    "run_filters",
]
