"""Run a pipeline and show how far it is: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from daftt_core.cli.local.launch import Attempt, run_pipeline
from daftt_core.cli.local.outline import Outline
from daftt_core.cli.tables import PlainConsole
from daftt_core.errors import StorageError
from daftt_core.records import visible_line
from daftt_core.storage import read_manifest
from daftt_core.telemetry import Snapshot, duration
from daftt_core.workspace import StageStatus, read_statuses

_LINE_EVERY_SECONDS = 30.0


class _Display(Protocol):
    def started(self, stage: str) -> None: ...

    def moved(self, stage: str, snapshot: Snapshot | None) -> None: ...

    def ended(self, stage: str, outcome: str) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Reads the stages' statuses and tells a display what has changed.

    Args:
        attempt: Older statuses are of an earlier attempt and are not shown.
        display: Shows the changes.
        name: Of several runs this one's, which stands before its stages.
        outline: Is told of them as well, before the display.
    """

    def __init__(
        self, attempt: Attempt, display: _Display, name: str = "", outline: Outline | None = None
    ) -> None:
        self._attempt, self._display, self._outline = attempt, display, outline
        self._prefix = f"{name}/" if name else ""
        self._seen: dict[str, str] = {}

    def look(self) -> None:
        """Read the statuses once."""
        for status in statuses_since(self._attempt):
            stage, before = f"{self._prefix}{status.stage}", self._seen.get(status.stage)
            self._seen[status.stage] = status.state
            if self._outline:
                self._outline.note(status)
            if status.state == "running":
                if before != "running":
                    self._display.started(stage)
                self._display.moved(stage, status.progress)
            elif before != status.state:
                self._display.ended(stage, self._outcome(status))

    def _outcome(self, status: StageStatus) -> str:
        if status.state == "failed":
            return "failed"
        folder = self._attempt.folder / status.stage
        try:
            manifest = read_manifest(folder)
            committed = (folder / "manifest.json").stat().st_mtime
        except (OSError, StorageError):  # another process is just replacing it
            return "done"
        if manifest is None:
            return "done"
        if committed < self._attempt.started:
            return "already done"
        return f"done in {duration(manifest.seconds)}"


def statuses_since(attempt: Attempt) -> list[StageStatus]:
    """Return the statuses that this attempt has written, oldest change first."""
    return [s for s in read_statuses(attempt.folder) if s.updated >= attempt.started]


class _Lines:
    """A line when a stage starts or ends, and one every 30 seconds while it runs."""

    def __init__(self, console: PlainConsole, outline: Outline | None) -> None:
        self._console, self._outline = console, outline
        self._printed: dict[str, float] = {}

    def started(self, stage: str) -> None:
        self._printed[stage] = time.monotonic()
        self._say(f"{stage}: started" + (f" ({self._outline})" if self._outline else ""))

    def moved(self, stage: str, snapshot: Snapshot | None) -> None:
        now = time.monotonic()
        if now - self._printed[stage] >= _LINE_EVERY_SECONDS:
            self._printed[stage] = now
            amount = _amount(snapshot) if snapshot else "running"
            self._say(f"{stage}: {amount}" + (f"; {self._outline}" if self._outline else ""))

    def ended(self, stage: str, outcome: str) -> None:
        self._say(f"{stage}: {outcome}")

    def close(self) -> None:
        self._console.file.flush()

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


class _Bars:
    """A bar for each stage that runs; above them, a line for each that has ended."""

    def __init__(self, console: PlainConsole, outline: Outline | None) -> None:
        self._outline = outline
        self._progress = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            console=console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}
        self._progress.start()

    def started(self, stage: str) -> None:
        self._bars[stage] = self._progress.add_task(visible_line(stage), total=None, amount="")

    def moved(self, stage: str, snapshot: Snapshot | None) -> None:
        amount = _amount(snapshot) if snapshot else ""
        if self._outline:
            amount = "; ".join(filter(None, (amount, str(self._outline))))
        self._progress.update(
            self._bars[stage],
            completed=snapshot.done if snapshot else None,
            total=snapshot.total if snapshot else None,
            amount=visible_line(amount),
        )

    def ended(self, stage: str, outcome: str) -> None:
        if stage in self._bars:
            self._progress.remove_task(self._bars.pop(stage))
        colour = "red" if outcome == "failed" else "green"
        line = Text.assemble((f"{outcome:>18}", colour), f"  {visible_line(stage)}")
        self._progress.console.print(line)

    def close(self) -> None:
        self._progress.stop()


def display_for(console: PlainConsole, outline: Outline | None = None) -> _Display:
    """Return bars for a terminal, and lines for a file.

    Args:
        console: Where they are shown.
        outline: How far the whole run is; None where the stages are not those of one run.
    """
    return _Bars(console, outline) if console.is_terminal else _Lines(console, outline)


def run_and_show(
    attempt: Attempt,
    compiled: Path,
    parameters: dict[str, Any],
    introduction: str,
    cells: Mapping[str, Path] | None = None,
    outline: Outline | None = None,
) -> int:
    """Run a compiled pipeline, and show on stderr how far its stages are.

    Args:
        attempt: The attempt.
        compiled: The pipeline's file.
        parameters: The pipeline's parameters.
        introduction: A line to print first.
        cells: Of a sweep the folders of its runs, by name.
        outline: Of a run its places.

    Returns:
        0, or the exit code of a pipeline that failed.

    Raises:
        StorageError: A folder cannot be used.
        StoppedError: It was stopped by Ctrl-C or SIGTERM.
    """
    console = PlainConsole(stderr=True)
    console.print(introduction, soft_wrap=True)
    display = display_for(console, outline)
    watches = [Watch(Attempt(folder), display, name) for name, folder in (cells or {}).items()]
    watches = watches or [Watch(attempt, display, outline=outline)]

    def look() -> None:
        for watch in watches:
            watch.look()

    try:
        return run_pipeline(attempt, compiled, parameters, look)
    finally:
        display.close()


def _amount(snapshot: Snapshot) -> str:
    """Return ``420 of 1500 examples (28%), about 2 min left``, without the name of the work."""
    return str(snapshot).removeprefix(f"{snapshot.what}: ")
