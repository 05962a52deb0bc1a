"""What a caller makes of a desk's attestation: checked before anybody submits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from clients.desk_attestations import Attested, FinancingClaim, attest_request, attested
from clients.desk_refusals import DeskUnavailable, FieldsRefused
from contracts.gateway.keystore import Signer
from contracts.gateway.signed_message import SignedMessage, read_signed
from contracts.gateway.solidity_values import moment
from contracts.gateway.structs import Attestation
from contracts.gateway.typed_data import TypedData
from contracts.units import Address, BasisPoints, Digest
from federation.proto.attestations_pb2 import AttestReply, SignedAttestation
from federation.proto.scoring_pb2 import DecideReply, DecideRequest

SIGNER = Signer(Account.from_key(b"\x01" * 32))
SUPPLIER = Address("0x52908400098527886E0F7030069857D2E4169EE7")
CONTRACT = Address("0x8617E340B3D01FA5F11F306F4090FD50E238070D")
CLAIM = FinancingClaim(SUPPLIER, 7)
ATTESTATION = Attestation(
    bank=Address("0xde709f2102306220921060314715629080e2fb77"),
    consumer=Address("0x27b1fdb04752bbc536007a920d24acb045561c26"),
    subject=SUPPLIER,
    claim=7,
    model_digest=Digest(b"\xab" * 32),
    score_band=2,
    advance_cap_bps=BasisPoints(8_000),
    rate_bps=BasisPoints(650),
    recourse=True,
    nonce=460_800_000_001,
    issued_at=moment(1_800_000_000),
    expiry=moment(1_800_000_600),
)
DATA = TypedData(ATTESTATION, 31337, CONTRACT)


def reply(change: Callable[[SignedAttestation], object] = lambda one: None) -> AttestReply:
    """A desk's reply, changed on its way."""
    one = SignedAttestation(
        bank=ATTESTATION.bank,
        consumer=ATTESTATION.consumer,
        subject=SUPPLIER,
        claim="7",
        model_digest=ATTESTATION.model_digest,
        score_band=2,
        advance_cap_bps=8_000,
        rate_bps=650,
        recourse=True,
        nonce=460_800_000_001,
        issued_at=1_800_000_000,
        expiry=1_800_000_600,
        chain_id=31337,
        contract=CONTRACT,
        signature=SIGNER.sign_typed(DATA),
        digest=DATA.digest(),
        signer=SIGNER.address,
    )
    change(one)
    return AttestReply(decision=DecideReply(decision="approve"), attestation=one)


def read(given: AttestReply, claim: FinancingClaim = CLAIM) -> Attested:
    """As the client reads it off the wire."""
    return attested(AttestReply.FromString(given.SerializeToString()), claim)


def test_an_attestation_is_read_as_it_was_signed() -> None:
    """Every field, ready for the contract."""
    got = read(reply())
    assert got.signer == SIGNER.address
    assert (got.chain_id, got.contract) == (31337, CONTRACT)
    assert got.attestation is not None
    assert TypedData(got.attestation, got.chain_id, CONTRACT).digest() == DATA.digest()
    assert len(got.signature) == 65
    assert read(reply(), replace(CLAIM, account=Address(SUPPLIER.lower()))).signer == got.signer


def test_an_attestation_goes_into_a_file_and_back(tmp_path: Path) -> None:
    """The one that `veilscore chain finance` takes."""
    message = read(reply()).message()
    assert message is not None
    path = tmp_path / "attestation.json"
    path.write_text(message.to_json())
    assert read_signed(path, Attestation) == SignedMessage(DATA, SIGNER.sign_typed(DATA))


def test_a_withheld_one_says_why() -> None:
    """The decision is there all the same."""
    given = AttestReply(decision=DecideReply(decision="decline"), withheld="the decision is so")
    got = read(given)
    assert (got.attestation, got.signature, got.withheld) == (None, b"", "the decision is so")
    assert got.decision.decision == "decline"
    assert got.message() is None


@pytest.mark.parametrize(
    "field",
    [
        *("bank", "consumer", "subject", "claim", "model_digest", "score_band", "rate_bps"),
        *("advance_cap_bps", "recourse", "nonce", "issued_at", "expiry", "chain_id", "contract"),
        *("signature", "signer"),
    ],
)
def test_a_changed_field_is_noticed(field: str) -> None:
    """Whatever is not what the key has signed is refused."""

    def change(one: SignedAttestation) -> None:
        value = getattr(one, field)
        if isinstance(value, bool):
            setattr(one, field, not value)
        elif isinstance(value, int):
            setattr(one, field, value + 1)
        elif isinstance(value, bytes):
            setattr(one, field, value[:-1] + bytes([value[-1] ^ 1]))
        elif field == "claim":
            one.claim = "8"
        else:
            setattr(one, field, "0x" + "1" * 40)

    with pytest.raises(DeskUnavailable, match="attestation can't be used") as caught:
        read(reply(change))
    assert caught.value.status == "INTERNAL"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("claim", text) for text in ("", "-7", "seven", "7" * 90, "7.0")),
        *(("score_band", 256), ("rate_bps", 2**16), ("model_digest", b"short"), ("bank", "0x")),
        *(("signature", b""), ("signature", bytes(65)), ("expiry", 2**63), ("signer", "me")),
    ],
)
def test_what_is_no_attestation_is_refused(field: str, value: object) -> None:
    """A garbled answer is one sentence, never a stack."""
    with pytest.raises(DeskUnavailable, match="attestation can't be used"):
        read(reply(lambda one: setattr(one, field, value)))


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        (FinancingClaim(Address("0x12"), 7), "claim.account"),
        (FinancingClaim(SUPPLIER, -1), "claim.number"),
        (FinancingClaim(SUPPLIER, 2**256), "claim.number"),
    ],
)
def test_a_wrong_claim_is_not_sent(claim: FinancingClaim, field: str) -> None:
    """The field is named."""
    with pytest.raises(FieldsRefused) as caught:
        attest_request(DecideRequest(), claim)
    assert list(caught.value.fields) == [field]
    assert attest_request(DecideRequest(), CLAIM).claim.claim == "7"
