"""Train the teacher: the program of a job's pods.

python -m daftt_core.teacher --run URI --settings DIGEST --data DIGEST [--mixture DIGEST]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

from daftt_core.distributed import this_rank
from daftt_core.teacher.training import train
from daftt_core.telemetry import stage_process
from daftt_core.workspace import load_run


def main() -> int:
    """Train the teacher as the command line says.

    Returns:
        0; a user's mistake ends the process with the exit code of its error.
    """
    parser = argparse.ArgumentParser(prog="python -m daftt_core.teacher")
    parser.add_argument("--run", required=True, help="the run's folder or prefix")
    parser.add_argument("--settings", required=True, help="digest of the run's settings")
    parser.add_argument("--data", required=True, help="digest of the data")
    parser.add_argument("--mixture", default="", help="digest of the mixture, if there is one")
    options = parser.parse_args()
    with stage_process(level=logging.INFO if this_rank().leads else logging.WARNING):
        run, config = load_run(options.run, options.settings)
        train(run, config.teacher, options.data, options.mixture)
    return 0


if __name__ == "__main__":
    try:
        exit_code = main()
    except SystemExit as ended:
        exit_code = ended.code if isinstance(ended.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # All is committed. Threads that libraries leave behind can abort an interpreter that shuts down
    # (seen with gloo), and the launcher would take that for the program's own failure.
    os._exit(exit_code)
