"""Values cross the border exactly or not at all; structs are those of the committed ABIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from eth_abi import decode, encode
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import artifacts
from contracts.gateway import structs
from contracts.gateway.deposit_token import minor_units
from contracts.gateway.drafts import parse_draft
from contracts.gateway.errors import MessageError, NodeGarbled, ValueRefused
from contracts.gateway.keystore import Signer
from contracts.gateway.refusal import show_amount
from contracts.gateway.signed_message import SignedMessage, for_contract, parse_signed, read_signed
from contracts.gateway.solidity_values import (
    FOREVER,
    abi_type,
    checked_address,
    from_abi,
    moment,
    struct_fields,
    to_abi,
    unix_seconds,
)
from contracts.gateway.structs import Attestation, Confirmation, Delivery
from contracts.gateway.typed_data import TypedData, signer_of
from contracts.units import Address, BasisPoints, Digest, TokenMinor

BANK = checked_address("0x" + "b1" * 20, "bank")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ATTESTATION = Attestation(
    bank=BANK,
    consumer=checked_address("0x" + "c2" * 20, "consumer"),
    subject=checked_address("0x" + "d3" * 20, "subject"),
    claim=2**130 + 7,
    model_digest=Digest(bytes(range(32))),
    score_band=3,
    advance_cap_bps=BasisPoints(8_000),
    rate_bps=BasisPoints(450),
    recourse=True,
    nonce=2**63,
    issued_at=NOW,
    expiry=NOW + timedelta(hours=2),
)
SIGNER = Signer(Account.from_key(b"\x05" * 32))
NAMES = {
    "IReceivableRegistry.Confirmation": structs.Confirmation,
    "IReceivableRegistry.Leaf": structs.Leaf,
    "IReceivableRegistry.Terms": structs.ReceivableTerms,
    "IScoreAttestation.Attestation": structs.Attestation,
    "IFinancingPool.Terms": structs.LendingTerms,
    "IFinancingPool.BankAccount": structs.BankAccount,
    "IFinancingPool.Line": structs.CreditLine,
    "IFinancingPool.Loan": structs.Loan,
    "IOrderFinancing.PurchaseOrder": structs.PurchaseOrder,
    "IOrderFinancing.Delivery": structs.Delivery,
    "IOrderFinancing.Order": structs.Order,
    "IAuditAnchor.Head": structs.AnchorHead,
}


def abi_structs() -> dict[str, list[tuple[str, str]]]:
    """Every struct of the committed ABIs: names and types of its fields."""
    found: dict[str, list[tuple[str, str]]] = {}

    def walk(part: Mapping[str, Any]) -> None:
        if "components" in part:
            name = part["internalType"].removeprefix("struct ").removesuffix("[]")
            found[name] = [(inner["name"], inner["type"]) for inner in part["components"]]
            for inner in part["components"]:
                walk(inner)

    for name in artifacts.names():
        for entry in artifacts.load(name).abi:
            for part in [*entry.get("inputs", []), *entry.get("outputs", [])]:
                walk(part)
    return found


def test_our_structs_are_those_of_the_committed_abis() -> None:
    """Same fields, same order, same types; none is missing."""
    in_abi = abi_structs()
    assert set(in_abi) == set(NAMES)
    for name, fields in in_abi.items():
        ours = [
            (field.solidity_name, "tuple" if field.solidity.startswith("(") else field.solidity)
            for field in struct_fields(NAMES[name])
        ]
        assert ours == fields, name


@pytest.mark.parametrize("enum", ["ReceivableStatus", "LoanStatus", "OrderStatus"])
def test_our_statuses_are_the_contracts(enum: str) -> None:
    """Names and numbers as the interfaces have them."""
    sources = Path(artifacts.__file__).parents[1] / "solidity" / "src" / "interfaces"
    file, name = {
        "ReceivableStatus": ("IReceivableRegistry", "Status"),
        "LoanStatus": ("IFinancingPool", "LoanStatus"),
        "OrderStatus": ("IOrderFinancing", "OrderStatus"),
    }[enum]
    text = (sources / f"{file}.sol").read_text()
    inner = text.split(f"enum {name} {{")[1].split("}")[0]
    theirs = [part.strip() for part in inner.split(",")]
    ours = [member.name.replace("_", "").lower() for member in getattr(structs, enum)]
    assert ours == [part.lower() for part in theirs]


moments = st.integers(0, 2**37).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@settings(max_examples=50, deadline=None)
@given(
    amount=st.integers(0, 2**96 - 1),
    when=moments,
    shipped=st.none() | moments,
    n=st.integers(0, 2**32 - 1),
)
def test_a_struct_comes_back_from_its_abi_bytes(
    amount: int, when: datetime, shipped: datetime | None, n: int
) -> None:
    """Amounts, times, None for 0: exactly."""
    if shipped is not None and shipped.timestamp() == 0:
        shipped = None
    confirmation = Confirmation(
        BANK, BANK, BANK, TokenMinor(amount), when, n, shipped, Digest(b"f" * 32), n,
        Digest(b"d" * 32), 0, when,  # type: ignore[arg-type]
    )  # fmt: skip
    kind = abi_type(Confirmation)
    coded = encode([kind], [to_abi(confirmation)])
    assert from_abi(Confirmation, decode([kind], coded)[0]) == confirmation


WRONG: dict[str, object] = {
    "face": 1.0,
    "supplier": "0x" + "zz" * 20,
    "debtor": "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "token": b"\x01" * 20,
    "due_date": datetime(2026, 1, 1),
    "shipped_at": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "deadline": datetime(1969, 1, 1, tzinfo=UTC),
    "fingerprint": b"short",
    "dispute_window": -1,
    "revision": 2**32,
    "order": True,
}


@pytest.mark.parametrize("field", WRONG)
def test_what_does_not_fit_is_refused_by_name(field: str) -> None:
    """Floats, bools, naive times, fractions, mistyped addresses, numbers out of range."""
    good = Confirmation(
        BANK, BANK, BANK, TokenMinor(1), NOW, 0, None, Digest(b"f" * 32), 0, Digest(b"d" * 32),
        0, NOW,  # type: ignore[arg-type]
    )  # fmt: skip
    to_abi(good)
    with pytest.raises(ValueRefused, match=rf"Confirmation\.{field}"):
        to_abi(replace(good, **{field: WRONG[field]}))  # type: ignore[arg-type]


def test_times_beyond_the_calendar_are_forever() -> None:
    """uint40 goes on to the year 36812."""
    assert moment(2**40 - 1) == FOREVER
    assert unix_seconds(moment(1_700_000_000), "t") == 1_700_000_000


def test_a_status_that_is_none_is_a_garbled_answer() -> None:
    """A contract of ours never returns it."""
    with pytest.raises(NodeGarbled, match="ReceivableStatus has no 99"):
        from_abi(structs.Leaf, (1, 0, 0, 1, 0, 0, 99))
    with pytest.raises(NodeGarbled, match="values expected"):
        from_abi(structs.Leaf, (1, 0))


@settings(max_examples=100, deadline=None)
@given(minor=st.integers(0, 2**96 - 1), decimals=st.integers(0, 18))
def test_amounts_are_read_and_shown_exactly(minor: int, decimals: int) -> None:
    """There and back without a float."""
    shown = show_amount(minor, decimals)
    assert minor_units(shown, decimals) == minor
    with localcontext(prec=60):
        assert Decimal(shown).scaleb(decimals) == minor


@pytest.mark.parametrize(
    ("text", "decimals", "minor"),
    [("120.50", 2, 12050), ("120.5", 2, 12050), ("1.000", 2, 100), ("7", 0, 7), (" 7 ", 2, 700)],
)
def test_amounts_as_people_write_them(text: str, decimals: int, minor: int) -> None:
    """Fewer digits are filled up, zeros too many fall."""
    assert minor_units(text, decimals) == minor


@pytest.mark.parametrize(
    "text",
    ["", "x", "1e3", "1,00", "-1", "-0", "NaN", "Infinity", "1_0", "0.001", "1" * 70, "9" * 40],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Too fine, too large, negative, or no number."""
    with pytest.raises(ValueRefused):
        minor_units(text, 2)


