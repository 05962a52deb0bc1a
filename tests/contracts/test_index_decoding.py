"""Logs become events by the committed ABIs, and only well-formed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.artifacts import load
from contracts.index.book import Book
from contracts.index.decoding import Event, LogDecoder
from contracts.index.deployment import CONTRACTS, parse_deployment
from contracts.index.derive import advance, advance_all
from contracts.index.errors import (
    AmountTooLarge,
    DeploymentInvalid,
    EventOutOfPlace,
    LogsDoNotMatch,
    MalformedLog,
)
from contracts.index.source import RawLog
from simulations.memory_chain import LogEncoder, address_of, made_deployment

DEPLOYMENT = made_deployment()
DECODER = LogDecoder(DEPLOYMENT.contracts)
ENCODER = LogEncoder(DEPLOYMENT)
EVENTS = [
    (contract, entry)
    for contract, artifact in CONTRACTS.items()
    for entry in load(artifact).abi
    if entry["type"] == "event"
]


def values_of(kind: str) -> st.SearchStrategy[Any]:
    """Every value that a type of Solidity has."""
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=4)
    if kind == "address":
        return st.integers(0, 2**160 - 1).map(lambda number: f"0x{number:040x}")
    if kind == "bytes32":
        return st.binary(min_size=32, max_size=32)
    if kind == "bool":
        return st.booleans()
    return st.integers(0, 2 ** int(kind.removeprefix("uint")) - 1)


def as_stored(value: Any) -> Any:
    """How a value is written in `events`."""
    if isinstance(value, list):
        return [as_stored(item) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value if isinstance(value, str) else str(value)


def raw(contract: str, name: str, **values: Any) -> RawLog:
    """A log of block 5."""
    log = ENCODER.encode(contract, name, values)
    return RawLog(log.address, log.topics, log.data, 5, "0x" + 64 * "5", 3, "0x" + 64 * "6")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_event_comes_back_as_it_was_encoded(data: st.DataObject) -> None:
    """Every event of every contract, with any arguments, is decoded to these arguments."""
    contract, entry = data.draw(st.sampled_from(EVENTS))
    values = {item["name"]: data.draw(values_of(item["type"])) for item in entry["inputs"]}
    event = DECODER.decode(raw(contract, entry["name"], **values), at=99)
    assert event is not None
    assert (event.contract, event.name, event.at) == (contract, entry["name"], 99)
    assert {name: _lower(value) for name, value in event.arguments.items()} == {
        name: as_stored(value) for name, value in values.items()
    }


def _lower(value: Any) -> Any:
    if isinstance(value, list):
        return [_lower(item) for item in value]
    return value.lower() if isinstance(value, str) else value


def test_addresses_have_a_checksum_and_claims_are_found() -> None:
    """Addresses are EIP-55, ids and orders are the claim, and other topics are passed over."""
    # An address of EIP-55's own examples.
    bank = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    log = raw("pool", "LoanSettled", id=7, bank=bank)
    event = DECODER.decode(log, 0)
    assert event is not None
    assert event.claim == "7"
    assert event.text("bank") == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    order = DECODER.decode(raw("orders", "OrderLapsed", order=2**128 + 1), 0)
    assert order is not None
    assert order.claim == str(2**128 + 1)
    assert DECODER.decode(replace(log, topics=(bytes(32),)), 0) is None
    assert DECODER.decode(replace(log, topics=()), 0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"\0"},
        {"topics": None},
        {"topics": "short"},
        {"topics": "wide"},
        {"data": bytes(32)},
    ],
)
def test_malformed_logs_are_named(change: dict[str, Any]) -> None:
    """A log with too little, too much or impossible content is an error that says where."""
    log = raw("pool", "LoanSettled", id=7, bank=address_of(1))
    topics = {
        None: log.topics[:-1],
        "short": (*log.topics[:-1], b"\1"),
        "wide": (*log.topics[:-1], b"\xff" * 32),
    }
    if "topics" in change:
        change = {"topics": topics[change["topics"]]}
    with pytest.raises(MalformedLog, match="Log 3 of block 5 is no LoanSettled"):
        DECODER.decode(replace(log, **change), 0)


def test_numbers_beyond_their_type_and_broken_lists_are_named() -> None:
    """A uint96 above 2**96, a truth value of 2, and a list that points nowhere are errors."""
    paid = raw("registry", "ReceivablePaid", id=1)
    with pytest.raises(MalformedLog, match="above uint96"):
        DECODER.decode(replace(paid, data=b"\xff" * 32 + paid.data[32:]), 0)
    admitted = raw("registry", "DebtorAdmitted", debtor=address_of(1))
    with pytest.raises(MalformedLog, match="truth value"):
        DECODER.decode(replace(admitted, data=(2).to_bytes(32)), 0)
    split = raw("registry", "ReceivableSplit", parent=1, children=[2], faces=[3], holders=[])
    with pytest.raises(MalformedLog, match="no ReceivableSplit"):
        DECODER.decode(replace(split, data=b"\xff" * 32 + split.data[32:]), 0)
    with pytest.raises(LogsDoNotMatch, match="was not asked for"):
        DECODER.decode(replace(split, address="0x" + 40 * "0"), 0)


def decoded(contract: str, name: str, **values: Any) -> Event:
    """An event of our own."""
    event = DECODER.decode(raw(contract, name, **values), 1000)
    assert event is not None
    return event


def confirmed(identifier: int = 1, face: int = 500) -> Event:
    """A receivable comes into being."""
    accounts = {"debtor": address_of(1), "supplier": address_of(2), "token": address_of(3)}
    return decoded("registry", "ReceivableConfirmed", id=identifier, face=face, **accounts)


def test_amounts_that_the_tables_cannot_hold_are_refused() -> None:
    """2**63 - 1 minor units are taken, one more is an error that says what to do."""
    assert advance(Book(), confirmed(face=2**63 - 1))[0]["amount"] == 2**63 - 1
    with pytest.raises(AmountTooLarge, match="'face' is 9223372036854775808"):
        advance(Book(), confirmed(face=2**63))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (confirmed(), "is there already"),
        (decoded("registry", "ReceivablePaid", id=2, amount=1), "receivable 2 is not known"),
        (decoded("registry", "ReceivablePaid", id=1, amount=1, remaining=1), "the index 499"),
        (decoded("registry", "ReceivablePaid", id=1, amount=600, remaining=0), "the index -100"),
        (decoded("pool", "LoanRepaid", id=1, principal=1), "no loan on receivable 1"),
        (decoded("pool", "ReceivableFinanced", id=9, principal=1), "receivable 9 is not known"),
        (decoded("orders", "OrderLapsed", order=2**128 + 1), "is not known"),
        (
            decoded("registry", "ReceivableSplit", parent=1, children=[2], faces=[], holders=[]),
            "not of one length",
        ),
    ],
)
def test_events_that_do_not_fit_are_named(event: Event, why: str) -> None:
    """An event about a claim that the events before it do not account for is an error."""
    book = Book()
    advance_all(book, [confirmed()])
    with pytest.raises(EventOutOfPlace, match=why):
        advance(book, event)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"contracts": []}, "'contracts' must be an object"),
        ({"chain_id": "1"}, "'chain_id' must be a whole number"),
        ({"block": -1}, "'block' must be a whole number"),
        ({"contracts": {"registry": "0x12"}}, "name the registry contract as 0x"),
        ({"contracts": dict.fromkeys([*CONTRACTS, "token"], address_of(1))}, "one address"),
    ],
)
def test_deployment_files_are_checked(change: dict[str, Any], why: str) -> None:
    """A deployment that lacks something is refused by one sentence."""
    whole: dict[str, Any] = {"chain_id": 1, "block": 2, "contracts": dict(DEPLOYMENT.contracts)}
    assert parse_deployment(whole, "file").contracts == DEPLOYMENT.contracts
    with pytest.raises(DeploymentInvalid, match=why):
        parse_deployment(whole | change, "file")
