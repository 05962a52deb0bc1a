"""The journal of submissions: what was signed is stored before it is sent, under the client's name.

A reference stands for one call of one account on one chain. Its nonce is fixed with its first
signed transaction; every later attempt (a higher fee, a cancellation) takes the same nonce, and a
chain takes a nonce once. So a retry after a lost answer, a crash or a reorganisation can only send
what was signed before, and can't pay twice.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from contracts.gateway.errors import JournalError, ReferenceReused, ReferenceUnknown
from contracts.units import Address

_REFERENCE = re.compile(r"[!-~]{1,200}", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS submissions (
  chain TEXT NOT NULL, sender TEXT NOT NULL, reference TEXT NOT NULL,
  call_digest TEXT NOT NULL, name TEXT NOT NULL, contract TEXT, nonce INTEGER NOT NULL,
  state TEXT NOT NULL, tx_hash BLOB, block_number INTEGER, block_hash BLOB,
  stored_at INTEGER NOT NULL,
  PRIMARY KEY (chain, sender, reference), UNIQUE (chain, sender, nonce)
) STRICT;
CREATE TABLE IF NOT EXISTS attempts (
  chain TEXT NOT NULL, sender TEXT NOT NULL, nonce INTEGER NOT NULL, number INTEGER NOT NULL,
  tx_hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL, fee INTEGER NOT NULL, tip INTEGER NOT NULL,
  gas INTEGER NOT NULL, cancels INTEGER NOT NULL, stored_at INTEGER NOT NULL,
  PRIMARY KEY (chain, sender, nonce, number)
) STRICT;
"""
_FIND = """
SELECT reference, call_digest, name, contract, nonce, state, tx_hash, block_number, block_hash
FROM submissions WHERE chain = ? AND sender = ? AND reference = ?
"""
_FROM_NONCE = """
SELECT reference, call_digest, name, contract, nonce, state, tx_hash, block_number, block_hash
FROM submissions WHERE chain = ? AND sender = ? AND nonce >= ? ORDER BY nonce
"""


class State(StrEnum):
    """How far a submission is."""

    STORED = "stored"  # signed and stored; perhaps on its way
    SENT = "sent"  # a node took it
    MINED = "mined"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"  # mined, and refused by the contract
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Attempt:
    """One signed transaction of a submission. `fee` and `tip` in wei for each unit of gas."""

    tx_hash: bytes
    raw: bytes
    fee: int
    tip: int
    gas: int
    cancels: bool = False

    def __repr__(self) -> str:
        """Without the signed bytes: whoever has them can send them."""
        return f"Attempt(0x{self.tx_hash.hex()})"


@dataclass(frozen=True)
class Submission:
    """A client reference and what it stands for."""

    reference: str
    call_digest: str
    name: str
    contract: str | None
    nonce: int
    state: State
    tx_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None


