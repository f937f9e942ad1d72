"""Showing how far a run is: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from typing import Protocol

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from daftt_core.cli.local.launch import Attempt
from daftt_core.cli.printing import PlainConsole
from daftt_core.errors import StorageError
from daftt_core.records import visible_line
from daftt_core.storage import read_manifest
from daftt_core.telemetry import LOG_EVERY_SECONDS, Snapshot, duration
from daftt_core.workspace import StageStatus, read_statuses


class _Display(Protocol):
    def started(self, stage: str) -> None: ...

    def moved(self, stage: str, snapshot: Snapshot) -> None: ...

    def ended(self, stage: str, how: str) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Looks at the stages' statuses and tells a display what has changed.

    Args:
        attempt: Statuses older than it are of an earlier attempt and are not shown.
        display: Where it is shown.
    """

    def __init__(self, attempt: Attempt, display: _Display) -> None:
        self._attempt, self._display = attempt, display
        self._seen: dict[str, str] = {}

    def look(self) -> None:
        """Look once."""
        for status in statuses_since(self._attempt):
            before = self._seen.get(status.stage)
            self._seen[status.stage] = status.state
            if status.state == "running":
                if before != "running":
                    self._display.started(status.stage)
                if status.progress:
                    self._display.moved(status.stage, status.progress)
            elif before != status.state:
                self._display.ended(status.stage, self._how(status))

    def _how(self, status: StageStatus) -> str:
        if status.state == "failed":
            return "failed"
        folder = self._attempt.folder / status.stage
        try:
            manifest = read_manifest(folder)
            committed = (folder / "manifest.json").stat().st_mtime
        except (OSError, StorageError):  # being made anew by another process in this moment
            return "done"
        if manifest is None:
            return "done"
        if committed < self._attempt.started:
            return "already done"
        return f"done in {duration(manifest.seconds)}"


def statuses_since(attempt: Attempt) -> list[StageStatus]:
    """The statuses that this attempt has written, oldest change first."""
    return [s for s in read_statuses(attempt.folder) if s.updated >= attempt.started]


class _Lines:
    """A line when a stage starts or ends, and one for each that runs every ten seconds."""

    def __init__(self, console: PlainConsole) -> None:
        self._console = console
        self._said: dict[str, float] = {}

    def started(self, stage: str) -> None:
        self._said[stage] = time.monotonic()
        self._say(f"{stage}: started")

    def moved(self, stage: str, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now - self._said[stage] >= LOG_EVERY_SECONDS:
            self._said[stage] = now
            self._say(f"{stage}: {_amount(snapshot)}")

    def ended(self, stage: str, how: str) -> None:
        self._say(f"{stage}: {how}")

    def close(self) -> None:
        self._console.file.flush()

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


class _Bars:
    """A bar for each stage that runs; above them, a line for each that has ended."""

    def __init__(self, console: PlainConsole) -> None:
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

    def moved(self, stage: str, snapshot: Snapshot) -> None:
        self._progress.update(
            self._bars[stage],
            completed=snapshot.done,
            total=snapshot.total,
            amount=visible_line(_amount(snapshot)),
        )

    def ended(self, stage: str, how: str) -> None:
        if stage in self._bars:
            self._progress.remove_task(self._bars.pop(stage))
        colour = "red" if how == "failed" else "green"
        line = Text.assemble((f"{how:>18}", colour), f"  {visible_line(stage)}")
        self._progress.console.print(line)

    def close(self) -> None:
        self._progress.stop()


def display_for(console: PlainConsole) -> _Display:
    """Bars where a person looks at the console, lines where it is kept in a file."""
    return _Bars(console) if console.is_terminal else _Lines(console)


class _Under:
    """A display on which stages stand under the name of their run."""

    def __init__(self, display: _Display, name: str) -> None:
        self._display, self._name = display, name

    def started(self, stage: str) -> None:
        self._display.started(f"{self._name}/{stage}")

    def moved(self, stage: str, snapshot: Snapshot) -> None:
        self._display.moved(f"{self._name}/{stage}", snapshot)

    def ended(self, stage: str, how: str) -> None:
        self._display.ended(f"{self._name}/{stage}", how)

    def close(self) -> None:
        self._display.close()


def under(display: _Display, name: str) -> _Display:
    """The same display for one of several runs, whose stages are shown under its name."""
    return _Under(display, name)


def _amount(snapshot: Snapshot) -> str:
    """``420 of 1500 examples (28%), about 2 min left``, without the name of the work."""
    return str(snapshot).removeprefix(f"{snapshot.what}: ")
