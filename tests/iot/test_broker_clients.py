"""Real clients against both brokers: who gets in, what is delivered, what survives."""

from __future__ import annotations

import queue
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from iot.broker.access import BrokerRefused
from iot.broker.mosquitto import MosquittoBroker
from iot.broker.python_broker import PythonBroker
from tests.iot.mosquitto_broker import (
    SERVICE,
    MqttBroker,
    client_of,
    needs_mosquitto,
    users_of,
)

SECONDS = 10
READING = "tel/v1/firm/device-{}/reading"


KINDS: list[Any] = [
    pytest.param(MosquittoBroker, marks=needs_mosquitto, id="mosquitto"),
    pytest.param(PythonBroker, id="python"),
]


@pytest.fixture(scope="module", params=KINDS)
def mqtt_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MqttBroker]:
    with request.param(tmp_path_factory.mktemp("broker"), users_of()) as process:
        yield MqttBroker(process)


@contextmanager
def connected(client: mqtt.Client, broker: MqttBroker) -> Iterator[queue.Queue[mqtt.MQTTMessage]]:
    """A client that is connected within, and what it is sent."""
    arrived: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
    answers: queue.Queue[str] = queue.Queue()
    client.on_connect = lambda *given: answers.put(str(given[3]))
    client.on_subscribe = lambda *_: answers.put("subscribed")
    client.on_message = lambda _client, _data, message: arrived.put(message)
    if client._protocol == mqtt.MQTTv5:
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = 3600
        client.connect(
            broker.address.host, broker.address.port, clean_start=False, properties=lasting
        )
    else:
        client.connect(broker.address.host, broker.address.port)
    client.loop_start()
    try:
        assert answers.get(timeout=SECONDS) == "Success"
        client.user_data_set(answers)
        yield arrived
    finally:
        client.disconnect()
        client.loop_stop()


def subscribe(client: mqtt.Client, topic_filter: str) -> None:
    client.subscribe(topic_filter, qos=1)
    assert client.user_data_get().get(timeout=SECONDS) == "subscribed"


def publish(client: mqtt.Client, topic: str, payload: bytes) -> int:
    """Publish with QoS 1 and wait for the reason code of its PUBACK."""
    codes: queue.Queue[int] = queue.Queue()
    client.on_publish = lambda *given: codes.put(given[3].value)
    client.publish(topic, payload, qos=1)
    return codes.get(timeout=SECONDS)


def refusal(client: mqtt.Client, broker: MqttBroker) -> str:
    """What a client that tries to connect is told."""
    told: queue.Queue[str] = queue.Queue()
    client.on_connect = lambda *given: told.put(str(given[3]))
    client.connect(broker.address.host, broker.address.port)
    client.loop_start()
    try:
        return told.get(timeout=SECONDS)
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize(
    ("user", "password"),
    [("device-0", "wrong"), ("nobody", "wrong"), ("device-0", ""), (None, None)],
)
def test_who_has_no_password_does_not_get_in(
    mqtt_broker: MqttBroker,
    user: str | None,
    password: str | None,
) -> None:
    assert refusal(client_of(mqtt_broker.address, user, password), mqtt_broker) == "Not authorized"


def test_another_devices_password_is_no_password(mqtt_broker: MqttBroker) -> None:
    stolen = client_of(mqtt_broker.address, "device-0", mqtt_broker.password("device-1"))
    assert refusal(stolen, mqtt_broker) == "Not authorized"


def test_without_tls_there_is_no_connection(mqtt_broker: MqttBroker) -> None:
    where = (mqtt_broker.address.host, mqtt_broker.address.port)
    with socket.create_connection(where, SECONDS) as plain:
        plain.sendall(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a")
        try:
            answer = plain.recv(64)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"\x20")  # no CONNACK: a TLS alert or nothing


def test_a_stranger_to_the_authority_is_not_spoken_to(
    mqtt_broker: MqttBroker,
) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.tls_set()
    with pytest.raises(ssl.SSLCertVerificationError):
        client.connect(mqtt_broker.address.host, mqtt_broker.address.port)


def test_publishing_as_another_device_is_denied_with_a_reason(
    mqtt_broker: MqttBroker,
) -> None:
    with (
        connected(mqtt_broker.client(SERVICE, "watcher-1"), mqtt_broker) as arrived,
        connected(watcher := mqtt_broker.client(SERVICE, "watcher-2"), mqtt_broker) as seen,
        connected(device := mqtt_broker.client("device-1", "device-1"), mqtt_broker),
    ):
        subscribe(watcher, READING.format("+").replace("device-+", "+"))
        assert publish(device, READING.format(2), b"forged") == 0x87
        assert publish(device, "tel/v1/device-1/device-2/reading", b"forged") == 0x87
        assert publish(device, "elsewhere", b"forged") == 0x87
        assert publish(device, READING.format(1), b"true") == 0
        assert seen.get(timeout=SECONDS).payload == b"true"
        assert arrived.empty()


