"""``daftt registry`` and ``daftt export`` as a person uses them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from registry_runs import TEST, finished_run, promoted

from daftt_core.cli.app import main
from daftt_core.modeling.onnx_export import LOGIT_TOLERANCE
from daftt_core.registry import read_decision


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, of which the second's student took the place of the first's."""
    folder = tmp_path_factory.mktemp("registry")
    for name, right, seed in (("first", 0.9, 0), ("second", 1.0, 1)):
        run, config = finished_run(folder, name, right, model_seed=seed, student_max_length=32)
        promoted(run, config)
    return folder / "runs"


def versions(runs: Path) -> list[str]:
    events = json.loads((runs / "registry" / "meals" / "champion.json").read_text())["events"]
    return [event["version"] for event in events]


def daftt(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_list_show_and_diff(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = versions(runs)
    code, out, _ = daftt(capsys, "registry", "list", "--output", runs)
    assert code == 0
    assert f"meals  {new}" in out
    assert "100.0 accuracy" in out
    code, out, _ = daftt(capsys, "registry", "show", "meals", "--output", runs)
    assert f"meals: champion {new}" in out
    assert out.count("promoted") == 2
    assert "test examples: " in out
    assert "daftt source " in out
    code, out, _ = daftt(capsys, "registry", "show", "meals", old[:5], "--output", runs, "--json")
    shown = json.loads(out)
    assert shown["lineage"]["run"] == "first"
    assert shown["lineage"]["data"]["sha256"] == {"train": "ab" * 32}
    code, out, _ = daftt(capsys, "registry", "diff", "meals", old, "--output", runs, "--json")
    assert json.loads(out)["differences"]["accuracy on test"] == ["0.9000", "1.0000"]
    assert json.loads(out)["differences"]["name"] == ["first", "second"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "../x"], "a task's id has only"),
        (["show", "meal"], "is not in {runs}/registry; did you mean 'meals'? (known: meals)"),
        (["show", "meals", "../../x"], "no promoted version begins with '../../x'"),
        (["rollback", "meals", "--why", "a\nb"], "must be one line of at most 500 characters"),
        (["rollback", "other", "--why", "b"], "other: has no champion"),
        (["rollback", "meals", "--why", "b", "--by", "\x1b[2J"], "must be one line"),
    ],
)
def test_mistakes_are_one_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, _, err = daftt(capsys, "registry", *words, "--output", runs)
    assert code == 2
    assert message.format(runs=runs) in err
    assert err.count("\n") == 1


def test_nothing_was_promoted_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = daftt(capsys, "registry", "list", "--output", tmp_path)
    assert (code, out) == (
        0,
        f"There is no champion in {tmp_path}/registry; a run promotes one: daftt run\n",
    )


def test_a_place_that_is_not_there_is_a_mistake_unless_nobody_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert daftt(capsys, "registry", "list")[0] == 0
    for words in (["list"], ["show", "meals"]):
        for option in ("--output", "--registry"):
            code, _, err = daftt(capsys, "registry", *words, option, "nowhere")
            assert (code, err) == (5, "error: nowhere: there is no such folder\n")
    code, _, err = daftt(capsys, "registry", "show", "meals")
    assert (code, err) == (2, "error: task 'meals': is not in runs/registry (known: none)\n")


def test_a_damaged_history_hides_no_other(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "registry" / "meals", tmp_path / "meals")
    (tmp_path / "drinks").mkdir()
    (tmp_path / "drinks" / "champion.json").write_text("{")
    said = f"{tmp_path}/drinks/champion.json: is not the history it was: "
    code, out, err = daftt(capsys, "registry", "list", "--registry", tmp_path)
    assert code == 5
    assert f"meals   {versions(runs)[-1]}" in out
    assert re.search(rf"drinks  not known +{said}", out)
    assert err.startswith(f"error: {said}")
    code, out, _ = daftt(capsys, "registry", "list", "--registry", tmp_path, "--json")
    drinks, meals = json.loads(out)
    assert code == 5
    assert (drinks["champion"], drinks["error"].startswith(said)) == (None, True)
    assert (meals["champion"], meals["error"]) == (versions(runs)[-1], None)


_SERVE = """
import sys
sys.modules["daftt_core"] = None
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], local_files_only=True)
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], local_files_only=True)
found = model(**tokenizer(sys.argv[2], return_tensors="pt")).logits
print(model.config.id2label[int(found.argmax())], found.tolist()[0])
"""


def test_an_export_is_loaded_by_plain_transformers(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "serving"
    code, out, _ = daftt(capsys, "export", "meals", target, "--output", runs)
    assert code == 0
    assert f"version {versions(runs)[-1]} of meals" in out
    assert {path.name for path in target.iterdir()} >= {"README.md", "model.safetensors"}
    assert not (target / "learned-from.json").exists()
    words = [sys.executable, "-c", _SERVE, str(target), TEST[0].text]
    served = subprocess.run(words, capture_output=True, text=True, check=True, timeout=250)
    assert served.stdout.split()[0] in ("kind", "unkind")
    code, _, err = daftt(capsys, "export", "meals", target, "--output", runs)
    assert (code, "already exists; name another folder" in err) == (2, True)


@pytest.mark.slow
def test_an_onnx_file_answers_as_the_model(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = tmp_path / "serving"
    code, out, _ = daftt(capsys, "export", "meals", target, "--output", runs, "--onnx")
    assert code == 0
    assert "its logits differ by" in out
    tokenizer = AutoTokenizer.from_pretrained(target)
    model = AutoModelForSequenceClassification.from_pretrained(target)
    session = onnxruntime.InferenceSession(str(target / "model.onnx"))
    for texts in ([TEST[0].text], [one.text for one in TEST[:7]], ["soup", "the bread was stale"]):
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        named = {one.name: inputs[one.name].numpy() for one in session.get_inputs()}
        (found,) = session.run(["logits"], named)
        assert abs(found - model(**inputs).logits.detach().numpy()).max() <= LOGIT_TOLERANCE


def test_promote_by_hand_and_go_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = finished_run(tmp_path, "first")
    runs = tmp_path / "runs"
    words = ("registry", "promote", "first", "--output", runs, "--by", "ann")
    code, out, _ = daftt(capsys, *words)
    assert code == 0
    assert out.startswith("Promoted: real+annotated, seed 1 (")
    assert "Promoted</span>" in (runs / "first" / "report" / "report.html").read_text()
    finished_run(tmp_path, "second", 1.0, model_seed=1)
    daftt(capsys, "registry", "promote", "second", "--output", runs)
    old = read_decision(run).version
    code, out, _ = daftt(
        capsys, "registry", "rollback", "meals", "--why", "slow", "--by", "eve", "--output", runs
    )
    assert code == 0
    assert out.startswith(f"meals: {old} is the champion again, in place of ")
    last = json.loads((runs / "registry" / "meals" / "champion.json").read_text())["events"][-1]
    assert (last["by"], last["why"], last["action"]) == ("eve", "slow", "rolled-back")
