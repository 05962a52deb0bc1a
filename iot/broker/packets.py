"""MQTT packets as bytes, versions 3.1.1 and 5: what the Python broker reads and writes.

Only what telemetry needs: QoS 0 and 1, no retained messages, no wills, no topic aliases, which a
client of version 5 is told when it connects. Source: OASIS MQTT 3.1.1 and 5.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from iot.errors import TelemetryError

V3: Final = 4
V5: Final = 5


class Packet(IntEnum):
    """The type of a packet, in the upper half of its first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class PacketInvalid(TelemetryError):
    """Bytes are no packet that this broker takes; `code` is MQTT 5's for it."""

    def __init__(self, reason: str, code: int = 0x81) -> None:
        super().__init__(reason)
        self.code = code


_SESSION_EXPIRY: Final = 0x11
_RECEIVE_MAXIMUM: Final = 0x21
# Widths of the properties that a client may send; 's' is a string or binary, 'p' a pair, 'v' a
# variable number.
_PROPERTIES: Final = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
    **dict.fromkeys((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F), "s"),
    0x26: "p",
    0x0B: "v",
}


@dataclass(frozen=True)
class Connect:
    """A client's first packet."""

    version: int
    client: str
    user: str | None
    password: bytes | None = field(repr=False)
    clean: bool
    keep_alive_seconds: int
    session_seconds: int
    """How long its session outlives its connection; 2**32 - 1: for ever."""
    receive_maximum: int


@dataclass(frozen=True)
class Publish:
    """A message; `number` is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int
    number: int


@dataclass(frozen=True)
class Subscribe:
    """Filters with the QoS that is asked for; or filters to be left, with QoS 0."""

    number: int
    filters: tuple[tuple[str, int], ...]


def next_packet(buffer: bytes | bytearray, limit: int) -> tuple[int, bytes, int] | None:
    """The first packet of a buffer: first byte, body, and how many bytes it takes.

    Returns:
        None where the packet is not complete yet.

    Raises:
        PacketInvalid: its length is malformed or over the limit.
    """
    size = 0
    for place in range(1, 5):
        if place >= len(buffer):
            return None
        size |= (buffer[place] & 0x7F) << (7 * (place - 1))
        if buffer[place] < 0x80:
            end = place + 1 + size
            if size > limit:
                raise PacketInvalid(f"A packet has {size} bytes; at most {limit} are taken.", 0x95)
            return None if len(buffer) < end else (buffer[0], bytes(buffer[place + 1 : end]), end)
    raise PacketInvalid("A packet's length has over four bytes.")


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._body):
            raise PacketInvalid("A packet ends before its last field.")
        part, self._at = self._body[self._at : end], end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def blob(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        try:
            text = self.blob().decode()
        except UnicodeDecodeError:
            raise PacketInvalid("A text is not UTF-8.") from None
        if "\0" in text:
            raise PacketInvalid("A text holds a null character.")
        return text

    def variable(self) -> int:
        value = 0
        for place in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise PacketInvalid("A number has over four bytes.")

    def properties(self, version: int) -> dict[int, int]:
        """The properties whose value is a number; others are read over."""
        found: dict[int, int] = {}
        if version != V5:
            return found
        end = self.variable() + self._at
        while self._at < end:
            name = self.variable()
            width = _PROPERTIES.get(name)
            if isinstance(width, int):
                found[name] = self.number(width)
            elif width == "v":
                self.variable()
            elif width is not None:
                for _ in range(2 if width == "p" else 1):
                    self.blob()
            else:
                raise PacketInvalid(f"Property {name} is unknown.")
        if self._at != end:
            raise PacketInvalid("Properties are longer than they say.")
        return found

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    def is_over(self) -> bool:
        return self._at == len(self._body)


def read_connect(body: bytes) -> Connect:
    """Raises: PacketInvalid: malformed, or of a version other than 3.1.1 and 5."""
    reader = _Reader(body)
    name, version, flags = reader.text(), reader.number(1), reader.number(1)
    if name != "MQTT" or version not in (V3, V5):
        raise PacketInvalid("A client speaks neither MQTT 3.1.1 nor 5.", 0x84)
    if flags & 1:
        raise PacketInvalid("A CONNECT has a flag that is reserved.")
    keep_alive = reader.number(2)
    properties = reader.properties(version)
    client = reader.text()
    if flags & 4:
        # A will is not kept: nobody listens for one here.
        reader.properties(version)
        reader.text()
        reader.blob()
    user = reader.text() if flags & 0x80 else None
    password = reader.blob() if flags & 0x40 else None
    clean = bool(flags & 2)
    lasting = properties.get(_SESSION_EXPIRY, 0)
    return Connect(
        version=version,
        client=client,
        user=user,
        password=password,
        clean=clean,
        keep_alive_seconds=keep_alive,
        session_seconds=lasting if version == V5 else 0 if clean else 2**32 - 1,
        receive_maximum=properties.get(_RECEIVE_MAXIMUM, 65_535 if version == V5 else 1_000) or 1,
    )


def read_publish(first: int, body: bytes, version: int) -> Publish:
    """Raises: PacketInvalid: malformed, or of QoS 2."""
    reader, qos = _Reader(body), first >> 1 & 3
    if qos > 1:
        raise PacketInvalid("A message has QoS 2; this broker takes 0 and 1.", 0x9B)
    topic = reader.text()
    number = reader.number(2) if qos else 0
    reader.properties(version)
    if not topic or "+" in topic or "#" in topic or (qos and not number):
        raise PacketInvalid("A message has no proper topic or number.", 0x90)
    return Publish(topic, reader.rest(), qos, number)


def read_puback(body: bytes) -> int:
    """The number of the message that is acknowledged."""
    return _Reader(body).number(2)


def read_filters(body: bytes, version: int, with_qos: bool) -> Subscribe:
    """Read a SUBSCRIBE, or without QoS an UNSUBSCRIBE. Raises: PacketInvalid: malformed."""
    reader = _Reader(body)
    number = reader.number(2)
    reader.properties(version)
    filters: list[tuple[str, int]] = []
    while not reader.is_over():
        filters.append((reader.text(), reader.number(1) & 3 if with_qos else 0))
    if not filters or not number:
        raise PacketInvalid("A subscription names no filter or no number.")
    return Subscribe(number, tuple(filters))


def connack(version: int, code: int, present: bool, limit: int) -> bytes:
    """To a client of version 5 with what this broker can't do."""
    body = bytes([present, code])
    if version == V5:
        # Maximum QoS 1, no retained messages, largest packet.
        properties = b"\x24\x01\x25\x00\x27" + limit.to_bytes(4, "big") if code == 0 else b""
        body += bytes([len(properties)]) + properties
    return _packet(Packet.CONNACK << 4, body)


