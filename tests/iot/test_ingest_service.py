"""The ingest with a real broker: MQTT 5 and 3.1.1, TLS, kills on both sides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa

from iot.fleet.fleet import Fleet
from iot.ingest.intake import Intake
from iot.ingest.link import BrokerLink, BrokerSettings, BrokerUnavailable
from iot.ingest.service import IngestService
from iot.monitor.monitor import Monitor
from iot.store.database import Database
from iot.store.tables import samples
from simulations.bench_ingest import bench_ingest
from tests.iot.fleets import NOON, fleet_of, message, reading
from tests.iot.mosquitto_broker import SERVICE, MqttBroker

PATIENCE = 30.0


def fleet_on_the_broker() -> Fleet:
    """One machine whose device may log in."""
    fleet = fleet_of(1)
    (lease,) = fleet.leases[next(iter(fleet.devices))]
    from dataclasses import replace

    device = type(lease.device)("device-0")
    return Fleet(
        fleet.models,
        {device: next(iter(fleet.models))},
        {device: (replace(lease, device=device),)},
        fleet.zones,
    )


FLEET = fleet_on_the_broker()


def settings_for(broker: MqttBroker, folder: Path, **changes: Any) -> BrokerSettings:
    password = folder / "ingest.password"
    password.touch(mode=0o600)
    password.write_text(broker.password(SERVICE) + "\n")
    values: dict[str, Any] = {
        "host": broker.address.host,
        "port": broker.address.port,
        "ca_file": broker.address.authority,
        "username": SERVICE,
        "password_file": password,
        "client_id": f"test-{folder.name}",
    }
    return BrokerSettings(**values | changes)


class Running:
    """An ingest in a thread."""

    def __init__(self, settings: BrokerSettings, database: Database) -> None:
        self.service = IngestService(
            settings, lambda: Intake(database, FLEET, Monitor(FLEET, (), None), None), lambda: NOON
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.service.run, args=(self._stop.is_set,))

    def __enter__(self) -> Running:
        self._thread.start()
        wait_for(lambda: self.service.progress.connected)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    yield opened
    opened.close()


def stored(database: Database) -> int:
    with database.transaction() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(samples)) or 0


@pytest.fixture
def device(mqtt_broker: MqttBroker) -> Iterator[mqtt.Client]:
    client = mqtt_broker.client("device-0")
    client.connect(mqtt_broker.address.host, mqtt_broker.address.port)
    client.loop_start()
    wait_for(client.is_connected)
    yield client
    client.disconnect()
    client.loop_stop()


def publish(client: mqtt.Client, *seqs: int, boot: int = 1) -> None:
    for seq in seqs:
        sent = message(reading("device-0", seq, boot=boot, at=NOON))
        client.publish(sent.topic, sent.payload, qos=1).wait_for_publish(PATIENCE)


@pytest.mark.parametrize("version", [5, 4])
def test_messages_are_stored_and_receipted(
    mqtt_broker: MqttBroker, device: mqtt.Client, database: Database, tmp_path: Path, version: int
) -> None:
    receipts: list[Any] = []
    device.on_message = lambda _client, _data, told: receipts.append(json.loads(told.payload))
    device.subscribe("tel/v1/+/device-0/receipt", qos=1)
    with Running(settings_for(mqtt_broker, tmp_path, version=version), database) as running:
        publish(device, 1, 2, 3)
        wait_for(lambda: running.service.progress.acknowledged >= 3)
        wait_for(lambda: bool(receipts))
    assert stored(database) == 3
    assert receipts[0]["boot"] == 1
    assert receipts[0]["through"] in (1, 2, 3)


def test_what_came_while_nobody_listened_is_stored_later(
    mqtt_broker: MqttBroker, device: mqtt.Client, database: Database, tmp_path: Path
) -> None:
    settings = settings_for(mqtt_broker, tmp_path)
    with Running(settings, database):
        pass
    publish(device, *range(1, 41))
    with Running(settings, database) as running:
        wait_for(lambda: running.service.progress.acknowledged >= 40)
    assert stored(database) == 40


def test_what_was_not_acknowledged_comes_again(
    mqtt_broker: MqttBroker, device: mqtt.Client, tmp_path: Path
) -> None:
    settings = settings_for(mqtt_broker, tmp_path)
    link = BrokerLink(settings)
    link.connect()
    publish(device, 1, 2, 3)
    first = link.poll(PATIENCE, 10)
    while len(first) < 3:
        first += link.poll(1, 10)
    link.acknowledge(first[:1])
    link.close()
    again = BrokerLink(settings)
    again.connect()
    second = again.poll(PATIENCE, 10)
    while len(second) < 2:
        second += again.poll(1, 10)
    again.acknowledge(second)
    again.close()
    assert [one.payload for one in second] == [one.payload for one in first[1:]]


def test_a_message_with_properties_and_one_of_another_quality_come_too(
    mqtt_broker: MqttBroker, device: mqtt.Client, tmp_path: Path
) -> None:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    link = BrokerLink(settings_for(mqtt_broker, tmp_path))
    link.connect()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "application/json"
    topic = "tel/v1/acme/device-0/reading"
    device.publish(topic, b"one", qos=1, properties=properties).wait_for_publish(PATIENCE)
    device.publish(topic, b"two", qos=0)
    device.publish(topic, b"three", qos=1).wait_for_publish(PATIENCE)
    got = link.poll(PATIENCE, 10)
    while len(got) < 3:
        got += link.poll(1, 10)
    link.acknowledge([one for one in got if one.number])
    link.close()
    assert [one.payload for one in got] == [b"one", b"two", b"three"]


def test_a_wrong_password_is_one_sentence(mqtt_broker: MqttBroker, tmp_path: Path) -> None:
    settings = settings_for(mqtt_broker, tmp_path)
    settings.password_file.write_text("wrong\n")
    link = BrokerLink(settings)
    with pytest.raises(BrokerUnavailable, match="refused") as raised:
        link.connect()
    assert "wrong" not in str(raised.value)


def test_an_authority_that_did_not_sign_the_broker_is_refused(
    mqtt_broker: MqttBroker, tmp_path: Path
) -> None:
    from iot.broker.certificates import broker_certificate

    (tmp_path / "other").mkdir()
    broker_certificate(tmp_path / "other", ["127.0.0.1"])
    settings = settings_for(mqtt_broker, tmp_path, ca_file=tmp_path / "other" / "authority.pem")
    with pytest.raises(BrokerUnavailable, match="can't be reached with TLS"):
        BrokerLink(settings).connect()


def test_a_password_that_others_can_read_is_refused(
    mqtt_broker: MqttBroker, tmp_path: Path
) -> None:
    settings = settings_for(mqtt_broker, tmp_path)
    settings.password_file.chmod(0o644)
    with pytest.raises(BrokerUnavailable, match="mode 0600"):
        BrokerLink(settings)


def test_nobody_at_the_port_is_one_sentence(mqtt_broker: MqttBroker, tmp_path: Path) -> None:
    from iot.broker.address import free_port

    settings = settings_for(mqtt_broker, tmp_path, port=free_port("127.0.0.1"))
    with pytest.raises(BrokerUnavailable, match="can't be reached"):
        BrokerLink(settings).connect()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_both_sides_are_killed() -> None:
    figures = bench_ingest(30_000, 300, kills=6, broker_kills=2, seed=4)
    assert (figures["lost"], figures["doubled"]) == (0, 0)
