"""The report's longer sentences; the data card has some of them as well."""

from __future__ import annotations

from collections.abc import Iterator

from daftt_core.config import SynthesisConfig
from daftt_core.config.synthesis import NOVELTY_WINDOW
from daftt_core.evaluation import (
    MOST_VALUES,
    OPINIONS,
    REAL_ARM,
    SMALL,
    Abstention,
    Assessment,
    Evaluation,
    LabelSetCalibration,
)
from daftt_core.records import SyntheticExample
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.text import coverage, gain, metric_title, number, percent, score, share
from daftt_core.stages import SYNTHETIC, CuratedResult, Diversity, Funnel
from daftt_core.tasks import Task

_AGREEMENTS = {"rouge-l": "ROUGE-L", "exact": "exact match"}


def confidence_sentence(data: ReportData) -> str:
    """Say how confidence is defined for the run's task; empty where the settings are not known."""
    if data.task.is_multilabel:
        return (
            "Confidence is the probability that all labels of the set apply and no other one does, "
            "taken as independent of each other; that of each label is calibrated on dev."
        )
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


def count_label_issues(data: ReportData) -> str:
    """Say how many labels of each split may be wrong: ``3 in dev, 17 in test``."""
    return ", ".join(f"{number(issues.count)} in {issues.split}" for issues in data.label_issues)


def describe_input_prompts(data: ReportData) -> Iterator[str]:
    """Say which labels and demonstrations prompts for inputs had, and which inputs are missing."""
    if data.config is None or data.config.synthesis.mode == "annotate":
        return
    synthesis = data.config.synthesis
    if data.task.is_classification:
        noun = "set" if data.task.is_multilabel else "label"
        balance = {
            "uniform": f"with as many of each {noun}",
            "as-labelled": f"by the {noun}s' shares of the labelled examples",
        }
        yield f"New inputs were asked for {balance[synthesis.label_balance]}."
    if synthesis.demonstrations:
        left_out = _count(data, "demonstrations_left_out")
        yield (
            "Each prompt showed its own random choice of at most "
            f"{synthesis.demonstrations} labelled examples; {number(left_out)} were left out for "
            "lack of room."
        )
    if synthesis.stop_novelty:
        yield _describe_stop(synthesis, _count(data, "not_written"))


def _describe_stop(synthesis: SynthesisConfig, not_written: int) -> str:
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
    """Say why examples were unusable, and how many inputs were cut."""
    reasons = ", ".join(f"{reason} {number(count)}" for reason, count in funnel.problems.items())
    sentence = f"Unusable because: {reasons}." if reasons else ""
    if funnel.shortened:
        sentence += f" The teacher read {number(funnel.shortened)} of them cut short."
    return sentence.strip()


def diversity_sentence(diversity: Diversity) -> str:
    """Say how different the kept inputs are from each other and from the labelled ones."""
    sentence = (
        f"Of the words in {number(diversity.texts)} of the kept inputs, "
        f"{share(diversity.distinct_1)} are different words; of the pairs of words, "
        f"{share(diversity.distinct_2)}."
    )
    if diversity.mean_similarity is not None:
        sentence += f" Two inputs are {share(diversity.mean_similarity)} alike on average."
    if diversity.nearest_real is not None:
        sentence += (
            f" Half of them are {share(diversity.nearest_real)} or more like the closest labelled "
            f"input, and {share(diversity.near_real_share)} nearly the same as it."
        )
    return f"{sentence} (0% alike: no word in common; 100%: the same words.)"


def _count(data: ReportData, name: str) -> int:
    start = SYNTHETIC.part("generated-").name
    shards = [record for record in data.stages if record.name.startswith(start)]
    results = [SYNTHETIC.parse(record.summary, record.name) for record in shards]
    return sum(getattr(result, name) or 0 for result in results)


def made_by_teacher(task: Task, source: str) -> str:
    """Say what the teacher did with the examples of a source: the first step of their funnel."""
    if source == "generated":
        return "written by the teacher"
    return f"{'labelled' if task.is_classification else 'answered'} by the teacher"


def curation_sentence(curation: CuratedResult) -> str:
    """Say how much was kept, if the teacher agrees with itself, and which arms are left out."""
    read = sum(funnel.read for funnel in curation.funnel.values())
    kept = sum(funnel.kept for funnel in curation.funnel.values() if funnel.read)
    sentence = (
        f"Of {number(read)} examples with the teacher's labels, {number(kept)} were kept. Each "
        "step takes away what its filter rejects."
    )
    if curation.label_agreement is not None:
        sentence += (
            f" Asked again, the teacher gives {share(curation.label_agreement)} of its generated "
            "inputs the label it wrote them for."
        )
    left_out = (f" {arm} was left out: {reason}." for arm, reason in curation.left_out.items())
    return sentence + "".join(left_out)