class Journal:
    """The submissions of one account on one chain, in an SQLite file of mode 0600."""

    def __init__(self, path: Path, chain: str, sender: Address) -> None:
        """Open or make the file.

        Args:
            path: the file; several chains and accounts may share it.
            chain: the chain id and the genesis block's hash.
            sender: the account.

        Raises:
            JournalError: the file can't be used.
        """
        self.path, self._chain, self._sender = path, chain, sender.lower()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its own side files the mode of the main file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            with self._connection() as connection:
                connection.executescript(_SCHEMA)
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}.") from error

    def find(self, reference: str) -> Submission | None:
        """The submission of a reference."""
        with self._connection() as connection:
            return self._find(connection, reference)

    def get(self, reference: str) -> Submission:
        """The submission of a reference.

        Raises:
            ReferenceUnknown: there is none.
        """
        found = self.find(reference)
        if found is None:
            raise ReferenceUnknown(f"{self.path}: no submission has the reference {reference!r}.")
        return found

    def reserve(
        self,
        reference: str,
        call_digest: str,
        name: str,
        contract: str | None,
        chain_nonce: int,
        sign: Callable[[int], Attempt],
    ) -> Submission:
        """Take the next nonce, sign with it, and store both in one transaction.

        Another process that came first with the same reference wins; its submission is returned.

        Args:
            chain_nonce: how many transactions the chain has of the account.
            sign: makes the signed transaction of a nonce.

        Raises:
            ReferenceReused: the reference stands for another call.
        """
        checked_reference(reference)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = self._find(connection, reference)
            if found is None:
                last = connection.execute(
                    "SELECT max(nonce) FROM submissions WHERE chain = ? AND sender = ?",
                    (self._chain, self._sender),
                ).fetchone()[0]
                nonce = max(chain_nonce, -1 if last is None else last + 1, 0)
                attempt = sign(nonce)
                connection.execute(
                    "INSERT INTO submissions (chain, sender, reference, call_digest, name, "
                    "contract, nonce, state, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(self._chain, self._sender, reference, call_digest, name, contract),
                        *(nonce, State.STORED.value, int(time.time())),
                    ),
                )
                self._add(connection, nonce, attempt)
                found = self._find(connection, reference)
            connection.execute("COMMIT")
        if found is None:
            raise JournalError(f"{self.path}: what was stored is not there; is the disk sound?")
        return same_call(found, call_digest)

    def add_attempt(self, submission: Submission, attempt: Attempt) -> None:
        """Store another signed transaction with the submission's nonce."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._add(connection, submission.nonce, attempt)
            connection.execute("COMMIT")

    def attempts(self, submission: Submission) -> list[Attempt]:
        """The signed transactions of a submission, oldest first."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT tx_hash, raw, fee, tip, gas, cancels FROM attempts WHERE chain = ? AND "
                "sender = ? AND nonce = ? ORDER BY number",
                (self._chain, self._sender, submission.nonce),
            ).fetchall()
        return [Attempt(h, raw, fee, tip, gas, bool(c)) for h, raw, fee, tip, gas, c in rows]

    def record(
        self,
        reference: str,
        state: State,
        tx_hash: bytes | None = None,
        block_number: int | None = None,
        block_hash: bytes | None = None,
    ) -> None:
        """Note how far a submission is, and in which block."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE submissions SET state = ?, tx_hash = ?, block_number = ?, block_hash = ? "
                "WHERE chain = ? AND sender = ? AND reference = ?",
                (
                    *(state.value, tx_hash, block_number, block_hash),
                    *(self._chain, self._sender, reference),
                ),
            )

    def from_nonce(self, nonce: int) -> list[Submission]:
        """Submissions with this nonce or a later one, in order."""
        with self._connection() as connection:
            rows = connection.execute(
                _FROM_NONCE,
                (self._chain, self._sender, nonce),
            ).fetchall()
        return [_submission(row) for row in rows]

    def _find(self, connection: sqlite3.Connection, reference: str) -> Submission | None:
        row = connection.execute(
            _FIND,
            (self._chain, self._sender, reference),
        ).fetchone()
        return None if row is None else _submission(row)

    def _add(self, connection: sqlite3.Connection, nonce: int, attempt: Attempt) -> None:
        connection.execute(
            "INSERT INTO attempts SELECT ?, ?, ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, "
            "? FROM attempts WHERE chain = ? AND sender = ? AND nonce = ?",
            (
                *(self._chain, self._sender, nonce, attempt.tx_hash, attempt.raw, attempt.fee),
                *(attempt.tip, attempt.gas, int(attempt.cancels), int(time.time())),
                *(self._chain, self._sender, nonce),
            ),
        )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own each time: threads and forks share nothing."""
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            connection.execute("PRAGMA synchronous = EXTRA")
            yield connection
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: the journal can't be used: {error}.") from error
        finally:
            if connection is not None:
                connection.close()  # what was not committed is undone


def checked_reference(reference: str) -> str:
    """A client reference: 1 to 200 printable ASCII characters without blanks.

    Raises:
        JournalError: it is not.
    """
    if _REFERENCE.fullmatch(reference) is None:
        raise JournalError(
            "A reference must be 1 to 200 printable ASCII characters without blanks, such as "
            "'invoice-4711'."
        )
    return reference


def same_call(submission: Submission, call_digest: str) -> Submission:
    """The submission, if it is of this call.

    Raises:
        ReferenceReused: it is of another.
    """
    if submission.call_digest != call_digest:
        raise ReferenceReused(
            f"The reference {submission.reference!r} stands for another call "
            f"({submission.name}); use a reference of its own for each."
        )
    return submission


def _submission(row: tuple[object, ...]) -> Submission:
    reference, digest, name, contract, nonce, state, *place = row
    return Submission(reference, digest, name, contract, nonce, State(str(state)), *place)  # type: ignore[arg-type]