def test_a_device_is_sent_its_own_receipts_only(mqtt_broker: MqttBroker) -> None:
    with (
        connected(device := mqtt_broker.client("device-3", "device-3"), mqtt_broker) as arrived,
        connected(service := mqtt_broker.client(SERVICE, "receipts"), mqtt_broker),
    ):
        subscribe(device, "tel/v1/#")
        publish(service, "tel/v1/firm/device-4/receipt", b"of another")
        publish(service, "tel/v1/firm/device-3/receipt", b"of mine")
        publish(service, "tel/v1/firm/device-3/command", b"to me")
        assert [arrived.get(timeout=SECONDS).payload for _ in range(2)] == [b"of mine", b"to me"]
        assert arrived.empty()


def test_a_shared_subscription_deals_each_reading_to_one_member(
    mqtt_broker: MqttBroker,
) -> None:
    with (
        connected(first := mqtt_broker.client(SERVICE, "share-1"), mqtt_broker) as one,
        connected(second := mqtt_broker.client(SERVICE, "share-2"), mqtt_broker) as two,
        connected(device := mqtt_broker.client("device-5", "device-5"), mqtt_broker),
    ):
        for member in (first, second):
            subscribe(member, "$share/ingest/tel/v1/+/device-5/reading")
        for number in range(10):
            assert publish(device, READING.format(5), b"%d" % number) == 0
        payloads: list[bytes | bytearray] = []
        while len(payloads) < 10:
            for arrived in (one, two):
                while not arrived.empty():
                    payloads.append(arrived.get().payload)
        assert sorted(payloads) == [b"%d" % number for number in range(10)]


def test_a_3_1_1_client_is_served(mqtt_broker: MqttBroker) -> None:
    with connected(
        device := mqtt_broker.client("device-6", "device-6", MQTTProtocolVersion.MQTTv311),
        mqtt_broker,
    ) as arrived:
        subscribe(device, "tel/v1/firm/device-6/#")
        device.publish(READING.format(6), b"old", qos=1)
        assert arrived.get(timeout=SECONDS).payload == b"old"


def hold_for_an_absent_service(broker: MqttBroker) -> None:
    """Ten messages, each acknowledged to the device, for a service that is away."""
    with connected(service := broker.client(SERVICE, "durable"), broker):
        subscribe(service, "tel/v1/+/+/reading")
    with connected(device := broker.client("device-0", "device-0"), broker):
        for number in range(10):
            assert publish(device, READING.format(0), b"%d" % number) == 0


def collected(broker: MqttBroker) -> list[bytes | bytearray]:
    """What the returning service is sent, up to a message that is published now."""
    payloads: list[bytes | bytearray] = []
    with (
        connected(service := broker.client(SERVICE, "durable"), broker) as arrived,
        connected(device := broker.client("device-0", "device-0"), broker),
    ):
        subscribe(service, "tel/v1/+/+/reading")
        assert publish(device, READING.format(0), b"last") == 0
        while (payload := arrived.get(timeout=SECONDS).payload) != b"last":
            payloads.append(payload)
    return payloads


@pytest.mark.parametrize("kind", KINDS)
def test_messages_survive_an_orderly_restart_on_the_same_port(kind: Any, tmp_path: Path) -> None:
    with kind(tmp_path, users_of(1)) as process:
        held = MqttBroker(process)
        port = held.address.port
        hold_for_an_absent_service(held)
        process.stop()
        process.start()
        assert held.address.port == port
        assert collected(held) == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_acknowledged_does_not_survive_a_kill(kind: Any, tmp_path: Path) -> None:
    # As documented: this is why a device keeps its messages until the service's receipt.
    with kind(tmp_path, users_of(1)) as process:
        held = MqttBroker(process)
        hold_for_an_absent_service(held)
        process.kill()
        process.start()
        assert collected(held) == []


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_in_no_file_that_others_read(kind: Any, tmp_path: Path) -> None:
    with kind(tmp_path, users_of(1)) as process:
        for name in {"passwords", "broker.key.pem"} & {file.name for file in tmp_path.iterdir()}:
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert not [word for word in process.users.all().values() if word.encode() in written]


@pytest.mark.parametrize("kind", KINDS)
def test_a_taken_port_is_said(kind: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerRefused, match=r"(?i)address already in use"):
            kind(tmp_path, users_of(1), port=port).start()


@pytest.mark.parametrize("kind", KINDS)
def test_starting_twice_is_refused(kind: Any, tmp_path: Path) -> None:
    with kind(tmp_path, users_of(1)) as process, pytest.raises(BrokerRefused, match="up already"):
        process.start()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_port_there_is_no_address(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused, match="no port yet"):
        _ = kind(tmp_path, users_of(1)).address
