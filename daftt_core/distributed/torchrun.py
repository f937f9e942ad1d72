"""torchrun, with exit codes that say how the program ended.

    python -m daftt_core.distributed.torchrun [torchrun's options] -m MODULE [its arguments]

torchrun itself ends with 1 whatever happened. This ends with the code of the program's own error,
or as a shell would after a signal: 143 after SIGTERM, 137 after SIGKILL. After SIGTERM the program
has time to save before it is killed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser, run

from daftt_core.config import JobConfig


def exit_code(codes: Iterable[int]) -> int:
    """Return the exit code that tells why several processes ended.

    The code of a process that failed by itself or was killed is the reason. That the others then
    lost their connection to it (1), or were told to end (143), is not, unless it is all there is.

    Args:
        codes: Theirs, as ``subprocess`` gives them: negative after a signal.
    """
    as_shell = [128 - code if code < 0 else code for code in codes]
    return max(as_shell, key=lambda code: (code not in (1, 143), code == 1, code), default=1)


def main() -> int:
    """Run torchrun with the arguments of this process; return the exit code."""
    # torchrun's default of 30 seconds is too short to store a large teacher's checkpoint
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(JobConfig().grace_seconds - 30))
    parser = get_args_parser()
    parser.allow_abbrev = False  # or the program's --run would be taken for an option of torchrun
    try:
        run(parser.parse_args())  # type: ignore[no-untyped-call]
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        return exit_code(failure.exitcode for failure in error.failures.values())
    return 0


if __name__ == "__main__":
    sys.exit(main())
