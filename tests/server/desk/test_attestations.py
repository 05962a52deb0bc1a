"""From an application to money on an EVM: a real desk over mutual TLS decides and signs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import grpc
import pytest

from clients.desk_attestations import Attested
from clients.desk_client import ATTESTATIONS
from clients.desk_refusals import FieldsRefused
from contracts.gateway.calls import Call
from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import Attestation, LoanStatus
from contracts.units import TokenMinor
from federation.errors import InputError
from federation.proto.attestations_pb2 import AttestRequest, Claim
from federation.proto.scoring_pb2 import DecideRequest, ScoreRequest
from server.desk.audit import audit_rows
from simulations.financing_stage import FinancingStage, financing_stage
from tests.server.desk.attesting import (
    FACE,
    AttestingDesk,
    cap,
    made_desk,
    probabilities,
    ranked,
    running,
)
from tests.server.desk.models import served_model

MADE = served_model(())
SAFE, *_, RISKY = ranked(MADE)
STRANGER = "0x" + "52908400098527886e0f7030069857d2e4169ee7"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinancingStage]:
    """Contracts on eth-tester, a bank with money, a supplier."""
    with financing_stage("eth-tester", tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.fixture(scope="module")
def desk(
    stage: FinancingStage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AttestingDesk]:
    """A desk that attests."""
    with running(made_desk(tmp_path_factory.mktemp("desk"), MADE, stage)) as made:
        yield made


def signed(attested: Attested) -> Attestation:
    """What was signed."""
    assert attested.attestation is not None, attested.withheld
    return attested.attestation


def test_an_application_is_paid_in_one_transaction(
    desk: AttestingDesk, stage: FinancingStage
) -> None:
    """Scored, decided, attested, financed: the supplier has the money when the block is made."""
    claim = stage.confirmed(TokenMinor(FACE), 1)
    attested = desk.attest(SAFE, claim)
    terms = attested.decision.terms
    one = signed(attested)
    assert attested.signer == desk.signer
    assert one.bank == stage.address("bank")
    assert one.consumer == stage.gateway.pool.address
    assert (one.subject, one.claim) == (stage.address("supplier"), claim)
    assert one.model_digest.hex() == MADE.served.digest == attested.decision.score.model_digest
    assert cap(attested) == Decimal(terms["advance_rate"])
    assert 0 < one.rate_bps <= Decimal(terms["annual_rate"]) * 10_000
    assert one.recourse is True
    assert one.expiry - one.issued_at == timedelta(seconds=600)
    principal = TokenMinor(int(terms["limit_minor"]))
    before = stage.balance("supplier")
    call = stage.gateway.pool.finance(claim, principal, one, attested.signature)
    stage.dry_run("supplier", call)
    receipt = stage.submit("supplier", call)
    payout = stage.gateway.pool.payout_of(receipt)
    assert 0 < payout < principal
    years = Decimal(terms["tenor_days"]) / 365
    assert (Decimal(principal) / payout - 1) / years <= Decimal(terms["annual_rate"])
    assert stage.balance("supplier") - before == payout
    loan = stage.gateway.pool.loan(claim)
    assert (loan.status, loan.bank, loan.principal) == (LoanStatus.OPEN, one.bank, principal)
    assert loan.recourse


def test_the_signed_digest_is_the_contracts_own(desk: AttestingDesk, stage: FinancingStage) -> None:
    """And it stands in the audit record, with method, claim and decision."""
    attested = desk.attest(SAFE, 77)
    digest = stage.gateway.attestations.digest(signed(attested))
    *_, row = audit_rows(desk.folder / "audit")
    assert row.body["attestation"] == digest.hex()
    assert row.body["method"] == "Attest"
    assert row.body["caller"] == "financing"
    assert row.body["claim"] == "pool 77"
    assert row.body["decision"] == "approve"
    assert row.body["request"] == attested.decision.score.request_id


def test_applications_at_once_have_nonces_of_their_own(desk: AttestingDesk) -> None:
    """However many callers there are."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: desk.attest(SAFE, number), range(1, 25)))
    assert sorted(signed(one).claim for one in made) == list(range(1, 25))
    assert len({signed(one).nonce for one in made}) == 24


def test_the_band_is_the_grades_place(desk: AttestingDesk) -> None:
    """1 for the safest grade of the policy."""
    attested = desk.attest(SAFE, 78)
    grade = next(note for note in attested.decision.notes if note.startswith("grade "))
    assert signed(attested).score_band == "ABCDEF".index(grade[-1]) + 1


