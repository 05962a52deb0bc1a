"""Blocked lists: ids that get no loan, in plain or as keyed hashes.

A list of keyed hashes can be passed around and kept beside the policy: without the key nobody can
try ids against it. One entry a line; empty lines and lines that begin with '#' do not count.

Upper or lower case, outer white space and Unicode's other ways to write a sign take nobody off a
list: an id is looked for as it stands, stripped, and case-folded. So two ids that differ in nothing
else count as one here, whatever rule a model compares borrowers by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise_one

KEY_BYTES = HASH_BYTES = 32
_PURPOSE = b"veilscore block"
_SPELLINGS = (IdentifierRule.STRIP, IdentifierRule.CASEFOLD)
_MOST_FILE_BYTES = 200_000_000


@dataclass(frozen=True)
class BlockedList:
    """A set of blocked ids.

    Attributes:
        entries: ids (UTF-8), or their keyed hashes.
        key: of the hashes; None: the entries are ids.
        digest: SHA-256 of the file's bytes, and of the key's own mark where there is one.
        folded: plain entries, stripped and case-folded.
    """

    entries: frozenset[bytes] = field(repr=False)
    key: bytes | None = field(repr=False)
    digest: str
    folded: frozenset[bytes] = field(default=frozenset(), repr=False)

    def __contains__(self, identifier: str) -> bool:
        """Whether an id is blocked, however it is spelled."""
        forms = {identifier, *(normalise_one(identifier, rule) for rule in _SPELLINGS)}
        encoded = [form.encode("utf-8", "surrogatepass") for form in forms]
        if self.key is None:
            return any(one in self.entries or one in self.folded for one in encoded)
        return any(keyed_hash(self.key, one) in self.entries for one in encoded)


def keyed_hash(key: bytes, identifier: bytes) -> bytes:
    """BLAKE2b of an id under a key, 32 bytes."""
    return hashlib.blake2b(identifier, key=key, digest_size=HASH_BYTES, person=_PURPOSE).digest()


def key_mark(key: bytes) -> bytes:
    """What tells one key from another and nothing else about it."""
    return hashlib.blake2b(key=key, digest_size=HASH_BYTES, person=b"veilscore mark").digest()


def load_key(path: Path) -> bytes:
    """Read a key: 64 hexadecimal digits.

    Raises:
        InputError: there is no such file or it holds something else.
    """
    right = "it must be a file with 64 hexadecimal digits (32 random bytes)"
    try:
        with path.open("rb") as file:
            text = file.read(200).decode("ascii").strip()
        key = bytes.fromhex(text)
    except (OSError, ValueError):
        raise InputError(f"{path}: the key cannot be read; {right}") from None
    if len(key) != KEY_BYTES:
        raise InputError(f"{path}: this is not a key; {right}")
    return key


def load_blocked(path: Path, key: bytes | None) -> BlockedList:
    """Read a blocked list.

    Args:
        path: one entry a line.
        key: where the entries are keyed hashes (64 hexadecimal digits each).

    Raises:
        InputError: the file cannot be read, or a line is no entry; names the line, not the entry.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: the blocked list cannot be read ({error.strerror})") from None
    except ValueError:
        raise InputError(f"{path}: the blocked list's name is no path") from None
    if len(content) > _MOST_FILE_BYTES:
        raise InputError(f"{path}: the blocked list must be at most {_MOST_FILE_BYTES:,} bytes")
    digest = hashlib.sha256(content)
    if key is not None:
        digest.update(key_mark(key))
    entries = frozenset(_entries(content, path, key is not None))
    folded: frozenset[bytes] = frozenset()
    if key is None:
        texts = (entry.decode() for entry in entries)
        folded = frozenset(normalise_one(text, IdentifierRule.CASEFOLD).encode() for text in texts)
    return BlockedList(entries, key, digest.hexdigest(), folded)


def hash_ids(identifiers: Iterable[str], key: bytes) -> Iterator[str]:
    """Lines of a keyed blocked list for normalised ids; the same for the same, sorted."""
    hashes = {keyed_hash(key, one.encode("utf-8", "surrogatepass")) for one in identifiers if one}
    return (one.hex() for one in sorted(hashes))


def _entries(content: bytes, path: Path, hashed: bool) -> Iterator[bytes]:
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        try:
            text = line.decode("utf-8")
            entry = bytes.fromhex(text) if hashed else line
        except ValueError:
            entry = b""
        if not entry or (hashed and len(entry) != HASH_BYTES):
            right = "64 hexadecimal digits" if hashed else "an id in UTF-8"
            raise InputError(f"{path}: line {number} is not an entry; it must be {right}")
        yield entry
