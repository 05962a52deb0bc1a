"""Seeds that public keys are made under: drawn here, for one caller, once, for ten minutes.

A client that chose the uniform half of its key itself could choose zero, or one with a trapdoor,
and read the weights off a reply. A seed carries its expiry and a MAC, so that drawing one takes no
memory; only those that were used are remembered, until they expire.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from server.desk.encrypted.declined import not_now, wrong

VALID_SECONDS = 600
KEY_SEED_BYTES = 64  # u64 milliseconds of expiry, 24 random, 32 of MAC
_MAC_BYTES = 32


class KeySeeds:
    """Draws seeds and takes them back.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Draw the MAC's key; seeds do not outlive the process."""
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[bytes, int] = {}

    def draw(self, caller: str) -> bytes:
        """A fresh seed for this caller."""
        expires_ms = int((self._clock() + VALID_SECONDS) * 1000)
        body = expires_ms.to_bytes(8, "little") + secrets.token_bytes(24)
        return body + self._mac(body, caller)

    def take(self, seed: bytes, caller: str) -> None:
        """Take a seed back, for good.

        Raises:
            Declined: not drawn here for this caller, expired, or used before.
        """
        body, mac = seed[:-_MAC_BYTES], seed[-_MAC_BYTES:]
        if len(seed) != KEY_SEED_BYTES:
            raise wrong("key_seed", f"{len(seed)} bytes where a seed has {KEY_SEED_BYTES}")
        if not hmac.compare_digest(mac, self._mac(body, caller)):
            raise not_now("key_seed", "not drawn by this desk for this caller; ask for terms anew")
        now_ms = int(self._clock() * 1000)
        expires_ms = int.from_bytes(body[:8], "little")
        if expires_ms < now_ms:
            raise not_now("key_seed", "expired; ask for terms anew")
        if seed in self._used:
            raise not_now("key_seed", "used before; ask for terms anew")
        self._used = {used: until for used, until in self._used.items() if until >= now_ms}
        self._used[seed] = expires_ms

    def _mac(self, body: bytes, caller: str) -> bytes:
        return hmac.digest(self._key, body + caller.encode(), hashlib.sha256)
