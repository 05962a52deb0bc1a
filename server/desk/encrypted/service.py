"""EncryptedScoringService over gRPC: terms, keys, and scores of what the desk can't read.

Handlers take and give bytes, as the scoring service's do. Arithmetic runs in threads, at most one a
core, so that other calls go on beside it; what comes when many wait already is declined at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from federation.encrypted_scoring import (
    RING_DIGEST,
    EncryptedModel,
    PublicKey,
    answer,
    borrowers_a_request,
    encoding_json,
    parameters_json,
)
from federation.errors import ProtocolError
from federation.proto.encrypted_scoring_pb2 import (
    DESCRIPTOR,
    EncryptedBatchReply,
    EncryptedBatchRequest,
    EncryptedScoreReply,
    EncryptedScoreRequest,
    RegisterKeyReply,
    RegisterKeyRequest,
    TermsReply,
    TermsRequest,
)
from server.desk.access.gate import Refused
from server.desk.audit import AuditRow
from server.desk.encrypted.declined import Declined, not_now, too_many, wrong
from server.desk.encrypted.key_seeds import KeySeeds
from server.desk.encrypted.key_store import KeyStore
from server.desk.encrypted.limits import DailyCounts, EncryptedLimits
from server.desk.failures import Exhausted, Failure, failure_of, unexpected
from server.desk.refusal_pace import RefusalPace
from server.desk.requests import parsed

MOST_WAITING = 64  # requests of up to 4 MB

SERVICE = DESCRIPTOR.services_by_name["EncryptedScoringService"].full_name

Context = grpc.aio.ServicerContext[bytes, bytes]
# Says who calls and counts so many borrowers; raises, or ends the call, where it may not.
# Without a name, a caller is its certificate.
Authorise = Callable[[Context, int], Awaitable[str | None] | str | None]
Request = TypeVar("Request", bound=Message)
_Work = Callable[[bytes, Context, AuditRow], Awaitable[bytes]]


def encrypted_handlers(
    models: Mapping[str, EncryptedModel],
    authorise: Authorise,
    limits: EncryptedLimits | None = None,
    enter: Callable[[AuditRow], None] = lambda row: None,
    on_call: Callable[[str, str, float], None] = lambda method, status, seconds: None,
    clock: Callable[[], float] = time.time,
) -> grpc.GenericRpcHandler:
    """The generic handler of EncryptedScoringService, to add to a server.

    Args:
        models: by name; looked at anew at each call, so that it may change meanwhile.
        authorise: called once a call, with its borrowers (0 for terms and keys).
        limits: beside those of `authorise`.
        enter: writes a row of the audit record; a call that it fails for is not answered.
        on_call: told method, status and seconds of each call; must not wait.
        clock: seconds since 1970.
    """
    service = EncryptedScoringService(models, authorise, limits, enter, on_call, clock)
    return service.handler()


class EncryptedScoringService:
    """The handlers. For the arguments see `encrypted_handlers`."""

    def __init__(
        self,
        models: Mapping[str, EncryptedModel],
        authorise: Authorise,
        limits: EncryptedLimits | None,
        enter: Callable[[AuditRow], None],
        on_call: Callable[[str, str, float], None],
        clock: Callable[[], float],
    ) -> None:
        """No key is registered yet."""
        used = limits or EncryptedLimits()
        self._models = models
        self._authorise = authorise
        self._enter = enter
        self._on_call = on_call
        self._seeds = KeySeeds(clock)
        self._keys = KeyStore(used.keys, used.keys_of_a_caller)
        self._of_key = DailyCounts(used.borrowers_a_key, clock)
        self._of_caller = DailyCounts(used.borrowers_a_caller, clock)
        self._registered = DailyCounts(used.keys_a_caller, clock)
        self._at_work = asyncio.Semaphore(os.cpu_count() or 1)
        self._waiting = 0
        self._pace = RefusalPace()

    def handler(self) -> grpc.GenericRpcHandler:
        """The generic handler to add to a server."""
        unary = grpc.unary_unary_rpc_method_handler
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Terms": unary(self._handling("Terms", self._terms)),
            "RegisterKey": unary(self._handling("RegisterKey", self._register)),
            "Score": unary(self._handling("Score", self._score)),
            "ScoreBatch": unary(self._handling("ScoreBatch", self._score_batch)),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _handling(self, method: str, work: _Work) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def handle(data: bytes, context: Context) -> bytes:
            row = AuditRow(secrets.token_hex(16), f"Encrypted{method}")
            started = time.perf_counter()
            outcome: bytes | Failure
            enter = True
            try:
                outcome = await work(data, context, row)
            except Declined as error:
                outcome = error.failure
            except grpc.aio.AbortError:  # `authorise` ended the call, and enters what it likes
                raise
            except asyncio.CancelledError:
                row.status = grpc.StatusCode.CANCELLED.name
                self._enter(row)
                raise
            except Refused as error:
                row.caller = error.caller
                outcome = failure_of(error, row.request)
                enter = self._pace.counts(error, row)
            except Exception as error:
                outcome = failure_of(error, row.request)
            if isinstance(outcome, Failure):
                row.status = outcome.code.name
            try:
                if enter:
                    self._enter(row)
            except Exception as error:  # what is not in the record is not answered
                outcome = unexpected(error, row.request)
            self._on_call(row.method, row.status, time.perf_counter() - started)
            if isinstance(outcome, Failure):
                await outcome.end(context)
            return outcome

        return handle

    async def _terms(self, data: bytes, context: Context, row: AuditRow) -> bytes:
        await self._admit(context, row, 0)
        name, model = self._model(parsed(TermsRequest, data).model)
        row.model = model.digest
        reply = TermsReply(
            model=name,
            model_digest=model.digest,
            parameters_json=parameters_json(model),
            encoding_json=encoding_json(model),
            key_seed=self._seeds.draw(row.caller),
        )
        return reply.SerializeToString()

    async def _register(self, data: bytes, context: Context, row: AuditRow) -> bytes:
        await self._admit(context, row, 0)
        request = parsed(RegisterKeyRequest, data)
        if request.parameters_digest != RING_DIGEST:
            raise not_now(
                "parameters_digest",
                "the key was made for other parameters than this desk's; ask for terms anew",
            )
        if not self._registered.has_room(row.caller, 1):
            raise too_many("public_key", f"more than {self._registered.most:,} keys in a day (UTC)")
        key = _checked(lambda: PublicKey.read(request.key_seed, request.public_key))
        self._seeds.take(request.key_seed, row.caller)
        self._registered.add(row.caller, 1)
        self._keys.add(row.caller, key)
        return RegisterKeyReply(key_id=key.key_id).SerializeToString()

    async def _score(self, data: bytes, context: Context, row: AuditRow) -> bytes:
        row.borrowers = 1
        await self._admit(context, row, 1)
        request = parsed(EncryptedScoreRequest, data)
        model, key = self._open(request, row)
        reply = await self._answer(model, key, [request.ciphertext], 1)
        return EncryptedScoreReply(ciphertext=reply, request_id=row.request).SerializeToString()

    async def _score_batch(self, data: bytes, context: Context, row: AuditRow) -> bytes:
        # Parsed first, for the count; what can't be right is refused once the caller is known.
        try:
            request = parsed(EncryptedBatchRequest, data)
        except Exception:
            await self._admit(context, row, 0)
            raise
        _, model = self._found(request.model)
        most = borrowers_a_request(model.encoding.width) if model else 0
        row.borrowers = request.borrowers if request.borrowers <= most else 0
        await self._admit(context, row, row.borrowers)
        if not 1 <= request.borrowers <= most and model:
            raise wrong("borrowers", f"{request.borrowers} in a request; 1 to {most} are right")
        model, key = self._open(request, row)
        reply = await self._answer(model, key, list(request.ciphertexts), request.borrowers)
        return EncryptedBatchReply(ciphertext=reply, request_id=row.request).SerializeToString()

    async def _admit(self, context: Context, row: AuditRow, borrowers: int) -> None:
        """Who calls, into the row; borrowers count."""
        outcome = self._authorise(context, borrowers)
        name = await outcome if inspect.isawaitable(outcome) else outcome
        row.caller = name or _certificate_digest(context)

    def _open(
        self, request: EncryptedScoreRequest | EncryptedBatchRequest, row: AuditRow
    ) -> tuple[EncryptedModel, PublicKey]:
        """The model and the key of a request, whose borrowers are counted."""
        _, model = self._model(request.model)
        row.model = model.digest
        if request.model_digest != model.digest:
            raise not_now("model_digest", "the model's terms have changed; ask for them anew")
        key = self._keys.get(row.caller, request.key_id)
        if self._waiting >= MOST_WAITING:
            raise Exhausted("the desk has as many encrypted requests as it can take; try again")
        counts = ((self._of_key, key.key_id, "key"), (self._of_caller, row.caller, "caller"))
        for counted, name, whose in counts:
            if not counted.has_room(name, row.borrowers):
                raise too_many(
                    "borrowers",
                    f"a {whose} may have {counted.most:,} borrowers scored in a day (UTC), and "
                    "this would be more",
                )
        for counted, name, _ in counts:
            counted.add(name, row.borrowers)
        return model, key

    async def _answer(
        self, model: EncryptedModel, key: PublicKey, ciphertexts: list[bytes], borrowers: int
    ) -> bytes:
        self._waiting += 1
        try:
            async with self._at_work:
                return await asyncio.to_thread(
                    _checked, lambda: answer(model, key, ciphertexts, borrowers)
                )
        finally:
            self._waiting -= 1

    def _model(self, name: str) -> tuple[str, EncryptedModel]:
        found, model = self._found(name)
        if model is None:
            offered = ", ".join(sorted(self._models)) or "none"
            sentence = f"no such model for encrypted scoring; there are: {offered}"
            raise Declined(grpc.StatusCode.NOT_FOUND, "model", sentence)
        return found, model

    def _found(self, name: str) -> tuple[str, EncryptedModel | None]:
        """By name; an empty one stands for the only model."""
        names = list(self._models)
        if not name and len(names) == 1:
            name = names[0]
        return name, self._models.get(name)


Result = TypeVar("Result")


def _checked(work: Callable[[], Result]) -> Result:
    """What the kernel refuses becomes a wrong field: its sentences begin with the field's name."""
    try:
        return work()
    except ProtocolError as error:
        field, _, sentence = str(error).partition(": ")
        raise wrong(field, sentence) from error


def _certificate_digest(context: Context) -> str:
    given = list(context.auth_context().get("x509_pem_cert") or ())
    return hashlib.sha256(b"".join(given)).hexdigest()
