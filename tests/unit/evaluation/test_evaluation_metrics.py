from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import f1_score, matthews_corrcoef

import daftt_core.evaluation
from daftt_core.errors import ConfigError, DataError
from daftt_core.evaluation import score, score_all, score_examples
from daftt_core.evaluation.scoring import metrics_for_task
from daftt_core.tasks import METRICS, Task, load_task, primary_metrics

MODULE = Path(daftt_core.evaluation.__file__).parent / "metrics.py"
SAID = ["the cat sat", "a dog", "no", "no", "the cat sat"]
TRUE = ["the cat lay", "a dog", "yes", "no", "a dog"]
TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    attempts: list[object] = []

    def refuse(_: socket.socket, address: object) -> None:
        # what an earlier test left in another thread may go on trying for a while
        if threading.current_thread() is threading.main_thread():
            attempts.append(address)
        raise ConnectionRefusedError("a metric tried to use the network")  # an OSError: is closed

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not attempts


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_1_when_everything_is_right_and_less_otherwise(name: str) -> None:
    texts = ["the cat sat", "a dog"]
    assert score(name, texts, texts) == pytest.approx(1)
    assert score(name, SAID, TRUE) < 0.9
    assert METRICS[name].title


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.is_mean])
def test_the_scores_of_the_examples_have_the_metric_as_their_mean(name: str) -> None:
    scores = score_examples(name, SAID, TRUE)
    assert scores.shape == (5,)
    assert scores.mean() == pytest.approx(score(name, SAID, TRUE))
    for said, true, one in zip(SAID, TRUE, scores, strict=True):
        assert score(name, [said], [true]) == pytest.approx(one)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_also_loads_by_its_path_as_evaluate_loads_any(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score("accuracy", ["a"], ["a"])  # imports evaluate as the library does, without torch
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "modules")
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "data")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for loaded in [module for module in sys.modules if module.startswith("evaluate_modules")]:
        monkeypatch.delitem(sys.modules, loaded)
    metric = evaluate.load(str(MODULE), name)
    scores = metric.compute(predictions=SAID, references=TRUE)
    assert scores[name] == pytest.approx(score(name, SAID, TRUE))
    with pytest.raises(ConfigError, match="there is no metric 'acuracy'"):
        evaluate.load(str(MODULE), "acuracy")


def test_every_function_is_registered_and_gives_a_score_for_each_example_where_it_says_so() -> None:
    score("accuracy", ["a"], ["a"])  # imports evaluate as the library does, without torch
    from daftt_core.evaluation.metrics import FUNCTIONS

    assert list(FUNCTIONS) == list(METRICS)
    for name, function in FUNCTIONS.items():
        assert isinstance(function(SAID, TRUE), list) == METRICS[name].is_mean


def test_scores_agree_with_sklearn_and_rouge_score() -> None:
    rng = np.random.default_rng(0)
    true, said = rng.choice(["x", "y", "z"], (2, 200)).tolist()
    assert score("accuracy", said, true) == pytest.approx(np.mean(np.array(said) == np.array(true)))
    assert score("macro_f1", said, true) == pytest.approx(f1_score(true, said, average="macro"))
    assert score("matthews", said, true) == pytest.approx(matthews_corrcoef(true, said))
    expected = RougeScorer(["rougeL"]).score("the cat lay", "the cat sat")["rougeL"].fmeasure
    assert score("rougeL", ["the cat sat"], ["the cat lay"]) == pytest.approx(expected)


def test_rouge_of_a_sentence_worked_by_hand() -> None:
    """C.-Y. Lin 2004, section 3: 'police kill the gunman' shares 3 of 4 words with the reference.

    Its longest common subsequence is 2 words when the killer changes places, and 3 otherwise.
    """
    reference = "police killed the gunman"
    assert score("rougeL", ["police kill the gunman"], [reference]) == pytest.approx(3 / 4)
    assert score("rougeL", ["the gunman kill police"], [reference]) == pytest.approx(2 / 4)
    assert score("rouge1", ["the gunman kill police"], [reference]) == pytest.approx(3 / 4)
    assert score("rouge2", ["the gunman kill police"], [reference]) == pytest.approx(1 / 3)


def test_exact_match_ignores_case_and_spacing() -> None:
    assert score("exact_match", ["A  Dog "], ["a dog"]) == 1


def test_one_constant_label_has_no_correlation() -> None:
    assert score("matthews", ["a", "a"], ["a", "a"]) == 0
    assert score("matthews", ["a", "a"], ["a", "b"]) == 0


def test_tasks_have_their_metrics() -> None:
    reviews = load_task("movie-reviews")
    assert reviews.primary_metric == "accuracy"
    assert TITLES.primary_metric == "rougeL"
    for task in (reviews, TITLES):
        found = score_all(task, SAID, TRUE)
        assert list(found) == metrics_for_task(task)
        assert found == {name: pytest.approx(score(name, SAID, TRUE)) for name in found}
        assert METRICS[task.primary_metric].is_mean  # arms are compared example by example


def test_arms_can_be_compared_by_every_mean_over_examples() -> None:
    assert primary_metrics("classification") == ["accuracy"]
    assert primary_metrics("text2text") == ["rougeL", "rouge1", "rouge2", "exact_match"]


def test_an_unknown_metric_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        score("acuracy", ["a"], ["a"])
    with pytest.raises(ConfigError, match="macro_f1 is not a mean"):
        score_examples("macro_f1", ["a"], ["a"])


@pytest.mark.parametrize(("said", "true"), [([], []), (["a"], ["a", "b"])])
def test_nothing_to_score_or_uneven_lists_are_refused(said: list[str], true: list[str]) -> None:
    with pytest.raises(DataError, match=f"{len(said)} predictions and {len(true)} references"):
        score("accuracy", said, true)


def test_scoring_imports_no_torch_leaves_nothing_at_home_and_hides_nothing(tmp_path: Path) -> None:
    script = """
        import sys
        import daftt_core.evaluation
        heavy = {"torch", "transformers", "evaluate", "sklearn", "scipy"} & set(sys.modules)
        assert not heavy, heavy
        assert daftt_core.evaluation.score("rougeL", ["a"], ["a"]) == 1
        assert daftt_core.evaluation.score("macro_f1", ["a"], ["a"]) == 1
        assert not {"torch", "transformers"} & set(sys.modules)
        import importlib.util
        assert importlib.util.find_spec("transformers") is not None
    """
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[3],
    )
    assert list(tmp_path.rglob("*")) == [home]
