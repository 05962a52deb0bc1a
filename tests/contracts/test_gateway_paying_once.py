"""Whatever is lost, killed or reorganised: the same reference pays once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest

from contracts.gateway.errors import (
    NodeLied,
    OutcomeUnknown,
    ReferenceReused,
    TransactionMoved,
    TransactionVanished,
)
from contracts.gateway.fees import Policy
from contracts.gateway.submissions import State
from contracts.units import Address
from tests.contracts.gateway_accounts import SOON
from tests.contracts.gateway_crasher import process
from tests.contracts.gateway_node import LOSE, NODES, Forward, running_node, unless_missing
from tests.contracts.gateway_purse import SEED, Purse, open_purse


@pytest.fixture(scope="module", params=NODES)
def purse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Purse]:
    """Somebody who pays."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield open_purse(node, tmp_path_factory.mktemp("purse"))


def ended(purse: Purse, to: Address, references: list[str], last: str) -> list[int | None]:
    """Exit statuses of processes that pay 100 each at once, or are killed at a step."""
    where = (purse.node.url, SEED, purse.folder, purse.token.address, to)
    running = [process(*where, reference, last) for reference in references]
    for one in running:
        one.join(60)
    return [one.exitcode for one in running]


@pytest.mark.parametrize("last", ["tried", "stored", "sent", "mined", "confirmed"])
def test_killed_at_any_step_and_run_again_pays_once(purse: Purse, last: str) -> None:
    """SIGKILL between any two steps; the next process finds what the journal and chain have."""
    to = purse.payee()
    assert ended(purse, to, [f"killed-{last}"], last) == [-signal.SIGKILL]
    assert purse.paid(to) == (0 if last in ("tried", "stored") else 100)
    sender = purse.sender()
    receipts = [sender.submit(purse.pay(to), f"killed-{last}") for _ in range(2)]
    assert purse.paid(to) == 100
    assert receipts[0].tx_hash == receipts[1].tx_hash
    assert sender.journal.get(f"killed-{last}").state is State.CONFIRMED


def test_killed_while_the_node_answers_pays_once(purse: Purse) -> None:
    """The node has the transaction and the process dies before it knows."""
    to = purse.payee()
    started = threading.Event()
    running: list[ForkServerProcess] = []

    def hook(method: str, _: list[Any], forward: Forward) -> Any:
        answer = forward()
        if method == "eth_sendRawTransaction":
            started.wait(10)
            running[0].kill()
            return LOSE
        return answer

    with purse.node.hooked(hook):
        where = (purse.node.url, SEED, purse.folder, purse.token.address, to)
        running.append(process(*where, "killed-inside", ""))
        started.set()
        running[0].join(60)
    assert running[0].exitcode == -signal.SIGKILL
    assert purse.paid(to) == 100
    purse.sender().submit(purse.pay(to), "killed-inside")
    assert purse.paid(to) == 100


@pytest.mark.parametrize("arrives", [True, False], ids=["after", "before"])
def test_a_lost_answer_leaves_the_outcome_open_and_a_retry_pays_once(
    purse: Purse, arrives: bool
) -> None:
    """Whether the transaction arrived or not, the caller can't know, and need not."""
    to, reference = purse.payee(), f"lost-{arrives}"

    def hook(method: str, _: list[Any], forward: Forward) -> Any:
        if method != "eth_sendRawTransaction":
            return forward()
        if arrives:
            forward()
        return LOSE

    with purse.node.hooked(hook), pytest.raises(OutcomeUnknown, match=f"'{reference}'") as raised:
        purse.sender().submit(purse.pay(to), reference)
    assert "can't send it twice" in str(raised.value)
    assert purse.paid(to) == (100 if arrives else 0)
    purse.sender().submit(purse.pay(to), reference)
    assert purse.paid(to) == 100


@pytest.mark.parametrize("lost", range(6))
def test_any_single_answer_lost_never_pays_twice(purse: Purse, lost: int) -> None:
    """The n-th answer after signing is lost; the retry ends it."""
    to, reference = purse.payee(), f"any-{lost}"
    after: list[str] = []

    def hook(method: str, _: list[Any], forward: Forward) -> Any:
        answer = forward()
        if after or method == "eth_sendRawTransaction":
            after.append(method)
        return LOSE if len(after) == lost + 1 else answer

    with purse.node.hooked(hook):
        try:
            purse.sender().submit(purse.pay(to), reference)
        except OutcomeUnknown:
            assert len(after) == lost + 1
    purse.sender().submit(purse.pay(to), reference)
    assert purse.paid(to) == 100


def test_a_crash_before_sending_leaves_no_gap_for_the_next(purse: Purse) -> None:
    """What was stored and not sent goes out before what comes after it."""
    first, second = purse.payee(), purse.payee()
    assert ended(purse, first, ["gap-1"], "stored") == [-signal.SIGKILL]
    purse.sender().submit(purse.pay(second), "gap-2")
    assert (purse.paid(first), purse.paid(second)) == (100, 100)
    purse.sender().submit(purse.pay(first), "gap-1")
    assert purse.paid(first) == 100


