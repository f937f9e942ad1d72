"""Draws from nuclei of all sizes."""

from __future__ import annotations

import numpy as np
import torch

from daftt_core.engines.decoding import draw

TOKENS, TEMPERATURE, TOP_P = 9000, 0.8, 0.95
SHARPNESS = [8.0, 2.0, 1.5, 0.1]  # nuclei of a few tokens up to nearly all


def logits() -> torch.Tensor:
    noise = np.random.default_rng(0).normal(size=(len(SHARPNESS), TOKENS))
    return torch.tensor(noise * np.array(SHARPNESS)[:, None], dtype=torch.float32)


def expected(row: torch.Tensor, uniform: float) -> tuple[int, int]:
    """The drawn token by its definition, and how many tokens the nucleus holds."""
    scaled = row.double().numpy() / TEMPERATURE
    probs = np.exp(scaled - scaled.max())
    probs /= probs.sum()
    order = np.argsort(-probs, kind="stable")
    nucleus = int(np.searchsorted(probs[order].cumsum(), TOP_P)) + 1
    kept = probs[order][:nucleus].cumsum()
    return int(order[np.searchsorted(kept, uniform * kept[-1], side="right")]), nucleus


def test_a_draw_inverts_the_distribution_of_its_nucleus_however_large() -> None:
    given = logits()
    sizes = [expected(row, 0.5)[1] for row in given]
    assert sizes[0] < 256 < sizes[1] < 4096 < sizes[3]
    right = 0
    for seed in range(50):
        generators = [np.random.default_rng(seed) for _ in given]
        drawn = draw(given, generators, TEMPERATURE, TOP_P)
        uniform = np.random.default_rng(seed).random()
        right += sum(
            int(token) == expected(row, uniform)[0] for token, row in zip(drawn, given, strict=True)
        )
    assert right >= 0.95 * 50 * len(SHARPNESS)  # float32 may round to the token beside


def test_a_row_s_draw_does_not_depend_on_the_rows_beside_it() -> None:
    given = logits()
    generators = [np.random.default_rng(seed) for seed in range(len(given))]
    together = draw(given, generators, TEMPERATURE, TOP_P)
    for seed, row in enumerate(given):
        alone = draw(row.unsqueeze(0), [np.random.default_rng(seed)], TEMPERATURE, TOP_P)
        assert alone[0] == together[seed]
