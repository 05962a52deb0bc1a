"""People's signatures under a command, and the document that goes to the device.

Each person has a key of their own (`federation.identity.PartyKey`, Ed25519), which signs for this
purpose apart from all others. A device pins the public keys of everybody who may sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from federation.errors import InputError
from federation.identity import PartyKey, PartyPublicKey, check_pins
from iot.commands.command import Command
from iot.commands.errors import CommandRefused

NEEDED: Final = 2
"""People who must sign."""
MOST_BYTES: Final = 8_192
_MOST_SIGNATURES: Final = 16
_PURPOSE: Final = "immobiliser command"
_SIGNATURE_DIGITS: Final = 128


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's; `signature` is 128 hex digits."""

    person: str
    signature: str


class SignedCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command and who signed it so far."""

    command: Command
    signatures: tuple[Signature, ...] = ()

    def document(self) -> bytes:
        """The JSON that goes from hand to hand, and to the device."""
        return msgspec.json.encode(self)


class People:
    """Everybody who may sign commands.

    Args:
        keys: public keys by name, each somebody's own.

    Raises:
        CommandRefused: there are fewer than two, or two of them have the same key.
    """

    def __init__(self, keys: Mapping[str, PartyPublicKey]) -> None:
        if len(keys) < NEEDED:
            raise CommandRefused(
                f"{len(keys)} may sign commands; {NEEDED} people with keys of their own are needed."
            )
        try:
            # One person with two names would be two people.
            check_pins(keys)
        except InputError as error:
            raise CommandRefused(f"The people who may sign: {error}.") from None
        self._keys = dict(keys)

    def signers(self, signed: SignedCommand) -> frozenset[str]:
        """Who signed; each counts once.

        Raises:
            CommandRefused: a signature is an unknown person's, or not that person's.
        """
        content = signed.command.content
        found: set[str] = set()
        for one in signed.signatures:
            key = self._keys.get(one.person)
            if key is None:
                raise CommandRefused("The command is signed by somebody who may not sign commands.")
            if not key.verifies(_bytes_of(one.signature), _PURPOSE, content):
                raise CommandRefused(
                    f"The signature of '{one.person}' does not fit the command; it was changed "
                    "after signing, or signed with another key."
                )
            found.add(one.person)
        return frozenset(found)

    def check(self, signed: SignedCommand) -> frozenset[str]:
        """Who signed, if they are enough.

        Raises:
            CommandRefused: as `signers`, or fewer than two people signed.
        """
        found = self.signers(signed)
        if len(found) < NEEDED:
            names = ", ".join(sorted(found)) or "nobody"
            raise CommandRefused(
                f"The command is signed by {names}; {NEEDED} different people must sign."
            )
        return found


def sign(signed: SignedCommand, person: str, key: PartyKey) -> SignedCommand:
    """The command with one more signature.

    Raises:
        CommandRefused: this person has signed it already.
    """
    if any(one.person == person for one in signed.signatures):
        raise CommandRefused(f"'{person}' has signed already; somebody else must be the second.")
    signature = key.sign(_PURPOSE, signed.command.content).hex()
    return SignedCommand(signed.command, (*signed.signatures, Signature(person, signature)))


def merged(parts: Iterable[SignedCommand]) -> SignedCommand:
    """One document out of several, which people signed apart from each other.

    Raises:
        CommandRefused: they are of different commands, or there is none.
    """
    documents = list(parts)
    if not documents:
        raise CommandRefused("No signed command was given.")
    command = documents[0].command
    if any(one.command != command for one in documents):
        raise CommandRefused("The documents are of different commands; both must sign the same.")
    signatures = dict.fromkeys(one for part in documents for one in part.signatures)
    return SignedCommand(command, tuple(signatures))


def read_document(document: bytes) -> SignedCommand:
    """A document as `SignedCommand.document` writes it. Nothing is verified yet.

    Raises:
        CommandRefused: it is none.
    """
    if len(document) > MOST_BYTES:
        raise CommandRefused(f"A signed command has at most {MOST_BYTES} bytes.")
    try:
        signed = _decoder.decode(document)
    # The text itself may be no UTF-8, or nested without end.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CommandRefused("The document is no signed command in JSON.") from None
    if len(signed.signatures) > _MOST_SIGNATURES:
        raise CommandRefused(f"A command has at most {_MOST_SIGNATURES} signatures.")
    return signed


def _bytes_of(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits) if len(digits) == _SIGNATURE_DIGITS else b""
    except ValueError:
        return b""


_decoder: Final = msgspec.json.Decoder(SignedCommand)
