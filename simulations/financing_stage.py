"""What a straight-through financing needs on chain: contracts, a bank with money, claims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from eth_account import Account

from contracts.gateway.calls import Call
from contracts.gateway.deployment import Plan, deploy
from contracts.gateway.fees import Policy
from contracts.gateway.gateway import Gateway
from contracts.gateway.keystore import Signer
from contracts.gateway.receipts import Receipt
from contracts.gateway.structs import Confirmation, LendingTerms
from contracts.gateway.transactions import Sender
from contracts.units import Address, BasisPoints, Digest, OrderId, ReceivableId, TokenMinor
from simulations.development_chain import DevelopmentChain, development_chain

MEMBERS = ("operator", "bank", "debtor", "supplier")
DEPLOYMENT = "deployment.json"
PLENTY = TokenMinor(10**18)
DAYS_TO_DUE = 60


Step = Callable[[str], None]


def _nothing(step: str) -> None:
    return None


@dataclass
class _Steps:
    """Whom the senders tell their steps now."""

    to: Step = _nothing

    def __call__(self, step: str) -> None:
        self.to(step)


@dataclass
class FinancingStage:
    """Contracts on a development chain, and their members with keys.

    Attributes:
        development: the chain.
        gateway: to the contracts, to read.
        folder: with DEPLOYMENT.
        signers: the members' keys.
    """

    development: DevelopmentChain
    gateway: Gateway
    folder: Path
    signers: dict[str, Signer]
    _senders: dict[str, Sender] = field(repr=False)
    _steps: _Steps = field(repr=False)
    _references: int = 0

    def address(self, member: str) -> Address:
        """A member's account."""
        return self.signers[member].address

    def now(self) -> datetime:
        """The chain's time."""
        return self.gateway.chain.header("latest").time

    def submit(self, member: str, call: Call, step: Step = _nothing) -> Receipt:
        """A member sends a call: dry run, transaction, receipt; `step` is told each step's name."""
        self._references += 1
        self._steps.to = step
        return self._senders[member].submit(call, f"stage-{self._references}")

    def dry_run(self, member: str, call: Call) -> bytes:
        """What a member's call would return; raises the contract's refusal."""
        return self._senders[member].dry_run(call)

    def balance(self, member: str) -> TokenMinor:
        """Of the deposit token."""
        return self.gateway.token.balance(self.address(member))

    def authorise(self, signer: Address) -> None:
        """The bank lets a scoring key attest for it, for 30 days."""
        until = self.now() + timedelta(days=30)
        self.submit("bank", self.gateway.attestations.authorise(signer, until))

    def confirmed(self, face: TokenMinor, number: int) -> ReceivableId:
        """An invoice of the supplier on the debtor, signed by the debtor and on chain."""
        registry, now = self.gateway.registry, self.now()
        text = f"invoice {number} of {self.address('supplier')}"
        confirmation = Confirmation(
            supplier=self.address("supplier"),
            debtor=self.address("debtor"),
            token=self.gateway.token.address,
            face=face,
            due_date=now + timedelta(days=DAYS_TO_DUE),
            dispute_window=0,
            shipped_at=None,
            fingerprint=_digest(text),
            revision=0,
            document_hash=_digest(f"{text}.xml"),
            order=OrderId(0),
            deadline=now + timedelta(days=1),
        )
        signature = self.signers["debtor"].sign_typed(registry.typed(confirmation))
        return registry.confirmed(
            self.submit("supplier", registry.confirm(confirmation, signature))
        )


@contextmanager
def financing_stage(kind: str, folder: Path) -> Iterator[FinancingStage]:
    """A deployment with one bank that lends, one debtor, one supplier; gone after the block.

    Args:
        kind: 'anvil', 'eth-tester', or '' for anvil where it is installed.
        folder: for deployment.json and journals.

    Raises:
        InputError, ContractsError: the chain can't be had, or a step failed.
    """
    with development_chain(kind) as development:
        signers = {name: Signer(Account.create()) for name in MEMBERS}
        steps = _Steps()
        senders = {
            name: Sender(
                development.chain, signer, folder / f"{name}.journal", Policy(poll=0.005), steps
            )
            for name, signer in signers.items()
        }
        for signer in signers.values():
            development.give_coins(signer.address)
        deployment = deploy(senders["operator"], Plan(None), folder / DEPLOYMENT)
        gateway = Gateway(development.chain, deployment)
        stage = FinancingStage(development, gateway, folder, signers, senders, steps)
        _prepare(stage)
        yield stage


def _prepare(stage: FinancingStage) -> None:
    """The bank's money, terms and limits; the supplier lets the pool take its leaves."""
    pool, registry, token = stage.gateway.pool, stage.gateway.registry, stage.gateway.token
    bank, debtor, supplier = (stage.address(name) for name in ("bank", "debtor", "supplier"))
    stage.submit("operator", registry.admit_debtor(debtor))
    stage.submit("operator", pool.admit_bank(bank, PLENTY))
    stage.submit("operator", token.mint(bank, PLENTY))
    stage.submit("bank", token.approve(pool.address, PLENTY))
    stage.submit("bank", pool.deposit(PLENTY))
    terms = LendingTerms(BasisPoints(9_500), BasisPoints(1_000), BasisPoints(100), 20 * 86_400)
    stage.submit("bank", pool.set_terms(terms))
    stage.submit("bank", pool.set_debtor_limit(debtor, PLENTY))
    stage.submit("bank", pool.set_supplier_limit(supplier, PLENTY))
    stage.submit("supplier", registry.approve_all(pool.address))


def _digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).digest())
