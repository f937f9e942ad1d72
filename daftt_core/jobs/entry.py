"""The first program of a job's pod: it ends on SIGTERM from its first line on.

    python -m daftt_core.jobs.entry -m MODULE [its arguments]

The kernel drops a SIGTERM to a container's first process unless that handles it, and torch takes
seconds to load and minutes to find its peers. Without this a pod that is told to end in that time
holds its GPUs until its grace is over. The module replaces the handler once it has work to save.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys

_TOLD_TO_END = 143  # as a shell reports a process that SIGTERM has ended

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_TOLD_TO_END))
    if sys.argv[1:2] != ["-m"] or len(sys.argv) < 3:
        sys.exit("usage: python -m daftt_core.jobs.entry -m MODULE [its arguments]")
    module, sys.argv[1:] = sys.argv[2], sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
