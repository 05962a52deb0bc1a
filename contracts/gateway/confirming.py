"""From a draft to a registered receivable: the debtor's signature, and its submission."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from contracts.gateway.deposit_token import minor_units
from contracts.gateway.drafts import DraftFields, confirmation_of, day, read_draft
from contracts.gateway.errors import MessageError
from contracts.gateway.gateway import Gateway
from contracts.gateway.keystore import Signer
from contracts.gateway.receipts import Receipt
from contracts.gateway.signed_message import SignedMessage, for_contract, read_signed
from contracts.gateway.solidity_values import checked_address, digest_from_hex
from contracts.gateway.structs import Confirmation
from contracts.gateway.typed_data import signer_of
from contracts.units import ReceivableId


@dataclass(frozen=True)
class Fields:
    """What the command line says of the document: a draft's file, or its fields one by one."""

    draft: Path | None
    face: str | None
    due: str | None
    fingerprint: str | None
    document: str | None

    def read(self, decimals: int) -> DraftFields:
        """The document's fields.

        Raises:
            MessageError: both are given, or neither is whole.
        """
        single = (self.face, self.due, self.fingerprint, self.document)
        if self.draft is not None:
            if any(single):
                raise MessageError("Name --draft, or the fields one by one, not both.")
            return read_draft(self.draft, decimals)
        if self.face is None or not all(single):
            raise MessageError(
                "Name --draft, or all of --face, --due, --fingerprint and --document."
            )
        return DraftFields(
            minor_units(self.face, decimals),
            day(self.due, "--due"),
            None,
            digest_from_hex(self.fingerprint, "--fingerprint"),
            digest_from_hex(self.document, "--document"),
        )


@dataclass(frozen=True)
class Terms:
    """What the debtor agrees to beside the document."""

    supplier: str | None
    dispute_days: int
    valid_days: int


def sign(rpc: str, deployment: Path, debtor: Signer, fields: Fields, terms: Terms) -> SignedMessage:
    """The debtor's signature under what the document says.

    Raises:
        MessageError: a field is missing.
    """
    if terms.supplier is None:
        raise MessageError("Name --supplier: the address of who is owed.")
    gateway = Gateway.open(deployment, rpc)
    confirmation = confirmation_of(
        gateway,
        fields.read(gateway.decimals),
        supplier=checked_address(terms.supplier, "--supplier"),
        debtor=debtor.address,
        dispute_days=terms.dispute_days,
        valid_days=terms.valid_days,
    )
    typed = gateway.registry.typed(confirmation)
    return SignedMessage(typed, debtor.sign_typed(typed))


def read(path: Path) -> SignedMessage:
    """What a debtor signed, from its file."""
    return read_signed(path, Confirmation)


def submit(gateway: Gateway, message: SignedMessage, where: str) -> tuple[ReceivableId, Receipt]:
    """Register the receivable; run again, it finds what it registered.

    Raises:
        MessageError: the message is for another chain or contract, or not signed by its debtor.
    """
    confirmation = message.typed.message
    if not isinstance(confirmation, Confirmation):
        raise MessageError(f"{where}: not a confirmation.")
    own = gateway.registry.typed(confirmation)
    signature = for_contract(message, own, where)
    # A debtor may be a contract that signs by its own rules (ERC-1271): the registry asks it.
    is_account = not gateway.chain.code(confirmation.debtor)
    if is_account and signer_of(own, signature) != confirmation.debtor:
        raise MessageError(
            f"{where}: the signature is not that of the debtor {confirmation.debtor} over these "
            "terms; let the debtor sign them."
        )
    # The digest names the terms: the same terms are one submission, by whomever they are sent.
    reference = f"confirm/{own.digest().hex()}"
    receipt = gateway.submit(gateway.registry.confirm(confirmation, signature), reference)
    return gateway.registry.confirmed(receipt), receipt


def write_new(path: Path, message: SignedMessage) -> None:
    """Write a new file; what is there is not overwritten, for it may be signed too.

    Raises:
        MessageError: there is a file, or it can't be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(message.to_json())
    except OSError as error:
        raise MessageError(f"{path}: {error.strerror}; name a new file.") from error
