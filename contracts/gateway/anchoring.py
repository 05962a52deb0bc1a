"""Anchors the head of a hash-chained record file, and checks a file against what was anchored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.gateway.audit_anchor import AuditAnchor, stream_of
from contracts.gateway.calls import Call
from contracts.gateway.errors import RecordRewritten
from contracts.units import Address, Digest
from federation.errors import InputError
from federation.record_chain import Head, read_chain

_MOST_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True)
class Record:
    """A record file, verified: its head and the place of every entry's digest."""

    path: Path
    head: Head
    places: dict[bytes, int]


@dataclass(frozen=True)
class Standing:
    """How a record stands to its stream on chain.

    Attributes:
        entries: of the file.
        anchored_entries: how many of them the newest anchor covers; 0 where nothing is anchored.
        anchored_at: when that was, by the chain's clock.
        sequence: how many anchors the stream has.
    """

    entries: int
    anchored_entries: int
    anchored_at: datetime | None
    sequence: int


def read_record(path: Path) -> Record:
    """Read and verify a whole record file, such as a privacy ledger or a disclosure log.

    Raises:
        InputError: there is none, it is empty, or a line does not follow from the one before.
    """

    def lines() -> Iterator[str]:
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise InputError(f"{path}: larger than {_MOST_BYTES:,} bytes")
            with path.open(encoding="utf-8") as file:
                yield from file
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; name a record of veilscore") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not a record chain: it is no UTF-8") from error

    head, entries = read_chain(lines(), str(path))
    if head.length == 0:
        raise InputError(f"{path}: the record is empty; there is nothing to anchor")
    return Record(path, head, {bytes.fromhex(entry.digest): entry.index + 1 for entry in entries})


def standing(anchor: AuditAnchor, account: Address, stream: str, record: Record) -> Standing:
    """Hold a record against its stream.

    Raises:
        RecordRewritten: what was anchored last is not in the file.
    """
    on_chain = anchor.head(account, stream_of(stream))
    if on_chain.sequence == 0:
        return Standing(record.head.length, 0, None, 0)
    covered = record.places.get(bytes(on_chain.digest))
    if covered is None:
        raise RecordRewritten(
            f"{record.path}: {account} anchored the digest 0x{on_chain.digest.hex()} in stream "
            f"{stream!r} at {on_chain.anchored_at:%Y-%m-%d %H:%M:%S} UTC, and the file has no such "
            "entry: it was rewritten or cut, or is another record."
        )
    return Standing(record.head.length, covered, on_chain.anchored_at, on_chain.sequence)


def anchor_call(anchor: AuditAnchor, account: Address, stream: str, record: Record) -> Call | None:
    """The call that anchors the record's head; None where that was done.

    Raises:
        RecordRewritten: the file does not extend what was anchored before.
    """
    if standing(anchor, account, stream, record).anchored_entries == record.head.length:
        return None
    previous = anchor.head(account, stream_of(stream)).digest
    digest = Digest(bytes.fromhex(record.head.digest))
    return anchor.anchor(stream_of(stream), digest, previous)
