"""A broker of our own beside the ingest, for a first look and for a single site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from iot.broker.access import BrokerRefused, BrokerUsers
from iot.broker.mosquitto import MosquittoBroker, mosquitto_program
from iot.telemetry_file import TelemetrySettings

PASSWORDS: Final = "passwords.json"
"""Beside telemetry.toml, mode 0600: {"devices": {name: password}, "services": {…}}."""


def local_broker(settings: TelemetrySettings) -> AbstractContextManager[object]:
    """The broker of `local = true`, up within the block; nothing where it is false.

    Raises:
        BrokerRefused: it did not come up, or the passwords can't be read.
    """
    if not settings.broker.local:
        return nullcontext()
    return _running(settings)


@contextmanager
def _running(settings: TelemetrySettings) -> Iterator[object]:
    users = read_users(settings.folder / PASSWORDS)
    folder = settings.broker.authority.parent
    if mosquitto_program() is None:
        from iot.broker.python_broker import PythonBroker

        with PythonBroker(folder, users, settings.broker.host, settings.broker.port) as python:
            yield python
        return
    with MosquittoBroker(folder, users, settings.broker.host, settings.broker.port) as broker:
        yield broker


def read_users(path: Path) -> BrokerUsers:
    """Read the file of passwords.

    Raises:
        BrokerRefused: it is not there, may be read by others, or is of another form.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise BrokerRefused(f"'{path}' may be read by others: give it mode 0600.")
        content = json.loads(path.read_text(encoding="utf-8"))
        devices, services = content["devices"], content["services"]
        if not all(
            isinstance(name, str) and isinstance(password, str)
            for table in (devices, services)
            for name, password in table.items()
        ):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BrokerRefused(
            f"'{path}' does not hold the broker's passwords: "
            '{"devices": {"name": "password"}, "services": {"ingest": "password"}}.'
        ) from None
    return BrokerUsers(devices=devices, services=services)
