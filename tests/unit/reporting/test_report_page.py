"""The page itself: what it says, that it is self-contained, and that it is sound HTML."""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_run import LABELS, TEXTS, evaluation, make_run

from daftt_core.config import flat_fields
from daftt_core.evaluation import Assessment, Calibration, Evaluation, Opinion
from daftt_core.evaluation.arms import headline
from daftt_core.reporting import collect, render
from daftt_core.reporting.prose import describe_choices, gate_sentences
from daftt_core.reporting.text import NONE

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Elements, ids, text and headings of a page; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = make_run(tmp_path_factory.mktemp("runs") / "movie-reviews-1a2b")
    return render(collect(run))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_headline_names_both_ends_and_the_interval_once(page: Page) -> None:
    headline = (
        "64 labels and 900 annotated by the teacher reach 82.1% accuracy, 12.9 points above the 64 "
        "labels alone (95% interval 10.4 to 15.5) and 3.0 points below all 1,564 true labels"
    )
    assert f"{headline} \u25b2 Gain shown The arm real+annotated was chosen on dev" in page.text
    assert page.text.count("12.9 points above") == 1
    assert page.text.count("10.4 to 15.5") == 1


def test_it_says_how_to_use_the_student(page: Page) -> None:
    assert (
        "Student real+annotated, seed 2, from all-minilm-l6-v2 Accuracy on test 83.2% Size 1.4 MB "
        "Speed, measured on test 1.8 ms a text, in batches on a CPU Folder "
    ) in page.text
    assert "movie-reviews-1a2b/students/real+annotated/seed-2 " in page.text
    assert "movie-reviews-1a2b texts.csv daftt export " in page.text
    assert "movie-reviews-1a2b serving/movie-reviews " in page.text
    assert 'pipeline("text-classification", model="serving/movie-reviews")' in page.text


def test_a_strange_folder_is_quoted_for_the_shell(tmp_path: Path) -> None:
    uri = "runs/it's $(touch x)"
    data = collect(make_run(tmp_path / "run")).model_copy(update={"uri": uri})
    quoted = "daftt predict 'runs/it'\"'\"'s $(touch x)' texts.csv"
    assert shlex.split(quoted)[2] == uri
    assert quoted in Page(render(data)).text


def test_the_students_surest_mistakes_are_those_on_dev(page: Page) -> None:
    assert (
        "The student above answers 4 of 200 dev examples wrongly; it was surest of these."
    ) in page.text
    mistakes = re.findall(r"\(dev\) answer (\w+) , (\d+)% sure · true label (\w+)", page.text)
    assert mistakes == [
        ("negative", "90", "positive"),
        ("negative", "80", "positive"),
        ("positive", "70", "negative"),
        ("positive", "60", "negative"),
    ]


def test_labels_worth_a_look_have_their_text_in_dev_and_their_id_alone_in_test(page: Page) -> None:
    assert "Labels worth a look 2 in dev, 14 in test" in page.text
    dev, _, test = page.text.partition("In dev ")[2].partition("In test: ")
    assert f"{TEXTS[LABELS[0]][0]} (dev) given label positive , 3% likely to the students" in dev
    assert "theirs negative , 97% likely" in dev
    assert test.startswith("the 12 most doubtful of 14 ")
    listed = re.findall(r"([0-9a-f]{16}) given label positive , (\d+)% likely", test)
    assert listed == [(f"{place:016x}", str(3 + place)) for place in range(12)]


def test_without_doubtful_labels_there_is_no_such_list(tmp_path: Path) -> None:
    data = collect(make_run(tmp_path / "run")).model_copy(update={"label_issues": ()})
    assert "worth a look" not in Page(render(data)).text


def test_a_student_without_measurement_or_answers_has_no_speed_and_no_mistakes(
    tmp_path: Path,
) -> None:
    data = collect(make_run(tmp_path / "run"))
    assert data.student is not None
    unknown = {"seconds_per_example": None, "wrong": None, "mistakes": ()}
    student = data.student.model_copy(update=unknown)
    text = Page(render(data.model_copy(update={"student": student}))).text
    assert "Accuracy on test 83.2%" in text
    assert "Speed, measured" not in text
    assert "surest of" not in text


