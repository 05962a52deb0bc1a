"""Fees, nonces, stuck and refused transactions, and the journal's file."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.gateway import refusals
from contracts.gateway.errors import (
    FeeOverCap,
    GasOverCap,
    JournalError,
    NodeRefused,
    NonceTaken,
    NotMinedInTime,
    ReferenceUnknown,
    SubmissionCancelled,
    TransactionReverted,
    ValueRefused,
)
from contracts.gateway.fees import GWEI, Fee, Policy, first_fee, raised_fee
from contracts.gateway.keystore import Signer
from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.submissions import Attempt, Journal, State
from contracts.units import Address, TokenMinor
from tests.contracts.gateway_accounts import SOON, new_signer, sender_of
from tests.contracts.gateway_node import NODES, Forward, running_node, unless_missing
from tests.contracts.gateway_purse import Purse, open_purse

ME = Address("0x" + "11" * 20)


@pytest.fixture(scope="module", params=NODES)
def purse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Purse]:
    """Somebody who pays."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield open_purse(node, tmp_path_factory.mktemp("purse"))


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    """A node with a pool of waiting transactions, which eth-tester has not."""
    unless_missing("anvil")
    with running_node("anvil") as node:
        yield open_purse(node, tmp_path_factory.mktemp("purse"))


def test_a_dry_run_costs_nothing(purse: Purse) -> None:
    """A refusal is known before anything is signed, and leaves the reference free."""
    sender, to = purse.sender(), purse.payee()
    before = (sender.chain.balance(sender.address), sender.chain.nonce(sender.address))
    with pytest.raises(refusals.ERC20InsufficientBalance) as raised:
        sender.submit(purse.pay(to, 10**12), "too-much")
    assert raised.value.arguments["needed"] == 10**12
    assert before == (sender.chain.balance(sender.address), sender.chain.nonce(sender.address))
    with pytest.raises(ReferenceUnknown):
        sender.journal.get("too-much")
    sender.submit(purse.pay(to, 5), "too-much")
    assert purse.paid(to) == 5


def test_a_fee_or_gas_over_the_cap_is_refused_before_signing(purse: Purse) -> None:
    """The sentence says what it would cost and what the cap is."""
    to = purse.payee()
    with pytest.raises(FeeOverCap, match="the cap is 0.000"):
        purse.sender(Policy(fee_cap=1)).submit(purse.pay(to), "dear")
    with pytest.raises(GasOverCap, match="21,000"):
        purse.sender(Policy(gas_cap=21_000)).submit(purse.pay(to), "hungry")
    for reference in ("dear", "hungry"):
        assert purse.sender().journal.find(reference) is None


def test_several_sends_in_a_row_take_nonces_in_a_row(purse: Purse) -> None:
    """Without waiting for blocks in between."""
    sender, to = purse.sender(), purse.payee()
    sent = [sender.send(purse.pay(to, 1), f"row-{number}") for number in range(4)]
    for submission in sent:
        sender.wait(submission.reference)
    nonces = [submission.nonce for submission in sent]
    assert nonces == list(range(nonces[0], nonces[0] + 4))
    assert purse.paid(to) == 4


def test_an_account_without_coins_is_told_so_and_goes_on_later(purse: Purse) -> None:
    """The node's words are in the sentence; the same reference works once there are coins."""
    poor = Signer(new_signer_without_coins(4711))
    sender = sender_of(purse.node, poor, purse.folder, over_http=True)
    mint = purse.token.mint(poor.address, TokenMinor(3))
    with pytest.raises((NodeRefused, ContractRefusal)) as raised:
        sender.submit(mint, "poor")
    assert "fund" in str(raised.value) or "balance" in str(raised.value)
    purse.node.development.give_coins(poor.address)
    sender.submit(mint, "poor")
    assert purse.token.balance(poor.address) == 3


