from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from tiny_gguf import tiny_gguf
from tiny_models import tiny_bart, tiny_bert, tiny_gpt_neox
from transformers import PreTrainedModel

from daftt_core.errors import ConfigError, ModelError
from daftt_core.modeling import (
    context_length,
    find_model,
    fix_threads,
    limit_threads,
    load_causal_lm,
    load_classifier,
    load_text_to_text,
    save_model,
    set_seeds,
)
from daftt_core.modeling.machine import move_to
from daftt_core.network import Retry

TEXTS = ["a good film", "a bad play\nOutput: x"]
LABELS = ["negative", "positive"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": tiny_bert(root / "bert", TEXTS),
        "bart": tiny_bart(root / "bart", TEXTS),
        "neox": tiny_gpt_neox(root / "neox", TEXTS),
    }


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny encoder that a test may damage."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "copy"))


def head(model: PreTrainedModel) -> torch.Tensor:
    return model.get_parameter("classifier.weight")


def test_saved_models_come_back_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    model, tokenizer = load_causal_lm(folders["neox"])
    save_model(model, tokenizer, tmp_path / "saved")
    again, tokenizer_again = load_causal_lm(tmp_path / "saved")
    inputs = tokenizer("a good film", return_tensors="pt")
    assert torch.equal(
        inputs.input_ids, tokenizer_again("a good film", return_tensors="pt").input_ids
    )
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)


def test_a_missing_pad_token_becomes_the_end_token(folders: dict[str, Path]) -> None:
    model, tokenizer = load_causal_lm(folders["neox"])
    assert tokenizer.pad_token == tokenizer.eos_token == "<|end|>"
    assert model.config.pad_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.eos_token_id
    classifier, tokenizer = load_classifier(folders["neox"], LABELS)
    inputs = tokenizer(["a", "a good film"], padding=True, return_tensors="pt")
    assert classifier(**inputs).logits.shape == (2, 2)


def test_a_fresh_head_comes_from_the_seed(folders: dict[str, Path]) -> None:
    def fresh(seed: int) -> torch.Tensor:
        set_seeds(seed)
        return head(load_classifier(folders["bert"], LABELS)[0])

    assert torch.equal(fresh(1), fresh(1))
    assert not torch.equal(fresh(1), fresh(2))


def test_a_head_is_kept_only_for_the_same_labels(folders: dict[str, Path], tmp_path: Path) -> None:
    model, tokenizer = load_classifier(folders["bert"], LABELS)
    save_model(model, tokenizer, tmp_path)
    assert torch.equal(head(model), head(load_classifier(tmp_path, LABELS)[0]))
    turned, _ = load_classifier(tmp_path, LABELS[::-1])
    assert not torch.equal(head(model), head(turned))
    assert turned.config.id2label == {0: "positive", 1: "negative"}
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(model.get_parameter(name), turned.get_parameter(name))
    assert head(load_classifier(tmp_path, ["a", "b", "c"])[0]).shape[0] == 3


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (load_text_to_text, "bert", "is not a model that writes texts"),
        (load_causal_lm, "bert", "do not make a causal language model"),
        (load_causal_lm, "bart", "do not make a causal language model"),
    ],
)
def test_a_model_of_another_kind_is_refused(load, name, message, folders) -> None:
    with pytest.raises(ModelError, match=message):
        load(folders[name])


def test_unknown_names_are_answered_with_what_is_known() -> None:
    with pytest.raises(ModelError, match="did you mean 'all-minilm-l6-v2'") as error:
        find_model("all-minilm-l6")
    assert "smollm2-135m-instruct" in str(error.value)
    assert "movie-reviews" not in str(error.value)  # an asset, but no model


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as error:
        find_model("some-org/some-model")
    assert str(error.value) == (
        "model 'some-org/some-model': is no folder here, and the Hugging Face Hub cannot be "
        "reached from here"
    )


def test_a_hub_model_of_a_revision_is_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = "a" * 40, "b" * 40
    for commit in commits:
        snapshot = tmp_path / "models--some-org--some-model/snapshots" / commit
        tiny_bert(snapshot, TEXTS)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for commit in commits:
        assert find_model(f"some-org/some-model@{commit}").name == commit
    with pytest.raises(ModelError, match="cannot be reached"):
        find_model(f"some-org/some-model@{'c' * 40}")


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json, so it is not a model folder"):
        find_model(tmp_path)


def test_a_folder_without_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        load_classifier(copy, LABELS)


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can run code when they are read; convert them"):
        load_classifier(copy, LABELS)


def test_a_folder_without_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_classifier(copy, LABELS)


def test_a_broken_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="its tokenizer cannot be loaded"):
        load_classifier(copy, LABELS)


