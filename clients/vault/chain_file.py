"""Record chains on disk: entries are appended and flushed before what they are about leaves."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients.vault.private_files import make_private
from federation.errors import InputError
from federation.record_chain import Entry, Head, read_chain


class ChainFile:
    """A record chain in a file, one entry a line."""

    def __init__(self, path: Path) -> None:
        """Read and verify what is there.

        Raises:
            InputError: a line was changed, dropped or inserted.
        """
        self.path = path
        # Not splitlines(), which also splits at line ends that JSON leaves bare in strings.
        content = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        *lines, rest = content.split("\n")
        if rest:
            raise InputError(f"{path}, line {len(lines) + 1}: the last line was cut off")
        self._head, self._entries = read_chain(lines, str(path))

    @property
    def entries(self) -> list[Entry]:
        """All entries, in order."""
        return list(self._entries)

    @property
    def head(self) -> Head:
        """Where the chain ends."""
        return self._head

    def append(self, body: Mapping[str, Any], durable: bool = True) -> Entry:
        """Add one entry; on return it is on the disk (or, not durable, with the system)."""
        make_private(self.path.parent)
        head, entry = self._head.append(body)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(entry.line() + "\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        self._head = head
        self._entries.append(entry)
        return entry


@contextmanager
def locked(path: Path) -> Iterator[ChainFile]:
    """A chain as it is now, with no other process in here for it meanwhile."""
    make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield ChainFile(path)
    finally:
        os.close(descriptor)


@contextmanager
def unchanging(path: Path) -> Iterator[None]:
    """Nobody writes a chain meanwhile who holds its lock; a chain that is not there needs none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def written_end(path: Path) -> Head | None:
    """The end of a chain as it was last written down; None where it never was.

    Raises:
        InputError: the file holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
        return Head(int(content["length"]), str(content["digest"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not the written-down end of a privacy ledger; restore it together with "
            "ledger.jsonl"
        ) from error


def checked_entries(chain: ChainFile, end: Head | None) -> list[Entry]:
    """The chain's entries, if they reach its written-down end.

    No entry follows the last one and holds its digest, so the end is kept in a file of its own. It
    is written after the entry, and lags behind where a crash came between the two.
    """
    entries = chain.entries
    if end is None:
        if entries:
            raise InputError(
                f"{chain.path}, line 1: the file ledger.head beside it, which says where the "
                "ledger ends, was taken away; restore it"
            )
        return []
    if end.length > len(entries):
        raise InputError(
            f"{chain.path}, line {len(entries) + 1}: an entry was dropped; there were {end.length}"
        )
    if end.length and end.digest != entries[end.length - 1].digest:
        raise InputError(f"{chain.path}, line {end.length}: the entry was altered")
    if len(entries) > end.length + 1:
        raise InputError(
            f"{chain.path}, line {end.length + 2}: the entry was not made by veilscore"
        )
    return entries
