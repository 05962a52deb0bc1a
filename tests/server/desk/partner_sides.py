"""Answer sides of hand-made models, on loopback over mutual TLS: well-behaved and otherwise.

Run as a module it is one partner in a process of its own, that tests kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import grpc

from clients.answering.answer_log import AnswerLog
from clients.answering.callers import Callers
from clients.answering.limits import AskingLimits
from clients.answering.loading import Loaded
from clients.answering.server import AnswerServer
from clients.answering.service import AnswerService
from clients.pins import Identity
from federation.identity import PartyKey
from federation.proto.contribution_pb2 import NumberedReply, NumberedRequest
from federation.scoring.borrower_index import BorrowerIndex
from federation.scoring.contribution import AnsweredVariant, AnswerPolicy, Contribution
from federation.scoring.masks import AnswerMasks, borrower_blocks
from federation.scoring.nonces import NonceWindow
from federation.scoring.reason_table import ReasonTable
from federation.scoring.tags import tag_key, tags
from server.desk.partners import (
    LinkPool,
    LinkSettings,
    Outcome,
    PartnerAddress,
    PartnerHooks,
    PartnerLinks,
)
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model

# Tests of what happens, not of how fast: so long that no busy machine fails them.
LONG = 20.0
Tell = Callable[[], object]


@dataclass(frozen=True)
class Terms:
    """What a partner of a test knows and allows."""

    unknown: Sequence[int] = ()
    variants: Sequence[str] | None = None
    alone: bool = True
    reasons: bool = False
    cache_seconds: int = 0
    pins: Mapping[str, PartyKey] = field(default_factory=dict)
    requests_per_second: int = 100_000


def contribution(made: HandMade, party: str, terms: Terms) -> Contribution:
    """A partner's side of the model's session."""
    served = made.served
    kept = [n for n in range(len(made.borrowers)) if n not in set(terms.unknown)]
    ids = [made.borrowers[number] for number in kept]
    key = made.keys[party]
    tag = tag_key(key, made.keys[LABEL_PARTY].public, served.session, LABEL_PARTY, party)
    index, order = BorrowerIndex.of(tags(tag, ids), borrower_blocks(served.session, ids))
    answered = []
    for variant in served.variants:
        offered = terms.variants is None or variant.name in terms.variants
        if party not in variant.parties or not offered:
            continue
        part = made.parts[party][variant.name]
        points = made.party_points(party, variant.name)[kept][order]
        table = None
        if terms.reasons:
            columns = made.tables[party]
            table = ReasonTable.of(part, columns, order) if not terms.unknown else None
        answered.append(AnsweredVariant(variant.name, variant.parties, points, part.digest, table))
    pins = {peer: pin for peer, pin in served.pins.items() if peer != party}
    pins |= {peer: other.public for peer, other in terms.pins.items()}
    policy = AnswerPolicy(len(served.pins), terms.alone, terms.reasons, terms.cache_seconds)
    masks = AnswerMasks(party, key, pins, served.session)
    as_of_ms = int(time.time() * 1000)
    return Contribution(served.session, masks, index, answered, policy, as_of_ms, NonceWindow(), 1)


@dataclass
class Conduct:
    """How a partner of a test behaves; may be changed while it runs.

    Attributes:
        delay: seconds before each answer to `Contribute`.
        lost: how many of the next calls to `Contribute` are not answered.
        refuse: a status to end each call to `Contribute` with.
        twist: what becomes of each answer to `Contribute`.
        asked: calls to `Contribute` so far.
    """

    delay: float = 0.0
    lost: int = 0
    refuse: grpc.StatusCode | None = None
    twist: Callable[[bytes], bytes] = bytes
    asked: int = 0


class _Conducted:
    """An answer service's calls, as the conduct has them."""

    def __init__(self, service: AnswerService, conduct: Conduct) -> None:
        self._service = service
        self._streams: list[asyncio.Task] = []
        self._inner = service.handlers()
        self._conduct = conduct

    def handlers(self) -> grpc.GenericRpcHandler:
        """What the server calls."""
        outer = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
                found = outer._inner.service(details)
                if found is not None and details.method.endswith("/Contribute"):
                    return grpc.unary_unary_rpc_method_handler(outer._call(found.unary_unary))
                if found is not None and details.method.endswith("/ContributeStream"):
                    return grpc.stream_stream_rpc_method_handler(outer._stream)
                return found

        return Handler()

    def end_streams(self) -> None:
        """As the service's."""
        self._service.end_streams()
        for task in self._streams:
            task.cancel()

    async def _stream(self, _: object, context: grpc.aio.ServicerContext) -> None:
        """The service's stream, each question on it conducted like a call of its own."""
        self._streams.append(asyncio.current_task())
        writing, conduct, asking = asyncio.Lock(), self._conduct, set()

        async def one(asked: NumberedRequest) -> None:
            conduct.asked += 1
            if conduct.lost:
                conduct.lost -= 1
                return
            await asyncio.sleep(conduct.delay)
            answer = self._service._answer(self._service._contribute, asked.request, time.time())
            if conduct.refuse is not None:
                answer = (conduct.refuse, "a refusal of the test")
            reply = NumberedReply(number=asked.number)
            if isinstance(answer, bytes):
                reply.reply = conduct.twist(answer)
            else:
                reply.refusal.code, reply.refusal.sentence = answer[0].value[0], answer[1]
            async with writing:
                await context.write(reply.SerializeToString())

        while (data := await context.read()) is not grpc.aio.EOF:
            task = asyncio.create_task(one(NumberedRequest.FromString(data)))
            asking.add(task)
            task.add_done_callback(asking.discard)

    def _call(
        self, inner: Callable[[bytes, object], Awaitable[bytes]]
    ) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
        async def call(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            conduct = self._conduct
            conduct.asked += 1
            if conduct.lost:
                conduct.lost -= 1
                await asyncio.sleep(LONG)
            if conduct.delay:
                await asyncio.sleep(conduct.delay)
            if conduct.refuse is not None:
                await context.abort(conduct.refuse, "a refusal of the test")
            return conduct.twist(await inner(data, context))

        return call


@contextlib.asynccontextmanager
async def answering(
    made: HandMade,
    party: str,
    terms: Terms | None = None,
    conduct: Conduct | None = None,
    key: PartyKey | None = None,
    listen: str = "127.0.0.1:0",
) -> AsyncIterator[str]:
    """One partner's server on this event loop; its address.

    Args:
        key: that it shows, if not its own.
    """
    terms = terms or Terms()
    one = contribution(made, party, terms)
    sessions = MappingProxyType({made.served.session: one})
    loaded = Loaded(sessions, one.as_of_ms, len(one.borrowers))
    pins = {name: other.public for name, other in made.keys.items()}
    with tempfile.TemporaryDirectory() as folder:
        log = AnswerLog(Path(folder) / "answers.jsonl")
        service = AnswerService(
            loaded,
            Callers(LABEL_PARTY, pins[LABEL_PARTY]),
            AskingLimits(terms.requests_per_second, 0),
            log,
        )
        conducted = service if conduct is None else _Conducted(service, conduct)
        identity = Identity(party, key or made.keys[party], pins)
        server = AnswerServer(conducted, identity, LABEL_PARTY, listen)  # type: ignore[arg-type]
        try:
            yield await server.start()
        finally:
            await server.stop(0)
            log.close(int(time.time() * 1000))


@dataclass
class Seen:
    """What the hooks were told.

    Attributes:
        asked: party and outcome of each asking.
        hedged, breaker, cached: as the hooks have them.
    """

    asked: list[tuple[str, str]] = field(default_factory=list)
    hedged: list[str] = field(default_factory=list)
    breaker: list[tuple[str, str]] = field(default_factory=list)
    cached: list[tuple[str, int, float]] = field(default_factory=list)

    @property
    def hooks(self) -> PartnerHooks:
        """That enter it here."""
        return PartnerHooks(
            lambda party, outcome, seconds: self.asked.append((party, outcome)),
            self.hedged.append,
            lambda party, state: self.breaker.append((party, str(state))),
            lambda party, count, seconds: self.cached.append((party, count, seconds)),
        )

    def outcomes(self, party: str) -> list[str]:
        """How each asking of a party ended."""
        return [outcome for asked, outcome in self.asked if asked == party]

    def of(self, party: str, outcome: Outcome) -> int:
        """How many askings of a party ended so."""
        return self.outcomes(party).count(str(outcome))


@contextlib.asynccontextmanager
async def linked(
    made: HandMade,
    addresses: Mapping[str, str],
    settings: LinkSettings | None = None,
    seen: Seen | None = None,
    warm: float = LONG,
) -> AsyncIterator[PartnerLinks]:
    """The desk's links to partners, started."""
    pool = LinkPool(
        made.keys[LABEL_PARTY],
        {party: PartnerAddress(address) for party, address in addresses.items()},
        (seen or Seen()).hooks,
        settings,
    )
    links = PartnerLinks(made.served, pool)
    try:
        await links.start(warm)
        yield links
    finally:
        await links.close()
        await pool.close()


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A port that takes connections and never says a word; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def partner_process(
    party: str, parties: Sequence[str]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A partner of `served_model(parties)` in a process of its own; its address."""
    command = [sys.executable, "-m", "tests.server.desk.partner_sides", party, *parties]
    with tempfile.TemporaryDirectory() as folder:  # a process that is killed leaves its files
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": folder}
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()
            process.communicate()


async def _serve(party: str, parties: Sequence[str]) -> None:
    async with answering(served_model(parties), party) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2:]))