def test_stages_stand_on_one_timeline_and_columns_of_zeros_are_left_out(html: str) -> None:
    table = html[html.index('class="dense times"') :].partition("</table>")[0]
    assert "Timeline: 15 min 40 s" in table
    columns = re.findall(r'class="number">([A-Z][^<]*)</th>', table)
    assert columns == ["Time", "CPU-hours", "Peak memory", "On disk"]
    bars = [
        (float(start), float(length))
        for start, length in re.findall(r"--start:([\d.]+);--share:([\d.]+)", table)
    ]
    assert len(bars) == 16
    assert bars[0][0] == 0.0
    assert all(start <= after for (start, _), (after, _) in itertools.pairwise(bars))
    assert all(start + length <= 1.001 for start, length in bars)
    assert sum(length for _, length in bars) == pytest.approx(1, abs=0.02)


def test_nothing_is_minus_zero(html: str) -> None:
    assert "\u22120<" not in html
    assert "\u22120.0<" not in html


def test_calibration_that_makes_the_error_larger_is_named(tmp_path: Path, page: Page) -> None:
    data = collect(make_run(tmp_path / "run"))
    assert data.assessment is not None
    worse = data.assessment.model_copy(update={"ece_before": 0.027, "ece_after": 0.036})
    text = Page(render(data.model_copy(update={"assessment": worse}))).text
    assert "0.027 before calibration, 0.036 after. Here calibration made this error larger" in text
    assert "made this error larger" not in page.text


@pytest.mark.parametrize(("directions", "scales"), [("both", 2), ("label", 1)])
def test_losses_of_different_things_have_a_scale_each(
    tmp_path: Path, directions: str, scales: int
) -> None:
    settings = {"teacher_directions": directions}
    html = render(collect(make_run(tmp_path / "run", until="teacher", settings=settings)))
    figure = html[html.index('id="learning-curve-') :].partition("</svg>")[0]
    assert len(set(re.findall(r'id="learning-curve-axes_(\d)"', figure))) == scales
    assert ("each has its own scale" in html) == (scales == 2)


def test_the_table_of_arms_holds_every_number(page: Page) -> None:
    row = "real+annotated 82.1 79.7 to 84.4 +12.9 +10.4 to +15.5 1.1 <0.001 81% 964"
    assert row in page.text
    assert "real+generated 80.0 77.6 to 82.3 +10.8 +8.3 to +13.4 0.9 0.031 68% 584" in page.text
    assert f"real 69.2 66.8 to 71.5 {NONE} 2.4 {NONE} {NONE} 64" in page.text


def test_every_section_shows_what_the_stages_found(page: Page) -> None:
    for words in (
        "negative 1,192 79% 308 21%",  # confusion matrix of the chosen arm
        "gold true \\ answer negative positive negative 1,236 82% 264 18% positive 184 12% 1,316",
        "Of 2,100 examples with the teacher's labels, 1,420 were kept",
        "share \u2212553 kept 900",
        "labelled by the teacher 750 750 length",  # by label
        "share \u2212276 \u2212276 kept 450 450",
        "written by the teacher 300 300 unusable",
        "Of the words in 900 of the kept inputs, 21% are different words; of the pairs of words, "
        "74%. Two inputs are 3% alike on average. Half of them are 28% or more like the closest "
        "labelled input, and 2% nearly the same as it.",
        "Personal data was replaced in 3 of the kept examples",
        "task_categories: - text-classification",  # the data card
        "real+spoken was left out: curation kept no spoken example.",
        "The teacher passed its gate: the accuracy on dev of the teacher is 86.5%, more than the "
        "69.0%",
        "Expected calibration error: 0.117 before calibration, 0.031 after",
        "shares 9 words in a row with a dev or test example",
        "teacher 3 min 51 s 0.129 3.10 GiB 2.0 MB",
        "spent by this run 15 min 48 s",
        "students, real+annotated 82.1 students, labels alone 69.0",
        "Training examples",
        "MIT (C. J. Hutto, vaderSentiment 3.3.2) 6e1c6e1c",
        "train 6,822 64 labelled, 200 dev, 1,000 test, 1,500 unlabelled (label hidden) 4,058",
        "train rating between -0.8 and 0.8 4,021",
        "torch 2.13.0",
    ):
        assert words in page.text