def funnel_sentences(funnel: Funnel) -> list[str]:
    """Say what was unusable, what was replaced, and how different the kept inputs are."""
    sentences = [set_aside_sentence(funnel)]
    if funnel.redacted:
        sentences.append(
            f"Personal data was replaced in {number(funnel.redacted)} of the kept examples."
        )
    if funnel.diversity:
        sentences.append(diversity_sentence(funnel.diversity))
    return [sentence for sentence in sentences if sentence]


def curation_notes(data: ReportData) -> str:
    """Say what confidence is, and how new inputs were requested."""
    return " ".join(filter(None, [confidence_sentence(data), *describe_input_prompts(data)]))


def example_notes(example: SyntheticExample) -> str:
    """Say how confident the teacher was of an example, and what else it was asked for."""
    notes = []
    if example.output is not None:
        of = f" of {len(example.samples)} texts" if example.samples else ""
        notes.append(f"confidence {example.confidence:.2f}{of}")
    if example.asked is not None and example.asked != example.output:
        notes.append(f"asked for: {example.asked}")
    return ", ".join(notes)


def gate_sentences(assessment: Assessment) -> str:
    """Say whether the teacher passed its gate: what is taught against the baseline."""
    metric = assessment.metric
    title, baseline = metric_title(metric), score(assessment.baseline_dev_score, metric)
    together = assessment.labels_dev_score is not None
    taught = assessment.taught_dev_score
    more = "more" if taught > assessment.baseline_dev_score else "not more"
    text = (
        f"The teacher {'passed' if assessment.passed else 'did not pass'} its gate: the {title} on "
        f"dev of {'the labels given' if together else 'the teacher'} is {score(taught, metric)}, "
        f"{more} than the {baseline} of the students of the labels alone."
    )
    if assessment.gain_low is not None and assessment.gain_high is not None:
        text += (
            f" The 95% interval of the difference is {gain(assessment.gain_low)} to "
            f"{gain(assessment.gain_high)} points"
        )
        unclear = assessment.passed and assessment.gain_low <= 0
        text += ", so which is better cannot be told." if unclear else "."
    if together and assessment.calibration is not None:
        weights = zip(assessment.heard, assessment.calibration.weights, strict=True)
        *others, last = (f"{OPINIONS[name]} ({weight:.2f})" for name, weight in weights)
        heard = f"{', '.join(others)} and {last}" if others else last
        text += (
            f" A label is the opinion, by weights fitted on dev, of {heard}; dev prefers it to the "
            "teacher's alone."
        )
    return text


def describe_choices(evaluation: Evaluation) -> Iterator[str]:
    """Say what dev decided about the students: how they were trained, and on what."""
    metric = evaluation.metric
    names = {
        "plain": "fine-tuned",
        "contrastive": "by contrast of their inputs",
        "distilled": "on the mean of the first ones' answers",
    }
    for arm in evaluation.arms:
        who = "the labels alone" if arm.arm == REAL_ARM else arm.arm
        if arm.tried:
            scores = (f"{names[way]} {score(value, metric)}" for way, value in arm.tried.items())
            yield (
                f"The students of {who} were trained in two ways, of which dev takes the better: "
                f"{', '.join(scores)} on dev. They are those trained {names[arm.way]}."
            )
        if arm.recipes:
            kept = "all" if arm.recipe == "all" else "the surest, which are clearly better"
            yield (
                f"On dev a first student of {who} has {score(arm.recipes['all'], metric)} with all "
                f"synthetic examples, and {score(arm.recipes['surest'], metric)} with the surest "
                f"labels alone; the students learned from {kept}."
            )
        if arm.start == "labels":
            yield f"The students of {who} start from those of the labels alone."


