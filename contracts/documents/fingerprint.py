"""The canonical fingerprint of a document: what makes a second presentation of it show.

HMAC-SHA-256, keyed by a salt that all members of the network share, over a domain tag and three
length-prefixed fields: the seller's tax id, the document's number in canonical spelling, and the
year of issue.

**Why these fields.** A seller's number is unique within its numbering, which restarts with the
year at most; tax law in most places asks for no less. The amount and the buyer are left out on
purpose. A forger who presents an invoice twice changes what pays: the amount, the debtor, the due
date. With these in the fingerprint every changed copy would be a new invoice; without them it
collides with the first presentation, wherever that was, and somebody looks.

**Why a keyed hash.** Tax ids are public and numbers can be guessed, so a plain hash on a public
chain would tell anybody who invoices when, and how much a year. With the salt only members can
test a guess. A member can: the salt keeps out the public, not the network.

**What a collision of two distinct invoices means.** The spelling is folded on purpose
(`spelling.canonical_number`): 'A-12' and 'A 0012' of one seller in one year are taken for the same.
A seller who really uses both is refused the second one, and must be told apart by hand: the cost is
a delay. The other mistake, to take one invoice for two, costs the advance. So what systems respell
by accident is folded (case, separators, zero padding), and what carries meaning is not: the border
of two digit groups stays, so '1-11' is not '11-1'. The folding does not stop a forger who invents a
number: the debtor's confirmation does. Not folded either: letters that look alike in different
scripts, and an invoice issued anew with a date of another year.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import NoReturn

from contracts.documents.draft import DocumentKind, ReviewCode
from contracts.documents.errors import DocumentsError, Unclear
from contracts.documents.spelling import canonical_number, compact_tax_id
from contracts.units import Digest

SALT_BYTES = 32
_TAGS = {
    DocumentKind.INVOICE: b"veilscore invoice v1",
    DocumentKind.ORDER: b"veilscore order v1",
}


class NetworkSalt:
    """The network's shared secret; it is never printed, compared byte by byte, or pickled.

    Args:
        secret: 32 bytes.

    Raises:
        DocumentsError: it has another length.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SALT_BYTES:
            raise DocumentsError(
                f"a network salt of {len(secret)} bytes is none; it must have {SALT_BYTES}"
            )
        self._secret = bytes(secret)

    def __repr__(self) -> str:
        """Say what it is, not which."""
        return "NetworkSalt(hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into something that would be."""
        raise TypeError("a network salt is not to be serialised; keep it in its file")

    @classmethod
    def create(cls, file: Path) -> NetworkSalt:
        """Make a fresh salt in a new file of mode 0600; the other members get it by a safe way.

        Raises:
            DocumentsError: the file is there already, or cannot be made.
        """
        secret = secrets.token_bytes(SALT_BYTES)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise DocumentsError(
                f"{file}: is there already; a new salt would make all fingerprints new, so no file "
                "is overwritten: use this one, or name another"
            ) from None
        except OSError as error:
            raise DocumentsError(
                f"{file}: cannot be made ({error.strerror}); name a file in a folder that this "
                "process may write to"
            ) from None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secret)
            stream.flush()
            os.fsync(stream.fileno())
        return cls(secret)

    @classmethod
    def from_file(cls, file: Path) -> NetworkSalt:
        """Read the network's salt.

        Raises:
            DocumentsError: the file is missing, may be read by others than its owner, or does not
                hold exactly 32 bytes.
        """
        try:
            with file.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                secret = stream.read(SALT_BYTES + 1) if stat.S_ISREG(mode) else b""
        except OSError as error:
            raise DocumentsError(
                f"{file}: cannot be read ({error.strerror}); name the file with the network's salt"
            ) from None
        if mode & 0o077:
            raise DocumentsError(
                f"{file}: may be read by others than its owner (mode {stat.S_IMODE(mode):o}); "
                "with the salt anybody can test guesses against the chain: set it to 600, and "
                "agree on a new one if others may have read it"
            )
        if len(secret) != SALT_BYTES:
            raise DocumentsError(
                f"{file}: is no network salt; it must hold exactly {SALT_BYTES} bytes, the same at "
                "every member"
            )
        return cls(secret)

    def digest(self, message: bytes) -> Digest:
        """HMAC-SHA-256 under the salt."""
        return Digest(hmac.digest(self._secret, message, "sha256"))


def fingerprint(
    salt: NetworkSalt, kind: DocumentKind, seller_tax_id: str, number: str, year: int
) -> Digest:
    """The fingerprint of a document, 32 bytes.

    Args:
        salt: the network's.
        kind: an invoice and an order of one number do not collide.
        seller_tax_id: the seller's, canonical (`tax_ids.canonical_tax_id`); of an order, too.
        number: as the document states it, in any spelling.
        year: of issue.

    Raises:
        Unclear: the number has neither letter nor digit, or the tax id is empty.
    """
    return salt.digest(encoding(kind, seller_tax_id, number, year))


def encoding(kind: DocumentKind, seller_tax_id: str, number: str, year: int) -> bytes:
    """The bytes under the fingerprint: each part behind its length in four bytes, big-endian."""
    spelled, seller = canonical_number(number), compact_tax_id(seller_tax_id)
    if not spelled:
        raise Unclear(
            ReviewCode.FIELD, "its number has neither letter nor digit; state the number as printed"
        )
    if not seller:
        raise Unclear(ReviewCode.TAX_ID, "the seller has no tax id; state it")
    parts = (_TAGS[kind], seller.encode(), spelled.encode(), f"{year:04d}".encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
