"""Accounts with coins, and a deployment that they use, for tests of the gateway."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eth_account import Account

from contracts.gateway.connection import Chain
from contracts.gateway.deployment import Plan, deploy
from contracts.gateway.fees import Policy
from contracts.gateway.gateway import Gateway
from contracts.gateway.keystore import Signer
from contracts.gateway.structs import Attestation, Confirmation, LendingTerms
from contracts.gateway.transactions import Sender
from contracts.units import BasisPoints, Digest, OrderId, ReceivableId, TokenMinor
from tests.contracts.gateway_node import Node

SOON = Policy(deadline=5, poll=0.02)
DAY = timedelta(days=1)


def new_signer(node: Node, seed: int) -> Signer:
    """An account with coins for gas, the same for a seed."""
    key = random.Random(seed).randbytes(32)
    signer = Signer(Account.from_key(key))
    node.development.give_coins(signer.address)
    return signer


def sender_of(
    node: Node,
    signer: Signer,
    folder: Path,
    policy: Policy = SOON,
    step: Callable[[str], None] = lambda _: None,
    over_http: bool = False,
) -> Sender:
    """An account that sends, straight to the EVM or through the node's HTTP."""
    chain = Chain.open(node.url, timeout=2) if over_http else node.development.chain
    return Sender(chain, signer, folder / f"{signer.address}.journal", policy, step)


@dataclass
class Market:
    """A deployment with an operator, a bank, a debtor and a supplier; amounts are cents."""

    node: Node
    folder: Path
    operator: Gateway
    bank: Gateway
    debtor: Gateway
    supplier: Gateway
    scorer: Signer
    _serial: int = field(default=0)

    def reference(self) -> str:
        """A new one."""
        self._serial += 1
        return f"test-{self._serial}"

    def now(self) -> datetime:
        """The chain's time."""
        return self.operator.chain.header("latest").time

    def confirmation(self, **changes: object) -> Confirmation:
        """100.00 from the debtor to the supplier in 60 days."""
        self._serial += 1
        usual = Confirmation(
            supplier=self.supplier.account,
            debtor=self.debtor.account,
            token=self.operator.token.address,
            face=TokenMinor(10_000),
            due_date=self.now() + 60 * DAY,
            dispute_window=0,
            shipped_at=datetime(2026, 1, 2, tzinfo=UTC),
            fingerprint=Digest(self._serial.to_bytes(32)),
            revision=0,
            document_hash=Digest(bytes([7]) * 32),
            order=OrderId(0),
            deadline=self.now() + 30 * DAY,
        )
        return replace(usual, **changes)  # type: ignore[arg-type]

    def confirmed(self, **changes: object) -> ReceivableId:
        """A registered receivable."""
        gateway, confirmation = self.supplier, self.confirmation(**changes)
        signature = self.debtor.sender.signer.sign_typed(gateway.registry.typed(confirmation))
        call = gateway.registry.confirm(confirmation, signature)
        return gateway.registry.confirmed(gateway.submit(call, self.reference()))

    def attested(self, number: int, **changes: object) -> tuple[Attestation, bytes]:
        """The bank's attestation of a claim, signed."""
        self._serial += 1
        usual = Attestation(
            bank=self.bank.account,
            consumer=self.bank.pool.address,
            subject=self.supplier.account,
            claim=number,
            model_digest=Digest(bytes([3]) * 32),
            score_band=2,
            advance_cap_bps=BasisPoints(8_000),
            rate_bps=BasisPoints(500),
            recourse=False,
            nonce=self._serial,
            issued_at=self.now(),
            expiry=self.now() + timedelta(hours=1),
        )
        attestation = replace(usual, **changes)  # type: ignore[arg-type]
        return attestation, self.scorer.sign_typed(self.bank.attestations.typed(attestation))


def open_market(node: Node, folder: Path) -> Market:
    """Deploy, admit everybody, and fill the bank's account with 10,000.00."""
    names = ("operator", "bank", "debtor", "supplier", "scorer")
    signers = {name: new_signer(node, number) for number, name in enumerate(names)}
    senders = {name: sender_of(node, signer, folder) for name, signer in signers.items()}
    made = deploy(senders["operator"], Plan(None), folder / "deployment.json")
    gateways = {name: Gateway(node.development.chain, made, senders[name]) for name in names[:4]}
    market = Market(node, folder, *(gateways[name] for name in names[:4]), signers["scorer"])
    operator, bank = market.operator, market.bank
    plenty = TokenMinor(1_000_000)
    calls = [
        (operator, operator.registry.admit_debtor(market.debtor.account)),
        (operator, operator.pool.admit_bank(bank.account, plenty)),
        (bank, bank.attestations.authorise(market.scorer.address, market.now() + 365 * DAY)),
        (bank, bank.token.mint(bank.account, plenty)),
        (bank, bank.token.approve(bank.pool.address, plenty)),
        (bank, bank.pool.deposit(plenty)),
        (bank, bank.pool.set_debtor_limit(market.debtor.account, plenty)),
        (bank, bank.pool.set_supplier_limit(market.supplier.account, plenty)),
        (
            bank,
            bank.pool.set_terms(
                LendingTerms(BasisPoints(8_000), BasisPoints(1_200), BasisPoints(100), 5 * 86_400)
            ),
        ),
        (market.debtor, bank.token.mint(market.debtor.account, plenty)),
        (market.debtor, bank.token.approve(bank.registry.address, plenty)),
        (market.supplier, bank.registry.approve_all(bank.pool.address)),
    ]
    for number, (gateway, call) in enumerate(calls):
        gateway.submit(call, f"market-{number}")
    return market
