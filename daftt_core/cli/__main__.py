"""``python -m daftt_core.cli`` is ``daftt``."""

import sys

from daftt_core.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
