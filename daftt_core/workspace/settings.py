"""The settings of a run, as its first stage has committed them; every later stage reads its own.

<run>/preflight/config.json    all settings
<run>/preflight/run.json       the run: its task, complete, and its seed
"""

from __future__ import annotations

from daftt_core.config import Config, from_argument, parse_section
from daftt_core.errors import StorageError
from daftt_core.stages import PREFLIGHT
from daftt_core.workspace.reading import manifest_at, read_file
from daftt_core.workspace.run import Run

CONFIG_FILE, RUN_FILE = "config.json", "run.json"


def load_run(uri: str, digest: str) -> tuple[Run, Config]:
    """Return a run and its settings.

    Args:
        uri: The run's folder or prefix, as the first stage handed it to the pipeline.
        digest: Digest of the settings that the first stage committed.

    Raises:
        StorageError: The settings are not there, or were committed anew since.
    """
    uri = from_argument(uri)
    manifest = manifest_at(uri, PREFLIGHT)
    if manifest is None or manifest.digest != digest:
        raise StorageError(
            f"{uri}/{PREFLIGHT}: the settings of this run were changed or removed while it was "
            "going on; run the pipeline again"
        )
    config, run = (_read(uri, name) for name in (CONFIG_FILE, RUN_FILE))
    # where the run lies is what this pipeline says: its folder may have been moved
    return parse_section(Run, run).model_copy(update={"uri": uri}), parse_section(Config, config)


def _read(uri: str, name: str) -> str:
    content = read_file(uri, PREFLIGHT, name)
    if content is None:
        raise StorageError(f"{uri}/{PREFLIGHT}/{name}: is missing; run the pipeline again")
    return content.decode()
