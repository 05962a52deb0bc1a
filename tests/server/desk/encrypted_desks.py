"""A desk that offers encrypted scoring alone, over mutual TLS, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from clients.applicant import ApplicantClient
from federation.encrypted_scoring import (
    RING_DIGEST,
    ApplicantKey,
    EncryptedModel,
)
from federation.proto import encrypted_scoring_pb2 as pb
from server.desk.access.gate import Gate
from server.desk.access.issue import Authority
from server.desk.audit import AuditRow
from server.desk.encrypted import (
    EncryptedLimits,
    encrypted_handlers,
    gate_check,
)
from server.desk.encrypted.service import SERVICE
from server.desk.server import DeskServer, TlsFiles

CALLERS = {"applicant": ["encrypted"], "other": ["encrypted"], "lending": ["score"]}


@dataclass
class EncryptedDesk:
    """A running desk with nothing but encrypted scoring."""

    folder: Path
    models: dict[str, EncryptedModel]
    address: str = ""
    rows: list[AuditRow] = field(default_factory=list)
    now: float = 1_000_000.0

    def files(self, caller: str) -> dict[str, Path]:
        """A caller's TLS files."""
        callers = self.folder / "callers"
        return {
            "certificate": callers / f"{caller}.pem",
            "key": callers / f"{caller}.key",
            "ca": self.folder / "tls" / "callers-ca.pem",
        }

    def client(self, caller: str = "applicant", **options: Any) -> ApplicantClient:
        """An applicant's client."""
        return ApplicantClient(self.address, **self.files(caller), **options)

    @contextmanager
    def calling(self, caller: str = "applicant") -> Iterator[Callable[[str, Any], Any]]:
        """Calls by method and message or bytes."""
        files = {name: path.read_bytes() for name, path in self.files(caller).items()}
        credentials = grpc.ssl_channel_credentials(files["ca"], files["key"], files["certificate"])
        replies = {
            "Terms": pb.TermsReply,
            "RegisterKey": pb.RegisterKeyReply,
            "Score": pb.EncryptedScoreReply,
            "ScoreBatch": pb.EncryptedBatchReply,
        }
        with grpc.secure_channel(self.address, credentials) as channel:

            def call(method: str, request: Any) -> Any:
                data = request if isinstance(request, bytes) else request.SerializeToString()
                ask: Any = channel.unary_unary(
                    f"/{SERVICE}/{method}", None, replies[method].FromString
                )
                return ask(data, timeout=20)

            yield call


@contextmanager
def running(
    folder: Path,
    models: Mapping[str, EncryptedModel],
    limits: EncryptedLimits | None = None,
    access: str = "",
) -> Iterator[EncryptedDesk]:
    """A desk over mutual TLS on a free port, with the desk's own gate."""
    authority = Authority.made(folder / "tls", "desk of the tests")
    tls = TlsFiles.of(folder / "tls")
    authority.issue_server(["127.0.0.1"], tls.certificate, tls.key)
    lines = []
    for name, roles in CALLERS.items():
        authority.issue_caller(
            name, folder / "callers" / f"{name}.pem", folder / "callers" / f"{name}.key"
        )
        roles_text = json.dumps(roles)
        lines.append(f'[callers.{name}]\ncertificate = "{name}"\nroles = {roles_text}\n{access}')
    (folder / "access.toml").write_text("\n".join(lines))
    desk = EncryptedDesk(folder, dict(models))
    ready = threading.Event()
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        handlers = encrypted_handlers(
            desk.models,
            gate_check(Gate(folder / "access.toml")),
            limits,
            enter=desk.rows.append,
            clock=lambda: desk.now,
        )
        server = DeskServer([handlers], [SERVICE], tls, "127.0.0.1:0")
        desk.address = await server.start()
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        await server.drain(0)

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield desk
    finally:
        for loop, stop in stopping:
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def serving(desk: EncryptedDesk, handlers: grpc.GenericRpcHandler) -> Iterator[str]:
    """Other handlers under the same certificates."""
    ready = threading.Event()
    found: list[Any] = []

    async def serve() -> None:
        server = DeskServer([handlers], [SERVICE], TlsFiles.of(desk.folder / "tls"), "127.0.0.1:0")
        stop = asyncio.Event()
        found.extend([await server.start(), asyncio.get_running_loop(), stop])
        ready.set()
        await stop.wait()
        await server.drain(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(found[2].set)
        thread.join()


def features_of(model: EncryptedModel, borrowers: int, seed: int = 2) -> dict[str, Any]:
    """Features of random borrowers of a logistic regression."""
    rng = np.random.default_rng(seed)
    return {one.feature: rng.normal(0, 5, borrowers) for one in model.encoding.inputs}


def register(call: Callable[[str, Any], Any]) -> tuple[ApplicantKey, bytes]:
    """A fresh key at the desk."""
    seed = call("Terms", pb.TermsRequest(model="logistic")).key_seed
    key, public_key = ApplicantKey.generate(seed)
    request = pb.RegisterKeyRequest(
        key_seed=seed, public_key=public_key, parameters_digest=RING_DIGEST
    )
    return key, call("RegisterKey", request).key_id


def refused(
    call: Callable[[str, Any], Any], method: str, request: Any
) -> tuple[grpc.StatusCode, str, list[str]]:
    """Status, sentence, and the fields that its details name."""
    with pytest.raises(grpc.RpcError) as caught:
        call(method, request)
    error: Any = caught.value
    fields: list[str] = []
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        wrong = error_details_pb2.BadRequest()
        if packed.Unpack(wrong):
            fields += [one.field for one in wrong.field_violations]
    return error.code(), error.details(), fields
