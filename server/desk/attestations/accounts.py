"""Whose account is whose: a file that the bank keeps, looked at before every signature.

    borrower,account
    0012345678,0x52908400098527886E0F7030069857D2E4169EE7

A borrower may have several accounts; an account is one borrower's only. A file that can't be read
stops the signing: a row that the bank has struck must not be signed for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.gateway.errors import ValueRefused
from contracts.gateway.solidity_values import ZERO_ADDRESS, checked_address
from contracts.units import Address
from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise_one

MOST_BYTES = 64 * 1024 * 1024
_COLUMNS = ["borrower", "account"]


@dataclass(frozen=True)
class _Read:
    """One reading of the file: (borrower as written, account) pairs, and the file's stamp."""

    rows: tuple[tuple[str, Address], ...]
    stamp: tuple[int, ...]


class AccountsFile:
    """The accounts of borrowers; read again whenever the file has changed.

    Args:
        path: of the file.

    Raises:
        InputError: it is missing or wrong; the sentence names the line and shows no id.
    """

    def __init__(self, path: Path) -> None:
        """Read it."""
        self._path = path
        self._read = self._read_now()
        self._owners: dict[IdentifierRule, Mapping[Address, str]] = {}

    def is_of(self, account: Address, borrower: str, rule: IdentifierRule) -> bool:
        """Whether an account is this borrower's.

        Args:
            account: on chain.
            borrower: the normalised id.
            rule: by which it was normalised.

        Raises:
            InputError: the file was changed and can't be used.
        """
        if self._stamp() != self._read.stamp:
            self._read = self._read_now()
            self._owners.clear()
        if rule not in self._owners:
            self._owners[rule] = self._owners_by(rule)
        return bool(borrower) and self._owners[rule].get(account) == borrower

    def _owners_by(self, rule: IdentifierRule) -> Mapping[Address, str]:
        owners: dict[Address, str] = {}
        for line, (borrower, account) in enumerate(self._read.rows, start=2):
            normal = normalise_one(borrower, rule)
            if not normal:
                raise InputError(f"{self._path}: row {line} has no borrower's id; write one")
            if owners.setdefault(account, normal) != normal:
                raise InputError(
                    f"{self._path}: row {line} has an account that another borrower has above; an "
                    "account must be one borrower's"
                )
        return owners

    def _read_now(self) -> _Read:
        # The stamp first: what is written while the file is read is noticed the next time.
        stamp = self._stamp()
        try:
            with self._path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            text = content.decode("utf-8-sig")
        except OSError as error:
            raise InputError(
                f"{self._path}: the accounts can't be read ({error.strerror}); a CSV file with the "
                "columns borrower,account must lie here"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{self._path}: the accounts are not UTF-8 text") from None
        if len(content) > MOST_BYTES:
            raise InputError(f"{self._path}: the accounts must be at most {MOST_BYTES:,} bytes")
        rows = []
        try:
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            if next(reader, None) != _COLUMNS:
                raise InputError(f"{self._path}: the first row must be borrower,account")
            for line, row in enumerate(reader, start=2):
                if len(row) != 2:
                    raise InputError(
                        f"{self._path}: row {line} must have two values, borrower,account"
                    )
                rows.append((row[0], self._account(row[1], line)))
        except csv.Error:
            raise InputError(f"{self._path}: the accounts are not readable CSV") from None
        return _Read(tuple(rows), stamp)

    def _account(self, text: str, line: int) -> Address:
        try:
            account = checked_address(text.strip(), "the account")
        except ValueRefused as error:
            raise InputError(f"{self._path}: row {line}: {error}") from None
        if account == ZERO_ADDRESS:
            raise InputError(f"{self._path}: row {line}: the account of zeros is nobody's")
        return account

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
