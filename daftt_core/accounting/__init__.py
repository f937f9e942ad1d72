"""What runs used, and what that costs."""

from daftt_core.accounting.ledger import (
    PRICES_FILE,
    Amount,
    Ledger,
    StageAmount,
    add_up,
    read_ledger,
    run_prices,
)
from daftt_core.accounting.prices import Prices, example_prices, read_prices

__all__ = [
    "PRICES_FILE",
    "Amount",
    "Ledger",
    "Prices",
    "StageAmount",
    "add_up",
    "example_prices",
    "read_ledger",
    "read_prices",
    "run_prices",
]
