"""Answer sides of an example federation, in this process, and a bank that asks them over mTLS."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt

from clients.answering.answer_log import AnswerLog, answer_log_path
from clients.answering.app import AnswerJob, answer_job
from clients.answering.callers import Callers
from clients.answering.limits import AskingLimits
from clients.answering.loading import Loader
from clients.answering.server import AnswerServer
from clients.answering.service import SERVICE, AnswerService
from clients.federation_file import read_federation
from clients.pins import identity_of
from clients.sources import load_table
from clients.vault import load_part
from federation.identity import PartyKey, PartyPublicKey
from federation.identity.answering import answering_host, asking_identity
from federation.identity.certificates import TlsIdentity, trust_roots
from federation.proto.contribution_pb2 import ContributionReply
from federation.scoring import to_points
from federation.scoring.contribution import Answer, build_request, new_nonce, read_reply
from federation.scoring.points import Calibration
from federation.scoring.served_model import ServedVariant
from federation.scoring.tags import tag_key, tags


@dataclass
class Side:
    """A feature party that answers.

    Attributes:
        address: where.
        service, loader, log: its parts.
    """

    address: str
    service: AnswerService
    loader: Loader
    log: AnswerLog


def job_of(federation: Path, party: str, run: str = "r1", **settings: object) -> AnswerJob:
    """What a party of the federation serves, on a free port."""
    config = read_federation(federation)
    manifest = config.party(party).manifest
    job = answer_job(manifest, federation, [config.output / run], "127.0.0.1:0")
    return replace(job, settings=replace(job.settings, **settings))  # type: ignore[arg-type]


@asynccontextmanager
async def answering(job: AnswerJob) -> AsyncIterator[Side]:
    """A side that answers until the block ends."""
    limits = AskingLimits(job.settings.requests_per_second, job.settings.borrowers_per_day)
    log = AnswerLog(
        answer_log_path(job.manifest.path),
        lambda count, moment: limits.already_asked(count, int(moment.timestamp()) // 86_400),
    )
    try:
        loader = Loader(
            job.manifest,
            job.identity,
            job.label_party,
            job.feature_parties,
            job.runs,
            job.settings,
        )
        callers = Callers(job.label_party, job.identity.pins[job.label_party])
        service = AnswerService(loader.load(), callers, limits, log)
        server = AnswerServer(service, job.identity, job.label_party, job.settings.listen)
        address = await server.start()
        try:
            yield Side(address, service, loader, log)
        finally:
            await server.stop(1)
    finally:
        log.close(int(time.time() * 1000))


class Bank:
    """The label party's end.

    Args:
        federation: its federation file.
        session: of the model.
    """

    def __init__(self, federation: Path, session: str = "r1-session") -> None:
        """Read its key and pins."""
        config = read_federation(federation)
        self.label_party = config.label_party.name
        self.identity = identity_of(config, self.label_party)
        self.session = session

    @property
    def certificate(self) -> TlsIdentity:
        """A fresh one to ask with."""
        return asking_identity(self.identity.key, self.label_party)

    def tags(self, party: str, identifiers: Iterable[str]) -> bytes:
        """As the party knows them."""
        pin = self.identity.pins[party]
        key = tag_key(self.identity.key, pin, self.session, self.label_party, party)
        return tags(key, identifiers)

    async def ask(
        self,
        addresses: Mapping[str, str],
        variant: ServedVariant,
        identifiers: Sequence[str],
        nonce: bytes | None = None,
    ) -> list[Answer]:
        """Every party of a variant, by its address."""
        nonce = nonce or new_nonce(int(time.time() * 1000))
        answers = []
        for party in variant.parties:
            request = build_request(self.session, variant, nonce, self.tags(party, identifiers))
            async with self.channel(addresses[party], party) as channel:
                reply = await call(channel, "Contribute", request.SerializeToString())
            answers.append(
                read_reply(ContributionReply.FromString(reply), variant, len(identifiers))
            )
        return answers

    def channel(
        self, address: str, party: str, certificate: TlsIdentity | None = None
    ) -> grpc.aio.Channel:
        """A connection to a party, with a certificate."""
        return channel_to(address, self.identity.pins[party], certificate or self.certificate)


def channel_to(
    address: str, pin: PartyPublicKey, certificate: TlsIdentity | None
) -> grpc.aio.Channel:
    """A connection to whoever holds the pinned key."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=trust_roots({"party": pin}),
        private_key=certificate.private_key if certificate else None,
        certificate_chain=certificate.certificate if certificate else None,
    )
    options = [
        ("grpc.ssl_target_name_override", answering_host(pin)),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
    ]
    return grpc.aio.secure_channel(address, credentials, options=options)


async def call(
    channel: grpc.aio.Channel, method: str, request: bytes, seconds: float = 10.0
) -> bytes:
    """One call, raw."""
    reply: bytes = await channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=seconds)
    return reply


async def status_of(
    channel: grpc.aio.Channel, method: str, request: bytes
) -> tuple[grpc.StatusCode, str]:
    """How a call ends."""
    try:
        await call(channel, method, request)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def variant_of(federation: Path, name: str, parties: Sequence[str], run: str) -> ServedVariant:
    """A variant as the bank serves it; its own part is that of the full model."""
    output = read_federation(federation).output
    part = load_part(output / run / "bank" / "model-exact.json")
    return ServedVariant(name, tuple(sorted(parties)), part, Calibration(), None, 0)


def offline_points(federation: Path, party: str, variant: str, run: str) -> dict[str, int]:
    """Points of all of a party's borrowers, straight from its table and part."""
    config = read_federation(federation)
    table = load_table(config.manifest_of(party), now=datetime.now(UTC))
    part = load_part(config.output / run / party / f"model-{variant}.json")
    points: npt.NDArray[np.int32] = to_points(part.partial_scores(table.features))
    return dict(zip(table.identifiers, points.tolist(), strict=True))


def someone() -> PartyKey:
    """A key that nobody pins."""
    return PartyKey(PartyKey.new_seed())
