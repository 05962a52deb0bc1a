"""A real mosquitto for a test session (fixture `mqtt_broker`): TLS, passwords, access rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from iot.broker.access import BrokerUsers
from iot.broker.address import Broker, BrokerAddress
from iot.broker.mosquitto import MosquittoBroker, mosquitto_program
from iot.broker.passwords import new_password

DEVICES = 20
SERVICE = "ingest"

needs_mosquitto = pytest.mark.skipif(
    mosquitto_program() is None, reason="mosquitto is not installed"
)


def users_of(devices: int = DEVICES, services: tuple[str, ...] = (SERVICE,)) -> BrokerUsers:
    """Devices 'device-0', 'device-1', … and services, each with a password of its own."""
    return BrokerUsers(
        devices={f"device-{number}": new_password() for number in range(devices)},
        services={name: new_password() for name in services},
    )


@dataclass(frozen=True)
class MqttBroker:
    """A broker that is up, with its users' passwords."""

    process: Broker

    @property
    def address(self) -> BrokerAddress:
        return self.process.address

    def password(self, user: str) -> str:
        return self.process.users.all()[user]

    def client(
        self,
        user: str,
        client_id: str = "",
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> mqtt.Client:
        """A paho client with the user's password and TLS, not connected yet."""
        return client_of(self.address, user, self.password(user), client_id, protocol)


def client_of(
    address: BrokerAddress,
    user: str | None,
    password: str | None,
    client_id: str = "",
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
) -> mqtt.Client:
    """A paho client with TLS, not connected yet."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
    if user is not None:
        client.username_pw_set(user, password)
    client.tls_set(str(address.authority))
    return client


@contextmanager
def running_broker(folder: Path) -> Iterator[MqttBroker]:
    """A mosquitto in a folder."""
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed")
    with MosquittoBroker(folder, users_of()) as process:
        yield MqttBroker(process)
