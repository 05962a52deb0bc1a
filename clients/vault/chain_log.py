"""A record chain of a busy service: appended at once, verified as a stream, cut into files.

`ChainFile` keeps all entries in memory and is for records of a run. This log is for services that
answer for months: it remembers where the chain ends and nothing else.

An entry is with the operating system when `append` returns, so the end of the process loses none;
a background thread brings it to the disk within a second, so a loss of power loses that second.
The same thread writes down where the chain then ended, in a file beside it ('answers.head'), so
that lines dropped from the end show as well.

What a loss of power leaves of entries that never reached the disk is cut off at the next start
where all that was written down is whole: the cut-off bytes go to a file beside it
('answers.torn-…'), and an entry of the log's own says so. A file that was changed otherwise is
refused.

At a size the file is renamed ('answers.000001.jsonl') and a new one goes on with the chain. Entries
of the log's own have the key 'log' in their bodies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clients.vault.chain_reading import (
    ChainTear,
    lock_path,
    read_file,
    read_log,
    rotated_files,
    start_of,
    write_end,
    written_down,
)
from clients.vault.private_files import make_private, write_private
from federation.errors import InputError
from federation.record_chain import Entry, Head

__all__ = ["ChainLog", "read_log"]

SYNC_SECONDS = 1.0
ROTATE_BYTES = 32 * 1024 * 1024


class ChainLog:
    """A hash-chained log with one writer; safe to append to from several threads.

    Args:
        path: its file, 'answers.jsonl'; others beside it have the same stem.
        rotate_bytes: the size at which a new file is begun.
        on_entry: told of every entry of the current file while it is verified.
    """

    def __init__(
        self,
        path: Path,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        on_entry: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        """Lock it, verify the current file, mend what a loss of power tore.

        Raises:
            InputError: another process writes it, a line was changed, dropped or inserted, or the
                folder can't be written to.
        """
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._append_lock = threading.Lock()
        self._sync_lock = threading.Lock()  # taken before the other one, never after it
        self._stopped = threading.Event()
        self._failure: OSError | None = None
        self._closed = False
        self._synced = Head(-1)  # no chain's end, so that the first sync does its work
        try:
            make_private(path.parent)
            self._lock = _locked(path)
        except OSError as error:
            raise InputError(
                f"{path}: can't be written ({error.strerror}); it must be in a folder that this "
                "process may write to"
            ) from error
        try:
            self._open(on_entry)
        except OSError as error:
            os.close(self._lock)
            raise InputError(f"{path}: can't be opened ({error.strerror})") from error
        except BaseException:
            os.close(self._lock)
            raise
        self._thread = threading.Thread(target=self._sync_on, name="chain log", daemon=True)
        self._thread.start()

    @property
    def head(self) -> Head:
        """Where the chain ends."""
        return self._head

    def append(self, body: Mapping[str, Any]) -> Entry:
        """Add one entry; on return the operating system has it.

        Raises:
            OSError: it can't be written, or earlier entries can't be brought to the disk; nothing
                was added.
            ValueError: the log is closed, or the body is no JSON.
        """
        with self._append_lock:
            if self._closed:
                raise ValueError(f"{self.path} is closed")
            if self._failure is not None:
                raise OSError(self._failure.errno, "the log can't be brought to the disk")
            return self._append(body)

    def sync(self) -> None:
        """Bring all entries to the disk, write down the end, begin a new file where it is time.

        Raises:
            OSError: the disk refuses; entries are refused until it works again.
        """
        with self._sync_lock:
            with self._append_lock:
                head = self._head
                if self._closed or (head == self._synced and self._failure is None):
                    return
            try:
                os.fsync(self._file)
                write_end(self.path, head)
                self._synced = head
                if self._size >= self._rotate_bytes:
                    with self._append_lock:
                        self._rotate()
                self._failure = None
            except OSError as error:
                self._failure = error
                raise

    def close(self) -> None:
        """Bring all to the disk and let go of the file; later appends are refused."""
        self._stopped.set()
        self._thread.join()
        try:
            self.sync()
        finally:
            with self._append_lock:
                if not self._closed:
                    self._closed = True
                    os.close(self._file)
                    os.close(self._lock)

    def _open(self, on_entry: Callable[[Entry], None]) -> None:
        end = written_down(self.path)
        fresh = not self.path.exists() and not rotated_files(self.path)
        if end is None and fresh:
            write_end(self.path, Head())  # so that its absence later shows
            end = Head()
        self._file = _opened(self.path)
        try:
            torn = None
            self._head, kept = start_of(self.path, end), 0
            try:
                for entry, kept in read_file(self.path, self._head, end):  # noqa: B007
                    self._head = Head(entry.index + 1, entry.digest)
                    on_entry(entry)
            except ChainTear as tear:
                torn, kept = tear.rest, tear.offset
            self._size = kept
            if torn is not None:
                self._mend(torn)
            self.sync()
        except BaseException:
            os.close(self._file)
            raise

    def _mend(self, torn: bytes) -> None:
        """Cut a torn end off; it is kept beside the log first."""
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        write_private(self.path.with_name(f"{self.path.stem}.torn-{stamp}"), torn)
        os.ftruncate(self._file, self._size)
        self._append({"log": "mended", "cut_bytes": len(torn), "time": _now()})

    def _append(self, body: Mapping[str, Any]) -> Entry:
        head, entry = self._head.append(body)
        line = (entry.line() + "\n").encode()
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full: no half line may stay
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._head, self._size = head, self._size + len(line)
        return entry

    def _rotate(self) -> None:
        """Begin a new file; what was appended since the last sync goes to the disk with the old."""
        os.fsync(self._file)
        older = rotated_files(self.path)
        number = int(older[-1].stem.rpartition(".")[2]) + 1 if older else 1
        self.path.rename(self.path.with_name(f"{self.path.stem}.{number:06}{self.path.suffix}"))
        file = _opened(self.path)
        os.close(self._file)
        self._file, self._size = file, 0
        self._append({"log": "continued", "time": _now()})

    def _sync_on(self) -> None:
        while not self._stopped.wait(SYNC_SECONDS):
            try:
                self.sync()
            except OSError:
                continue  # told to whoever appends next


def _locked(path: Path) -> int:
    """A lock on the log, held as long as the descriptor is open."""
    descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            f"{path}: another process writes this log; stop that one first, or give this one a "
            "vault of its own"
        ) from error
    return descriptor


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