def test_a_signed_message_comes_back_from_its_file(tmp_path: Path) -> None:
    """Large numbers as text; the signature still holds."""
    typed = TypedData(ATTESTATION, 31337, BANK)
    message = SignedMessage(typed, SIGNER.sign_typed(typed))
    path = tmp_path / "attestation.json"
    path.write_text(message.to_json())
    again = read_signed(path, Attestation)
    assert again == message
    assert signer_of(again.typed, again.signature) == SIGNER.address
    assert json.loads(path.read_text())["message"]["claim"] == str(2**130 + 7)
    assert for_contract(again, typed, "f") == message.signature
    with pytest.raises(MessageError, match="signed for chain 31337; this is chain 1"):
        for_contract(again, replace(typed, chain_id=1), "f")
    with pytest.raises(MessageError, match="signed for the contract"):
        for_contract(again, replace(typed, contract=ATTESTATION.subject), "f")


FORGED: dict[str, dict[str, object]] = {
    "another kind": {"kind": "Delivery"},
    "no chain": {"chain_id": "31337"},
    "no contract": {"contract": "0x12"},
    "a short signature": {"signature": "0x1234"},
    "no message": {"message": []},
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_message_is_refused_by_name(forgery: str) -> None:
    """What a stranger sends is parsed defensively."""
    typed = TypedData(ATTESTATION, 31337, BANK)
    document = json.loads(SignedMessage(typed, SIGNER.sign_typed(typed)).to_json())
    with pytest.raises(MessageError, match="^file: "):
        parse_signed(document | FORGED[forgery], Attestation, "file")


@pytest.mark.parametrize(
    "field", ["nonce", "expiry", "model_digest", "bank", "recourse", "score_band", "extra"]
)
@pytest.mark.parametrize("value", [None, -1, 1.5, "x", [], "1" * 79, 2**300])
def test_a_forged_field_is_refused_by_name(field: str, value: object) -> None:
    """Each field of its type, and no field more."""
    typed = TypedData(ATTESTATION, 31337, BANK)
    document = json.loads(SignedMessage(typed, SIGNER.sign_typed(typed)).to_json())
    document["message"][field] = value
    with pytest.raises(MessageError, match=field):
        parse_signed(document, Attestation, "file")


def test_a_malleable_signature_is_refused() -> None:
    """The other s of the same signature is one that contracts refuse."""
    typed = TypedData(ATTESTATION, 31337, BANK)
    signature = SIGNER.sign_typed(typed)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(signature[32:64])).to_bytes(32)
    other = signature[:32] + high + bytes([55 - signature[64]])
    with pytest.raises(ValueRefused, match="upper half"):
        signer_of(typed, other)
    for wrong in (b"", signature[:64], signature[:64] + b"\x00", b"\x00" * 64 + b"\x1b"):
        with pytest.raises(ValueRefused):
            signer_of(typed, wrong)
    assert signer_of(replace(typed, chain_id=1), signature) != SIGNER.address