def test_the_students_are_measured_in_every_way(html: str, page: Page) -> None:
    assert "Arm accuracy macro F1 Matthews correlation calibration error" in page.text
    assert "real+annotated 82.1 81.7 64.2 0.160" in page.text
    assert "positive 500 70.2 68.2 69.2 83.1 81.1 82.1 86.1 84.1 85.1" in page.text
    assert "60% right at confidence 0.62 (900)" in html


def test_of_many_labels_the_most_confused_are_shown(tmp_path: Path) -> None:
    data, known = collect(make_run(tmp_path / "run")), evaluation()
    labels = tuple(f"label-{place:04d}" for place in range(1000))
    counts = [[40 if row == column else 0 for column in range(1000)] for row in range(1000)]
    for place in range(500, 529):
        counts[place][place + 1] = 2
    counts[529][7] = 1  # an answer that is not among those shown
    arms = [
        arm.model_copy(update={"confusion": tuple(map(tuple, counts)), "per_class": {}})
        for arm in known.arms
    ]
    many = known.model_copy(update={"labels": labels, "arms": tuple(arms)})
    html = render(data.model_copy(update={"evaluation": many}))
    assert len(html) < 1_000_000
    page = Page(html)
    assert "real+annotated: of 1,000 labels the 30 with the most errors" in page.text
    assert "The same for real real: of 1,000 labels the 30 with the most errors" in page.text
    matrix = html[html.index('class="matrix large"') :].partition("</table>")[0]
    shown = re.findall(r'<th scope="row"><bdi>(label-\d+)</bdi>', matrix)
    assert shown == [f"label-{place:04d}" for place in range(500, 530)]
    last = matrix[matrix.index('<th scope="row"><bdi>label-0529') :]
    assert re.findall(r">(\d+)<span", last) == [*["0"] * 29, "40", "1"]
    assert "any other label" in matrix
    assert "any other label" not in render(data)


def test_each_slice_has_its_size_scores_gains_and_intervals(html: str, page: Page) -> None:
    assert (
        "By length of the input lowest for real+annotated: 81.1, 119 to 260 characters Slice "
        "Examples real real+annotated"
    ) in page.text
    assert "By region <b> lowest for real+annotated: 82.1, north" in page.text  # of small ones none
    assert "12 to 70 characters 334 70.2 83.1 \u25b2 +13.9 +4.9 to +22.9" in page.text
    assert "all others (4 values) 17 small 59.2 72.1 +2.9 \u22126.1 to +11.9" in page.text
    for rule in ("fewer than 30 examples", "terciles", "the 10 with most", "not corrected"):
        assert rule in page.text


def test_names_and_values_of_a_users_column_are_text_and_nothing_else(html: str) -> None:
    assert "By region &lt;b&gt;" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd" in html
    assert "<script" not in html


def test_the_learning_curve_says_which_weights_were_kept(html: str) -> None:
    assert "at epoch 3; the weights of epoch 2 were kept" in html


def test_settings_that_differ_from_their_default_are_marked(html: str) -> None:
    before, _, folded = html[html.index('id="settings"') :].partition("All defaults")
    names = [re.findall(r"<code>(\w+)</code>", part) for part in (before, folded)]
    assert names[0] == ["seed", "teacher_epochs"]
    assert sorted(names[0] + names[1]) == sorted(flat_fields())
    assert "2 of " in before


def test_nothing_is_loaded_and_nothing_is_run(html: str, page: Page) -> None:
    policy = next(tag for tag in page.all("meta") if "http-equiv" in tag)
    assert (policy["content"] or "").startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not page.all("script")
    assert not page.all("img")
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    without_namespaces = re.sub(r'xmlns(:xlink)?="[^"]*"', "", html)
    assert not re.search(r"https?:|//\w|@import|javascript:| on\w+=", without_namespaces)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_ids_are_unique_and_every_reference_has_its_target(html: str, page: Page) -> None:
    ids = Counter(tag["id"] for _, tag in page.tags if "id" in tag)
    assert [name for name, count in ids.items() if count > 1] == []
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', html)
    labels = " ".join(re.findall(r'aria-labelledby="([^"]*)"', html)).split()
    assert references
    assert {*references, *labels} <= set(ids)


