"""A desk that runs over mutual TLS in a thread of its own, with callers who hold certificates."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import Message

from federation.proto.scoring_pb2 import Column, ScoreBatchRequest, ScoreRequest, Value
from federation.schema import FeatureKind
from federation.scoring import ServedModel, ServedVariant
from server.desk.access.gate import Gate
from server.desk.access.issue import Authority
from server.desk.answers import (
    Absence,
    FeatureValue,
    Gathered,
    GivenReason,
    LoadedModel,
    ModelSource,
    Route,
)
from server.desk.audit import AuditLog
from server.desk.decisions import DecisionMaker
from server.desk.engine import ScoringEngine
from server.desk.server import DeskServer, TlsFiles
from server.desk.service import SERVICE, ScoringService
from server.desk.single_model import SingleModel
from tests.server.desk.models import HandMade

ALL_ROLES = ("score", "explain", "decide", "admin", "alerts", "encrypted")


@dataclass
class Partners:
    """Contributors that answer from a hand-made model's parts, in this process.

    Attributes:
        made: the model.
        silent: parties that do not answer.
        unknown: per party, the borrowers that it does not know.
        delay: seconds until they answer.
        fail: an error to raise instead.
        asked: how many borrowers were asked about.
    """

    made: HandMade
    silent: set[str] = field(default_factory=set)
    unknown: dict[str, set[str]] = field(default_factory=dict)
    delay: float = 0.0
    fail: Exception | None = None
    asked: int = 0
    closed: bool = False

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """The parts' points; each borrower with the best variant that all can answer."""
        self.asked += len(borrowers)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fail is not None:
            raise self.fail
        served = self.made.served
        parties = served.main.parties
        unknown = {
            party: np.array([b in self.unknown.get(party, ()) for b in borrowers])
            for party in parties
        }
        variants, places, points = served.variants, [], []
        for number, borrower in enumerate(borrowers):
            able = frozenset(p for p in parties if p not in self.silent and not unknown[p][number])
            variant = served.best_with(able)
            row = self.made.borrowers.index(borrower)
            places.append(variants.index(variant))
            points.append(
                sum(int(self.made.party_points(p, variant.name)[row]) for p in variant.parties)
            )
        return Gathered(
            variants,
            np.array(places, dtype=np.uint8),
            np.array(points, dtype=np.int64),
            dict.fromkeys(sorted(self.silent), Absence.SILENT),
            unknown,
        )

    async def reasons(
        self, borrower: str, variant: ServedVariant, most: int, seconds: float
    ) -> Mapping[str, list[GivenReason] | None]:
        """One reason each; a silent party gives none."""
        return {
            party: None if party in self.silent else [GivenReason(party, "figure 1", 3)]
            for party in variant.parties
        }

    async def close(self) -> None:
        """Note it."""
        self.closed = True


@dataclass
class Models:
    """A source of several models, the first in production."""

    models: dict[str, LoadedModel]
    shadows: tuple[LoadedModel, ...] = ()

    def route(self, borrower: str, asked: str) -> Route:
        """By name."""
        from federation.errors import InputError

        name = asked or next(iter(self.models))
        if name not in self.models:
            raise InputError("the model asked for is not served here")
        role = "champion" if name == next(iter(self.models)) else "challenger"
        return Route(self.models[name], role, self.shadows)

    def champion(self, asked: str) -> LoadedModel:
        """By name, or the first."""
        return self.route("", asked).model


def loaded(served: ServedModel, contributors: Any, name: str = "exact") -> LoadedModel:
    """A model as a source gives it."""
    return LoadedModel(name, "production", served, served.digest, contributors)


