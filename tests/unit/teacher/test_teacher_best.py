"""Which weights are the best on dev, and which loss says that a training came apart."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daftt_core.storage import commit
from daftt_core.teacher.callbacks import ExplosionRule
from daftt_core.teacher.checkpoints import KeepBest, best_weights, take_weights


class Alone:
    commits = True


def measured(folder: Path, losses: list[float], patience: int = 0) -> tuple[list[str], bool]:
    """The weights that are kept after these losses on dev, and whether training was stopped."""

    def save(path: Path) -> None:
        path.mkdir()
        (path / "model.safetensors").write_text(path.name)

    kept, history = KeepBest(save, Alone(), patience), []  # type: ignore[arg-type]
    control: Any = SimpleNamespace(should_training_stop=False)
    for step, loss in enumerate(losses, start=1):
        history.append({"eval_loss": loss})
        state: Any = SimpleNamespace(log_history=history, global_step=step)
        kept.on_evaluate(SimpleNamespace(output_dir=folder), state, control)  # type: ignore[arg-type]
    return sorted(path.name for path in folder.glob("best-*")), control.should_training_stop


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_never_the_best(tmp_path: Path, number: float) -> None:
    assert measured(tmp_path, [number, 2.0, number, 1.0, number]) == (["best-4"], False)
    best = best_weights(tmp_path)
    assert best is not None
    assert (best.step, best.dev_loss) == (4, 1.0)


def test_patience_runs_out_where_no_loss_is_a_number(tmp_path: Path) -> None:
    assert measured(tmp_path, [math.nan] * 3, patience=2) == ([], True)


def test_only_the_files_of_the_best_weights_become_the_teacher(tmp_path: Path) -> None:
    measured(tmp_path, [1.0])
    best = best_weights(tmp_path)
    assert best is not None
    (best.folder / "evil.py").write_text("evil")
    (tmp_path / "teacher").mkdir()
    take_weights(best, tmp_path / "teacher")
    assert [path.name for path in (tmp_path / "teacher").iterdir()] == ["model.safetensors"]


def test_weights_beside_which_lies_another_file_do_not_count(tmp_path: Path) -> None:
    for step, loss in ((1, 3.0), (2, 2.0)):
        (tmp_path / f"best-{step}").mkdir()
        commit(tmp_path / f"best-{step}", "key", {"step": step, "dev_loss": loss})
    (tmp_path / "best-2" / "evil.py").write_text("evil")
    best = best_weights(tmp_path)
    assert best is not None
    assert best.step == 1


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("before", [0, 20])
def test_a_loss_that_is_no_number_has_exploded(number: float, before: int) -> None:
    rule = ExplosionRule(8)
    assert not any(rule.exploded(1.0) for _ in range(before))
    assert rule.exploded(number)
    assert not any(rule.exploded(1.0) for _ in range(20))
