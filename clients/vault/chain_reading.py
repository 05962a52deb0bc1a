"""Reading a `ChainLog`: file by file, line by line, every entry verified on the way."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clients.vault.private_files import write_private
from federation.errors import InputError
from federation.record_chain import Entry, Head

# No entry is near as long: a file without line ends is not read into memory whole.
MOST_LINE_BYTES = 1 << 20
# More than a second's entries, which is all that a loss of power can tear.
MOST_TORN_BYTES = 16 << 20
_ROTATED = re.compile(r"\.\d{6,}")


class ChainTear(Exception):
    """The last entries never reached the disk whole; all that were written down did.

    Attributes:
        offset: bytes of the file that are whole.
        rest: what follows them.
    """

    def __init__(self, offset: int, rest: bytes) -> None:
        """Where, and what is there."""
        super().__init__(f"torn after {offset} bytes")
        self.offset = offset
        self.rest = rest


def read_log(path: Path) -> Iterator[Entry]:
    """Every entry of a log, of its older files first; the one who writes it may go on meanwhile.

    Where older files were archived elsewhere, it begins with the oldest that is there: the first
    entry's index shows it.

    Raises:
        InputError: there is no log, a line was changed, dropped or inserted, the last one was torn,
            or a file between others is missing.
    """
    end = written_down(path)
    with contextlib.ExitStack() as stack:
        try:
            # Opened before the others are listed: should it be renamed now, it is read once only.
            current = stack.enter_context(path.open("rb"))
        except FileNotFoundError as error:
            raise InputError(f"{path}: there is no log; nothing was answered yet") from error
        inode = os.fstat(current.fileno()).st_ino
        older = [other for other in rotated_files(path) if other.stat().st_ino != inode]
        head: Head | None = None
        for other in older:
            with other.open("rb") as file:
                for entry, _ in _entries(file, str(other), head, end, may_be_torn=False):
                    head = Head(entry.index + 1, entry.digest)
                    yield entry
        try:
            for entry, _ in _entries(current, str(path), head, end):
                head = Head(entry.index + 1, entry.digest)
                yield entry
        except ChainTear as tear:
            if not _being_written(path):
                raise InputError(
                    f"{path}: the last line was cut off after {tear.offset} bytes; the service "
                    "mends it when it starts"
                ) from tear
        _check_end(path, head or Head(), end)


def read_file(path: Path, start: Head, end: Head | None) -> Iterator[tuple[Entry, int]]:
    """The current file's entries, each with the file's bytes up to its line's end.

    Args:
        path: the file.
        start: where the chain stood before it.
        end: the chain's end as it was written down.

    Raises:
        ChainTear: what follows was torn by a loss of power.
        InputError: the file was changed.
    """
    head = start
    with path.open("rb") as file:
        for entry, offset in _entries(file, str(path), start, end):
            head = Head(entry.index + 1, entry.digest)
            yield entry, offset
    _check_end(path, head, end)


def start_of(path: Path, end: Head | None) -> Head:
    """Where the chain stood before the current file.

    Raises:
        InputError: the file before it can't be read.
    """
    older = rotated_files(path)
    if older:
        line = _last_line(older[-1])
        entry = _parsed(line)
        if entry is None:
            raise InputError(f"{older[-1]}: the last line is no entry of a veilscore record chain")
        return Head(entry.index + 1, entry.digest)
    with path.open("rb") as file:
        entry = _parsed(file.readline(MOST_LINE_BYTES))
    return _claimed_start(entry)


def rotated_files(path: Path) -> list[Path]:
    """The log's older files, the oldest first."""
    found = [
        other
        for other in path.parent.glob(f"{path.stem}.*{path.suffix}")
        if _ROTATED.fullmatch(other.stem.removeprefix(path.stem))
    ]
    return sorted(found, key=lambda other: int(other.stem.rpartition(".")[2]))


def lock_path(path: Path) -> Path:
    """The file whose lock the log's writer holds."""
    return path.with_suffix(".lock")


def written_down(path: Path) -> Head | None:
    """The chain's end as it was last brought to the disk; None where it never was.

    Raises:
        InputError: the file says something else.
    """
    head = path.with_suffix(".head")
    try:
        content = json.loads(head.read_bytes())
        return Head(int(content["length"]), str(content["digest"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{head}: can't be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{head}: is not the written-down end of a log; restore it together with {path.name}"
        ) from error


def write_end(path: Path, head: Head) -> None:
    """Write down where the chain ends."""
    content = {"length": head.length, "digest": head.digest}
    write_private(path.with_suffix(".head"), json.dumps(content).encode() + b"\n")


def _entries(
    file: BinaryIO,
    where: str,
    start: Head | None,
    end: Head | None,
    may_be_torn: bool = True,
) -> Iterator[tuple[Entry, int]]:
    """Verified entries; `start` None: the file says where it begins."""
    head, offset, number = start, 0, 0
    while line := file.readline(MOST_LINE_BYTES):
        number += 1
        entry = _parsed(line)
        if head is None:
            head = _claimed_start(entry)
        if entry is None:
            rest = line + file.read(MOST_TORN_BYTES)
            reached = end is not None and head.length >= end.length
            if may_be_torn and reached and _is_torn(rest):
                raise ChainTear(offset, rest)
            raise InputError(
                f"{where}, line {number}: not an entry of a veilscore record chain, or altered; "
                "put back a copy of the file, or, to go on without it, move the log's files away "
                "together"
            )
        if entry.index != head.length or entry.previous != head.digest:
            raise InputError(
                f"{where}, line {number}: the entry does not follow from the one before; a line "
                "was changed, dropped or inserted"
            )
        head = Head(entry.index + 1, entry.digest)
        if end is not None and head.length == end.length and head.digest != end.digest:
            raise InputError(f"{where}, line {number}: the entry was altered")
        offset += len(line)
        yield entry, offset


def _is_torn(rest: bytes) -> bool:
    """Whether it can be what a loss of power leaves: no whole entry in it, and not too long."""
    short = len(rest) < MOST_TORN_BYTES
    return short and not any(_is_entry(line) for line in rest.splitlines(keepends=True))


def _is_entry(line: bytes) -> bool:
    try:
        content = json.loads(line)
        return isinstance(content, dict) and content.keys() >= {"index", "previous", "body"}
    except (ValueError, RecursionError):
        return False


def _parsed(line: bytes) -> Entry | None:
    """An entry if the line is exactly how one is written."""
    try:
        content = json.loads(line)
        entry = Entry(content["index"], content["previous"], content["body"])
        exact = (entry.line() + "\n").encode() == line
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if exact and type(entry.index) is int else None


def _claimed_start(entry: Entry | None) -> Head:
    """Where a chain stood before an entry that begins a file; its beginning for any other."""
    if entry is not None and entry.body.get("log") == "continued":
        return Head(entry.index, entry.previous)
    return Head()


def _check_end(path: Path, head: Head, end: Head | None) -> None:
    if end is None and head.length:
        raise InputError(
            f"{path.with_suffix('.head')}: was taken away, which says where the log ends; "
            "restore it"
        )
    if end is not None and head.length < end.length:
        raise InputError(
            f"{path}: entries were dropped from its end; there were {end.length}, and "
            f"{head.length} are left"
        )


def _last_line(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_LINE_BYTES))
        return file.read().rstrip(b"\n").rpartition(b"\n")[2] + b"\n"


def _being_written(path: Path) -> bool:
    try:
        with lock_path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
