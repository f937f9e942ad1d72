"""Preparing data: reading sources, cutting splits, and keeping test away from everything else."""

from daftt_core.data.files import look_at, try_reading
from daftt_core.data.gather import Gathered, gather
from daftt_core.data.inputs import Input, is_table, read_table, read_texts
from daftt_core.data.mixture import describe_mixture, prepare_mixture, prepare_with_mixture
from daftt_core.data.population import (
    POPULATION,
    Population,
    read_population,
    sample_of,
    write_population,
)
from daftt_core.data.prepare import prepare
from daftt_core.data.splits import take

__all__ = [
    "POPULATION",
    "Gathered",
    "Input",
    "Population",
    "describe_mixture",
    "gather",
    "is_table",
    "look_at",
    "prepare",
    "prepare_mixture",
    "prepare_with_mixture",
    "read_population",
    "read_table",
    "read_texts",
    "sample_of",
    "take",
    "try_reading",
    "write_population",
]
