"""Folders that exist once their manifest does, on this machine or in a remote storage."""

from daftt_core.storage.cache import Cache, cache_folder, make_once
from daftt_core.storage.folders import RemoteFolder
from daftt_core.storage.local import check_writable, exclusively, local_folder
from daftt_core.storage.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    commit,
    copy_file,
    is_inside,
    parse_manifest,
    read_listed,
    read_manifest,
    sound_manifest,
    unlisted,
    verify,
    write_manifest,
)
from daftt_core.storage.protocol import NOTHING, Content, Entry, Storage
from daftt_core.storage.registry import SCHEMES, open_storage, read_object

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
    "cache_folder",
    "check_writable",
    "commit",
    "copy_file",
    "exclusively",
    "is_inside",
    "local_folder",
    "make_once",
    "open_storage",
    "parse_manifest",
    "read_listed",
    "read_manifest",
    "read_object",
    "sound_manifest",
    "unlisted",
    "verify",
    "write_manifest",
]
