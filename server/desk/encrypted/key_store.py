"""Registered public keys, in memory: after a restart, clients register again by themselves."""

from __future__ import annotations

from collections import OrderedDict

from federation.encrypted_scoring.evaluation import PublicKey
from server.desk.encrypted.declined import not_now, wrong

KEY_ID_BYTES = 32


class KeyStore:
    """Keys by id, each usable by the caller that registered it only.

    Args:
        most: held at once; the one that was used longest ago makes room.
        most_of_a_caller: the same for one caller's keys, so that nobody crowds others out.
    """

    def __init__(self, most: int, most_of_a_caller: int) -> None:
        """No key yet."""
        self._most = most
        self._most_of_a_caller = most_of_a_caller
        self._keys: OrderedDict[bytes, tuple[str, PublicKey]] = OrderedDict()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._keys)

    def add(self, caller: str, key: PublicKey) -> None:
        """Keep a key."""
        self._keys[key.key_id] = (caller, key)
        own = [name for name, (owner, _) in self._keys.items() if owner == caller]
        if len(own) > self._most_of_a_caller:
            del self._keys[own[0]]
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def get(self, caller: str, key_id: bytes) -> PublicKey:
        """A caller's key.

        Raises:
            Declined: not one that this caller registered.
        """
        if len(key_id) != KEY_ID_BYTES:
            raise wrong("key_id", f"{len(key_id)} bytes where an id has {KEY_ID_BYTES}")
        owner, key = self._keys.get(key_id, ("", None))
        if key is None or owner != caller:
            raise not_now("key_id", "no key of this caller goes by this id; register one")
        self._keys.move_to_end(key_id)
        return key
