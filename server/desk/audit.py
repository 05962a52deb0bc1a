"""The desk's audit record: a row a call, one a batch, each chained to the one before.

A row holds no feature and no borrower's id: of the id a keyed hash, so that an auditor who has an
id and the desk's key finds its rows, and nobody else learns who was asked about.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.vault import write_private
from clients.vault.chain_log import ChainLog
from clients.vault.chain_reading import read_log
from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise_one
from federation.record_chain import Entry

KEY_BYTES = 32
HASH_BYTES = 16
LOG_FILE = "audit.jsonl"
KEY_FILE = "borrower-ids.key"


@dataclass
class AuditRow:
    """What is known of one call when it ends; what stays empty is not written.

    Attributes:
        request: the id that the caller was told.
        caller: its name in the access file; empty where it is not known.
        method: 'Score', 'ScoreBatch' and so on.
        status: the gRPC status.
        borrower: the normalised id; only its keyed hash is written.
        borrowers: how many there are in a batch.
        model: digest of the served model.
        variant, score, degraded: of the answer; of a batch, 'degraded' alone.
        decision, rule, policy: of `Decide` and `Attest`.
        claim: of `Attest`: 'pool 7', the contract that pays and the claim's number there.
        attestation: EIP-712 digest of what was signed, in hex.
        refused_before: calls like it since the last row, that have no rows of their own.
    """

    request: str
    method: str
    caller: str = ""
    status: str = "OK"
    borrower: str = ""
    borrowers: int = 0
    model: str = ""
    variant: str = ""
    role: str = ""
    score: int | None = None
    degraded: bool | None = None
    decision: str = ""
    rule: str = ""
    policy: str = ""
    claim: str = ""
    attestation: str = ""
    refused_before: int = 0


class AuditLog:
    """Writes the record; one process at a time.

    Args:
        folder: holds the record and the key for ids; made where it is missing.

    Raises:
        InputError: the record was changed, or another desk writes it.
    """

    def __init__(self, folder: Path) -> None:
        """Open the record and verify it."""
        self._log = ChainLog(folder / LOG_FILE)
        self._key = _key(folder / KEY_FILE)

    def enter(self, row: AuditRow) -> None:
        """Write one row; on return the operating system has it.

        Raises:
            OSError: it can't be written; then nothing may be answered either.
        """
        body: dict[str, Any] = {
            "time_ms": time.time_ns() // 1_000_000,
            "request": row.request,
            "method": row.method,
            "status": row.status,
        }
        if row.borrower:
            body["borrower"] = borrower_hash(self._key, row.borrower)
        for name in _WRITTEN_IF_ANY:
            value = getattr(row, name)
            if value:
                body[name] = value
        if row.score is not None:
            body["score"] = row.score
        if row.degraded is not None:
            body["degraded"] = row.degraded
        self._log.append(body)

    def close(self) -> None:
        """Bring all rows to the disk."""
        self._log.close()


_WRITTEN_IF_ANY = (
    *("caller", "borrowers", "model", "variant", "role"),
    *("decision", "rule", "policy", "claim", "attestation", "refused_before"),
)


def borrower_hash(key: bytes, borrower: str) -> str:
    """The keyed hash of a normalised id, as it stands in rows."""
    return hashlib.blake2b(
        borrower.encode("utf-8", "surrogatepass"), key=key, digest_size=HASH_BYTES
    ).hexdigest()


def audit_rows(folder: Path, borrower: str | None = None) -> Iterator[Entry]:
    """The record's rows in order, each verified against the one before.

    Args:
        folder: where the record is.
        borrower: an id in any spelling; only its rows, whatever rule their models normalise by.

    Raises:
        InputError: there is no record, or a row was changed, dropped or inserted.
    """
    path = folder / LOG_FILE
    if not path.exists():
        raise InputError(f"{path}: there is no audit record; `veilscore serve` writes one")
    wanted: set[str] = set()
    if borrower is not None:
        key = _read_key(folder / KEY_FILE)
        wanted = {borrower_hash(key, normalise_one(borrower, rule)) for rule in IdentifierRule}
    for entry in read_log(path):
        if borrower is None or entry.body.get("borrower") in wanted:
            yield entry


def audit_line(entry: Entry, as_json: bool) -> str:
    """One row to print."""
    if as_json:
        return json.dumps({"row": entry.index} | dict(entry.body), sort_keys=True)
    body = dict(entry.body)
    when = body.pop("time_ms", 0) / 1000
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when)) if when else " " * 19
    rest = " ".join(f"{name}={body[name]}" for name in sorted(body))
    return f"{entry.index:>8}  {stamp}  {rest}"


def _key(path: Path) -> bytes:
    if not path.exists():
        write_private(path, secrets.token_bytes(KEY_BYTES))
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    try:
        key, mode = path.read_bytes(), path.stat().st_mode & 0o777
    except OSError as error:
        raise InputError(
            f"{path}: the key for borrowers' ids can't be read ({error.strerror})"
        ) from error
    if mode & 0o077:
        raise InputError(
            f"{path}: may be read by others than its owner (mode {mode:o}), who could guess ids "
            "of the audit record with it; chmod 600 it"
        )
    if len(key) != KEY_BYTES:
        raise InputError(f"{path}: is no key; restore the file that the desk made")
    return key
