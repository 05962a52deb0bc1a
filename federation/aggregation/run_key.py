"""The run's encryption key: made by the first client by name, wrapped for every other one."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from federation.aggregation.roster import Roster, SealedPair
from federation.aggregation.sum_ciphers import SCHEMES, sum_cipher
from federation.errors import BlamedError, ProtocolError
from federation.proto.secure_sum_pb2 import KeyParcel

KEY_ID_BYTES = 16


def wrap_key(
    roster: Roster, scheme: str, pair: Callable[[str], SealedPair]
) -> tuple[KeyParcel, bytes]:
    """A fresh key: the parcel for everyone, and the secret key itself.

    Raises:
        InputError: there is no such scheme, or it can't serve so many clients.
    """
    secret = sum_cipher(scheme, len(roster.keys)).new_key()
    parcel = KeyParcel(
        run=roster.run,
        party=roster.first,
        roster_digest=roster.digest,
        scheme=scheme,
        key_id=secrets.token_bytes(KEY_ID_BYTES),
    )
    for peer in roster.names[1:]:
        parcel.wrapped[peer] = pair(peer).seal(secret, "key", scheme, parcel.key_id.hex())
    return parcel, secret


def check_parcel(roster: Roster, parcel: KeyParcel) -> None:
    """Check what of a parcel can be seen without opening it.

    Raises:
        ProtocolError: it is of another run or roster, or not from the first client.
    """
    first = roster.first
    if (parcel.run, parcel.roster_digest) != (roster.run, roster.digest):
        raise BlamedError(first, f"the key parcel from {first} is for another run or roster")
    if (
        parcel.party != first
        or parcel.scheme not in SCHEMES
        or len(parcel.key_id) != KEY_ID_BYTES
        or sorted(parcel.wrapped) != roster.names[1:]
    ):
        raise BlamedError(
            first,
            f"a run's key comes from {first}, with its scheme, wrapped for every other client; "
            "this parcel is not that",
        )


def unwrap_key(
    roster: Roster, party: str, parcel: KeyParcel, pair: Callable[[str], SealedPair]
) -> bytes:
    """The secret key, for one of the others.

    Raises:
        ProtocolError: the parcel is not right, or does not open with this client's run key.
    """
    check_parcel(roster, parcel)
    if party not in parcel.wrapped:
        raise ProtocolError(f"{party} made the run's key; there is none wrapped for it")
    secret = pair(roster.first).open(
        parcel.wrapped[party], "key", parcel.scheme, parcel.key_id.hex()
    )
    try:
        sum_cipher(parcel.scheme, len(roster.keys)).check_key(secret)
    except ValueError as error:
        raise BlamedError(
            roster.first, f"the key from {roster.first} is no key of the scheme {parcel.scheme}"
        ) from error
    return secret
