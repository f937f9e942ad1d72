"""Which synthetic examples are kept, and why the others are not."""

from daftt_core.curation.curate import CURATED, curate
from daftt_core.curation.filters import FILTERS, Outcome, Surroundings, run_filters

__all__ = ["CURATED", "FILTERS", "Outcome", "Surroundings", "curate", "run_filters"]
