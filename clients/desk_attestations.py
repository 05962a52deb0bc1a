"""Attestations of a bank's scoring desk, as their callers read them; needs the extra 'chain'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clients.desk_answers import Decision, decision_of
from clients.desk_refusals import DeskUnavailable, FieldsRefused
from contracts.errors import ContractsError
from contracts.gateway.signed_message import SignedMessage
from contracts.gateway.solidity_values import checked_address, checked_digest, checked_uint, moment
from contracts.gateway.structs import Attestation
from contracts.gateway.typed_data import TypedData, signer_of
from contracts.units import Address, BasisPoints
from federation.proto import attestations_pb2 as pb
from federation.proto.scoring_pb2 import DecideRequest


@dataclass(frozen=True)
class FinancingClaim:
    """What is to be financed.

    Attributes:
        account: the supplier's on chain; it submits the attestation.
        number: of the receivable or order.
        consumer: the contract that pays.
    """

    account: Address
    number: int
    consumer: Literal["pool", "orders"] = "pool"


@dataclass(frozen=True)
class Attested:
    """A decision, and the bank's attestation of it.

    Attributes:
        decision: as of `DeskClient.decide`.
        attestation: None where nothing was signed; `withheld` says why.
        signature: 65 bytes; empty where nothing was signed.
        signer: whose key signed; that the bank has authorised it stands on chain.
        chain_id, contract: what it is signed for.
    """

    decision: Decision
    withheld: str = ""
    attestation: Attestation | None = None
    signature: bytes = b""
    signer: Address | None = None
    chain_id: int = 0
    contract: Address | None = None

    def message(self) -> SignedMessage | None:
        """The attestation as its file has it, which `veilscore chain finance` takes."""
        if self.attestation is None or self.contract is None:
            return None
        data = TypedData(self.attestation, self.chain_id, self.contract)
        return SignedMessage(data, self.signature)


def attest_request(decide: DecideRequest, claim: FinancingClaim) -> pb.AttestRequest:
    """A request.

    Raises:
        FieldsRefused: names the field.
    """
    try:
        account = checked_address(claim.account, "claim.account")
        number = checked_uint(claim.number, 256, "claim.number")
    except ContractsError as error:
        field, _, right = str(error).partition(" ")
        raise FieldsRefused(str(error), {field: right}) from None
    return pb.AttestRequest(
        decide=decide, claim=pb.Claim(account=account, claim=str(number), consumer=claim.consumer)
    )


def attested(reply: pb.AttestReply, claim: FinancingClaim) -> Attested:
    """From the wire.

    Raises:
        DeskUnavailable: the attestation is malformed, of another claim, or not signed as it says.
    """
    decision = decision_of(reply.decision)
    if not reply.HasField("attestation"):
        return Attested(decision, reply.withheld)
    try:
        return _checked(decision, reply.attestation, claim)
    except (ContractsError, ValueError) as error:
        raise DeskUnavailable(
            "INTERNAL", f"the desk's attestation can't be used: {error}"
        ) from None


def _checked(decision: Decision, one: pb.SignedAttestation, claim: FinancingClaim) -> Attested:
    attestation = Attestation(
        bank=checked_address(one.bank, "bank"),
        consumer=checked_address(one.consumer, "consumer"),
        subject=checked_address(one.subject, "subject"),
        claim=checked_uint(int(one.claim[:78]), 256, "claim"),
        model_digest=checked_digest(one.model_digest, "model_digest"),
        score_band=checked_uint(one.score_band, 8, "score_band"),
        advance_cap_bps=BasisPoints(checked_uint(one.advance_cap_bps, 16, "advance_cap_bps")),
        rate_bps=BasisPoints(checked_uint(one.rate_bps, 16, "rate_bps")),
        recourse=one.recourse,
        nonce=one.nonce,
        issued_at=moment(one.issued_at),
        expiry=moment(one.expiry),
    )
    if (attestation.subject.lower(), attestation.claim) != (claim.account.lower(), claim.number):
        raise ValueError("it is of another claim than the one asked about")
    contract = checked_address(one.contract, "contract")
    data = TypedData(attestation, one.chain_id, contract)
    signer = signer_of(data, one.signature)
    if signer != checked_address(one.signer, "signer"):
        raise ValueError("it is signed by another key than it says")
    return Attested(
        decision,
        attestation=attestation,
        signature=one.signature,
        signer=signer,
        chain_id=one.chain_id,
        contract=contract,
    )