def publish(message: Publish, version: int, again: bool) -> bytes:
    """A message to a client; `again`: it may have had it before."""
    topic = message.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic
    if message.qos:
        body += message.number.to_bytes(2, "big")
    if version == V5:
        body += b"\0"
    return _packet(Packet.PUBLISH << 4 | again << 3 | message.qos << 1, body + message.payload)


def puback(number: int, version: int, code: int) -> bytes:
    """To version 3.1.1 without the code, which it does not know."""
    body = number.to_bytes(2, "big")
    return _packet(Packet.PUBACK << 4, body + bytes([code]) if version == V5 and code else body)


def filters_answer(kind: Packet, number: int, version: int, codes: list[int]) -> bytes:
    """A SUBACK or UNSUBACK; version 3.1.1 knows one failure, 0x80, and no codes when leaving."""
    body = number.to_bytes(2, "big")
    if version == V5:
        return _packet(kind << 4, body + b"\0" + bytes(codes))
    if kind is Packet.UNSUBACK:
        return _packet(kind << 4, body)
    return _packet(kind << 4, body + bytes(min(code, 0x80) for code in codes))


def disconnect(version: int, code: int) -> bytes:
    """Why a client of version 5 is sent away; an older one is told nothing."""
    return _packet(Packet.DISCONNECT << 4, bytes([code])) if version == V5 else b""


PING_ANSWER: Final = bytes([Packet.PINGRESP << 4, 0])


def _packet(first: int, body: bytes) -> bytes:
    size, written = len(body), bytearray([first])
    while True:
        size, low = size >> 7, size & 0x7F
        written.append(low | 0x80 if size else low)
        if not size:
            return bytes(written) + body
