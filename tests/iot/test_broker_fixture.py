"""The session's broker, as other test modules take it."""

from __future__ import annotations

from tests.iot.mosquitto_broker import SERVICE, MqttBroker


def test_the_sessions_broker_takes_the_service_and_its_devices(mqtt_broker: MqttBroker) -> None:
    for user in (SERVICE, "device-0", "device-19"):
        client = mqtt_broker.client(user)
        client.connect(mqtt_broker.address.host, mqtt_broker.address.port)
        while not client.is_connected():
            client.loop(timeout=0.1)
        client.disconnect()
