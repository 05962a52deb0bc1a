"""Devices by the thousand over one connection: each keeps what it sent until the receipt.

Speaks MQTT 5 itself, in packets made beforehand, so that a benchmark of the ingest measures the
ingest and not the sender.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from iot.broker.address import BrokerAddress
from iot.codec.sample import Sample
from iot.codec.wire import encode_json
from iot.units import SECOND, DeviceId, Millis

AHEAD: Final = 500
"""Messages that are sent before the broker's acknowledgement of the first."""
_WAIT_SECONDS: Final = 10.0


def readings(devices: Sequence[DeviceId], messages: int, end: Millis) -> list[Sample]:
    """Machines at work, a second a message, in turns; the last message is of `end`. About 300
    bytes each."""
    rounds = -(-messages // len(devices))
    made = []
    for number in range(messages):
        device = devices[number % len(devices)]
        seq = number // len(devices) + 1
        at = Millis(end - (rounds - seq) * SECOND)
        made.append(
            Sample(
                device,
                1,
                seq,
                at,
                at,
                operating_hours=round(1_234.5 + seq / 3_600, 4),
                idle_hours=200.25,
                fuel_used_l=round(12_345.6 + seq / 300, 4),
                fuel_remaining_percent=round(80.5 - seq / 12_000, 3),
                latitude=31.123456,
                longitude=121.123456,
                accuracy_m=8.5,
                engine_on=True,
                distance_km=round(1_234.5 + seq / 10_000, 4),
            )
        )
    return made


class Key(NamedTuple):
    """The key of a message."""

    device: DeviceId
    boot: int
    seq: int


def keys_of(samples: Iterable[Sample]) -> list[Key]:
    """Keys of these samples, each as often as it is there, in their order."""
    return [Key(one.device, one.boot, one.seq) for one in samples]


@dataclass
class _Wire:
    """One MQTT 5 connection with TLS."""

    stream: ssl.SSLSocket
    unread: bytes = b""

    def packets(self, seconds: float) -> list[tuple[int, bytes]]:
        """First bytes and bodies of the packets that come within a time."""
        if not self.stream.pending():
            select.select([self.stream], [], [], seconds)
        self.stream.setblocking(False)
        try:
            while True:
                piece = self.stream.recv(65_536)
                if not piece:
                    raise ConnectionError("the broker closed the connection")
                self.unread += piece
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            self.stream.setblocking(True)
        found = []
        while (packet := self._next()) is not None:
            found.append(packet)
        return found

    def _next(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for place in range(1, min(5, len(self.unread))):
            byte = self.unread[place]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                end = place + 1 + length
                if len(self.unread) < end:
                    return None
                packet = self.unread[0], self.unread[place + 1 : end]
                self.unread = self.unread[end:]
                return packet
        return None


def _length(number: int) -> bytes:
    written = bytearray()
    while True:
        number, low = number >> 7, number & 127
        written.append(low | (128 if number else 0))
        if not number:
            return bytes(written)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


class DeviceLoad:
    """Sends readings and keeps them until they are receipted.

    Args:
        address: of the broker.
        user, password: of a service that may publish for every device.
    """

    def __init__(self, address: BrokerAddress, user: str, password: str) -> None:
        self._address = address
        self._user, self._password = user, password
        self._spool: dict[DeviceId, dict[tuple[int, int], bytes]] = {}
        self._wire: _Wire | None = None

    @property
    def unreceipted(self) -> int:
        return sum(len(kept) for kept in self._spool.values())

    def add(self, samples: Iterable[Sample], lessee_of: Callable[[Sample], str]) -> None:
        """Put readings into the spools, under the topic of whoever had the machine then."""
        for sample in samples:
            payload = encode_json(sample)
            topic = _text(f"tel/v1/{lessee_of(sample)}/{sample.device}/reading")
            kept = self._spool.setdefault(sample.device, {})
            kept[sample.boot, sample.seq] = topic + b"\0\0\0" + payload

    def connect(self) -> None:
        """Connect anew and listen for receipts."""
        self.close()
        context = ssl.create_default_context(cafile=str(self._address.authority))
        plain = socket.create_connection((self._address.host, self._address.port), timeout=5)
        stream = context.wrap_socket(plain, server_hostname=self._address.host)
        stream.settimeout(_WAIT_SECONDS)
        hello = _text("MQTT") + b"\5" + bytes([0b1100_0010]) + b"\0\0" + b"\0"
        hello += _text("load") + _text(self._user) + _text(self._password)
        stream.sendall(b"\x10" + _length(len(hello)) + hello)
        wanted = struct.pack("!H", 1) + b"\0" + _text("tel/v1/+/+/receipt") + b"\0"
        stream.sendall(b"\x82" + _length(len(wanted)) + wanted)
        self._wire = _Wire(stream)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.stream.close()
            self._wire = None

    def send(self, samples: Sequence[Key]) -> None:
        """Publish what is kept of these at QoS 1, and wait for the broker's word.

        Raises:
            OSError: the connection is lost; everything is still kept.
        """
        wire = self._wire
        if wire is None:
            raise ConnectionError("not connected")
        for start in range(0, len(samples), AHEAD):
            batch = []
            for number, (device, boot, seq) in enumerate(samples[start : start + AHEAD], 1):
                body = self._spool.get(device, {}).get((boot, seq))
                if body is not None:
                    topic_end = 2 + struct.unpack_from("!H", body)[0]
                    packet = body[:topic_end] + struct.pack("!H", number) + body[topic_end + 2 :]
                    batch.append(b"\x32" + _length(len(packet)) + packet)
            wire.stream.sendall(b"".join(batch))
            waiting = len(batch)
            until = time.monotonic() + _WAIT_SECONDS
            while waiting > 0:
                if time.monotonic() > until:
                    raise ConnectionError("the broker acknowledged nothing")
                waiting -= self._handle(wire.packets(0.5))

    def receive(self, seconds: float) -> None:
        """Take receipts in, and forget what they cover."""
        if self._wire is None:
            raise ConnectionError("not connected")
        self._handle(self._wire.packets(seconds))

    def kept(self) -> list[Key]:
        """What is not receipted, in the order of the devices' messages."""
        return sorted(
            (Key(device, *key) for device, kept in self._spool.items() for key in kept),
            key=lambda key: (key.boot, key.seq, key.device),
        )

    def _handle(self, packets: Sequence[tuple[int, bytes]]) -> int:
        acknowledged = 0
        for first, body in packets:
            if first >> 4 == 4:
                acknowledged += 1
            elif first >> 4 == 3:
                self._receipt(body)
        return acknowledged

    def _receipt(self, body: bytes) -> None:
        end = 2 + struct.unpack_from("!H", body)[0]
        device = DeviceId(body[2:end].decode().split("/")[3])
        receipt = json.loads(body[end + 1 :])
        kept = self._spool.get(device, {})
        through = receipt["boot"], receipt["through"]
        also = [((boot, first), (boot, last)) for boot, first, last in receipt.get("also", ())]
        stored = [((0, 0), through), *also]
        for key in [key for key in kept if any(low <= key <= high for low, high in stored)]:
            del kept[key]
