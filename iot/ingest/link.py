"""The connection to the broker: paho's client, driven by our loop.

MQTT 5 with a session that the broker keeps for a week, and acknowledgements that we give after the
commit; 3.1.1 for brokers that know no better. paho's own loop waits for the network before every
packet; ours reads all that is there first.
"""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from iot.errors import TelemetryError
from iot.ingest.buffered_tls import BufferedTlsSocket, buffered_context
from iot.ingest.quick_client import Delivery, QuickClient, acknowledgements

RECEIVE_MAXIMUM: Final = 1_000
"""How many messages the broker sends ahead of our acknowledgements."""
SESSION_SECONDS: Final = 7 * 24 * 3_600
KEEPALIVE_SECONDS: Final = 30
CONNECT_SECONDS: Final = 10


class BrokerUnavailable(TelemetryError):
    """The broker can't be reached, refused us, or went away."""


@dataclass(frozen=True)
class BrokerSettings:
    """Where the broker is and who we are there.

    Attributes:
        host, port: with TLS; the certificate must name the host.
        ca_file: of the authority that signed the broker's certificate.
        username, password_file: of the ingest; the file's first line, mode 0600.
        client_id: stays the same, since the broker keeps our session under it.
        topics: subscribed at QoS 1; '$share/<group>/…' shares them among several ingests.
        version: 5, or 4 for MQTT 3.1.1.
    """

    host: str
    port: int
    ca_file: Path
    username: str
    password_file: Path
    client_id: str = "veilscore-ingest"
    topics: tuple[str, ...] = ("tel/v1/+/+/reading",)
    version: int = 5


class BrokerLink:
    """One connection, from `connect` to `close`.

    Raises:
        BrokerUnavailable: a file of the settings can't be read.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._refused: str | None = None
        self._ready = False
        self._subscribing: set[int] = set()
        self._next_misc = 0.0
        self._client = QuickClient(settings.client_id, settings.version)
        self._client.username_pw_set(settings.username, _password(settings.password_file))
        self._client.tls_set_context(_context(settings.ca_file))
        self._client.connect_timeout = CONNECT_SECONDS
        # With a callback here paho leaves writing to our loop.
        self._client.on_socket_register_write = _nothing
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected

    def connect(self, seconds: float = CONNECT_SECONDS) -> None:
        """Connect and subscribe.

        Raises:
            BrokerUnavailable: not within `seconds`, or the broker refused.
        """
        settings = self._settings
        where = f"The broker at {settings.host}:{settings.port}"
        try:
            if settings.version == 5:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = SESSION_SECONDS
                properties.ReceiveMaximum = RECEIVE_MAXIMUM
                self._client.connect(
                    settings.host,
                    settings.port,
                    KEEPALIVE_SECONDS,
                    clean_start=False,
                    properties=properties,
                )
            else:
                self._client.connect(settings.host, settings.port, KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            kind = getattr(error, "strerror", None) or type(error).__name__
            raise BrokerUnavailable(f"{where} can't be reached with TLS: {kind}.") from None
        until = time.monotonic() + seconds
        while not self._ready:
            left = until - time.monotonic()
            if left <= 0:
                raise BrokerUnavailable(f"{where} did not answer within {seconds:g} seconds.")
            # What the broker kept for us comes first, up to the receive maximum.
            self._turn(min(left, 0.5), len(self._client.deliveries) + 1)

    def poll(self, seconds: float, most: int) -> list[Delivery]:
        """Wait for messages, `seconds` at most, and take up to about `most` that are there.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        # What came along with the subscription's answer is here already.
        self._turn(0.0 if self._client.deliveries else seconds, most)
        taken, self._client.deliveries = self._client.deliveries, []
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these are stored here; it forgets them."""
        # Past paho's queue of packets, which costs more than the message did.
        self._socket().send(acknowledgements(deliveries))
        self._write()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send at QoS 0: what may be lost because it is said again."""
        self._client.publish(topic, payload)

    def close(self) -> None:
        """Say goodbye; the session stays at the broker."""
        if self._client.socket() is not None:
            self._client.disconnect()
            try:
                self._write()
            except BrokerUnavailable:
                return

    def _turn(self, seconds: float, most: int) -> None:
        socket = self._socket()
        if not socket.pending():
            writing = [socket] if not self._write() else []
            readable, _, _ = select.select([socket], writing, [], seconds)
            if not readable:
                self._keep_alive()
                return
        read = self._client.loop_read
        deliveries = self._client.deliveries
        # The socket reads all that the network has, so that nothing pending means dry.
        while len(deliveries) < most:
            if read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._lost()
            if not socket.pending():
                break
        self._write()
        self._keep_alive()

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now >= self._next_misc:
            self._next_misc = now + 1
            if self._client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._lost()

    def _write(self) -> bool:
        """Send what stands in line; False where the network does not take all of it now."""
        if self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost()
        try:
            return self._socket().flush()
        except OSError:
            raise self._lost() from None

    def _socket(self) -> BufferedTlsSocket:
        socket: Any = self._client.socket()
        if not isinstance(socket, BufferedTlsSocket):
            raise self._lost()
        return socket

    def _lost(self) -> BrokerUnavailable:
        said = f" ({self._refused})" if self._refused else ""
        where = f"{self._settings.host}:{self._settings.port}"
        return BrokerUnavailable(f"The connection to the broker at {where} was lost{said}.")

    def _connected(self, client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if code.is_failure:
            self._refused = f"refused: {code}"
            client.disconnect()
            return
        if self._settings.version == 5:
            options = SubscribeOptions(qos=1)
            _, number = client.subscribe([(topic, options) for topic in self._settings.topics])
        else:
            _, number = client.subscribe([(topic, 1) for topic in self._settings.topics])
        if number is not None:
            self._subscribing.add(number)

    def _subscribed(self, client: Client, _data: Any, number: int, codes: Any, _more: Any) -> None:
        if any(code.is_failure for code in codes):
            self._refused = "the broker does not let us subscribe"
            client.disconnect()
            return
        self._ready = number in self._subscribing

    def _disconnected(self, _c: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if self._refused is None and code.is_failure:
            self._refused = str(code)


def _nothing(_client: Client, _data: Any, _socket: Any) -> None:
    return None


def _password(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise BrokerUnavailable(f"'{path}' may be read by others: give it mode 0600.")
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise BrokerUnavailable(
            f"'{path}' holds no password of the broker: its first line must be it."
        ) from None


def _context(ca_file: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError):
        raise BrokerUnavailable(
            f"'{ca_file}' is no certificate of an authority in PEM form."
        ) from None
    return buffered_context(context)