def test_the_same_reference_for_another_call_is_refused(purse: Purse) -> None:
    """A reference is one call of one account."""
    to = purse.payee()
    sender = purse.sender()
    sender.submit(purse.pay(to), "twice")
    with pytest.raises(ReferenceReused, match="another call"):
        sender.submit(purse.pay(to, 101), "twice")
    assert purse.paid(to) == 100


def test_two_processes_with_one_reference_pay_once(purse: Purse) -> None:
    """Whoever comes first signs; the other finds it."""
    to = purse.payee()
    assert ended(purse, to, ["race", "race"], "") == [0, 0]
    assert purse.paid(to) == 100


def test_two_processes_with_two_references_take_two_nonces(purse: Purse) -> None:
    """One journal deals out the nonces."""
    to = purse.payee()
    assert ended(purse, to, ["pair-0", "pair-1"], "") == [0, 0]
    assert purse.paid(to) == 200


def test_after_a_reorganisation_the_same_bytes_are_sent_again(purse: Purse) -> None:
    """A confirmed payment that the chain forgot is made again, by the same transaction."""
    to = purse.payee()
    with purse.node.forgetting():
        first = purse.sender().submit(purse.pay(to), "reorganised")
        assert purse.paid(to) == 100
    assert purse.paid(to) == 0
    again = purse.sender().submit(purse.pay(to), "reorganised")
    assert purse.paid(to) == 100
    assert again.tx_hash == first.tx_hash


def test_several_payments_forgotten_come_back_in_order(purse: Purse) -> None:
    """The next submission of any reference repairs them all."""
    payees = [purse.payee() for _ in range(3)]
    with purse.node.forgetting():
        for number, to in enumerate(payees):
            purse.sender().submit(purse.pay(to), f"forgotten-{number}")
    purse.sender().submit(purse.pay(payees[0], 7), "after-forgetting")
    assert [purse.paid(to) for to in payees] == [107, 100, 100]


@pytest.mark.parametrize("fate", ["vanished", "moved"])
def test_a_reorganisation_while_waiting_is_named(purse: Purse, fate: str) -> None:
    """A receipt that goes, or goes to another block, before its confirmations."""
    to, looks = purse.payee(), 0
    sender = purse.sender(Policy(deadline=0.6, poll=0.02, confirmations=50))
    hashes: dict[str, str] = {}

    def hook(method: str, parameters: list[Any], forward: Forward) -> Any:
        nonlocal looks
        answer = forward()
        result = answer.get("result")
        if method == "eth_getTransactionReceipt" and result:
            looks += 1
            if looks > 2 and fate == "vanished":
                return {**answer, "result": None}
            if looks > 2:
                number = result["blockNumber"]
                height = int(number, 16) if isinstance(number, str) else number
                moved = {**result, "blockHash": "0x" + "ab" * 32}
                moved["logs"] = [{**log, "blockHash": moved["blockHash"]} for log in result["logs"]]
                hashes[hex(height)] = moved["blockHash"]
                return {**answer, "result": moved}
        if method == "eth_getBlockByNumber" and parameters[0] in hashes and result:
            return {**answer, "result": {**result, "hash": hashes[parameters[0]]}}
        return answer

    kind = TransactionVanished if fate == "vanished" else TransactionMoved
    with purse.node.hooked(hook), pytest.raises(kind, match="reorganised"):
        sender.submit(purse.pay(to), f"while-{fate}")
    purse.sender(SOON).submit(purse.pay(to), f"while-{fate}")
    assert purse.paid(to) == 100


@pytest.mark.parametrize("lie", ["hash", "block", "sender", "answer"])
def test_a_node_that_lies_of_a_payment_is_not_believed(purse: Purse, lie: str) -> None:
    """The receipt of another transaction, block or sender; and the payment is still made once."""
    to = purse.payee()

    def hook(method: str, _: list[Any], forward: Forward) -> Any:
        answer = forward()
        result = answer.get("result")
        if method == "eth_getTransactionReceipt" and result and lie != "answer":
            forged = dict(result)
            if lie == "hash":
                forged["transactionHash"] = "0x" + "cd" * 32
                forged["logs"] = []
            elif lie == "block":
                forged["blockHash"], forged["logs"] = "0x" + "cd" * 32, []
            else:
                forged["from"] = purse.token.address
            return {**answer, "result": forged}
        if method == "eth_sendRawTransaction" and lie == "answer":
            return {**answer, "result": "0x" + "cd" * 32}
        return answer

    with purse.node.hooked(hook), pytest.raises(NodeLied):
        purse.sender().submit(purse.pay(to), f"lie-{lie}")
    purse.sender().submit(purse.pay(to), f"lie-{lie}")
    assert purse.paid(to) == 100