@dataclass
class RunningDesk:
    """What a test needs of a running desk."""

    address: str
    folder: Path
    gate: Gate
    engine: ScoringEngine
    loop: asyncio.AbstractEventLoop
    server: DeskServer
    audit: AuditLog

    def channel(self, caller: str = "lending", **options: Any) -> grpc.Channel:
        """A channel with a caller's certificate."""
        tls, callers = self.folder / "tls", self.folder / "callers"
        credentials = grpc.ssl_channel_credentials(
            (tls / "callers-ca.pem").read_bytes(),
            (callers / f"{caller}.key").read_bytes(),
            (callers / f"{caller}.pem").read_bytes(),
        )
        return grpc.secure_channel(self.address, credentials, **options)

    def call(
        self,
        method: str,
        request: Message | bytes,
        reply: Callable[[bytes], Any],
        caller: str = "lending",
        timeout: float = 5.0,
    ) -> Any:
        """One unary call."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        with self.channel(caller) as channel:
            return reply(channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=timeout))

    def stream(
        self, requests: Iterable[Message | bytes], caller: str = "lending", timeout: float = 20.0
    ) -> list[bytes]:
        """One stream of batches; all its replies."""
        data = [one if isinstance(one, bytes) else one.SerializeToString() for one in requests]
        with self.channel(caller) as channel:
            return list(
                channel.stream_stream(f"/{SERVICE}/ScoreBatch")(iter(data), timeout=timeout)
            )


def access_text(callers: Mapping[str, Sequence[str]], more: str = "") -> str:
    """An access file of callers by name, with these roles."""
    return "\n".join(
        f'[callers.{name}]\ncertificate = "{name}"\nroles = {list(roles)}\n{more}'
        for name, roles in callers.items()
    ).replace("'", '"')


@contextmanager
def running_desk(
    folder: Path,
    models: ModelSource,
    *,
    callers: Mapping[str, Sequence[str]] | None = None,
    limits: str = "",
    decide: DecisionMaker | None = None,
    **engine_options: Any,
) -> Iterator[RunningDesk]:
    """A desk on a free port, with a certificate for each caller.

    Args:
        folder: of the desk; empty.
        models: what it serves.
        callers: their roles by name; 'lending' with all, if not given.
        limits: lines for every caller's table.
        decide: the lending policy.
        engine_options: of the engine.
    """
    callers = callers or {"lending": ALL_ROLES}
    authority = Authority.made(folder / "tls", "desk of the tests")
    tls = TlsFiles.of(folder / "tls")
    authority.issue_server(["127.0.0.1", "localhost"], tls.certificate, tls.key)
    for name in (*callers, "stranger"):
        authority.issue_caller(
            name, folder / "callers" / f"{name}.pem", folder / "callers" / f"{name}.key"
        )
    (folder / "access.toml").write_text(access_text(callers, limits))
    gate = Gate(folder / "access.toml")
    audit = AuditLog(folder / "audit")
    ready = threading.Event()
    started: list[RunningDesk] = []
    failed: list[BaseException] = []
    stopping: list[asyncio.Event] = []

    async def serve() -> None:
        engine = ScoringEngine(models, **engine_options)
        service = ScoringService(engine, gate, audit, decide)
        server = DeskServer([service.handler()], [SERVICE], tls, "127.0.0.1:0")
        stop = asyncio.Event()
        stopping.append(stop)
        address = await server.start()
        loop = asyncio.get_running_loop()
        started.append(RunningDesk(address, folder, gate, engine, loop, server, audit))
        ready.set()
        await stop.wait()
        await server.drain(0)
        await engine.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if started:
            started[0].loop.call_soon_threadsafe(stopping[0].set)
        thread.join()
        audit.close()
    if failed:
        raise failed[0]


def single(made: HandMade) -> SingleModel:
    """A source of one hand-made model with its partners in this process."""
    return SingleModel(made.served, Partners(made))


def value_of(value: FeatureValue) -> Value:
    """A value on the wire."""
    if value is None:
        return Value(missing=True)
    return Value(category=value) if isinstance(value, str) else Value(number=value)


def score_request(made: HandMade, row: int, **changed: FeatureValue) -> ScoreRequest:
    """A request about one of the model's borrowers; some features changed."""
    features = made.row(row) | changed
    return ScoreRequest(
        borrower=made.borrowers[row],
        features={name: value_of(value) for name, value in features.items()},
    )


def batch_request(made: HandMade, rows: Sequence[int], sequence: int = 1) -> ScoreBatchRequest:
    """A request about several of the model's borrowers."""
    request = ScoreBatchRequest(sequence=sequence, borrowers=[made.borrowers[row] for row in rows])
    for column in made.own:
        values = column.values[list(rows)]
        if column.spec.kind is FeatureKind.NUMERIC:
            gaps = np.isnan(values)
            one = Column(feature=column.spec.name, numbers=np.where(gaps, 0.0, values).tolist())
        else:
            gaps = np.array([value is None for value in values])
            texts = ["" if value is None else value for value in values]
            one = Column(feature=column.spec.name, categories=texts)
        one.missing = gaps.astype(np.uint8).tobytes()
        request.columns.append(one)
    return request
