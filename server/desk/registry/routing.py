"""Which borrowers a challenger answers: a keyed hash of the id, never the order of requests.

A borrower keeps its model for as long as a challenge lasts, over restarts and over all desks, and
when the share grows those that the challenger had stay with it. Whoever does not know the epoch's
key can't choose the model by choosing an id.
"""

from __future__ import annotations

import hashlib
import os

from server.desk.registry.records import MILLION

KEY_BYTES = 16
_SPACE = 1 << 64


def new_epoch_key() -> bytes:
    """A fresh key, from the operating system."""
    return os.urandom(KEY_BYTES)


def epoch_name(key: bytes) -> str:
    """What the event record calls a key: 16 hexadecimal digits that do not give it away."""
    return hashlib.sha256(b"veilscore routing epoch 1" + key).hexdigest()[:16]


def threshold(share_millionths: int) -> int:
    """Borrowers whose place is below it are the challenger's."""
    return share_millionths * _SPACE // MILLION


def place(borrower: str, key: bytes) -> int:
    """A borrower's place (64 bits, uniform) in an epoch; the id is a normalised one."""
    data = borrower.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=key).digest(), "big")
