"""[attestations] of desk.toml, read once.

[attestations]
keystore = "attestations/key.json"        # the scoring key, encrypted (Web3 secret storage)
password_file = "attestations/password"   # its password, first line; mode 0600
deployment = "deployment.json"            # where the contracts are
bank = "0x…"                              # the account that has authorised the key on chain
accounts = "accounts.csv"                 # borrower,account: which account is whose
pool_products = ["receivable-advance"]    # of the policy, for which the pool pays
order_products = ["order-loan"]           # and the order contract
validity_seconds = 600                    # from decision to use, 24 hours at most
degraded = false                          # whether scores without a silent party are attested
nonces = "attestation-nonces.db"          # numbers of attestations; desks of one bank share it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from contracts.gateway.deployment_file import read_deployment
from contracts.gateway.solidity_values import ZERO_ADDRESS, checked_address
from contracts.units import Address
from federation.errors import InputError, VeilscoreError
from server.desk.policy.toml_table import Table

MOST_SECONDS = 86_400
"""ScoreAttestation.MAX_LIFETIME: the contract takes no longer ones."""
_KEYS = (
    *("keystore", "password_file", "deployment", "bank", "accounts", "nonces"),
    *("pool_products", "order_products", "validity_seconds", "degraded"),
)


class Consumer(StrEnum):
    """The contract that pays on an attestation."""

    POOL = "pool"
    ORDERS = "orders"


@dataclass(frozen=True)
class AttestationSettings:
    """What is signed, for whom, and with which key.

    Attributes:
        keystore: file of the scoring key; `password_file`, of its password.
        chain_id: of the chain that attestations hold on.
        contract: ScoreAttestation's address there.
        consumers: the paying contracts' addresses.
        bank: the account in whose name the key signs.
        accounts: file of borrowers' accounts.
        products: of the policy, by the contract that pays for them.
        validity_seconds: from `issued_at` to `expiry`.
        degraded: whether degraded scores are attested.
        nonces: file of the counter.
    """

    keystore: Path
    password_file: Path
    chain_id: int
    contract: Address
    consumers: Mapping[Consumer, Address]
    bank: Address
    accounts: Path
    products: Mapping[Consumer, frozenset[str]]
    validity_seconds: int
    degraded: bool
    nonces: Path


def attestation_settings(values: Mapping[str, Any], file: Path) -> AttestationSettings:
    """Read the table.

    Args:
        values: of the table.
        file: desk.toml; relative paths start at its folder.

    Raises:
        InputError: one sentence with table, key, and what would be right.
    """
    table = Table(values, file, "attestations")
    table.allow(*_KEYS)
    products = {
        Consumer.POOL: frozenset(table.names("pool_products")),
        Consumer.ORDERS: frozenset(table.names("order_products")),
    }
    if not any(products.values()):
        raise table.error(
            "names no product; it must have 'pool_products' or 'order_products', a list of the "
            "policy's"
        )
    try:
        deployment = read_deployment(table.path("deployment"))
        bank = checked_address(table.text("bank"), "'bank'")
    except InputError:
        raise
    except VeilscoreError as error:
        raise table.error(f"does not serve: {error}") from error
    if bank == ZERO_ADDRESS:
        raise table.error("has a 'bank' that is nobody's; it must be the bank's account on chain")
    return AttestationSettings(
        keystore=table.path("keystore"),
        password_file=table.path("password_file"),
        chain_id=deployment.chain_id,
        contract=deployment.contracts["attestations"],
        consumers={one: deployment.contracts[str(one)] for one in Consumer},
        bank=bank,
        accounts=table.path("accounts"),
        products=products,
        validity_seconds=table.whole("validity_seconds", least=60, most=MOST_SECONDS, default=600),
        degraded=table.flag("degraded", False),
        nonces=file.parent / table.text("nonces", "attestation-nonces.db", most=1000),
    )
