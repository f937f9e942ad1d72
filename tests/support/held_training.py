"""The teacher's program, which a test can hold at one moment: to kill it there, or to let it go on.

HOLD_AT=step-4 | save-3 | commit-3    after step 4 | in the middle of saving 3 | before it counts
HOLD_RANKS=0,1                        the processes that are held
HOLD_FOLDER=folder                    gets held-<rank> with the process's id; go lets them go
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from daftt_core.distributed import this_rank
from daftt_core.teacher import callbacks, checkpoints
from daftt_core.teacher.__main__ import main
from daftt_core.teacher.deepspeed import ZeroTrainer


def hold(moment: str) -> None:
    rank = str(this_rank().index)
    if os.environ["HOLD_AT"] == moment and rank in os.environ["HOLD_RANKS"].split(","):
        folder = Path(os.environ["HOLD_FOLDER"])
        (folder / f"held-{rank}").write_text(str(os.getpid()))
        while not (folder / "go").exists():
            time.sleep(0.02)


def hold_steps() -> None:
    end_step = callbacks.StopGracefully.on_step_end

    def ended(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        hold(f"step-{state.global_step}")
        end_step(self, args, state, control, **rest)

    callbacks.StopGracefully.on_step_end = ended  # type: ignore[method-assign]


def hold_saving() -> None:
    save_rng = ZeroTrainer._save_rng_state

    def saved(self: ZeroTrainer, folder: str) -> None:
        hold(f"save-{self.state.global_step}")  # weights are written, random states are not
        save_rng(self, folder)

    ZeroTrainer._save_rng_state = saved  # type: ignore[method-assign]


def hold_committing() -> None:
    commit = checkpoints.CommitCheckpoints.on_save

    def committed(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        hold(f"commit-{state.global_step}")
        commit(self, args, state, control, **rest)

    checkpoints.CommitCheckpoints.on_save = committed  # type: ignore[method-assign]


if __name__ == "__main__":
    hold_steps()
    hold_saving()
    hold_committing()
    sys.exit(main())
