"""``python -m daftt_core.cli`` is ``daftt``."""

import sys

from daftt_core.cli.app import run

if __name__ == "__main__":
    sys.exit(run())
