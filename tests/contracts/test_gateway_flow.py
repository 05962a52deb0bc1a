"""The gateway over the real contracts, on both nodes: money moves, refusals are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.gateway import refusals
from contracts.gateway.audit_anchor import stream_of
from contracts.gateway.errors import GatewayError
from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import (
    Delivery,
    DisputeSettlement,
    LoanStatus,
    OrderStatus,
    PurchaseOrder,
    ReceivableStatus,
)
from contracts.units import BasisPoints, Digest, ReceivableId, TokenMinor
from tests.contracts.gateway_accounts import DAY, Market, open_market
from tests.contracts.gateway_node import NODES, running_node, unless_missing


@pytest.fixture(scope="module", params=NODES)
def market(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """A deployment with everybody admitted."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield open_market(node, tmp_path_factory.mktemp("market"))


def test_a_receivable_is_confirmed_split_financed_and_paid(market: Market) -> None:
    """Every balance is what it must be, to the cent."""
    supplier, pool, token = market.supplier, market.supplier.pool, market.supplier.token
    receivable = market.confirmed()
    leaf = supplier.registry.leaf(receivable)
    assert (leaf.face, leaf.status) == (10_000, ReceivableStatus.LIVE)
    assert supplier.registry.holder(receivable) == supplier.account
    split = supplier.registry.split(
        receivable, [TokenMinor(6_000), TokenMinor(4_000)], [supplier.account] * 2
    )
    first, second = supplier.registry.children(supplier.submit(split, market.reference()))
    before = token.balance(supplier.account)
    call = pool.finance(first, TokenMinor(4_000), *market.attested(first))
    payout = pool.payout_of(supplier.submit(call, market.reference()))
    assert token.balance(supplier.account) - before == payout
    loan = pool.loan(first)
    assert (loan.status, loan.principal, loan.supplier) == (
        LoanStatus.OPEN,
        4_000,
        supplier.account,
    )
    seconds = int((supplier.registry.terms(first).due_date - loan.accrued_at).total_seconds())  # type: ignore[operator]
    assert (
        abs(4_000 - payout - pool.discount(TokenMinor(4_000), BasisPoints(500), 60 * 86_400)) <= 1
    )
    assert seconds >= 0
    for leaf_id, amount in ((first, 6_000), (second, 4_000)):
        pay = supplier.registry.pay(leaf_id, TokenMinor(amount))
        market.debtor.submit(pay, market.reference())
    assert pool.loan(first).status is LoanStatus.SETTLED
    assert token.balance(supplier.account) - before == payout + 2_000 + 4_000
    assert supplier.registry.leaf(second).status is ReceivableStatus.SETTLED


def test_a_dispute_is_settled_by_the_debtors_signature(market: Market) -> None:
    """What the debtor signed away falls, the rest is owed."""
    registry = market.supplier.registry
    receivable = market.confirmed(dispute_window=86_400)
    reason = Digest(bytes([9]) * 32)
    market.debtor.submit(registry.dispute(receivable, reason), market.reference())
    settlement = DisputeSettlement(receivable, 1, TokenMinor(2_500), market.now() + DAY)
    signature = market.debtor.sender.signer.sign_typed(registry.typed(settlement))
    market.supplier.submit(registry.settle_dispute(settlement, signature), market.reference())
    assert registry.remaining(receivable) == 7_500


def test_an_order_is_financed_drawn_and_converted(market: Market) -> None:
    """The advance is retired by the invoice's own money."""
    orders, supplier = market.supplier.orders, market.supplier
    order = PurchaseOrder(
        supplier.account,
        market.debtor.account,
        TokenMinor(10_000),
        market.now() + 30 * DAY,
        BasisPoints(2_000),
        Digest(bytes([5]) * 32),
        Digest(bytes([6]) * 32),
        market.now() + DAY,
    )
    signer = market.debtor.sender.signer
    accept = orders.accept(order, signer.sign_typed(orders.typed(order)))
    number = orders.accepted(supplier.submit(accept, market.reference()))
    attestation = market.attested(number, consumer=orders.address)
    opening = orders.open_facility(number, TokenMinor(5_000), *attestation)
    supplier.submit(opening, market.reference())
    delivery = Delivery(number, TokenMinor(10_000), Digest(bytes([8]) * 32), market.now() + DAY)
    signed = orders.sign_delivery(delivery, signer.sign_typed(orders.typed(delivery)))
    supplier.submit(signed, market.reference())
    assert orders.drawable(number) > 0
    supplier.submit(orders.draw(number, TokenMinor(1_000)), market.reference())
    assert orders.order(number).principal == 1_000
    confirmation = market.confirmation(order=number)
    debtor_signature = signer.sign_typed(supplier.registry.typed(confirmation))
    converting = orders.convert(
        number, confirmation, debtor_signature, TokenMinor(5_000), *market.attested(number)
    )
    receivable = orders.converted(supplier.submit(converting, market.reference()))
    assert orders.order(number).status is OrderStatus.CONVERTED
    assert supplier.pool.loan(receivable).principal == 5_000


def test_an_anchor_extends_its_stream(market: Market) -> None:
    """The chain remembers digests in order."""
    anchor, stream = market.operator.anchor, stream_of("ledger")
    first, second = Digest(bytes([1]) * 32), Digest(bytes([2]) * 32)
    market.operator.submit(anchor.anchor(stream, first, Digest(bytes(32))), market.reference())
    market.operator.submit(anchor.anchor(stream, second, first), market.reference())
    assert anchor.head(market.operator.account, stream).digest == second
    assert anchor.anchored_at(market.operator.account, stream, first) is not None
    with pytest.raises(refusals.PreviousMismatch):
        market.operator.sender.dry_run(anchor.anchor(stream, Digest(bytes([4]) * 32), first))


