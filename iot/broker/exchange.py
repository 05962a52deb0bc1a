"""The Python broker's logic without sockets: links, sessions, subscriptions, messages in flight.

A link is given bytes; what is to be sent, on it or on others, waits in each link's `out`. All is in
memory: a session outlives its connection, not the process.
"""

from __future__ import annotations

import hmac
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from iot.broker.access import BrokerUsers, is_filter, matches, may_use
from iot.broker.packets import (
    PING_ANSWER,
    V3,
    V5,
    Connect,
    Packet,
    PacketInvalid,
    Publish,
    Subscribe,
    connack,
    disconnect,
    filters_answer,
    next_packet,
    puback,
    publish,
    read_connect,
    read_filters,
    read_puback,
    read_publish,
)
from iot.units import SECOND, Millis

QUEUED: Final = 100_000
"""Messages that wait for one client, at most; what comes beyond is refused to who publishes it."""

_FOR_EVER: Final = 2**32 - 1
_NOT_AUTHORIZED: Final = 0x87
_QUOTA: Final = 0x97


@dataclass(eq=False)
class Link:
    """One connection: what came and is no packet yet, what is to be sent, whether it is over."""

    buffer: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    is_over: bool = False
    version: int = V3
    keep_alive_seconds: int = 0
    session: Session | None = None


@dataclass(eq=False)
class Session:
    """What is known of one client, connected or not."""

    client: str
    user: str
    link: Link | None = None
    lasts_seconds: int = 0
    left_at: int = 0
    receive_maximum: int = 1
    filters: dict[str, int] = field(default_factory=dict)
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    in_flight: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    last_number: int = 0


