"""Folders that exist once their manifest does, on this machine or at a distance."""

from daftt_core.storage.archives import extract_file
from daftt_core.storage.cache import Cache
from daftt_core.storage.folders import RemoteFolder
from daftt_core.storage.local import check_writable, link_file, local_folder, write_text
from daftt_core.storage.locks import exclusively
from daftt_core.storage.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    commit,
    read_manifest,
    sound_manifest,
    verify,
    write_manifest,
)
from daftt_core.storage.protocol import NOTHING, Content, Entry, Storage
from daftt_core.storage.registry import SCHEMES, open_storage

__all__ = [
    "MANIFEST",
    "NOTHING",
    "SCHEMES",
    "Cache",
    "Content",
    "Entry",
    "FileEntry",
    "Manifest",
    "RemoteFolder",
    "Storage",
    "check_writable",
    "commit",
    "exclusively",
    "extract_file",
    "link_file",
    "local_folder",
    "open_storage",
    "read_manifest",
    "sound_manifest",
    "verify",
    "write_manifest",
    "write_text",
]