def test_our_digests_are_the_contracts(market: Market) -> None:
    """What Python signs is what the contract checks."""
    attestations = market.bank.attestations
    for changes in ({}, {"recourse": True, "claim": 2**255 + 1}, {"nonce": 2**64 - 1}):
        attestation, _ = market.attested(1, **changes)
        assert attestations.digest(attestation) == attestations.typed(attestation).digest()


def refused(market: Market, what: str) -> tuple[type[ContractRefusal], str]:
    """Provoke one refusal; its class and its sentence."""
    supplier, debtor, registry, pool = (
        market.supplier,
        market.debtor,
        market.supplier.registry,
        market.supplier.pool,
    )
    who, call = supplier, None
    if what == "overpaid":
        who, call = debtor, registry.pay(market.confirmed(), TokenMinor(12_000))
    elif what == "nothing":
        who, call = debtor, registry.pay(market.confirmed(), TokenMinor(0))
    elif what == "unknown receivable":
        call = registry.pay(ReceivableId(999_999), TokenMinor(1))
    elif what == "unknown owner":
        registry.holder(ReceivableId(999_999))
    elif what == "not approved":
        call = registry.pay(market.confirmed(), TokenMinor(1))
        who = market.bank
    elif what in ("past due", "wrong token", "altered", "late", "unknown debtor"):
        changes: dict[str, object] = {
            "past due": {"due_date": market.now() - DAY},
            "wrong token": {"token": registry.address},
            "altered": {},
            "late": {"deadline": market.now() - DAY},
            "unknown debtor": {"debtor": supplier.account},
        }[what]
        confirmation = market.confirmation(**changes)
        signature = debtor.sender.signer.sign_typed(registry.typed(confirmation))
        if what == "altered":
            confirmation = replace(confirmation, face=TokenMinor(10_001))
        call = registry.confirm(confirmation, signature)
    elif what == "stranger":
        call = registry.admit_debtor(supplier.account)
    else:
        receivable = market.confirmed()
        hour = timedelta(hours=1)
        attested = {
            "over the cap": {},
            "stale": {"issued_at": market.now() - 2 * hour, "expiry": market.now() - hour},
            "future": {"issued_at": market.now() + hour, "expiry": market.now() + 2 * hour},
            "too long": {"expiry": market.now() + 2 * DAY},
            "other claim": {"claim": 5},
            "other consumer": {"consumer": registry.address},
            "other bank": {"bank": supplier.account},
            "reused": {},
            "over the limit": {},
        }[what]
        attestation, signature = market.attested(receivable, **attested)
        amount = 9_000 if what == "over the cap" else 1_000
        call = pool.finance(receivable, TokenMinor(amount), attestation, signature)
        if what == "reused":
            supplier.submit(call, market.reference())
            debtor.submit(registry.pay(receivable, TokenMinor(10_000)), market.reference())
            again = market.confirmed()
            attestation = replace(attestation, claim=again)
            signature = market.scorer.sign_typed(market.bank.attestations.typed(attestation))
            call = pool.finance(again, TokenMinor(1_000), attestation, signature)
        if what == "over the limit":
            low = pool.set_supplier_limit(supplier.account, TokenMinor(10))
            high = pool.set_supplier_limit(supplier.account, TokenMinor(1_000_000))
            market.bank.submit(low, market.reference())
            try:
                supplier.sender.dry_run(call)
            finally:
                market.bank.submit(high, market.reference())
    if call is not None:
        who.submit(call, market.reference())
    raise AssertionError("not refused")


CASES = {
    "overpaid": (refusals.Overpayment, "120.00 is more than the 100.00 that remain"),
    "nothing": (refusals.ZeroAmount, "the amount is 0"),
    "unknown receivable": (refusals.NotLive, "unknown"),
    "unknown owner": (refusals.ERC721NonexistentToken, "999999"),
    "not approved": (refusals.ERC20InsufficientAllowance, "0.01 is needed"),
    "past due": (refusals.DueDatePassed, "is past"),
    "wrong token": (refusals.TokenNotAdmitted, "not admitted"),
    "altered": (refusals.SignatureInvalid, "not"),
    "late": (refusals.SignatureExpired, "UTC"),
    "unknown debtor": (refusals.DebtorNotAdmitted, "not admitted"),
    "stranger": (refusals.AccessControlUnauthorizedAccount, "lacks the role"),
    "over the cap": (refusals.AdvanceOverCap, "90.00 is more than the 80.00"),
    "stale": (refusals.AttestationExpired, "expired"),
    "future": (refusals.AttestationNotYetValid, "later than the chain's clock"),
    "too long": (refusals.LifetimeTooLong, "seconds"),
    "other claim": (refusals.AttestationMismatch, "another"),
    "other consumer": (refusals.WrongConsumer, "is for the contract"),
    "other bank": (refusals.AdvanceOverCap, "more than the 0.00"),
    "reused": (refusals.NonceUsed, "was used"),
    "over the limit": (refusals.SupplierLimit, "over its limit of 0.10"),
}


@pytest.mark.parametrize("what", CASES)
def test_what_a_contract_refuses_is_named(market: Market, what: str) -> None:
    """The same exception on both nodes, before anything is sent."""
    kind, part = CASES[what]
    nonces = [g.chain.nonce(g.account) for g in (market.debtor,)]
    with pytest.raises(kind) as raised:
        refused(market, what)
    assert part in str(raised.value)
    assert isinstance(raised.value, GatewayError)
    if what not in ("reused",):
        assert [g.chain.nonce(g.account) for g in (market.debtor,)] == nonces
