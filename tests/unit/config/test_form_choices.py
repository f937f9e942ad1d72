"""Fields of the form with a choice."""

from __future__ import annotations

from daftt_core.config import FROM_PRESET, ClusterConfig, json_argument, read_form


def test_a_choice_that_is_left_as_it_is_comes_from_settings_and_presets() -> None:
    form = {"preset": "", "settings": {"synthesis_mode": "annotate"}}
    form |= {"compiled_in": json_argument(ClusterConfig())}
    assert read_form(form | {"synthesis_mode": FROM_PRESET}).synthesis.mode == "annotate"
    assert read_form(form | {"synthesis_mode": "generate"}).synthesis.mode == "generate"
