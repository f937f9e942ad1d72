"""``synthesis_engine=vllm``: the command that a stage starts, and what comes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from completions_server import vllm_program
from tiny_models import tiny_gpt_neox

from daftt_core.config import SynthesisConfig
from daftt_core.engines import open_engine
from daftt_core.engines import vllm_command as vllm_command_module
from daftt_core.engines.vllm_command import tensor_parallel, vllm_command
from daftt_core.errors import ConfigError, RemoteError
from daftt_core.tasks import Prompt


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gpt_neox(tmp_path_factory.mktemp("teacher"), ["good bad"])


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_a_stage_starts_vllm_on_the_tuned_teacher_by_itself(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(vllm_program(tmp_path)), prepend=os.pathsep)
    with open_engine(SynthesisConfig(engine="vllm"), teacher) as opened:
        assert opened.is_tuned
        assert opened.model == "the fine-tuned teacher"
        assert opened.engine.score([Prompt("Say:", " it", " Output:")], [" a", " b"]).shape == (
            1,
            2,
        )


def test_the_teacher_reads_what_it_reads_with_the_local_engine(teacher: Path) -> None:
    command = vllm_command(SynthesisConfig(engine="vllm", max_length=64), teacher, 8123)
    assert command[:3] == ["vllm", "serve", str(teacher)]
    assert option(command, "--host") == "127.0.0.1"
    assert option(command, "--port") == "8123"
    assert option(command, "--max-model-len") == "64"
    assert option(command, "--dtype") == "float32"
    assert option(command, "--generation-config") == "vllm"
    assert option(command, "--block-size") == "32"  # of the prefix cache, without a GPU
    positions = json.loads((teacher / "config.json").read_text())["max_position_embeddings"]
    command = vllm_command(SynthesisConfig(engine="vllm", max_length=2**20), teacher, 8123)
    assert option(command, "--max-model-len") == str(positions)


def test_the_gpus_of_the_process_share_the_teacher(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_command_module, "inference_dtype", lambda: torch.bfloat16)
    heads = json.loads((teacher / "config.json").read_text())["num_attention_heads"]
    for gpus, shared in ((0, 1), (1, 1), (2, 2)):
        assert heads % shared == 0
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        command = vllm_command(SynthesisConfig(engine="vllm"), teacher, 8123)
        assert option(command, "--tensor-parallel-size") == str(shared)
        assert option(command, "--dtype") == "bfloat16"
        assert ("--block-size" in command) == (gpus == 0)
        assert ("--gpu-memory-utilization" in command) == (gpus > 0)


@pytest.mark.parametrize(
    ("gpus", "heads", "keys", "shared"),
    [
        (8, 64, 64, 8),  # GPT-NeoX-20B
        (8, 28, 4, 4),  # Qwen2.5-7B: 28 is no multiple of 8
        (4, 9, 3, 3),  # SmolLM2-135M
        (8, 32, 2, 8),  # four GPUs have the same keys
        (6, 12, 4, 4),  # 4 heads of keys cannot be shared among 6
        (5, 7, 7, 1),
    ],
)
def test_no_gpu_has_more_heads_than_another(gpus: int, heads: int, keys: int, shared: int) -> None:
    assert tensor_parallel(gpus, heads, keys) == shared


def test_vllm_reports_nothing_and_fetches_nothing(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "vllm"
    program.write_text("#!/bin/sh\necho stats=$VLLM_NO_USAGE_STATS hub=$HF_HUB_OFFLINE\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with (
        pytest.raises(RemoteError, match="exit code 3; its last output: stats=1 hub=1"),
        open_engine(SynthesisConfig(engine="vllm"), teacher),
    ):
        pass


def test_a_machine_without_vllm_is_told_so(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ConfigError, match=r"^synthesis_engine: 'vllm' cannot be run: .*=local$"),
        open_engine(SynthesisConfig(engine="vllm"), teacher),
    ):
        pass
