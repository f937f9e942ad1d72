"""The champion of each task: read, moved by compare-and-swap, taken back.

    <registry>/<task>/champion.json          the pointer and the history, always written together
    <registry>/<task>/versions/<version>/    a model folder with its card and lineage; never changed

The file is replaced on condition of the version that was read: a generation in a bucket, a lock and
an atomic rename in a folder. Of two writers that saw the same file one wins; the other reads again
and gives up where the champion is no longer the one it was compared with.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from daftt_core.errors import BusyError, ConfigError, StorageError, did_you_mean
from daftt_core.network import Retry, TransientError
from daftt_core.records import explain
from daftt_core.registry.models import Decision, Event, Ledger
from daftt_core.stages import VERSIONS
from daftt_core.storage import NOTHING, RemoteFolder, Storage, open_storage, read_manifest, verify

_FILE = "champion.json"
_ATTEMPTS = 20
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_TASK = re.compile(r"[a-z0-9][a-z0-9-]*")


class TaskRegistry:
    """One task's part of a registry.

    Args:
        registry: Where the registry is, as a folder or storage prefix.
        task: The task's id.
        sleep: Waits for some seconds.

    Raises:
        ConfigError: That is not the id of a task.
    """

    def __init__(
        self, registry: str, task: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not _TASK.fullmatch(task):
            raise ConfigError(f"task {task!r}: a task's id has only a to z, 0 to 9 and -")
        self.task, self.uri = task, f"{registry.rstrip('/')}/{task}"
        self._storage: Storage = open_storage(self.uri)
        self._retry = Retry(
            first_pause_seconds=_FIRST_PAUSE_SECONDS,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            attempts=_ATTEMPTS,
            sleep=sleep,
        )

    def read(self) -> Ledger:
        """The champion and the history; both empty where nothing was promoted yet.

        Raises:
            StorageError: They cannot be read, or were changed by hand.
        """
        return self._read()[0]

    def promote(self, decision: Decision, run: str, by: str) -> Ledger:
        """Let a version take the place of the champion that it was compared with.

        Args:
            decision: Why it may.
            run: The run that it comes from.
            by: Who does it.

        Raises:
            BusyError: Another champion has come meanwhile; nothing was changed.
            StorageError: The version's files do not match its manifest.
        """
        self.check_version(decision.version)
        event = _event("promoted", decision.version, decision.reason, by, run, decision)
        return self._append(event, decision.champion)

    def refuse(self, decision: Decision, run: str, by: str) -> Ledger:
        """Write down that a version was refused. Arguments as for :meth:`promote`."""
        event = _event("refused", decision.version, decision.reason, by, run, decision)
        return self._append(event)

    def roll_back(self, to: str, why: str, by: str) -> Event:
        """Make an earlier champion the champion again.

        Args:
            to: The version, or its beginning; empty: the one that the champion replaced.
            why: One sentence.
            by: Who does it.

        Raises:
            ConfigError: There is no such version, or none before the champion.
            BusyError: Another champion has come meanwhile; nothing was changed.
            StorageError: The version's files do not match its manifest.
        """
        if not why.strip():
            raise ConfigError("why: the history needs a reason for going back (--why)")
        ledger = self.read()
        if ledger.champion is None:
            raise ConfigError(f"{self.task}: has no champion in {self.uri}")
        version = self.find(to) if to else _before(ledger)
        if version == ledger.champion:
            raise ConfigError(f"{self.task}: {version} is the champion already")
        self.check_version(version)
        promoted = ledger.promotion_of(version)
        run = promoted.run if promoted else ""
        event = _event("rolled-back", version, _line("why", why), by, run)
        return self._append(event, ledger.champion).events[-1]

    def find(self, start: str) -> str:
        """The version that begins like this; ``champion`` is the one that serves.

        Raises:
            ConfigError: None of the versions that were promoted does, or several do.
        """
        ledger = self.read()
        if start == "champion":
            if ledger.champion is None:
                raise ConfigError(f"{self.task}: has no champion in {self.uri}")
            return ledger.champion
        known = ledger.versions()
        found = [version for version in known if start and version.startswith(start)]
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"{self.task}: {'several versions begin' if found else 'no promoted version begins'} "
            f"with {start!r}{did_you_mean(start, known)} (known: {', '.join(known) or 'none'})"
        )

    def check_version(self, version: str) -> None:
        """Make sure that every stored file of a version is what its manifest says.

        Raises:
            StorageError: A file is missing or was changed, or there is no such version.
        """
        name = VERSIONS.part(version).name
        folder = self._storage.folder
        if folder is not None:
            manifest = read_manifest(folder / name)
            if manifest is not None:
                verify(folder / name, manifest)
                return
        else:
            remote = RemoteFolder(self._storage, name)
            manifest = remote.manifest()
            if manifest is not None:
                # what is stored is read, and not what a cache on this machine has of it
                with tempfile.TemporaryDirectory(prefix="daftt-version-") as fetched:
                    wrong = remote.download(manifest, Path(fetched))
                if not wrong:
                    return
                raise StorageError(
                    f"{remote.uri}: {wrong[0]} does not match the manifest; it was changed"
                )
        raise StorageError(f"{self.uri}/{name}: has no manifest, so there is no such version")

    def _read(self) -> tuple[Ledger, str]:
        content = self._storage.read(_FILE)
        if content is None:
            return Ledger(task=self.task), NOTHING
        try:
            ledger = Ledger.model_validate_json(content.data)
        except ValidationError as error:
            first = ": ".join(filter(None, next(explain(error, Ledger))))
            raise StorageError(
                f"{self.uri}/{_FILE}: is not the history it was: {first}; put an unchanged copy "
                "in its place"
            ) from None
        if ledger.task != self.task:
            raise StorageError(f"{self.uri}/{_FILE}: is the history of {ledger.task!r}")
        return ledger, content.version

    def _append(self, event: Event, expected: str | object | None = ...) -> Ledger:
        """Add an event; with ``expected``, only while that is the champion."""
        changed: Ledger | None = None

        def attempt(_seconds: float) -> Ledger:
            nonlocal changed
            ledger, version = self._read()
            if changed and changed.events[-1] in ledger.events:
                return changed  # it had been written, and another process wrote after it
            if expected is not ... and ledger.champion != expected:
                raise BusyError(_overtaken(self.task, ledger, expected))
            changed = ledger.followed_by(event)
            text = changed.model_dump_json(indent=1) + "\n"
            try:
                self._storage.write(_FILE, text.encode(), replaces=version)
            except BusyError as error:
                raise TransientError(str(error)) from None
            return changed

        try:
            return self._retry.call(attempt)
        except TransientError:
            raise BusyError(
                f"{self.uri}/{_FILE}: many processes write it at once; try again"
            ) from None


def registered_tasks(registry: str) -> list[str]:
    """The tasks that a registry has something of, in order.

    Raises:
        StorageError: It cannot be read.
    """
    return [name for name in open_storage(registry).folders() if _TASK.fullmatch(name)]


def who(given: str = "") -> str:
    """Who does something: as given, else ``DAFTT_USER``, else this process's user.

    Raises:
        ConfigError: It is not one line of text.
    """
    name = given or os.environ.get("DAFTT_USER", "")
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a container's user may have no name
            name = f"user {os.getuid()}"
    return _line("by", name)


def _line(what: str, text: str) -> str:
    if not text.isprintable() or len(text) > 500:
        raise ConfigError(f"{what}: {text[:60]!r} must be one line of at most 500 characters")
    return text.strip()


def _event(
    action: str, version: str, why: str, by: str, run: str, decision: Decision | None = None
) -> Event:
    fields = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": by,
        "action": action,
        "version": version,
        "champion": None,
        "run": run,
        "why": why,
        "decision": decision,
    }
    return Event.model_validate(fields)


def _before(ledger: Ledger) -> str:
    promoted = ledger.promotion_of(ledger.champion or "")
    if promoted is None or promoted.champion is None:
        raise ConfigError(
            f"{ledger.task}: {ledger.champion} is the first champion, so there is none to go back "
            "to; name a version with --to"
        )
    return promoted.champion


def _overtaken(task: str, ledger: Ledger, expected: object) -> str:
    last = next(e for e in reversed(ledger.events) if e.action != "refused")
    return (
        f"{task}: meanwhile {last.by} has made {last.version} of run {last.run} the champion "
        f"({last.at}) in place of {expected or 'none'}; nothing was changed: compare again"
    )