@pytest.mark.parametrize("what", ["another claim", "more than the cap", "a changed rate", "twice"])
def test_the_contract_takes_nothing_but_what_was_signed(
    desk: AttestingDesk, stage: FinancingStage, what: str
) -> None:
    """Each by its own refusal, in the dry run."""
    pool = stage.gateway.pool
    claim = stage.confirmed(TokenMinor(FACE), 100 + len(what))
    attested = desk.attest(SAFE, claim)
    one = signed(attested)
    principal = TokenMinor(FACE * one.advance_cap_bps // 10_000)
    number, amount = claim, principal
    expected = "AttestationMismatch"
    if what == "another claim":
        number = stage.confirmed(TokenMinor(FACE), 999)
    elif what == "more than the cap":
        amount, expected = TokenMinor(principal + 1), "AdvanceOverCap"
    elif what == "a changed rate":
        one, expected = replace(one, rate_bps=type(one.rate_bps)(1)), "SignerUnknown"
    else:
        stage.submit("supplier", pool.finance(claim, principal, one, attested.signature))
        # The money comes back and the leaf with it, the attestation does not.
        stage.submit("supplier", stage.gateway.token.approve(pool.address, TokenMinor(FACE)))
        stage.submit("operator", stage.gateway.token.mint(stage.address("supplier"), principal))
        stage.submit("supplier", pool.repurchase(claim))
        expected = "NonceUsed"
    assert refusal(stage, pool.finance(number, amount, one, attested.signature)) == expected


def test_an_attestation_expires(tmp_path: Path) -> None:
    """After the seconds of the settings; and a revoked key's are void before."""
    with (
        financing_stage("eth-tester", tmp_path) as stage,
        running(made_desk(tmp_path, MADE, stage, "validity_seconds = 300")) as desk,
    ):
        claim = stage.confirmed(TokenMinor(FACE), 2)
        attested = desk.attest(SAFE, claim)
        one = signed(attested)
        assert one.expiry - one.issued_at == timedelta(seconds=300)
        call = stage.gateway.pool.finance(claim, TokenMinor(1_000), one, attested.signature)
        stage.dry_run("supplier", call)
        stage.submit("bank", stage.gateway.attestations.revoke_signer(desk.signer))
        assert refusal(stage, call) == "SignerAlreadyRevoked"
        stage.development.move_time(400)
        assert refusal(stage, call) == "AttestationExpired"


def refusal(stage: FinancingStage, call: Call) -> str:
    """By which error the contracts refuse the supplier's call."""
    with pytest.raises(ContractRefusal) as caught:
        stage.dry_run("supplier", call)
    return type(caught.value).__name__


def test_another_borrowers_account_is_refused(desk: AttestingDesk) -> None:
    """A good score is worth nothing on somebody else's account, and the record says who tried."""
    before = len(list(audit_rows(desk.folder / "audit")))
    for row, account in ((SAFE, STRANGER), (RISKY, None)):
        with pytest.raises(FieldsRefused, match="no account of this borrower") as caught:
            desk.attest(row, 7, account=account)  # type: ignore[arg-type]
        assert list(caught.value.fields) == ["claim.account"]
    rows = list(audit_rows(desk.folder / "audit"))
    assert len(rows) == before + 2
    assert rows[-1].body["status"] == "INVALID_ARGUMENT"
    assert "attestation" not in rows[-1].body


def test_the_list_of_accounts_is_followed(desk: AttestingDesk) -> None:
    """A struck row counts at once; a broken file stops the signing."""
    supplier = desk.stage.address("supplier")
    path = desk.folder / "accounts.csv"
    kept = path.read_text()
    try:
        desk.write_accounts({SAFE: STRANGER})  # type: ignore[dict-item]
        with pytest.raises(FieldsRefused):
            desk.attest(SAFE, 8)
        path.write_text("borrower,account\nb0001,0x12\n")
        with pytest.raises(InputError, match="row 2: the account must be an address"):
            desk.attest(SAFE, 8)
        path.unlink()
        with pytest.raises(InputError, match="can't be read"):
            desk.attest(SAFE, 8)
        desk.write_accounts({SAFE: supplier, RISKY: supplier})
        with pytest.raises(InputError, match="row 3 has an account that another borrower has"):
            desk.attest(SAFE, 8)
    finally:
        path.write_text(kept)
    assert desk.attest(SAFE, 8).attestation is not None


@pytest.mark.parametrize(("changed", "decision"), [({"consent": False}, "decline"), ({}, "refer")])
def test_only_an_approval_is_attested(
    desk: AttestingDesk, changed: dict[str, bool], decision: str
) -> None:
    """A declined or referred application gets its decision and no signature."""
    row = SAFE if changed else RISKY
    assert probabilities(MADE)[RISKY] > 0.14
    kept = (desk.folder / "accounts.csv").read_text()
    desk.write_accounts({row: desk.stage.address("supplier")})
    try:
        attested = desk.attest(row, 9, **changed)
    finally:
        (desk.folder / "accounts.csv").write_text(kept)
    assert attested.decision.decision == decision
    assert (attested.attestation, attested.signature) == (None, b"")
    assert attested.withheld == f"the decision is '{decision}'"
    *_, record = audit_rows(desk.folder / "audit")
    assert "attestation" not in record.body
    assert record.body["decision"] == decision


def test_an_order_is_attested_for_the_order_contract(
    desk: AttestingDesk, stage: FinancingStage
) -> None:
    """With the product that the settings allow there, and never for the pool."""
    number = 2**128 + 5
    attested = desk.attest(SAFE, number, product="order-loan", consumer="orders")
    one = signed(attested)
    assert one.consumer == stage.gateway.orders.address
    assert one.claim == number
    terms = attested.decision.terms
    assert cap(attested) == Decimal(terms["limit_minor"]) / 2_500_000
    with pytest.raises(FieldsRefused, match="'receivable-advance'") as caught:
        desk.attest(SAFE, number, product="order-loan")
    assert list(caught.value.fields) == ["decide.product"]
    with pytest.raises(FieldsRefused, match="above 2\\^128"):
        desk.attest(SAFE, 5, product="order-loan", consumer="orders")


def test_wrong_fields_are_named_where_they_stand(desk: AttestingDesk) -> None:
    """Of the claim, of the facts, of the features, all by their places in the request."""
    with pytest.raises(FieldsRefused) as caught:
        desk.attest(SAFE, 0, consumer="nobody")
    assert sorted(caught.value.fields) == ["claim.claim", "claim.consumer"]
    with pytest.raises(FieldsRefused) as caught:
        desk.attest(SAFE, 5, nonsense=3)
    assert list(caught.value.fields) == ["decide.facts.nonsense"]
    with pytest.raises(FieldsRefused, match="account"):
        desk.attest(SAFE, 5, account="0x12")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"\xff\xff", "is no veilscore.attestations.v1.AttestRequest message"),
        (AttestRequest().SerializeToString(), "claim.account"),
        (
            AttestRequest(
                decide=DecideRequest(request=ScoreRequest(model="default:1")),
                claim=Claim(account=STRANGER, claim="7", consumer="pool"),
            ).SerializeToString(),
            "decide.request.model must be empty",
        ),
    ],
)
def test_what_no_client_of_ours_sends(desk: AttestingDesk, data: bytes, place: str) -> None:
    """Bytes that are no message, nothing at all, and a caller that chooses its model."""
    with desk.client() as client:
        method = client._channel.unary_unary(f"/{ATTESTATIONS}/Attest")
        with pytest.raises(grpc.RpcError) as caught:
            method(data, timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert place in caught.value.details()


def test_the_role_is_needed(desk: AttestingDesk) -> None:
    """A caller who may decide may not attest, and the other way round."""
    with pytest.raises(InputError, match="does not have the role 'attest'"):
        desk.attest(SAFE, 5, caller="lending")
    with (
        desk.client() as client,
        pytest.raises(InputError, match="does not have the role 'decide'"),
    ):
        client.decide(MADE.borrowers[SAFE], MADE.row(SAFE), "order-loan", {})


@pytest.mark.parametrize("allowed", [False, True])
def test_degraded_scores_are_attested_only_where_settings_say_so(
    stage: FinancingStage, tmp_path: Path, allowed: bool
) -> None:
    """A partner is silent: the policy approves as it is, the desk signs if it may."""
    made = served_model(("platform",))
    more = f"degraded = {json.dumps(allowed)}"
    with running(made_desk(tmp_path, made, stage, more)) as desk:
        attested = desk.attest(ranked(made)[0], 5)
    assert attested.decision.score.degraded
    assert attested.decision.decision == "approve"
    assert (attested.attestation is not None) == allowed
    assert allowed or re.search("lacks a party", attested.withheld)


def test_the_key_is_in_no_word_of_the_desk(
    desk: AttestingDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in its representation nor in its log."""
    with caplog.at_level(0):
        desk.attest(SAFE, 6)
    password = (desk.folder / "scoring-password").read_text().strip()
    assert password not in caplog.text
    key = json.loads((desk.folder / "scoring-key.json").read_text())["crypto"]["ciphertext"]
    assert key not in caplog.text
