"""One invoice's life on a real chain: confirmed, split down two tiers, financed, paid in part, in
default, written off, recovered. Every balance is checked after every step.

What should be is worked out here with plain whole numbers and compared with what the chain says:
balances of the token, the pool's accounts, exposures, what the debtor still owes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from eth_account import Account

from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.deployment import Plan, deploy
from contracts.gateway.fees import Policy
from contracts.gateway.gateway import Gateway
from contracts.gateway.keystore import Signer
from contracts.gateway.receipts import Receipt
from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import Attestation, Confirmation, LendingTerms
from contracts.gateway.transactions import Sender
from contracts.units import Address, BasisPoints, Digest, ReceivableId, TokenMinor
from federation.errors import VeilscoreError
from simulations.development_chain import DevelopmentChain, development_chain

DAY = 86_400
BASIS = 10_000
YEAR = 365 * DAY
RATE, PENALTY, LATE_FEE = 600, 1_000, 100  # basis points: a year, a year, once
CAP, MOST_ADVANCE = 8_000, 9_000
GRACE_DAYS = 10
MEMBERS = ("operator", "bank", "core", "tier-1", "tier-2", "tier-3")


class StoryFailed(VeilscoreError):
    """The chain says something else than it should; the sentence has both."""


@dataclass(frozen=True)
class Step:
    """One line of the timeline.

    Attributes:
        at: the chain's time.
        what: what happened, in words.
        amount: that moved, minor units; None where none did.
        gas: that the transaction took; 0 for what was refused in the dry run.
        refused: the error's name, where the contracts refused it, as they should.
    """

    at: datetime
    what: str
    amount: int | None = None
    gas: int = 0
    refused: str = ""


@dataclass
class Story:
    """The story as it goes on.

    Attributes:
        steps: so far.
        checks: comparisons made so far, all of which held.
        balances: at the end, minor units.
        chain: 'anvil' or 'eth-tester'.
    """

    chain: str
    steps: list[Step] = field(default_factory=list)
    checks: int = 0
    balances: dict[str, int] = field(default_factory=dict)


def tell(kind: str = "", on_step: Callable[[Step], None] = lambda _: None) -> Story:
    """Run the story on a fresh chain.

    Args:
        kind: 'anvil', 'eth-tester', or '' for anvil where it is installed.
        on_step: told each step as it happens.

    Raises:
        StoryFailed: a balance, an exposure or a refusal is not what it should be.
        InputError, ContractsError: the chain can't be had, or refuses what it should not.
    """
    with development_chain(kind) as development, tempfile.TemporaryDirectory() as folder:
        stage = _Stage(development, Path(folder), on_step)
        _act(stage)
        return stage.story


class _Stage:
    """Members with keys, the contracts, and the books that the chain is held against."""

    def __init__(
        self, development: DevelopmentChain, folder: Path, on_step: Callable[[Step], None]
    ) -> None:
        self.development, self.chain = development, development.chain
        self.story = Story(development.kind)
        self._on_step = on_step
        self._references = 0
        policy = Policy(poll=0.02)
        self.signers = {name: Signer(Account.create()) for name in (*MEMBERS, "desk")}
        self._senders = {
            name: Sender(self.chain, self.signers[name], folder / f"{name}.journal", policy)
            for name in MEMBERS
        }
        for name in MEMBERS:
            development.give_coins(self.address(name))
        deployment = deploy(self._senders["operator"], Plan(None), folder / "deployment.json")
        self.gateway = Gateway(self.chain, deployment)
        self.balances = dict.fromkeys((*MEMBERS, "pool", "registry"), 0)
        self.liquidity = self.exposure = self.outstanding = 0

    def address(self, name: str) -> Address:
        if name in ("pool", "registry"):
            return self.gateway.deployment.contracts[name]
        return self.signers[name].address

    def now(self) -> datetime:
        return self.chain.header("latest").time

    def quietly(self, who: str, call: Call) -> Receipt:
        self._references += 1
        return self._senders[who].submit(call, f"story-{self._references}")

    def does(self, who: str, call: Call, what: str, amount: int | None = None) -> Receipt:
        receipt = self.quietly(who, call)
        self._told(Step(self.now(), what, amount, receipt.gas_used))
        return receipt

    def is_refused(self, who: str, call: Call, error: str, what: str) -> None:
        """The contracts must refuse, by this very error, and nothing may be spent."""
        before = self.chain.nonce(self.address(who))
        try:
            self.quietly(who, call)
        except ContractRefusal as refusal:
            name = type(refusal).__name__
            self._same(f"the refusal of '{what}'", name, error)
        else:
            raise StoryFailed(f"'{what}' went through; the contracts must refuse it.")
        self._same("transactions spent on a refusal", self.chain.nonce(self.address(who)), before)
        self._told(Step(self.now(), what, refused=error))

    def passes(self, days: int) -> None:
        self.development.move_time(days * DAY)
        self._told(Step(self.now(), f"{days} days pass"))

    def moves(self, giver: str, taker: str, amount: int) -> None:
        self.balances[giver] -= amount
        self.balances[taker] += amount

    def check(self) -> None:
        """Hold the books against the chain."""
        gateway, bank, core = self.gateway, self.address("bank"), self.address("core")
        token = gateway.token.address
        for name, expected in self.balances.items():
            self._same(
                f"the balance of {name}", gateway.token.balance(self.address(name)), expected
            )
        account = gateway.pool.bank(bank)
        self._same("the bank's liquidity", account.liquidity, self.liquidity)
        self._same("the bank's exposure", account.exposure, self.exposure)
        line = gateway.pool.debtor_line(bank, core)
        self._same("the exposure to the core enterprise", line.exposure, self.exposure)
        supplier = gateway.pool.supplier_line(bank, self.address("tier-3"))
        self._same("the exposure to tier 3", supplier.exposure, self.exposure)
        self._same(
            "what the debtor owes", gateway.registry.outstanding(core, token), self.outstanding
        )

    def _same(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise StoryFailed(f"{what} is {found} on the chain; {expected} is right.")
        self.story.checks += 1

    def _told(self, step: Step) -> None:
        self.story.steps.append(step)
        self._on_step(step)


def _act(stage: _Stage) -> None:
    gateway = stage.gateway
    _prepare(stage)
    stage.check()

    invoice, due = _confirmed(stage, 100_000_00)
    stage.outstanding = 100_000_00
    stage.check()

    parts = stage.does(
        "tier-1",
        gateway.registry.split(
            invoice, _amounts(40_000_00, 60_000_00), _to(stage, "tier-1", "tier-2")
        ),
        "tier 1 keeps 40,000.00 and passes 60,000.00 on to tier 2",
    )
    first, second = gateway.registry.children(parts)
    parts = stage.does(
        "tier-2",
        gateway.registry.split(
            second, _amounts(35_000_00, 25_000_00), _to(stage, "tier-2", "tier-3")
        ),
        "tier 2 keeps 35,000.00 and passes 25,000.00 on to tier 3",
    )
    kept, leaf = gateway.registry.children(parts)
    stage.check()

    principal = 20_000_00
    _financed(stage, leaf, principal, due)

    stage.passes(90 - 1)
    stage.does(
        "core",
        gateway.registry.pay(first, _minor(40_000_00)),
        "the debtor pays tier 1's leaf",
        40_000_00,
    )
    stage.moves("core", "tier-1", 40_000_00)
    stage.does(
        "core",
        gateway.registry.pay(leaf, _minor(8_000_00)),
        "the debtor pays part of tier 3's leaf, to the bank",
        8_000_00,
    )
    stage.moves("core", "pool", 8_000_00)
    principal -= 8_000_00
    stage.liquidity += 8_000_00
    stage.exposure -= 8_000_00
    stage.outstanding -= 48_000_00
    stage.check()

    default = gateway.pool.declare_default(leaf)
    stage.is_refused(
        "bank",
        default,
        "TooEarlyToDefault",
        "the bank declares a default before due date and grace",
    )
    stage.passes(GRACE_DAYS + 20)
    stage.does("bank", default, "the bank declares the loan in default", principal)
    stage.check()
    written_off = stage.does(
        "bank", gateway.pool.write_off(leaf), "the bank writes the loan off", principal
    )
    stage.exposure -= principal
    stage.check()

    _recovered(stage, leaf, principal, due, stage.chain.header(written_off.block_number).time)
    stage.does(
        "core",
        gateway.registry.pay(kept, _minor(35_000_00)),
        "the debtor pays tier 2's leaf, late",
        35_000_00,
    )
    stage.moves("core", "tier-2", 35_000_00)
    stage.outstanding -= 35_000_00
    stage.check()
    stage.does(
        "bank",
        gateway.pool.withdraw(_minor(stage.liquidity)),
        "the bank takes its money out",
        stage.liquidity,
    )
    stage.moves("pool", "bank", stage.liquidity)
    stage.liquidity = 0
    stage.check()
    stage.story.balances = dict(stage.balances)


def _prepare(stage: _Stage) -> None:
    """Who may do what, limits, money; not told, since every network does it once."""
    gateway, pool, registry = stage.gateway, stage.gateway.pool, stage.gateway.registry
    bank, core = stage.address("bank"), stage.address("core")
    many = _minor(2**95)
    stage.quietly("operator", registry.admit_debtor(core))
    stage.quietly("operator", pool.admit_bank(bank, _minor(1_000_000_00)))
    for name, amount in (("bank", 500_000_00), ("core", 200_000_00)):
        stage.quietly("operator", gateway.token.mint(stage.address(name), _minor(amount)))
        stage.balances[name] += amount
    stage.quietly("core", gateway.token.approve(registry.address, many))
    stage.quietly("bank", gateway.token.approve(pool.address, many))
    terms = LendingTerms(
        BasisPoints(MOST_ADVANCE), BasisPoints(PENALTY), BasisPoints(LATE_FEE), GRACE_DAYS * DAY
    )
    stage.quietly("bank", pool.set_terms(terms))
    stage.quietly("bank", pool.set_debtor_limit(core, _minor(200_000_00)))
    stage.quietly("bank", pool.set_supplier_limit(stage.address("tier-3"), _minor(50_000_00)))
    stage.quietly(
        "bank",
        gateway.attestations.authorise(stage.address("desk"), stage.now() + timedelta(days=180)),
    )
    stage.does(
        "bank", pool.deposit(_minor(300_000_00)), "the bank puts money into the pool", 300_000_00
    )
    stage.moves("bank", "pool", 300_000_00)
    stage.liquidity = 300_000_00
    stage.quietly("tier-3", registry.approve_all(pool.address))


def _confirmed(stage: _Stage, face: int) -> tuple[ReceivableId, datetime]:
    registry, now = stage.gateway.registry, stage.now()
    due = now + timedelta(days=90)
    confirmation = Confirmation(
        supplier=stage.address("tier-1"),
        debtor=stage.address("core"),
        token=stage.gateway.token.address,
        face=_minor(face),
        due_date=due,
        dispute_window=0,
        shipped_at=now - timedelta(days=3),
        fingerprint=_digest("invoice 2026-0042"),
        revision=0,
        document_hash=_digest("the invoice's file"),
        order=0,  # type: ignore[arg-type]
        deadline=now + timedelta(days=1),
    )
    stage.is_refused(
        "tier-1",
        registry.confirm(
            confirmation, stage.signers["tier-1"].sign_typed(registry.typed(confirmation))
        ),
        "SignatureInvalid",
        "the supplier signs its own invoice",
    )
    signature = stage.signers["core"].sign_typed(registry.typed(confirmation))
    receipt = stage.does(
        "tier-1",
        registry.confirm(confirmation, signature),
        "the debtor confirms an invoice of tier 1",
        face,
    )
    stage.is_refused(
        "tier-1",
        registry.confirm(confirmation, signature),
        "FingerprintTaken",
        "the same invoice once more",
    )
    return registry.confirmed(receipt), due


def _financed(stage: _Stage, leaf: ReceivableId, principal: int, due: datetime) -> None:
    gateway, now = stage.gateway, stage.now()
    attestation = Attestation(
        bank=stage.address("bank"),
        consumer=gateway.pool.address,
        subject=stage.address("tier-3"),
        claim=leaf,
        model_digest=_digest("default:1"),
        score_band=2,
        advance_cap_bps=BasisPoints(CAP),
        rate_bps=BasisPoints(RATE),
        recourse=True,
        nonce=1,
        issued_at=now,
        expiry=now + timedelta(hours=1),
    )
    signature = stage.signers["desk"].sign_typed(gateway.attestations.typed(attestation))
    over = gateway.pool.finance(leaf, _minor(20_000_01), attestation, signature)
    stage.is_refused("tier-3", over, "AdvanceOverCap", "tier 3 asks for more than the score allows")
    call = gateway.pool.finance(leaf, _minor(principal), attestation, signature)
    receipt = stage.does(
        "tier-3", call, "tier 3 has its leaf financed, and is paid at once", principal
    )
    seconds = int((due - stage.chain.header(receipt.block_number).time).total_seconds())
    discount = -(-principal * RATE * seconds // (BASIS * YEAR))
    stage.moves("pool", "tier-3", principal - discount)
    stage.liquidity -= principal - discount
    stage.exposure += principal
    stage.check()
    stage.is_refused("tier-3", call, "AlreadyFinanced", "tier 3 asks for the same again")
    transfer = gateway.registry.transfer(leaf, stage.address("tier-3"), stage.address("tier-1"))
    stage.is_refused(
        "tier-3", transfer, "ERC721InsufficientApproval", "tier 3 passes the financed leaf on"
    )


def _recovered(
    stage: _Stage, leaf: ReceivableId, principal: int, due: datetime, written_off: datetime
) -> None:
    """The debtor pays after all: late fee, interest up to the write-off, principal, the rest."""
    late = int((written_off - due).total_seconds())
    interest = -(-principal * PENALTY * late // (BASIS * YEAR))
    fee = -(-principal * LATE_FEE // BASIS)
    rest = 25_000_00 - 8_000_00
    stage.does(
        "core",
        stage.gateway.registry.pay(leaf, _minor(rest)),
        "the debtor pays the rest: the bank recovers, tier 3 gets what is left",
        rest,
    )
    to_bank = fee + interest + principal
    stage.moves("core", "pool", to_bank)
    stage.moves("core", "tier-3", rest - to_bank)
    stage.liquidity += to_bank
    stage.outstanding -= rest
    stage.check()


def _minor(amount: int) -> TokenMinor:
    return TokenMinor(amount)


def _amounts(*amounts: int) -> list[TokenMinor]:
    return [TokenMinor(amount) for amount in amounts]


def _to(stage: _Stage, *names: str) -> list[Address]:
    return [stage.address(name) for name in names]


def _digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).digest())


__all__ = ["Chain", "Step", "Story", "StoryFailed", "tell"]
