"""Reads prices from a file of the user's: they differ by provider, region and contract.

A price file is YAML; ``daftt costs --example-prices`` prints one to start from. The keys of
``gpu_hour`` and ``cpu_hour`` are words of a device's name as its driver gives it, such as
``A100-SXM4-80GB`` or ``EPYC 7B12``; of several that match the longest counts, and ``other`` is
for devices that match none.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from daftt_core.errors import ConfigError
from daftt_core.records import parse_document
from daftt_core.storage import read_object
from daftt_core.telemetry import Usage

_OTHER = "other"
_GB = 1e9
_HOUR = 3600
_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """Prices in one currency.

    Attributes:
        source: Where and when they are from; shown beside every cost.
        currency: Such as EUR.
        gpu_hour: One GPU for an hour, by words of its name.
        cpu_hour: One CPU for an hour, by words of its name.
        gpu_hour_covers_cpus: Whether a GPU's price includes its machine, so that the CPUs of a
            stage that has GPUs cost nothing more.
        stored_gb: Each GB (10^9 bytes) uploaded to a remote storage.
        fetched_gb: Each GB downloaded from there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = Field(min_length=1)
    currency: str = Field(pattern=r"^[A-Za-z]{1,12}$")
    gpu_hour: dict[str, _Price] = {}
    cpu_hour: dict[str, _Price] = {}
    gpu_hour_covers_cpus: bool = True
    stored_gb: _Price = 0.0
    fetched_gb: _Price = 0.0

    def cost(self, usage: Usage) -> float | None:
        """Return the price of what some work used; None where a device has no price."""
        amounts = [
            usage.bytes_stored / _GB * self.stored_gb,
            usage.bytes_fetched / _GB * self.fetched_gb,
        ]
        for seconds, prices in self._charged(usage):
            for kind, time in seconds.items():
                price = _price(kind, prices)
                if price is None:
                    return None
                amounts.append(time / _HOUR * price)
        return sum(amounts)

    def unpriced(self, usage: Usage) -> set[str]:
        """Return the devices that some work used and that have no price."""
        return {
            kind
            for seconds, prices in self._charged(usage)
            for kind in seconds
            if _price(kind, prices) is None
        }

    def _charged(self, usage: Usage) -> list[tuple[dict[str, float], dict[str, float]]]:
        covered = self.gpu_hour_covers_cpus and bool(usage.gpu_seconds)
        cpus = [] if covered else [(usage.cpu_seconds, self.cpu_hour)]
        return [(usage.gpu_seconds, self.gpu_hour), *cpus]


def _price(kind: str, prices: dict[str, float]) -> float | None:
    # whole words, so that the price of an L4 is not taken for an L40S
    matching = [
        words
        for words in prices
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(words)}(?![A-Za-z0-9])", kind, re.IGNORECASE)
    ]
    return prices[max(matching, key=len)] if matching else prices.get(_OTHER)


def read_prices(uri: str) -> Prices:
    """Read a price file.

    Args:
        uri: Its path, or its place in a bucket.

    Raises:
        ConfigError: There is no such file, or it does not hold prices.
        StorageError: It cannot be read.
    """
    data = read_object(uri)
    if data is None:
        raise ConfigError(f"prices: {uri}: there is no such file")
    return parse_prices(uri, data)


def parse_prices(where: str, data: bytes) -> Prices:
    """Return the prices that a file holds.

    Args:
        where: The file, for messages.
        data: Its content.

    Raises:
        ConfigError: It does not hold prices; names every mistake.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"prices: {where}: is not YAML: {error}") from None
    return parse_document(text, Prices, f"prices: {where}", ConfigError)


def example_prices() -> str:
    """Return a price file to start from; its numbers are made up."""
    file = resources.files("daftt_core.accounting") / "example-prices.yaml"
    return file.read_text(encoding="utf-8")
