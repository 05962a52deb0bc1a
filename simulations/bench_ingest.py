"""Messages a second that one ingest stores durably; and what is left when it is killed.

The broker (mosquitto, TLS) holds all messages before the clock starts, so that the sender takes no
time from the ingest: what runs then is the broker and one process of ours.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import secrets
import signal
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from iot.broker.access import BrokerUsers
from iot.broker.mosquitto import MosquittoBroker
from iot.fleet.fleet import Fleet, Lease, Model, Zone
from iot.geofence.fences import Fences
from iot.ingest.intake import Intake
from iot.ingest.link import BrokerLink, BrokerSettings
from iot.ingest.service import IngestService, wall_clock
from iot.monitor.monitor import Monitor
from iot.rules.book import default_rules
from iot.rules.settings import RuleSettings
from iot.store.database import Database
from iot.store.tables import samples as sample_rows
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ModelId, ZoneId
from simulations.device_load import DeviceLoad, keys_of, readings

LESSEE = "acme"
CORNERS = 40


def bench_fleet(devices: int) -> Fleet:
    """Machines of one model, each let in a zone of 40 corners."""
    names = [DeviceId(f"machine-{number:05d}") for number in range(devices)]
    model = Model(ModelId("EX-20"), 400.0, 12.0, 40.0)
    turns = [2 * math.pi * (corner % CORNERS) / CORNERS for corner in range(CORNERS + 1)]
    ring = tuple((121.1 + 0.2 * math.cos(turn), 31.1 + 0.2 * math.sin(turn)) for turn in turns)
    zone = Zone(ZoneId("site"), 1, Millis(0), (ring,))
    leases = {
        name: (Lease(LeaseId(name), name, LesseeId(LESSEE), Millis(0), None, zone.id, None),)
        for name in names
    }
    return Fleet({model.id: model}, dict.fromkeys(names, model.id), leases, {zone.id: (zone,)})


def bench_ingest(
    messages: int = 100_000,
    devices: int = 1_000,
    *,
    rules: bool = True,
    kills: int = 0,
    broker_kills: int = 0,
    seed: int = 1,
) -> dict[str, Any]:
    """Let one process store what the broker holds.

    Args:
        messages: of 300 bytes, QoS 1, over so many devices.
        rules: all rules and the geofence, or the order of messages alone.
        kills: how often the ingest is killed with SIGKILL while it stores.
        broker_kills: how often the broker is; devices send again what was not receipted.
        seed: of the moments of the kills.

    Returns:
        messages_per_second (wall, from the first batch to the last), messages_per_cpu_second (of
        the ingest, user and system), lost, doubled.
    """
    with tempfile.TemporaryDirectory() as name:
        return _run(Path(name), messages, devices, rules, kills, broker_kills, seed)


def _run(
    folder: Path,
    messages: int,
    devices: int,
    rules: bool,
    kills: int,
    broker_kills: int,
    seed: int,
) -> dict[str, Any]:
    fleet = bench_fleet(devices)
    password = secrets.token_urlsafe(16)
    password_file = folder / "ingest.password"
    password_file.touch(mode=0o600)
    password_file.write_text(password + "\n")
    users = BrokerUsers(devices={}, services={"ingest": password, "load": password})
    samples = readings(list(fleet.devices), messages, wall_clock())
    with MosquittoBroker(folder / "broker", users) as broker:
        address = broker.address
        settings = BrokerSettings(
            address.host, address.port, address.authority, "ingest", password_file
        )
        # The subscription must be there before the messages are.
        link = BrokerLink(settings)
        link.connect()
        link.close()
        load = DeviceLoad(address, "load", password)
        load.add(samples, lambda _: LESSEE)
        load.connect()
        ingest = _Ingest(settings, folder / "telemetry.db", devices, rules)
        try:
            if kills or broker_kills:
                _disturb(
                    broker, load, ingest, messages, kills, broker_kills, np.random.default_rng(seed)
                )
                figures: dict[str, Any] = {"kills": kills, "broker_kills": broker_kills}
            else:
                load.send(keys_of(samples))
                ingest.start()
                figures = ingest.finish(messages)
        finally:
            ingest.kill()
            load.close()
        stored, distinct = _stored(folder / "telemetry.db")
    return {
        "messages": messages,
        "devices": devices,
        "rules": len(default_rules(RuleSettings())) if rules else 0,
        **figures,
        "lost": messages - distinct,
        "doubled": stored - distinct,
    }


def _disturb(
    broker: MosquittoBroker,
    load: DeviceLoad,
    ingest: _Ingest,
    messages: int,
    kills: int,
    broker_kills: int,
    rng: np.random.Generator,
) -> None:
    """Send while ingest and broker are killed in turns, until all is stored and receipted."""
    ends = ["ingest"] * kills + ["broker"] * broker_kills
    rng.shuffle(ends)
    ingest.start()
    keys = load.kept()
    piece = max(500, messages // (4 * len(ends)))
    place = 0
    quiet_since = time.monotonic()
    while load.unreceipted:
        try:
            if place < len(keys):
                load.send(keys[place : place + piece])
                place += piece
            load.receive(0.05)
        except OSError:
            time.sleep(0.1)
            load.connect()
            keys, place = load.kept(), 0
        if ends and rng.random() < 0.3:
            if ends.pop() == "broker":
                broker.kill()
                broker.start()
                load.connect()
            else:
                ingest.kill()
                ingest.start()
        if place < len(keys):
            quiet_since = time.monotonic()
        elif time.monotonic() > quiet_since + 15:
            # What a crash of the broker lost is sent again, as a device does that gets no receipt.
            keys, place = load.kept(), 0


class _Ingest:
    """The ingest as a process of its own."""

    def __init__(self, settings: BrokerSettings, database: Path, devices: int, rules: bool) -> None:
        self._arguments = (settings, database, devices, rules)
        self._process: Any = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(*self._arguments, theirs))
        self._process.start()
        theirs.close()

    def finish(self, messages: int) -> dict[str, Any]:
        """Wait until so many are stored, and end it in order."""
        if self._pipe is None:
            raise RuntimeError("the ingest was not started")
        self._pipe.send_bytes(str(messages).encode())
        figures: dict[str, Any] = json.loads(self._pipe.recv_bytes())
        self._process.join()
        return figures

    def kill(self) -> None:
        if self._process is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.join()


def _serve(
    settings: BrokerSettings, database: Path, devices: int, rules: bool, pipe: Connection
) -> None:
    """Run the ingest; told a number of messages, end after so many and say what they took."""
    fleet = bench_fleet(devices)
    opened = Database(f"sqlite:///{database}")
    book = default_rules(RuleSettings()) if rules else ()
    fences = Fences(fleet) if rules else None
    service = IngestService(
        settings, lambda: Intake(opened, fleet, Monitor(fleet, book, fences), None)
    )
    marks: list[tuple[float, float, int]] = []
    wanted: list[int] = []

    def stopped() -> bool:
        done = service.progress.acknowledged
        if not wanted and pipe.poll():
            wanted.append(int(pipe.recv_bytes()))
        if done and (not marks or done != marks[-1][2]):
            used = resource.getrusage(resource.RUSAGE_SELF)
            del marks[1:]
            marks.append((time.monotonic(), used.ru_utime + used.ru_stime, done))
        return bool(wanted) and done >= wanted[0]

    service.run(stopped)
    (begun, cpu_begun, before), (ended, cpu_ended, after) = marks[0], marks[-1]
    figures = {
        "messages_per_second": round((after - before) / (ended - begun)),
        "messages_per_cpu_second": round((after - before) / (cpu_ended - cpu_begun)),
        "seconds": round(ended - begun, 3),
    }
    pipe.send_bytes(json.dumps(figures).encode())


def _stored(database: Path) -> tuple[int, int]:
    opened = Database(f"sqlite:///{database}")
    key = sa.select(sample_rows.c.device, sample_rows.c.boot, sample_rows.c.seq).distinct()
    with opened.transaction() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(sample_rows))
        distinct = connection.scalar(sa.select(sa.func.count()).select_from(key.subquery()))
    opened.close()
    return int(rows or 0), int(distinct or 0)