class Exchange:
    """Everything but sockets. Times are injected.

    Args:
        users: who may log in.
        limit_bytes: of a packet.
    """

    def __init__(self, users: BrokerUsers, limit_bytes: int) -> None:
        self._users = users
        self._passwords = {name: word.encode() for name, word in users.all().items()}
        self._limit = limit_bytes
        self._sessions: dict[str, Session] = {}
        self._turns: dict[str, int] = {}
        self._touched: set[Link] = set()

    def receive(self, link: Link, data: bytes, now: Millis) -> set[Link]:
        """Take bytes in; returns the links that have something to send, or are over."""
        link.buffer += data
        self._touched = {link}
        try:
            while not link.is_over:
                found = next_packet(link.buffer, self._limit)
                if found is None:
                    break
                first, body, size = found
                del link.buffer[:size]
                self._take(link, first, body, now)
        except PacketInvalid as error:
            self._send_away(link, error.code, now)
        return self._touched

    def lose(self, link: Link, now: Millis) -> None:
        """A connection is gone; its session waits, if it was to."""
        link.is_over = True
        session, link.session = link.session, None
        if session is None or session.link is not link:
            return
        session.link, session.left_at = None, now
        if session.lasts_seconds == 0:
            del self._sessions[session.client]

    def _take(self, link: Link, first: int, body: bytes, now: Millis) -> None:
        kind, session = first >> 4, link.session
        if kind == Packet.CONNECT and session is None:
            self._connect(link, read_connect(body), now)
        elif session is None or kind == Packet.CONNECT:
            raise PacketInvalid("A client's first packet, and no other, is a CONNECT.", 0x82)
        elif kind == Packet.PUBLISH:
            self._publish(link, session, read_publish(first, body, link.version))
        elif kind == Packet.PUBACK:
            session.in_flight.pop(read_puback(body), None)
            self._pump(session)
        elif kind == Packet.SUBSCRIBE:
            self._subscribe(link, session, read_filters(body, link.version, with_qos=True))
        elif kind == Packet.UNSUBSCRIBE:
            self._unsubscribe(link, session, read_filters(body, link.version, with_qos=False))
        elif kind == Packet.PINGREQ:
            link.out += PING_ANSWER
        elif kind == Packet.DISCONNECT:
            self.lose(link, now)
        else:
            raise PacketInvalid(f"A client may not send packets of type {kind}.", 0x82)

    def _connect(self, link: Link, asked: Connect, now: Millis) -> None:
        link.version = asked.version
        known = self._passwords.get(asked.user or "")
        if asked.user is None or not hmac.compare_digest(known or b"", asked.password or b""):
            known = None
        self._forget_old(now)
        client = asked.client or f"unnamed-{id(link)}"
        session = self._sessions.get(client)
        # Otherwise one device could collect what waits for another by taking its client's name.
        stranger = session is not None and session.user != asked.user
        if known is None or stranger or asked.user is None:
            code = _NOT_AUTHORIZED if asked.version == V5 else 5
            link.out += connack(asked.version, code, False, self._limit)
            link.is_over = True
            return
        if session is not None and session.link is not None:
            self._touched.add(session.link)
            self._send_away(session.link, 0x8E, now)
            session = self._sessions.get(client)
        present = session is not None and not asked.clean
        if session is None or asked.clean:
            session = self._sessions[client] = Session(client, asked.user)
        session.link, link.session = link, session
        session.lasts_seconds = asked.session_seconds
        session.receive_maximum = asked.receive_maximum
        link.keep_alive_seconds = asked.keep_alive_seconds
        link.out += connack(asked.version, 0, present, self._limit)
        for number, (topic, payload) in session.in_flight.items():
            link.out += publish(Publish(topic, payload, 1, number), link.version, again=True)
        self._pump(session)

    def _publish(self, link: Link, session: Session, message: Publish) -> None:
        code = _NOT_AUTHORIZED
        if may_use(session.user, self._users.services, message.topic):
            code = self._deliver(message)
        if message.qos:
            link.out += puback(message.number, link.version, code)

    def _deliver(self, message: Publish) -> int:
        code = 0
        for session, qos in self._receivers(message.topic):
            if min(qos, message.qos) == 0:
                if session.link is not None:
                    plain = Publish(message.topic, message.payload, 0, 0)
                    session.link.out += publish(plain, session.link.version, again=False)
                    self._touched.add(session.link)
            elif len(session.waiting) >= QUEUED:
                code = _QUOTA
            else:
                session.waiting.append((message.topic, message.payload))
                self._pump(session)
        return code

    def _receivers(self, topic: str) -> list[tuple[Session, int]]:
        """Each session once, with its highest QoS, and of each shared subscription one member."""
        receivers: list[tuple[Session, int]] = []
        shared: dict[str, list[tuple[Session, int]]] = {}
        for session in self._sessions.values():
            if not may_use(session.user, self._users.services, topic):
                continue
            own = -1
            for written, qos in session.filters.items():
                if not matches(_plain(written), topic):
                    continue
                if written.startswith("$share/"):
                    shared.setdefault(written, []).append((session, qos))
                else:
                    own = max(own, qos)
            if own >= 0:
                receivers.append((session, own))
        for written, members in shared.items():
            here = [member for member in members if member[0].link is not None] or members
            turn = self._turns.get(written, 0)
            self._turns[written] = turn + 1
            receivers.append(here[turn % len(here)])
        return receivers

    def _pump(self, session: Session) -> None:
        """Send what waits, as far as the client takes it."""
        link = session.link
        if link is None:
            return
        while session.waiting and len(session.in_flight) < min(session.receive_maximum, 65_535):
            number = session.last_number % 65_535 + 1
            while number in session.in_flight:
                number = number % 65_535 + 1
            session.last_number = number
            topic, payload = session.in_flight[number] = session.waiting.popleft()
            link.out += publish(Publish(topic, payload, 1, number), link.version, again=False)
            self._touched.add(link)

    def _subscribe(self, link: Link, session: Session, asked: Subscribe) -> None:
        codes: list[int] = []
        for written, qos in asked.filters:
            if is_filter(_plain(written)):
                session.filters[written] = min(qos, 1)
                codes.append(min(qos, 1))
            else:
                codes.append(0x8F)
        link.out += filters_answer(Packet.SUBACK, asked.number, link.version, codes)

    def _unsubscribe(self, link: Link, session: Session, asked: Subscribe) -> None:
        codes = [
            0 if session.filters.pop(name, None) is not None else 0x11 for name, _ in asked.filters
        ]
        link.out += filters_answer(Packet.UNSUBACK, asked.number, link.version, codes)

    def _send_away(self, link: Link, code: int, now: Millis) -> None:
        link.out += disconnect(link.version, code)
        self.lose(link, now)

    def _forget_old(self, now: Millis) -> None:
        for client, session in list(self._sessions.items()):
            over = session.left_at + session.lasts_seconds * SECOND
            if session.link is None and session.lasts_seconds != _FOR_EVER and now >= over:
                del self._sessions[client]


def _plain(written: str) -> str:
    """The filter of a subscription, without the '$share/group/' before it; '' if malformed."""
    if not written.startswith("$share/"):
        return written
    parts = written.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[1] and not set(parts[1]) & set("+#") else ""
