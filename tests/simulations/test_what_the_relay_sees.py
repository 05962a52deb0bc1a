"""Every parcel of a real session, as the relay carried it: nothing readable, nothing to tell apart.

The same judges are shown the same session's messages before they were sealed, and say no.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from clients.channels.stream import StreamChannel
from clients.example import write_example
from clients.federation_file import read_federation
from clients.party import PartyRun
from clients.pins import identity_of, pins_of
from federation.proto.session_pb2 import Envelope
from federation.sealing.channel import HEADER_BYTES, PieceKind, SealedChannel
from federation.session.wire import decode
from server.coordinator.relay import Relay
from tests.clients.example_runs import party_job
from tests.clients.small_sessions import no_thread_left
from tests.federation.sealing.randomness_tests import suspicious

RUN = "run-2026-11-watched"
SESSION = f"{RUN}-session"
# Below, a kind's bytes are too few for a small deviation to show.
JUDGED_BYTES = 20_000

Way = tuple[str, str]  # sender and recipient


@dataclass
class Recording:
    """One session: what the relay carried, and what the parties sealed, in order."""

    carried: dict[Way, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    messages: dict[Way, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    ids: list[str] = field(default_factory=list)

    def sealed_by_kind(self) -> dict[str, bytes]:
        """What follows the headers of the pieces of each kind of message."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for way, frames in self.carried.items():
            kinds = iter([kind for kind, _ in self.messages[way]])
            inside: list[bytes] = []
            for frame in frames:
                if frame[0] in (PieceKind.OPENING, PieceKind.REPLY):
                    found["handshake"].append(frame[HEADER_BYTES:])
                    continue
                inside.append(frame[HEADER_BYTES:])
                if frame[0] == PieceKind.LAST:
                    found[next(kinds)] += inside
                    inside = []
            assert next(kinds, None) is None  # every message that was sealed was carried
        return {kind: b"".join(pieces) for kind, pieces in found.items()}

    def plain_by_kind(self) -> dict[str, bytes]:
        """The messages of each kind before they were sealed."""
        found: dict[str, bytes] = defaultdict(bytes)
        for messages in self.messages.values():
            for kind, message in messages:
                found[kind] += message
        return dict(found)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A session of the example's parties, each in a thread, over the relay as it is."""
    config = read_federation(write_example(tmp_path_factory.mktemp("watched")))
    seen = Recording()
    route, seal = Relay._route, SealedChannel.seal

    def routed(relay: Relay, sender: str, seat: Any, parcel: Any) -> None:
        seen.carried[sender, parcel.peer].append(bytes(parcel.frame))
        route(relay, sender, seat, parcel)

    def sealing(channel: SealedChannel, message: bytes) -> Iterator[bytes]:
        kind = str(decode(message).WhichOneof("body"))
        seen.messages[channel._party, channel._peer].append((kind, message))
        return seal(channel, message)

    def take_part(party: str, relay: Relay) -> None:
        key = identity_of(config, party).key
        channel = StreamChannel(relay.address, key, relay.certificate, tell_inputs=True)
        run = PartyRun(party_job(config, party, RUN), channel.note)
        seen.ids.extend(run.table.identifiers)
        channel.run(run.machine, lambda: json.dumps(run.finish()))

    with pytest.MonkeyPatch.context() as patch, no_thread_left():
        patch.setattr(Relay, "_route", routed)
        patch.setattr(SealedChannel, "seal", sealing)
        with Relay(SESSION, pins_of(config)) as relay:
            threads = [
                threading.Thread(target=take_part, args=(party.name, relay))
                for party in config.parties
            ]
            for thread in threads:
                thread.start()
            relay.wait()
            for thread in threads:
                thread.join(30)
    return seen


def markers(recording: Recording) -> list[bytes]:
    """What must not be read on the way; none so short that random bytes would hold it."""
    kinds = [field.name for field in Envelope.DESCRIPTOR.fields if field.number >= 16]
    names = [
        Envelope(sender=sender, recipient=recipient).SerializeToString()
        for sender, recipient in recording.messages
    ]
    words = [SESSION, RUN, "platform", "label_party", "feature_parties", "trainings", "veilscore"]
    words += [kind for kind in kinds if len(kind) >= 7]
    words += [name for name in recording.ids if len(name) >= 7][::40]
    return [*names, *(word.encode() for word in words)]


def test_no_parcel_holds_anything_to_read(recording: Recording) -> None:
    parcels = [frame for frames in recording.carried.values() for frame in frames]
    assert len(parcels) > 20
    wanted = markers(recording)
    assert len(wanted) > 100
    for parcel in parcels:
        assert not [marker for marker in wanted if marker in parcel]
    # They stand in what was sealed: the search can find them.
    plain = b"".join(m for messages in recording.messages.values() for _, m in messages)
    found = [marker for marker in wanted if marker in plain]
    assert {SESSION.encode(), b"platform", b"feature_parties", *wanted[:2]} <= set(found)


def test_what_is_carried_passes_for_random_bytes(recording: Recording) -> None:
    by_kind = recording.sealed_by_kind()
    assert not suspicious(b"".join(by_kind.values()))
    judged = {kind: data for kind, data in by_kind.items() if len(data) >= JUDGED_BYTES}
    assert {"blinded_ids", "hint_block", "query", "aligned_rows"} <= set(judged)
    for kind, data in judged.items():
        assert not suspicious(data), kind


def test_before_it_is_sealed_it_does_not(recording: Recording) -> None:
    """Kinds that carry ciphertext alone may pass; what all send together does not."""
    plain = recording.plain_by_kind()
    assert suspicious(b"".join(plain.values()))
    assert suspicious(plain["aligned_rows"])
    assert suspicious(plain["blinded_ids"])


def test_no_two_parcels_are_alike(recording: Recording) -> None:
    """Neither nonces nor keystreams come twice."""
    bodies = [frame[HEADER_BYTES:] for frames in recording.carried.values() for frame in frames]
    assert len({body[:16] for body in bodies}) == len(bodies)
    for frames in recording.carried.values():
        pieces = [frame for frame in frames if frame[0] in (PieceKind.PART, PieceKind.LAST)]
        sequences = [int.from_bytes(piece[9:17], "little") for piece in pieces]
        assert sequences == list(range(len(pieces)))
