"""Folders that exist once their manifest does."""

from daftt_core.storage.archives import extract_file
from daftt_core.storage.local import check_writable, local_folder, write_text
from daftt_core.storage.locks import exclusively
from daftt_core.storage.manifest import MANIFEST, FileEntry, Manifest, commit, read_manifest, verify

__all__ = [
    "MANIFEST",
    "FileEntry",
    "Manifest",
    "check_writable",
    "commit",
    "exclusively",
    "extract_file",
    "local_folder",
    "read_manifest",
    "verify",
    "write_text",
]