def new_signer_without_coins(seed: int) -> Any:
    """An account that nobody gave coins."""
    import random

    from eth_account import Account

    return Account.from_key(random.Random(seed).randbytes(32))


def test_a_stuck_transaction_is_replaced_for_a_higher_fee(anvil: Purse) -> None:
    """One of the two is mined, and either way it is paid once."""
    sender, to = anvil.sender(), anvil.payee()
    anvil.node.mining(False)
    try:
        stuck = sender.send(anvil.pay(to), "stuck")
        with pytest.raises(NotMinedInTime, match="raise its fee, or cancel"):
            anvil.sender(Policy(deadline=0.1, poll=0.02)).wait("stuck")
        sender.raise_fee("stuck")
        attempts = sender.journal.attempts(stuck)
        first, second = attempts
        assert second.fee > first.fee * 11 // 10
        anvil.node.mine()
    finally:
        anvil.node.mining(True)
    receipt = sender.wait("stuck")
    assert receipt.tx_hash == second.tx_hash
    assert anvil.paid(to) == 100


def test_waiting_raises_the_fee_by_itself(anvil: Purse) -> None:
    """After the policy's time, and again after it."""
    sender, to = anvil.sender(Policy(deadline=1.2, poll=0.02, raise_after=0.1)), anvil.payee()
    anvil.node.mining(False)
    try:
        with pytest.raises(NotMinedInTime):
            sender.submit(anvil.pay(to), "raises")
        assert len(sender.journal.attempts(sender.journal.get("raises"))) >= 3
        anvil.node.mine()
    finally:
        anvil.node.mining(True)
    anvil.sender().wait("raises")
    assert anvil.paid(to) == 100


def test_a_stuck_transaction_is_cancelled(anvil: Purse) -> None:
    """Its nonce goes to an empty transaction; a retry says so and pays nothing."""
    sender, to = anvil.sender(), anvil.payee()
    anvil.node.mining(False)
    try:
        sender.send(anvil.pay(to), "cancelled")

        def mine(method: str, _: list[Any], forward: Forward) -> Any:
            answer = forward()
            if method == "eth_sendRawTransaction":
                anvil.node.mine()
            return answer

        with anvil.node.hooked(mine):
            sender.cancel("cancelled")
    finally:
        anvil.node.mining(True)
    assert sender.journal.get("cancelled").state is State.CANCELLED
    with pytest.raises(SubmissionCancelled):
        sender.submit(anvil.pay(to), "cancelled")
    assert anvil.paid(to) == 0


def test_what_is_mined_can_not_be_cancelled(purse: Purse) -> None:
    """It stays confirmed."""
    sender, to = purse.sender(), purse.payee()
    sender.submit(purse.pay(to), "too-late")
    sender.cancel("too-late")
    assert sender.journal.get("too-late").state is State.CONFIRMED
    assert purse.paid(to) == 100


def test_a_refusal_when_mined_names_the_contracts_reason(purse: Purse) -> None:
    """The state moved between trying and mining: only gas is gone, and the retry says it again."""
    sender, to = purse.sender(), purse.payee()
    balance = purse.token.balance(purse.signer.address)

    def lie(method: str, parameters: list[Any], forward: Forward) -> Any:
        if method in ("eth_call", "eth_estimateGas") and "latest" not in parameters[1:]:
            if isinstance(parameters[-1], str) and parameters[-1].startswith("0x"):
                return forward()
            return {"jsonrpc": "2.0", "id": 1, "result": "0x" + f"{100_000:064x}"}
        return forward()

    for _ in range(2):
        with purse.node.hooked(lie), pytest.raises(TransactionReverted) as raised:
            sender.submit(purse.pay(to, balance + 1), "refused")
        assert isinstance(raised.value.__cause__, refusals.ERC20InsufficientBalance)
    assert sender.journal.get("refused").state is State.REVERTED
    assert purse.token.balance(purse.signer.address) == balance


