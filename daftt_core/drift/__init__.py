"""Whether data have changed: what is remembered of them, and the tests that compare."""

from daftt_core.drift.comparing import inputs_differ, labels_differ, permutations_for
from daftt_core.drift.population import (
    POPULATION,
    TRIGGER,
    Population,
    read_population,
    sample_of,
    write_population,
)

__all__ = [
    "POPULATION",
    "TRIGGER",
    "Population",
    "inputs_differ",
    "labels_differ",
    "permutations_for",
    "read_population",
    "sample_of",
    "write_population",
]
