"""What the chain says of a receivable, an account and a bank, for machines and for people."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from contracts.gateway.gateway import Gateway
from contracts.gateway.refusal import show_amount
from contracts.gateway.refusals import ERC721NonexistentToken
from contracts.gateway.roles import OPERATOR, PAUSER
from contracts.gateway.solidity_values import struct_fields
from contracts.gateway.structs import LoanStatus, ReceivableStatus
from contracts.units import Address, ReceivableId

_MINOR = "_minor"


def status_of(
    gateway: Gateway, receivable: int | None, account: Address | None, bank: Address | None
) -> dict[str, Any]:
    """Facts by section; amounts are minor units under names that end in '_minor'."""
    found: dict[str, Any] = {"deployment": _deployment(gateway)}
    if receivable is not None:
        found["receivable"] = _receivable(gateway, ReceivableId(receivable))
        loan = gateway.pool.loan(ReceivableId(receivable))
        if loan.status is not LoanStatus.NONE:
            owed = gateway.pool.owed(ReceivableId(receivable))
            found["loan"] = _plain(loan) | {
                "owed_fee_minor": owed.fee,
                "owed_interest_minor": owed.interest,
                "owed_principal_minor": owed.principal,
            }
    if account is not None:
        found["account"] = _account(gateway, account)
    if bank is not None:
        found["bank"] = {"address": bank} | _plain(gateway.pool.bank(bank))
        if account is not None:
            found["lines"] = {
                f"{name}_{key}": value
                for name, line in (
                    ("debtor", gateway.pool.debtor_line(bank, account)),
                    ("supplier", gateway.pool.supplier_line(bank, account)),
                )
                for key, value in _plain(line).items()
            }
    return found


def _deployment(gateway: Gateway) -> dict[str, Any]:
    return {
        "chain_id": gateway.chain.chain_id,
        "block": gateway.chain.head(),
        "token": gateway.token.address,
        "symbol": gateway.symbol,
        "decimals": gateway.decimals,
        "operator": gateway.registry.roles.operator(),
        "registry_paused": gateway.registry.roles.is_paused(),
        "pool_paused": gateway.pool.roles.is_paused(),
    }


def _receivable(gateway: Gateway, receivable: ReceivableId) -> dict[str, Any]:
    leaf = gateway.registry.leaf(receivable)
    if leaf.status is ReceivableStatus.NONE:
        return {"id": receivable, "status": "none"}
    try:
        holder: str | None = gateway.registry.holder(receivable)
    except ERC721NonexistentToken:
        holder = None  # split, merged, settled or cancelled: nobody holds it any more
    return (
        {"id": receivable, "holder": holder}
        | _plain(leaf)
        | {"remaining_minor": gateway.registry.remaining(receivable)}
        | _plain(gateway.registry.terms(receivable))
    )


def _account(gateway: Gateway, account: Address) -> dict[str, Any]:
    registry, pool, token = gateway.registry, gateway.pool, gateway.token
    return {
        "address": account,
        "balance_minor": token.balance(account),
        "wei": str(gateway.chain.balance(account)),
        "owes_minor": registry.outstanding(account, token.address),
        "held_by_pool_minor": pool.held_for(account),
        "held_by_registry_minor": registry.held_for(token.address, account),
        "admitted_debtor": registry.is_debtor_admitted(account),
        "registry_operator": registry.roles.has(OPERATOR, account),
        "registry_pauser": registry.roles.has(PAUSER, account),
        "pool_operator": pool.roles.has(OPERATOR, account),
        "pool_pauser": pool.roles.has(PAUSER, account),
    }


def _plain(struct: Any) -> dict[str, Any]:
    """A struct's fields for JSON."""
    found: dict[str, Any] = {}
    for field, described in zip(fields(struct), struct_fields(type(struct)), strict=True):
        value = getattr(struct, field.name)
        if is_dataclass(value):
            found |= _plain(value)
        elif isinstance(value, IntEnum):
            found[field.name] = value.name.lower()
        elif isinstance(value, bytes):
            found[field.name] = "0x" + value.hex()
        elif isinstance(value, datetime):
            found[field.name] = value.isoformat().replace("+00:00", "Z")
        elif described.solidity == "uint96":
            found[field.name + _MINOR] = value
        else:
            found[field.name] = value
    return found


def print_status(found: dict[str, Any], gateway: Gateway) -> None:
    """One table, sections apart; amounts with the token's decimals."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for section, facts in found.items():
        table.add_section()
        table.add_row(Text(section.upper()), "")
        for name, value in facts.items():
            shown = str(value)
            if name.endswith(_MINOR):
                shown = f"{show_amount(int(value), gateway.decimals)} {gateway.symbol}"
            elif name.endswith("_bps"):
                shown = f"{value / 100:.2f}%"
            elif isinstance(value, bool):
                shown = "yes" if value else "no"
            elif value is None:
                shown = "–"
            # Text, since a token's name is a stranger's and no markup.
            table.add_row(Text(name.removesuffix(_MINOR).replace("_", " ")), Text(shown))
    Console().print(table)
