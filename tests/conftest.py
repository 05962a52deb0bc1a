"""What several rooms' tests share, made once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulations.bench_scoring_federation import Trained
    from tests.clients.postgres_server import PostgresServer
    from tests.examples.served_desk import ServedDesk
    from tests.iot.mosquitto_broker import MqttBroker


RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def usual_recursion_limit() -> None:
    """py-evm raises it tenfold for its whole process; deep JSON would then overflow the C stack."""
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server; `.ci/run` sees to it that PostgreSQL is installed."""
    from tests.clients.postgres_server import binaries, postgres_server

    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mqtt_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    """A running mosquitto; tests tell their messages apart by device and client."""
    from tests.iot.mosquitto_broker import running_broker

    with running_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="session")
def made_trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A federation of a bank and two partners with drawn weights; nobody changes its files."""
    from tests.simulations.made_federation import made_federation

    return made_federation(tmp_path_factory.mktemp("made") / "federation")


@pytest.fixture(scope="session")
def served(made_trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    """A running desk without partners, a process; nobody changes its files."""
    from tests.examples.served_desk import served_desk

    with served_desk(made_trained, tmp_path_factory.mktemp("served")) as desk:
        yield desk
