"""AttestationService over gRPC: a decision, and a signature on it where it is an approval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from federation.proto.attestations_pb2 import (
    DESCRIPTOR,
    AttestReply,
    AttestRequest,
    SignedAttestation,
)
from federation.scoring.rows import FieldErrors
from server.desk.access.gate import Gate
from server.desk.access.rules import Caller, Role
from server.desk.attestations.attester import Attester, Signed, Withheld
from server.desk.attestations.claims import financed_claim
from server.desk.audit import AuditLog
from server.desk.calls import Call, Calls
from server.desk.deciding import Deciding
from server.desk.decisions import DecisionMaker
from server.desk.engine import ScoringEngine
from server.desk.replies import ScoreReplies
from server.desk.requests import parsed

SERVICE = DESCRIPTOR.services_by_name["AttestationService"].full_name
_OF_THE_QUERY = ("borrower", "features", "model")


class AttestationService:
    """The handler of AttestationService.

    Args:
        attester: signs.
        engine, gate, audit, decide, on_call, on_decided: as `ScoringService`'s.
    """

    def __init__(
        self,
        attester: Attester,
        engine: ScoringEngine,
        gate: Gate,
        audit: AuditLog,
        decide: DecisionMaker,
        on_call: Callable[[str, str, str, float], None] = lambda *_: None,
        on_decided: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """Nothing is served yet."""
        self._attester = attester
        self._calls = Calls(gate, audit, on_call)
        self._deciding = Deciding(engine, self._calls, decide, on_decided, ScoreReplies())
        # One thread: signatures wait for the disk and for each other, other calls for neither.
        self._thread = ThreadPoolExecutor(1, "attestations")

    def handler(self) -> grpc.GenericRpcHandler:
        """The generic handler to add to a server."""
        attest = self._calls.unary("Attest", self._attest, (Role.ATTEST,))
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Attest": grpc.unary_unary_rpc_method_handler(attest)
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def close(self) -> None:
        """Let signatures under way end, then close the attester's files."""
        self._thread.shutdown()
        self._attester.close()

    async def _attest(self, data: bytes, call: Call, caller: Caller) -> bytes:
        request = parsed(AttestRequest, data)
        claim = financed_claim(request.claim)
        call.row.claim = claim.words()
        if request.decide.request.model:
            # A caller must not choose the model that decides on money.
            raise FieldErrors([("decide.request.model", "must be empty: the registry chooses")])
        self._attester.check_product(request.decide.product, claim)
        try:
            decided = await self._deciding.decided(request.decide, call, caller)
        except FieldErrors as error:
            raise FieldErrors([(_place(name), text) for name, text in error.fields]) from None
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(self._thread, self._attester.attest, decided, claim)
        reply = AttestReply(decision=decided.reply)
        if isinstance(outcome, Withheld):
            reply.withheld = outcome.why
        else:
            call.row.attestation = outcome.digest.hex()
            reply.attestation.CopyFrom(self._message(outcome))
        return reply.SerializeToString()

    def _message(self, signed: Signed) -> SignedAttestation:
        one = signed.attestation
        return SignedAttestation(
            bank=one.bank,
            consumer=one.consumer,
            subject=one.subject,
            claim=str(one.claim),
            model_digest=one.model_digest,
            score_band=one.score_band,
            advance_cap_bps=one.advance_cap_bps,
            rate_bps=one.rate_bps,
            recourse=one.recourse,
            nonce=one.nonce,
            issued_at=int(one.issued_at.timestamp()),
            expiry=int(one.expiry.timestamp()),
            chain_id=signed.data.chain_id,
            contract=signed.data.contract,
            signature=signed.signature,
            digest=signed.digest,
            signer=self._attester.signer.address,
        )


def _place(name: str) -> str:
    """Where a wrong field of the decision's request stands in this one."""
    return f"decide.request.{name}" if name.startswith(_OF_THE_QUERY) else f"decide.{name}"
