"""Messages of a secure sum: parsed defensively, with a checksum against damage on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from cryptography.hazmat.primitives.poly1305 import Poly1305
from google.protobuf.message import DecodeError, Message

from federation.errors import BlamedError, InputError, ProtocolError
from federation.proto.secure_sum_pb2 import Contribution, MaskedTotal
from federation.record_chain import canonical_json

AnyMessage = TypeVar("AnyMessage", bound=Message)
Restored = TypeVar("Restored")
STATE_VERSION = 1


def context(purpose: str, *parts: object) -> bytes:
    """An unambiguous byte string of a purpose and what it is bound to."""
    return canonical_json(["veilscore secure sum 1", purpose, *parts]).encode()


def read_message(kind: type[AnyMessage], data: bytes, party: str) -> AnyMessage:
    """Parse one message.

    Raises:
        ProtocolError: the bytes are no such message; names who sent them.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BlamedError(
            party, f"{len(data)} bytes from {party} are no {kind.__name__}: truncated or damaged"
        ) from error
    return message


def restored(
    kind: type[AnyMessage], data: bytes, make: Callable[[AnyMessage], Restored]
) -> Restored:
    """What `make` makes of a stored state; it raises where the state is not right.

    Raises:
        InputError: the bytes are no such state.
    """
    try:
        state = kind()
        state.ParseFromString(data)
        version = getattr(state, "version", None)
        if version != STATE_VERSION:
            raise ValueError(f"version {version}")
        return make(state)
    except (DecodeError, ValueError, ProtocolError) as error:
        raise InputError(
            f"the stored state of the secure sum ({len(data)} bytes) is damaged or of another "
            "version; the run must be started again"
        ) from error


def checksum(message: Contribution | MaskedTotal, ciphertext: bytes) -> bytes:
    """16 bytes over a message's head and ciphertext: Poly1305 (RFC 8439) with a key anyone knows.

    The ciphertext is passed by itself: every look at a message's bytes copies them.

    It finds damage, no forgery: who may speak for a party is for the transport to say. As a
    keyed hash it is many times faster than SHA-256 here, and a sum's messages are megabytes.
    """
    names = (
        ["contribution", message.party, *message.participants]
        if isinstance(message, Contribution)
        else ["total", *message.survivors]
    )
    head = context("checksum", message.run, message.step, message.key_id.hex(), message.slots)
    key = hashlib.sha256(head + context("checksum of", *names)).digest()
    return Poly1305.generate_tag(key, ciphertext)


def require_whole(message: Contribution | MaskedTotal, ciphertext: bytes, sender: str) -> None:
    """Raise ProtocolError, naming the sender, where a checksum does not fit its message."""
    if message.checksum != checksum(message, ciphertext):
        raise BlamedError(sender, f"the ciphertext from {sender} was damaged on the way")


def require_names(names: Sequence[str], known: Collection[str], what: str) -> list[str]:
    """Names that must be known and in order, each once.

    Raises:
        ProtocolError: they are not; the sentence says `what` they were for.
    """
    listed = list(names)
    if listed != sorted(set(listed)) or not set(listed) <= set(known):
        raise ProtocolError(f"{what} must be names of the roster, in order, each once")
    return listed