def calibration_caption(assessment: Assessment) -> str:
    """Explain the reliability diagram, and how well confidence matches accuracy."""
    sentences = ["On the dotted line, a confidence means what it says."]
    if assessment.ece_before is not None and assessment.ece_after is not None:
        sentences.append(
            f"Expected calibration error: {assessment.ece_before:.3f} before calibration, "
            f"{assessment.ece_after:.3f} after."
        )
        if assessment.ece_after > assessment.ece_before:
            sentences.append(
                "Here calibration made this error larger. It is applied all the same: it is fitted "
                "to make the true labels likely, and the error of so few examples is itself "
                "uncertain. Take the confidences as an order, not as probabilities."
            )
    if assessment.label_prior:
        prior = ", ".join(f"{name} {share(p)}" for name, p in assessment.label_prior.items())
        sentences.append(f"For an input without content it says: {prior}.")
    if assessment.label_sets is not None:
        sentences.append(_label_sets(assessment, assessment.label_sets))
    if assessment.abstention is not None:
        sentences.append(_abstention(assessment.abstention))
    return " ".join(sentences)


def learning_curve_caption(data: ReportData) -> str:
    """Explain the learning curve: which losses it shows, and whether they compare."""
    star = "The star marks the weights that were kept: those of the lowest loss on dev."
    if data.learns_labels_alone:
        return (
            "Loss per token of the labels, on the training examples at each step and on dev after "
            f"each epoch. {star}"
        )
    return (
        "Above the loss per token of the labels on dev, after each epoch; below that of everything "
        "the teacher learns at each step, inputs that it writes included. These are losses of "
        f"different things, so each has its own scale. {star}"
    )


def _label_sets(assessment: Assessment, fitted: LabelSetCalibration) -> str:
    thresholds = zip(assessment.label_prior, fitted.thresholds, strict=True)
    listed = ", ".join(f"{name} {threshold:.2f}" for name, threshold in thresholds)
    return (
        "A confidence here is of one decision, whether a label applies. A label is given from the "
        f"probability on that makes its F1 on dev greatest: {listed}."
    )


def _abstention(abstention: Abstention) -> str:
    purpose = f"so that {share(abstention.wanted)} of its labels are right"
    if abstention.threshold is None or abstention.precision is None:
        return f"It gives no label at all: no confidence is enough on dev, {purpose}."
    return (
        f"It gives a label from a confidence of {abstention.threshold:.2f} on, {purpose}: on dev "
        f"{share(abstention.coverage)} of the examples get one, and {share(abstention.precision)} "
        "of those are right."
    )


def mixture_sentence(data: ReportData) -> str:
    """Say what is in the mixture of other tasks, and what is known of its effect."""
    mixture, assessment = data.mixture, data.assessment
    if mixture is None:
        return ""
    count = len(mixture.tasks)
    tasks = "1 other task" if count == 1 else f"{number(count)} other tasks"
    learned = (
        f"Beside the target task, which makes {share(mixture.share)} of what it learned from, the "
        f"teacher was given {number(mixture.examples)} instances of {tasks}."
    )
    if assessment is None:
        return learned
    dev_score = score(assessment.tuned, assessment.metric)
    return (
        f"{learned} Its {metric_title(assessment.metric)} on dev with this mixture is {dev_score}; "
        "whether the mixture helped, only the same run with mixture_tasks 0 can tell: "
        f"daftt sweep --mixtures 0,{count} makes both and compares their teachers on dev."
    )


def weakest_slice(evaluation: Evaluation, by: str) -> str:
    """Say on which slice the chosen arm is weakest, small ones aside."""
    scores = {
        part.name: arm.score
        for part in evaluation.slices
        for arm in part.arms
        if part.by == by and arm.arm == evaluation.chosen_arm and not part.is_small
    }
    if not scores:
        return "all of them small"
    name = min(scores, key=lambda slice_name: scores[slice_name])
    return f"lowest for {evaluation.chosen_arm}: {percent(scores[name])}, {name}"


def slices_explanation(evaluation: Evaluation) -> str:
    """Explain the table of slices, and how the test examples are divided."""
    sentences = [
        f"Each cell is an arm's {metric_title(evaluation.metric)} on those test examples alone, in "
        f"percent; below it its gain over real only in points with the "
        f"{coverage(evaluation.confidence)} interval, which resamples the slice's examples and the "
        "seeds.",
        "\u25b2 and \u25bc mark intervals that exclude zero; they are not corrected for the number "
        "of slices, so some are marked by chance.",
    ]
    criteria = {part.by for part in evaluation.slices}
    if "length" in criteria:
        sentences.append("Lengths are cut at the terciles of the test examples.")
    if "column" in criteria:
        sentences.append(
            f"Of the column\u2019s values the {MOST_VALUES} with most examples are shown and all "
            "others together; a value is cut after 60 characters."
        )
    return " ".join([*sentences, f"A slice of fewer than {SMALL} examples is marked as small."])
