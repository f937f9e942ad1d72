"""DeepSpeed's settings, how a batch is shared, and the checkpoint that processes go on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from daftt_core.config import TeacherConfig, from_flat
from daftt_core.distributed import Group, Rank
from daftt_core.errors import ConfigError, TrainingError
from daftt_core.storage import commit
from daftt_core.teacher.checkpoints import agreed_checkpoint
from daftt_core.teacher.deepspeed import deepspeed_settings


def settings(processes: int = 2, *, bfloat16: bool = False, **fields: object) -> dict[str, object]:
    found = deepspeed_settings(
        TeacherConfig(**fields), processes, bfloat16=bfloat16, pin_memory=True
    )
    assert found is not None
    return found


def test_without_a_stage_or_without_training_there_is_no_deepspeed() -> None:
    for config in (TeacherConfig(), TeacherConfig(zero_stage=3, epochs=0)):
        assert deepspeed_settings(config, 2, bfloat16=False, pin_memory=False) is None


def test_stage_2_on_the_gpus() -> None:
    assert settings(4, bfloat16=True, zero_stage=2, batch_size=64, micro_batch_size=4) == {
        "train_batch_size": 64,
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": 4,
        "gradient_clipping": 1.0,
        "bf16": {"enabled": True},
        "zero_optimization": {
            "stage": 2,
            "contiguous_gradients": True,
            "overlap_comm": True,
            "reduce_bucket_size": "auto",
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def test_stage_3_offloads_weights_and_optimizer() -> None:
    memory = settings(zero_stage=3, offload="cpu")["zero_optimization"]
    assert isinstance(memory, dict)
    assert memory["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    assert memory["offload_param"] == {"device": "cpu", "pin_memory": True}
    disk = settings(zero_stage=3, offload="nvme", offload_folder="/fast")["zero_optimization"]
    assert isinstance(disk, dict)
    assert disk["offload_param"]["nvme_path"] == "/fast"


def test_stage_2_offloads_the_optimizer_only() -> None:
    found = settings(zero_stage=2, offload="cpu")["zero_optimization"]
    assert isinstance(found, dict)
    assert "offload_optimizer" in found
    assert "offload_param" not in found


@pytest.mark.parametrize(
    ("batch", "micro", "processes", "expected"),
    [(8, 0, 1, (8, 1)), (8, 0, 2, (4, 1)), (64, 2, 8, (2, 4)), (6, 3, 2, (3, 1))],
)
def test_a_batch_is_shared_evenly(
    batch: int, micro: int, processes: int, expected: tuple[int, int]
) -> None:
    config = TeacherConfig(batch_size=batch, micro_batch_size=micro)
    assert config.micro_batches(processes) == expected
    size, passes = expected
    assert size * passes * processes == batch


def test_a_batch_that_cannot_be_shared_is_one_clear_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        from_flat({"teacher_batch_size": 8, "job_processes_per_node": 3})
    assert "batch_size 8 cannot be divided among 3 processes evenly" in str(caught.value)
    assert "choose a multiple of 3" in str(caught.value)
    with pytest.raises(ConfigError, match=r"among 1 process, 3 at once, evenly; .*multiple of 3"):
        from_flat({"teacher_batch_size": 8, "teacher_micro_batch_size": 3})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"offload": "cpu"}, "offload cpu needs a zero_stage of 1, 2 or 3"),
        ({"offload": "nvme", "zero_stage": 3}, "offload nvme needs zero_stage 3 and an offload_"),
        (
            {"offload": "nvme", "zero_stage": 2, "offload_folder": "/fast"},
            "offload nvme needs zero_stage 3",
        ),
    ],
)
def test_offload_that_cannot_be_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_flat({f"teacher_{name}": value for name, value in fields.items()})


def checkpoint(folder: Path, step: int, processes: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "weights").write_text("weights")
    commit(path, path.name, {"step": step, "processes": processes})
    return path


def test_parts_of_a_checkpoint_need_as_many_processes_as_wrote_them(tmp_path: Path) -> None:
    group = Group(Rank())
    whole = checkpoint(tmp_path, 9, processes=2)
    assert agreed_checkpoint(group, tmp_path, TeacherConfig()) == whole
    with pytest.raises(TrainingError, match=r"divided among 2 processes and cannot .* by 1; train"):
        agreed_checkpoint(group, tmp_path, TeacherConfig(zero_stage=2))


def test_the_newest_checkpoint_by_number_counts(tmp_path: Path) -> None:
    for step in (9, 10, 2):
        checkpoint(tmp_path, step, processes=1)
    found = agreed_checkpoint(Group(Rank()), tmp_path, TeacherConfig())
    assert found == tmp_path / "checkpoint-10"