def test_it_can_be_read_aloud(html: str, page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    figures = page.all("svg")
    assert len(figures) == 4
    assert all(figure["role"] == "img" for figure in figures)
    assert html.count("<title id=") == html.count("<desc id=") == 4
    assert "real+both: mean 81.9, interval 79.5 to 84.2, seeds 81.4, 82.1, 82.2" in html


def test_figures_take_colours_and_fonts_from_the_page(html: str) -> None:
    figures = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    used = set(re.findall(r"var\((--\w+)\)", figures))
    assert {"--ink", "--muted", "--rule", "--accent", "--second", "--surface"} <= used
    assert used <= set(re.findall(r"(--\w+):", html))
    assert not re.search(r"#[0-9a-fA-F]{6}\b(?!\w)", re.sub(r'(id|href)="[^"]*"', "", figures))
    assert "font-family" not in figures
    assert all(int(width) <= 480 for width in re.findall(r'viewBox="0 0 (\d+)', figures))


def test_every_colour_of_the_light_theme_has_one_in_the_dark(html: str) -> None:
    themes = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)
    light, dark = (set(re.findall(r"(--\w+): #", theme)) for theme in themes[:2])
    assert light == dark
    assert len(light) > 5


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_the_contrast_that_wcag_asks_for(html: str) -> None:
    for theme in re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)[:2]:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        for back in ("surface", "raised"):
            for name in ("ink", "muted", "accent", "second", "good", "bad", "warn"):
                light, dark = sorted(map(_luminance, (colours[name], colours[back])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, back, theme)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    data = collect(make_run(tmp_path / "run"))
    assert render(data) == render(data)


def test_text_from_data_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>document.title='pwned'</script> \"quoted\" 'so' &amp; \x00 \u202e"
    html = render(collect(make_run(tmp_path / "<b>bold", hostile=[hostile])))
    shown = (
        "&lt;script&gt;document.title=&#39;pwned&#39;&lt;/script&gt; &#34;quoted&#34; &#39;so&#39; "
        "&amp;amp; \u2400 \ufffd"
    )
    # kept: input and label; rejected: input and reason; a mistake and a doubtful label on dev
    assert html.count(shown) == 2 * 2 + 2 * 2 + 2
    assert "<script" not in html
    assert "<b>bold" not in html


def _changed(**update: object) -> Evaluation:
    return evaluation().model_copy(update=update)


def test_a_gain_that_is_not_proven_is_not_called_so(tmp_path: Path) -> None:
    data = collect(make_run(tmp_path / "run"))
    best = evaluation().arms[1]
    assert best.comparison is not None
    for low, high, gain, badge in (
        (-1.0, 2.0, 0.5, "No gain shown"),
        (-3.0, -1.0, -2.0, "Loss shown"),
    ):
        interval = best.comparison.interval.model_copy(update={"low": low, "high": high})
        update = {"gain": gain, "interval": interval, "significant": high < 0}
        arm = best.model_copy(update={"comparison": best.comparison.model_copy(update=update)})
        arms = (evaluation().arms[0], arm)
        html = render(data.model_copy(update={"evaluation": _changed(arms=arms)}))
        assert badge in html
        assert "Gain shown" not in html


def test_real_examples_alone_may_be_the_best(tmp_path: Path) -> None:
    data = collect(make_run(tmp_path / "run"))
    html = render(data.model_copy(update={"evaluation": _changed(chosen_arm="real")}))
    assert "On dev, no arm was better than the labelled examples alone." in html


def test_text_outputs_have_no_confusion_and_no_mcnemar(tmp_path: Path) -> None:
    arms = []
    for arm in evaluation().arms[:-1]:
        compared = arm.comparison
        if compared:
            none = {"mcnemar_p": None, "mcnemar_p_holm": None, "gap_closed": None}
            compared = compared.model_copy(update=none)
        arms.append(arm.model_copy(update={"confusion": (), "comparison": compared, "sd": None}))
    update = {"kind": "text2text", "metric": "rougeL", "labels": (), "arms": tuple(arms)}
    data = collect(make_run(tmp_path / "run"))
    found = Page(render(data.model_copy(update={"evaluation": _changed(**update)})))
    assert "Where they err" not in found.text
    assert "McNemar" not in found.text
    assert "Gap to gold" not in found.text
    assert "Scores on test (ROUGE-L), in percent" in found.text


def _assessed(**update: object) -> Assessment:
    values = {
        "metric": "accuracy",
        "dev_examples": 200,
        "dev_score": 0.8,
        "labels_dev_score": 0.85,
        "untuned_dev_score": 0.5,
        "baseline_dev_score": 0.82,
        "gain_low": -1.5,
        "gain_high": 7.0,
        "passed": True,
        "calibration": Calibration(weights=(0.834, 0.225), bias=(0.1, -0.1)),
        "baseline": "0123456789abcdef",
    }
    return Assessment.model_validate(values | update)


def test_labels_by_teacher_and_students_together_are_told_as_such() -> None:
    assert gate_sentences(_assessed()) == (
        "The teacher passed its gate: the accuracy on dev of the labels given is 85.0%, more than "
        "the 82.0% of the students of the labels alone. The 95% interval of the difference is "
        "\u22121.5 to +7.0 points, so which is better cannot be told. A label is the "
        "opinion, by weights fitted on dev, of the teacher (0.83) and the students of the labels "
        "alone (0.23); dev prefers it to the teacher's alone."
    )


def test_every_opinion_is_told_with_what_it_is_worth(tmp_path: Path) -> None:
    opinions = (
        Opinion(name="teacher", dev_score=0.8, weight=0.5),
        Opinion(name="channel", dev_score=0.774, weight=0.4),
        Opinion(name="students", dev_score=0.82),
        Opinion(name="embeddings", dev_score=0.713),
    )
    calibration = Calibration(weights=(0.5, 0.4), bias=(0.1, -0.1))
    assessed = _assessed(opinions=opinions, calibration=calibration, baseline="")
    assert gate_sentences(assessed).endswith(
        "of the teacher (0.50) and the teacher, asked the other way round (0.40); dev prefers it "
        "to the teacher's alone."
    )
    data = collect(make_run(tmp_path / "run")).model_copy(update={"assessment": assessed})
    text = Page(render(data)).text
    assert "teacher, asked the other way round 77.4" in text
    assert "regression on embeddings, labels alone 71.3" in text
    assert "labels given, by all opinions that count 85.0" in text


def test_what_dev_decided_about_the_students_is_told() -> None:
    before = evaluation()
    assert not list(describe_choices(before))
    real, taught, *others = before.arms
    real = real.model_copy(
        update={"tried": {"plain": 0.69, "contrastive": 0.774}, "way": "contrastive"}
    )
    taught = taught.model_copy(
        update={
            "tried": {"plain": 0.8, "distilled": 0.81},
            "way": "distilled",
            "recipes": {"all": 0.79, "surest": 0.786},
            "start": "labels",
        }
    )
    arms = (real, taught, *others)
    assert list(describe_choices(before.model_copy(update={"arms": arms}))) == [
        "The students of the labels alone were trained in two ways, of which dev takes the better: "
        "fine-tuned 69.0%, by contrast of their inputs 77.4% on dev. They are those trained by "
        "contrast of their inputs.",
        f"The students of {taught.arm} were trained in two ways, of which dev takes the better: "
        "fine-tuned 80.0%, on the mean of the first ones' answers 81.0% on dev. They are those "
        "trained on the mean of the first ones' answers.",
        f"On dev a first student of {taught.arm} has 79.0% with all synthetic examples, and 78.6% "
        "with the surest labels alone; the students learned from all.",
        f"The students of {taught.arm} start from those of the labels alone.",
    ]
    sentence = headline(arms, taught, "accuracy", 0.95)
    assert "above the best that the 64 labels alone give" in sentence
