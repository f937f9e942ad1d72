"""How good the students are, how sure that is, and whether confidences can be believed."""

from daftt_core.evaluation.calibration import (
    Calibration,
    ReliabilityBin,
    expected_calibration_error,
    fit_temperature_and_bias,
    reliability_bins,
)

__all__ = [
    "Calibration",
    "ReliabilityBin",
    "expected_calibration_error",
    "fit_temperature_and_bias",
    "reliability_bins",
]
