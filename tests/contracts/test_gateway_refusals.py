"""Every error of every contract has its exception, equal on both kinds of node."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from typing import Any, get_type_hints

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from web3.exceptions import ContractLogicError

from contracts import artifacts
from contracts.gateway.calls import Call
from contracts.gateway.errors import GatewayError
from contracts.gateway.node_errors import revert_data
from contracts.gateway.refusal import (
    ContractMessage,
    ContractPanic,
    ContractRefusal,
    NoReason,
    UnknownRefusal,
    known_refusals,
    refusal_of,
)
from contracts.gateway.solidity_values import snake
from contracts.units import Address
from tests.contracts.gateway_node import running_node, unless_missing

ECHO = bytes.fromhex("366000600037366000fd")
"""A contract that refuses every call with the call's own data."""


def abi_errors() -> dict[bytes, dict[str, Any]]:
    """Selector → error, over all committed contracts."""
    found = {}
    for name in artifacts.names():
        for entry in artifacts.load(name).abi:
            if entry["type"] == "error":
                types = ",".join(part["type"] for part in entry["inputs"])
                found[keccak(text=f"{entry['name']}({types})")[:4]] = dict(entry)
    return found


ERRORS = abi_errors()


def example(selector: bytes, seed: int = 1) -> bytes:
    """An error's data with drawn arguments."""
    draw = random.Random(seed)
    kind = known_refusals()[selector]
    hints = get_type_hints(kind)
    values: list[object] = []
    for name, solidity in zip(kind._names, kind._types, strict=True):
        hint = hints[name]
        if solidity == "address":
            values.append("0x" + draw.randbytes(20).hex())
        elif solidity == "bytes32":
            values.append(draw.randbytes(32))
        elif solidity == "string":
            values.append("some text")
        elif isinstance(hint, type) and issubclass(hint, IntEnum):
            values.append(draw.choice(list(hint)).value)
        elif hint is datetime:
            values.append(draw.randrange(2**33))
        else:
            values.append(draw.randrange(2 ** min(int(solidity[4:]), 90)))
    return selector + encode(list(kind._types), values)


def test_every_error_of_the_committed_abis_has_a_class_of_its_own() -> None:
    """Same arguments by name; and no class is of an error that no contract has."""
    known = known_refusals()
    assert set(known) == set(ERRORS)
    for selector, kind in known.items():
        entry = ERRORS[selector]
        assert kind.__name__.endswith(entry["name"])
        names = [snake(part["name"]) for part in entry["inputs"]]
        if len(names) == len(set(names)) and entry["name"] not in SHARED:
            assert list(kind._names) == names
        assert kind.__doc__
        assert set(kind._names) <= set(get_type_hints(kind))


SHARED = {"FingerprintTaken", "NotTheBank", "NotTheSupplier"}
"""Equal signatures whose argument is a receivable in one contract and an order in another."""


@pytest.mark.parametrize("selector", sorted(ERRORS), ids=lambda s: ERRORS[s]["name"])
def test_every_sentence_is_one_and_whole(selector: bytes) -> None:
    """It begins large, ends with a point, and leaves no placeholder."""
    data = example(selector)
    error = refusal_of(data, "ReceivableRegistry.pay", 2)
    assert type(error) is known_refusals()[selector]
    text = str(error)
    assert text.endswith(".")
    assert text.isprintable()
    assert "{" not in text
    assert text[0].isupper() or text[0].isdigit()
    assert error.data == data
    assert isinstance(error, GatewayError)
    for name, value in error.arguments.items():
        assert getattr(error, name) == value


class Echoes:
    """A node's contract that refuses as it is told."""

    def __init__(self, kind: str, chain: Any) -> None:
        """Deploy it."""
        self.kind, self.chain = kind, chain
        size = len(ECHO)
        init = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + ECHO
        web3 = chain.web3
        account = web3.eth.accounts[0]
        sent = web3.eth.send_transaction({"from": account, "data": init, "gas": 200_000})
        made = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
        self.address, self.account = Address(made["contractAddress"]), Address(account)

    def refusals(self, data: bytes) -> list[ContractRefusal]:
        """What a call, and what an estimate, raise."""
        call, raised = Call(self.address, data, "Echo.call"), []
        for action in (self.chain.call, self.chain.estimate):
            with pytest.raises(ContractRefusal) as error:
                action(call, self.account)
            raised.append(error.value)
        return raised


@pytest.fixture(scope="module", params=["eth-tester", "anvil"])
def echoes(request: pytest.FixtureRequest) -> Iterator[Echoes]:
    """A real EVM that refuses with any bytes."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield Echoes(request.param, node.development.chain)


def test_every_error_is_the_same_exception_on_every_node(echoes: Echoes) -> None:
    """A real revert with each error's bytes, by call and by estimate."""
    for number, selector in enumerate(sorted(ERRORS)):
        if echoes.kind == "eth-tester" and ERRORS[selector]["name"] == "StringTooLong":
            continue  # its estimate drops the selector of an error that is one string
        data = example(selector, number)
        expected = refusal_of(data, "Echo.call")
        for error in echoes.refusals(data):
            assert type(error) is type(expected)
            assert (str(error), error.arguments, error.data) == (
                str(expected),
                expected.arguments,
                data,
            )


STRANGE = {
    "nothing": (b"", NoReason, "without a reason"),
    "unknown": (b"\x01\x02\x03\x04" + bytes(32), UnknownRefusal, "0x01020304"),
    "short": (b"\x01", UnknownRefusal, "0x01"),
    "a text": (
        keccak(text="Error(string)")[:4] + encode(["string"], ['it\'s "quoted" émigré']),
        ContractMessage,
        "it's",
    ),
    "a panic": (
        keccak(text="Panic(uint256)")[:4] + encode(["uint256"], [0x11]),
        ContractPanic,
        "overflow",
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_no_contract_of_ours_says_is_kept(echoes: Echoes, strange: str) -> None:
    """Hex stays hex, a text stays a text."""
    data, kind, part = STRANGE[strange]
    for error in echoes.refusals(data):
        assert type(error) is kind
        assert part in str(error)
        assert error.data == data


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), known=st.none() | st.sampled_from(sorted(ERRORS)))
def test_any_bytes_give_one_printable_sentence(data: bytes, known: bytes | None) -> None:
    """Also a known selector with other arguments than it should have."""
    error = refusal_of((known or b"") + data, "Any.call", 2)
    assert str(error).isprintable()
    assert len(str(error)) < 1200


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.binary().map(repr), st.dictionaries(st.text(), st.text())))
def test_whatever_a_node_says_of_a_revert_is_read(said: object) -> None:
    """Never an exception of another kind."""
    for error in (
        ContractLogicError("execution reverted", said),
        ContractLogicError(f"execution reverted: {said}", None),
    ):
        assert isinstance(revert_data(error), bytes)


def test_amounts_in_sentences_have_the_tokens_decimals() -> None:
    """Or say that they are minor units, where the token is not known."""
    data = keccak(text="Overpayment(uint256,uint256,uint96)")[:4]
    data += encode(["uint256", "uint256", "uint96"], [7, 12_000, 10_000])
    assert str(refusal_of(data, "x", 2)) == (
        "Receivable 7: 120.00 is more than the 100.00 that remain; pay 100.00 at most."
    )
    assert "12000 minor units" in str(refusal_of(data, "x"))
