"""What a run will need and cost, worked out before it starts; and what it used, read off after."""

from daftt_core.costs.disk import disk_bytes
from daftt_core.costs.ledger import (
    PRICES_FILE,
    Amount,
    Ledger,
    StageAmount,
    add_up,
    read_ledger,
    run_prices,
)
from daftt_core.costs.machines import find_gpu
from daftt_core.costs.plan import Choice, Plan, make_plan
from daftt_core.costs.prices import Prices, example_prices, read_prices
from daftt_core.costs.settings import check_teacher_fits
from daftt_core.costs.throughput import Assumptions

__all__ = [
    "PRICES_FILE",
    "Amount",
    "Assumptions",
    "Choice",
    "Ledger",
    "Plan",
    "Prices",
    "StageAmount",
    "add_up",
    "check_teacher_fits",
    "disk_bytes",
    "example_prices",
    "find_gpu",
    "make_plan",
    "read_ledger",
    "read_prices",
    "run_prices",
]