def test_a_nonce_that_another_wallet_took_is_named(purse: Purse, tmp_path: Path) -> None:
    """The transaction can't be mined any more, which is not a success."""
    signer = new_signer(purse.node, 99)
    ours = sender_of(purse.node, signer, tmp_path / "ours", Policy(deadline=5, poll=0.02))
    other = sender_of(purse.node, signer, tmp_path / "other")

    class Stop(Exception):
        pass

    def stop(name: str) -> None:
        if name == "stored":
            raise Stop

    ours._step = stop
    with pytest.raises(Stop):
        ours.submit(purse.token.mint(signer.address, TokenMinor(1)), "ours")
    other.submit(purse.token.mint(signer.address, TokenMinor(10)), "other")
    ours._step = lambda _: None
    with pytest.raises(NonceTaken, match="it had no effect"):
        ours.submit(purse.token.mint(signer.address, TokenMinor(1)), "ours")
    assert purse.token.balance(signer.address) == 10


def test_confirmations_are_waited_for(purse: Purse) -> None:
    """Two blocks more, and not before."""
    sender, to = purse.sender(Policy(deadline=0.3, poll=0.02, confirmations=3)), purse.payee()
    with pytest.raises(NotMinedInTime, match="3 blocks"):
        sender.submit(purse.pay(to), "deep")
    assert sender.journal.get("deep").state is State.MINED
    purse.node.mine(2)
    assert sender.submit(purse.pay(to), "deep").succeeded
    assert purse.paid(to) == 100


def test_fees_follow_the_base_fee_and_its_cap() -> None:
    """Twice the base fee and the tip, never over the cap; a raise is more than a tenth."""
    policy = Policy(fee_cap=100 * GWEI)
    assert first_fee(10 * GWEI, GWEI, policy) == Fee(21 * GWEI, GWEI)
    assert first_fee(60 * GWEI, GWEI, policy).most == 100 * GWEI
    with pytest.raises(FeeOverCap):
        first_fee(100 * GWEI, 1, policy)
    raised = raised_fee(Fee(21 * GWEI, GWEI), 10 * GWEI, GWEI, policy)
    assert raised.most > 21 * GWEI * 11 // 10
    assert raised.tip > GWEI * 11 // 10
    with pytest.raises(FeeOverCap):
        raised_fee(Fee(90 * GWEI, GWEI), 10 * GWEI, GWEI, policy)
    for wrong in ({"gas_cap": 20_999}, {"confirmations": 0}, {"deadline": 0}, {"poll": 0}):
        with pytest.raises(ValueRefused):
            Policy(**wrong)  # type: ignore[arg-type]


def test_the_journal_is_its_owners_and_whole(tmp_path: Path) -> None:
    """Mode 0600, nothing of a failed signature, and no use as another file."""
    path = tmp_path / "folder" / "journal"
    journal = Journal(path, "1:00", ME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def fails(_: int) -> Attempt:
        raise KeyError("no key")

    with pytest.raises(KeyError):
        journal.reserve("a", "digest", "name", None, 3, fails)
    assert journal.find("a") is None
    attempt = Attempt(b"h" * 32, b"raw-secret", 1, 1, 1)
    assert journal.reserve("a", "digest", "name", None, 3, lambda _: attempt).nonce == 3
    assert "raw-secret" not in repr(attempt)
    other = Attempt(b"i" * 32, b"", 1, 1, 1)
    assert journal.reserve("b", "digest", "name", None, 3, lambda _: other).nonce == 4
    assert Journal(path, "2:00", ME).find("a") is None
    for reference in ("", "a b", "x" * 201, "ä"):
        with pytest.raises(JournalError, match="printable ASCII"):
            journal.reserve(reference, "digest", "name", None, 3, lambda _: other)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database, but long enough to be one" * 100)
    with pytest.raises(JournalError, match="can't be used"):
        Journal(garbage, "1:00", ME)
    with pytest.raises(JournalError):
        Journal(tmp_path, "1:00", ME)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert SOON.confirmations == 1