def test_cut_off_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="its weights cannot be read"):
        load_classifier(copy, LABELS)


def test_weights_that_lack_a_layer(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"16 of the tensors it needs are missing.*layer\.2"):
        load_classifier(copy, LABELS)


def test_an_unknown_architecture(copy: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    with pytest.raises(ModelError, match=r"its configuration cannot be used.*no-such-model"):
        load_classifier(copy, LABELS)


def test_code_beside_a_model_is_never_run(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "mine.py").write_text(f"open({str(copy / 'was-run')!r}, 'w').close()")
    with pytest.raises(ModelError):
        load_classifier(copy, LABELS)
    assert not (copy / "was-run").exists()


def test_a_tokenizer_with_more_tokens_than_the_model(copy: Path, tmp_path: Path) -> None:
    other = tiny_bert(tmp_path / "other", [" ".join(f"w{n}" for n in range(50))])
    shutil.copy(other / "tokenizer.json", copy / "tokenizer.json")
    with pytest.raises(ModelError, match="they do not belong together"):
        load_classifier(copy, LABELS)


def test_context_length_is_the_least_that_is_stated(folders: dict[str, Path]) -> None:
    model, tokenizer = load_classifier(folders["bert"], LABELS)
    assert context_length(model, tokenizer) == 64
    tokenizer.model_max_length = 10**30
    assert context_length(model, tokenizer) == 64
    tokenizer.model_max_length = 62
    assert context_length(model, tokenizer) == 62


def test_a_gguf_file_is_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    path = tiny_gguf(tmp_path / "tiny.gguf")
    model, tokenizer = load_causal_lm(path)
    assert caplog.text.count("converting to") == 1
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not hasattr(model.config, "quantization_config")
    first = find_model(path)
    assert caplog.text.count("converting to") == 1
    save_model(model, tokenizer, tmp_path / "saved")
    again, _ = load_causal_lm(tmp_path / "saved")
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )

    (first / "config.json").write_text("{}")  # a damaged conversion is made anew
    assert find_model(path) == first
    assert caplog.text.count("converting to") == 2
    assert json.loads((first / "config.json").read_text())["model_type"] == "llama"


def test_a_broken_gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"broken\.gguf: cannot be read as a GGUF model"):
        find_model(tmp_path / "broken.gguf")


def test_threads_are_no_more_than_a_pod_may_use_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("DAFTT_LOOP_WIDTH", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    quota = tmp_path / "cpu.max"  # of cgroup v2
    monkeypatch.setattr("daftt_core.telemetry.usage._CPU_LIMIT", quota)
    try:
        for text, threads in (("350000 100000", 3), ("50000 100000", 1), ("max 100000", 64)):
            quota.write_text(f"{text}\n")
            assert limit_threads() == threads == torch.get_num_threads()
        quota.write_text("200000 100000\n")
        fix_threads()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("chosen", ["", "ACTIVE"])
def test_threads_wait_asleep_unless_told_otherwise(chosen: str) -> None:
    environment = {name: each for name, each in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if chosen:
        environment["OMP_WAIT_POLICY"] = chosen
    look = (
        "import sys, daftt_core, os\n"
        "assert 'torch' not in sys.modules\n"  # it looks once, when it is loaded
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == (chosen or "PASSIVE")


def test_iterations_of_a_loop_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.delenv("DAFTT_LOOP_WIDTH", raising=False)
        alone = limit_threads()
        monkeypatch.setenv("DAFTT_LOOP_WIDTH", "2")
        assert limit_threads() == max(1, alone // 2) == torch.get_num_threads()
        monkeypatch.setenv("DAFTT_LOOP_WIDTH", "1000000")
        assert limit_threads() == 1
        monkeypatch.setenv("DAFTT_LOOP_WIDTH", "0")
        with pytest.raises(ConfigError, match="DAFTT_LOOP_WIDTH: '0' must be a positive integer"):
            limit_threads()
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.network
def test_the_bundled_teacher_knows_something() -> None:
    model, tokenizer = load_causal_lm("smollm2-135m-instruct")
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(written[0])


def test_a_gpu_whose_memory_is_taken_for_a_moment_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), None]
    model = torch.nn.Linear(1000, 1000, bias=False)

    def move(*_: object) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    monkeypatch.setattr(torch.nn.Module, "to", move)
    at_once = Retry(attempts=2, sleep=lambda _: None)
    move_to(model, torch.device("cuda"), at_once)
    assert answers == []
    answers += [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")] * 2
    with pytest.raises(ModelError, match=r"cuda: no room for the model's 0.0 GB \(CUDA out of"):
        move_to(model, torch.device("cuda"), at_once)
