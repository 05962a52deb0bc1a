"""From a borrower's id to the keyed hash that stands in the audit record."""

from __future__ import annotations

from pathlib import Path

from federation.errors import InputError
from federation.identifiers import IdentifierRule
from server.desk.audit import KEY_FILE, borrower_hash
from server.desk.prepared import normalised_id


class BorrowerHashes:
    """Hashes ids under the key of an audit record, which is read when the first is asked for.

    Args:
        folder: of the audit record.
        rule: how the models that scored normalise ids.

    Raises:
        InputError: there is no such rule; on the first hash: there is no key.
    """

    def __init__(self, folder: Path, rule: str) -> None:
        """Check the rule."""
        known = [str(one) for one in IdentifierRule]
        if rule not in known:
            raise InputError(f"identifier rule '{rule}' is not known; known are {', '.join(known)}")
        self._rule = IdentifierRule(rule)
        self._path = folder / KEY_FILE
        self._key: bytes | None = None

    def __call__(self, borrower: str) -> str:
        """The hash of one id as the bank writes it."""
        if self._key is None:
            try:
                self._key = self._path.read_bytes()
            except OSError:
                raise InputError(
                    f"{self._path}: the key for borrowers' ids can't be read; it lies beside the "
                    "audit record"
                ) from None
        return borrower_hash(self._key, normalised_id(borrower, self._rule))
