"""What the teacher wrote, in sentences that the report and the data card share."""

from __future__ import annotations

from collections.abc import Iterator

from daftt_core.config import SynthesisConfig
from daftt_core.config.synthesis import NOVELTY_WINDOW
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.text import number, share
from daftt_core.stages import SYNTHETIC, Diversity, Funnel

__all__ = [
    "confidence_sentence",
    "diversity_sentence",
    "how_inputs_were_asked_for",
    "set_aside_sentence",
]

_AGREEMENTS = {"rouge-l": "ROUGE-L", "exact": "exact match"}


def confidence_sentence(data: ReportData) -> str:
    """How confidence is defined for the run's task; empty where the settings are not known."""
    if data.task.is_classification:
        return "Confidence is the label's probability, calibrated on dev."
    if data.config is None:
        return ""
    synthesis = data.config.synthesis
    if synthesis.samples == 1:
        return (
            "Confidence is the geometric mean of the teacher's own probabilities of the output's "
            "tokens; it is not calibrated."
        )
    return (
        f"For each input {synthesis.samples} texts were written, and the one kept that agrees "
        f"most with the others; confidence is its mean agreement with them "
        f"({_AGREEMENTS[synthesis.agreement]})."
    )


def how_inputs_were_asked_for(data: ReportData) -> Iterator[str]:
    """Which labels and demonstrations the prompts for new inputs had, and what was not written."""
    if data.config is None or data.config.synthesis.mode == "annotate":
        return
    synthesis = data.config.synthesis
    if data.task.is_classification:
        balance = {
            "uniform": "with as many of each label",
            "as-labelled": "by the labels' shares of the labelled examples",
        }
        yield f"New inputs were asked for {balance[synthesis.label_balance]}."
    if synthesis.demonstrations:
        left_out = _count(data, "demonstrations_left_out")
        yield (
            "Each prompt for one showed labelled examples, drawn anew, at most "
            f"{synthesis.demonstrations}; {number(left_out)} had no room and were left out."
        )
    if synthesis.stop_novelty:
        yield _stop(synthesis, _count(data, "not_written"))


def _stop(synthesis: SynthesisConfig, not_written: int) -> str:
    rule = (
        f"fewer than {share(synthesis.stop_novelty)} of its last {NOVELTY_WINDOW} inputs were new"
    )
    if not not_written:
        return f"No stream of new inputs ended early: in none {rule}."
    return (
        f"Of {number(synthesis.generate_count)} new inputs {number(not_written)} were not written: "
        f"a stream of them ended as soon as {rule}."
    )


def set_aside_sentence(funnel: Funnel) -> str:
    """Why examples were unusable, and how many of the others were not read to their end."""
    reasons = ", ".join(f"{reason} {number(count)}" for reason, count in funnel.problems.items())
    sentence = f"Unusable because: {reasons}." if reasons else ""
    if funnel.shortened:
        sentence += f" The teacher read {number(funnel.shortened)} without their end."
    return sentence.strip()


def diversity_sentence(found: Diversity) -> str:
    """How different the kept inputs are from each other and from the labelled ones."""
    sentence = (
        f"Of the words in {number(found.texts)} of the kept inputs, {share(found.distinct_1)} are "
        f"different words; of the pairs of words, {share(found.distinct_2)}."
    )
    if found.mean_similarity is not None:
        sentence += f" Two inputs are {share(found.mean_similarity)} alike on average."
    if found.nearest_real is not None:
        sentence += (
            f" Half of them are {share(found.nearest_real)} or more like the closest labelled "
            f"input, and {share(found.near_real_share)} nearly the same as it."
        )
    return f"{sentence} (0% alike: no word in common; 100%: the same words.)"


def _count(data: ReportData, name: str) -> int:
    start = SYNTHETIC.part("generated-").name
    shards = [record for record in data.stages if record.name.startswith(start)]
    results = [SYNTHETIC.parse(record.summary, record.name) for record in shards]
    return sum(getattr(result, name) or 0 for result in results)
