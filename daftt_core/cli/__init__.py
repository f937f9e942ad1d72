"""The command line: what a person types as ``daftt``.

Nothing here computes: a command reads settings, calls one library function or starts the compiled
pipeline, and shows the result. kfp, torch and matplotlib take seconds to import, so only the
commands that need one import it, inside their functions.
"""

from daftt_core.cli.app import cli, main, run

__all__ = ["cli", "main", "run"]
