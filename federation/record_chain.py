"""One hash-chained record under the privacy ledger, the disclosure log, lineage and audit.

Every entry holds the digest of the one before, so a changed, dropped or reordered line shows. The
chain itself is pure; who keeps the lines (a party's vault) writes them. Entries are canonical JSON,
one a line: sorted keys, no white space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.errors import InputError

GENESIS = "0" * 64


def canonical_json(value: object) -> str:
    """Sorted keys, no white space, no NaN: the same bytes for the same content."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


@dataclass(frozen=True)
class Entry:
    """One link: its place, its content, and the digest of the entry before."""

    index: int
    previous: str
    body: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over place, predecessor and content."""
        return hashlib.sha256(self.line().encode()).hexdigest()

    def line(self) -> str:
        """The entry as it is stored, without the line's end."""
        content = {"index": self.index, "previous": self.previous, "body": dict(self.body)}
        return canonical_json(content)


@dataclass(frozen=True)
class Head:
    """Where a chain ends: how many entries it has and the last one's digest."""

    length: int = 0
    digest: str = GENESIS

    def append(self, body: Mapping[str, Any]) -> tuple[Head, Entry]:
        """The next entry and the head after it."""
        entry = Entry(self.length, self.digest, body)
        return Head(self.length + 1, entry.digest), entry


def read_chain(lines: Iterable[str], where: str) -> tuple[Head, list[Entry]]:
    """Parse and verify a whole chain.

    Raises:
        InputError: names `where` and the first line that does not follow from the one before.
    """
    head, entries = Head(), []
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            entry = Entry(content["index"], content["previous"], content["body"])
            canonical = entry.line()
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{where}, line {number}: not an entry of a veilscore record chain"
            ) from error
        if canonical != line.rstrip("\n") or entry.index != head.length:
            raise InputError(f"{where}, line {number}: the entry was altered or moved")
        if entry.previous != head.digest:
            raise InputError(
                f"{where}, line {number}: the entry does not follow from the one before; a line "
                "was changed, dropped or inserted"
            )
        head = Head(entry.index + 1, entry.digest)
        entries.append(entry)
    return head, entries
