"""From a receivable draft (an invoice that was read and checked) to the debtor's confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from contracts.gateway.errors import MessageError, ValueRefused
from contracts.gateway.gateway import Gateway
from contracts.gateway.signed_message import read_json
from contracts.gateway.solidity_values import checked_address, checked_uint, digest_from_hex
from contracts.gateway.structs import Confirmation
from contracts.units import Address, Digest, OrderId, TokenMinor

NO_ORDER = OrderId(0)


@dataclass(frozen=True)
class DraftFields:
    """What a confirmation takes of a document. `face` in the token's minor units."""

    face: TokenMinor
    due: date
    shipped: date | None
    fingerprint: Digest
    document_hash: Digest


def read_draft(path: Path, decimals: int) -> DraftFields:
    """Read a draft as `veilscore chain documents --json` prints it.

    Args:
        decimals: of the deposit token, to which the currency's minor units are brought.

    Raises:
        MessageError: it is no draft of an invoice, or a field is not what it must be.
    """
    return parse_draft(read_json(path), decimals, str(path))


def parse_draft(draft: Mapping[str, Any], decimals: int, where: str) -> DraftFields:
    """The fields of one draft's JSON object."""
    if draft.get("kind") != "invoice" or draft.get("list", "draft") != "draft":
        raise MessageError(
            f"{where}: not the draft of an invoice; take a line that `veilscore chain documents "
            '--json` prints with "list": "draft".'
        )
    try:
        face = checked_uint(draft.get("face"), 96, "'face'")
        exponent = checked_uint(draft.get("exponent"), 3, "'exponent'")
        if decimals < exponent:
            face, lost = divmod(face, 10 ** (exponent - decimals))
            if lost:
                raise ValueRefused(f"'face' has more digits than the token's {decimals} decimals.")
        else:
            face = checked_uint(face * 10 ** (decimals - exponent), 96, "'face'")
        shipped = draft.get("shipment_date")
        return DraftFields(
            TokenMinor(face),
            day(draft.get("due_date"), "'due_date'"),
            None if shipped is None else day(shipped, "'shipment_date'"),
            digest_from_hex("0x" + str(draft.get("fingerprint")), "'fingerprint'"),
            digest_from_hex("0x" + str(draft.get("document_hash")), "'document_hash'"),
        )
    except ValueRefused as error:
        raise MessageError(f"{where}: {error}") from error


def day(text: object, where: str) -> date:
    """A day as people write it for machines, 2026-03-31."""
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise ValueRefused(f"{where} must be a day such as 2026-03-31.") from error


def confirmation_of(
    gateway: Gateway,
    draft: DraftFields,
    *,
    supplier: Address,
    debtor: Address,
    dispute_days: int,
    valid_days: int,
    order: OrderId = NO_ORDER,
) -> Confirmation:
    """What the debtor is to sign. A due day lasts until its end in UTC.

    The deadline counts from the chain's clock, which is the one that decides.
    """
    days = checked_uint(dispute_days, 16, "The days to dispute in")
    valid = checked_uint(valid_days, 16, "The days that the signature is valid")
    end_of_day = time(23, 59, 59, tzinfo=UTC)
    start_of_day = time(0, 0, 0, tzinfo=UTC)
    now = gateway.chain.header("latest").time
    return Confirmation(
        supplier=checked_address(supplier, "The supplier"),
        debtor=checked_address(debtor, "The debtor"),
        token=gateway.token.address,
        face=draft.face,
        due_date=datetime.combine(draft.due, end_of_day),
        dispute_window=days * 86_400,
        shipped_at=None if draft.shipped is None else datetime.combine(draft.shipped, start_of_day),
        fingerprint=draft.fingerprint,
        revision=gateway.registry.revision(draft.fingerprint),
        document_hash=draft.document_hash,
        order=order,
        deadline=now + timedelta(days=valid),
    )
