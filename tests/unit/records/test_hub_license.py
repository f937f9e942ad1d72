"""Licenses as the Hub names them."""

from __future__ import annotations

import pytest

from daftt_core.records.parsing import hub_license


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Apache-2.0 (the model); MIT (its package)", {"license": "apache-2.0"}),
        ("MIT (C. J. Hutto, vaderSentiment 3.3.2)", {"license": "mit"}),
        ("MIT License", {"license": "mit"}),
        ("CC BY-NC-ND 4.0", {"license": "cc-by-nc-nd-4.0"}),
        ("", {"license": "unknown"}),
        (" (none) ", {"license": "unknown"}),
        (
            "see the data set's page",
            {"license": "other", "license_name": "see-the-data-set-s-page"},
        ),
        ("mit\n---\nevil: yes", {"license": "other", "license_name": "mit-evil-yes"}),
        ("x" * 99, {"license": "other", "license_name": "x" * 60}),
    ],
)
def test_a_license_has_an_identifier_of_the_hub(text: str, fields: dict[str, str]) -> None:
    assert hub_license(text) == fields
