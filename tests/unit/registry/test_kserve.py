"""The InferenceService of a student: valid to KServe, and answered as DAFTT measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import yaml
from crds import schema, validate
from registry_runs import finished_run, promoted
from toy_task import TASK
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
)

from daftt_core.cli.app import main
from daftt_core.errors import ConfigError
from daftt_core.records import Example
from daftt_core.registry.kserve import inference_service
from daftt_core.registry.serving import Servable, ServingFacts
from daftt_core.student.prediction import Predictor
from daftt_core.tasks import Columns, Task, load_task

MEALS = Task.model_validate(TASK)


def servable(folder: Path, task: Task = MEALS, uri: str = "", max_length: int = 32) -> Servable:
    facts = ServingFacts(version="a" * 12, task=task, max_length=max_length, max_target_length=8)
    return Servable(folder, facts, f"version {facts.version} of {task.id}", uri)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kserve")
    promoted(*finished_run(folder, "first", 0.9, student_max_length=32))
    return folder / "runs"


def bert(folder: Path, *, lower_case: bool) -> Path:
    """A classifier whose tokenizer keeps or drops upper case, as that of a published BERT."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = ["the", "soup", "was", "cold", "warm", "The", "SOUP"]
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=lower_case)
    tokenizer.model_max_length = 64
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        id2label=dict(enumerate(MEALS.label_names)),
        label2id={name: number for number, name in enumerate(MEALS.label_names)},
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=5.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def asked_as_kserve_asks(folder: Path, arguments: list[str], texts: list[str]) -> list[Any]:
    """What KServe 0.20 computes (huggingfaceserver/encoder_model.py, load to postprocess)."""
    length = next(word.partition("=")[2] for word in arguments if "--max_model_len" in word)
    tokenizer = AutoTokenizer.from_pretrained(
        str(folder), revision=None, do_lower_case="--disable_lower_case" not in arguments
    )
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = tokenizer(
        texts,
        max_length=int(length),
        add_special_tokens=True,
        return_tensors="pt",
        return_token_type_ids=False,
        padding=True,
        truncation=True,
    )
    with torch.no_grad():
        outputs = model(**inputs, return_dict=True).logits
    return [
        {j: float(f"{p:.4f}") for j, p in enumerate(torch.softmax(row, dim=-1))} for row in outputs
    ]


@pytest.mark.parametrize("lower_case", [True, False])
def test_kserve_answers_as_daftt_does(tmp_path: Path, lower_case: bool) -> None:
    folder = bert(tmp_path / "bert", lower_case=lower_case)
    texts = ["The SOUP was cold", "the soup was warm", "the soup was cold " * 8]
    student = servable(folder, uri="gs://bucket/model", max_length=8)
    manifest = inference_service("meals", student)
    arguments = manifest["spec"]["predictor"]["model"]["args"]
    assert ("--disable_lower_case" in arguments) is not lower_case
    answers = Predictor(folder, MEALS, 8, 8).answer(list(map(Example.of, texts)), lambda _: None)
    for served, answer in zip(asked_as_kserve_asks(folder, arguments, texts), answers, strict=True):
        labels = dict(zip(MEALS.label_names, served.values(), strict=True))
        assert labels == pytest.approx(answer.distribution, abs=1e-4)


def test_the_manifest_of_a_champion(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "meals", "--kserve", "meals", "--storage-uri", "pvc://models/meals"]
    words += ["--canary", "10", "--service-account", "serving", "--output", str(runs)]
    assert main(words) == 0
    manifest = yaml.safe_load(capsys.readouterr().out)
    version = manifest["metadata"]["annotations"].pop("daftt/version")
    assert (runs / "registry/meals/versions" / version).is_dir()
    assert manifest == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "meals",
            "annotations": {"daftt/task": "meals", "daftt/labels": '["kind", "unkind"]'},
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "serviceAccountName": "serving",
                "canaryTrafficPercent": 10,
                "model": {
                    "modelFormat": {"name": "huggingface"},
                    "protocolVersion": "v1",
                    "storageUri": "pvc://models/meals",
                    "args": [
                        "--backend=huggingface",
                        "--disable_lower_case",
                        "--return_probabilities",
                        "--max_model_len=32",
                    ],
                    "resources": {
                        "requests": {"cpu": "1", "memory": "2Gi"},
                        "limits": {"cpu": "1", "memory": "2Gi"},
                    },
                },
            }
        },
    }


def test_kserve_takes_the_manifest(tmp_path: Path) -> None:
    rules = schema("serving.kserve.io_inferenceservices.yaml")
    folder = bert(tmp_path / "bert", lower_case=True)
    student = servable(folder, uri="gs://bucket/model")
    for options in ({}, {"canary_percent": 10, "service_account": "serving"}):
        manifest = inference_service("meals", student, **options)
        validate(manifest, rules)
    manifest["spec"]["predictor"]["model"]["storageURI"] = "gs://bucket/model"
    with pytest.raises(jsonschema.ValidationError):
        validate(manifest, rules)


def test_a_folder_and_a_manifest_are_written_together(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "first", str(tmp_path / "model"), "--kserve", "meals", "--output", str(runs)]
    assert main([*words, "--storage-uri", "gs://bucket/meals"]) == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["kind"] == "InferenceService"
    assert f"{tmp_path / 'model'}: " in said.err
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kserve", "Meals"], "--kserve: 'Meals': a name has only a to z, 0 to 9 and -"),
        (["--kserve", "m" * 54], "has at most 53 characters"),
        (["--kserve", "meals"], "is on this machine, where KServe does not reach it; copy"),
        (["--kserve", "meals", "--storage-uri", "models"], "must be like gs://bucket/folder"),
        (["--kserve", "meals", "--onnx"], "Missing argument 'FOLDER'. --onnx needs it."),
        ([], "Missing argument 'FOLDER'."),
        (["folder", "--canary", "10"], "--canary and --service-account go with --kserve"),
    ],
)
def test_mistakes_are_named(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "meals", *words, "--output", str(runs)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_sets_of_labels_are_refused(tmp_path: Path) -> None:
    task = load_task("word-classes")
    with pytest.raises(ConfigError, match="the task word-classes gives an input several labels"):
        inference_service("words", servable(tmp_path, task, "gs://bucket/model"))


def test_pairs_are_refused(tmp_path: Path) -> None:
    task = MEALS.model_copy(update={"columns": Columns(text="a", text_pair="b")})
    with pytest.raises(ConfigError, match="an input of the task meals is two texts, and KServe's"):
        inference_service("meals", servable(tmp_path, task, "gs://bucket/model"))