def test_only_what_our_contracts_check_is_signed() -> None:
    """A struct without a domain has no digest."""
    with pytest.raises(ValueRefused, match="not among"):
        TypedData(structs.LendingTerms(*[0] * 4), 1, BANK).digest()  # type: ignore[arg-type]
    delivery = Delivery(1, TokenMinor(1), Digest(bytes(32)), NOW)  # type: ignore[arg-type]
    with pytest.raises(ValueRefused):
        TypedData(replace(delivery, delivered_value=TokenMinor(2**96)), 1, BANK).digest()
    assert len(TypedData(delivery, 1, Address(BANK)).digest()) == 32


DRAFT = {
    "list": "draft",
    "kind": "invoice",
    "face": 12_050,
    "exponent": 2,
    "due_date": "2026-12-31",
    "shipment_date": None,
    "fingerprint": "ab" * 32,
    "document_hash": "cd" * 32,
}


@pytest.mark.parametrize(("decimals", "face"), [(2, 12_050), (6, 120_500_000), (1, 1_205)])
def test_a_drafts_amount_is_brought_to_the_tokens_decimals(decimals: int, face: int) -> None:
    """Exactly, or not at all."""
    assert parse_draft(DRAFT, decimals, "draft").face == face
    with pytest.raises(MessageError, match="more digits"):
        parse_draft(DRAFT, 0, "draft")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "order"},
        {"list": "review"},
        {"face": "12050"},
        {"face": 120.5},
        {"exponent": 9},
        {"due_date": None},
        {"due_date": "soon"},
        {"fingerprint": "ab"},
        {"document_hash": None},
        {"shipment_date": 7},
    ],
)
def test_what_is_no_invoice_draft_is_refused(change: dict[str, object]) -> None:
    """One sentence that names the field."""
    with pytest.raises(MessageError, match="^draft: "):
        parse_draft({**DRAFT, **change}, 2, "draft")
