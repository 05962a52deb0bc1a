"""A lessor's folder for a first look: a fleet, a broker of its own, prices, and what to play."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from iot.broker.address import BrokerAddress
from iot.broker.certificates import write_private
from iot.broker.passwords import new_password
from iot.codec.sample import Sample
from iot.errors import TelemetryError
from iot.fleet.fleet import Fleet
from iot.fleet.reading import read_fleet
from iot.ingest.admission import NO_LESSEE
from iot.local_broker import PASSWORDS, read_users
from iot.telemetry_file import FILE, read_settings
from iot.units import DAY, Millis, RateCardId
from simulations.device_load import DeviceLoad, keys_of
from simulations.fleet.plan import Plan
from simulations.fleet.population import draw_population, write_population
from simulations.fleet.streams import arrival_stream, run_fleet, truths
from simulations.fleet.truth import write_truths

CARD: Final = RateCardId("by-the-hour")
PLAN: Final = "plan.json"
TRUTH: Final = "truth.csv"
PLAYER: Final = "player"
"""The service that speaks for all simulated devices."""
_PIECE: Final = 5_000

_CARDS: Final = """\
# Prices of the simulated fleet; `iot/rent` says what each entry means.

[[card]]
id = "by-the-hour"
version = 1
since = 2020-01-01T00:00:00Z
currency = "EUR"
fixed = "250.00"
hourly = "12.00"
floor = "250.00"
cap = "3500.00"
provisional = { most_hours_a_day = "8", hours_without_history = "4" }
tiers = [
  { from_hours = "0", to_hours = "80", multiplier = "1.0" },
  { from_hours = "80", to_hours = "160", multiplier = "0.9" },
  { from_hours = "160", to_hours = "240", multiplier = "0.8" },
  { from_hours = "240", multiplier = "0.7" },
]
"""


def write_example(
    folder: Path, machines: int, days: int, seed: int, now: Millis, port: int
) -> None:
    """Write the folder: what `veilscore iot up` and the other commands need.

    Args:
        machines: of the fleet, over a quarter as many lessees.
        days: of history that ends at the last midnight before `now`.
        port: of the broker that `up` starts on this machine.

    Raises:
        TelemetryError: the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TelemetryError(f"'{folder}' is not empty; name a folder that is not there yet.")
    folder.mkdir(parents=True, exist_ok=True)
    start = Millis(now // DAY * DAY - days * DAY)
    population = draw_population(seed, machines, start=start)
    leases = {
        device: tuple(replace(lease, rate_card=CARD) for lease in let)
        for device, let in population.fleet.leases.items()
    }
    write_population(replace(population, fleet=replace(population.fleet, leases=leases)), folder)
    (folder / "cards.toml").write_text(_CARDS, encoding="utf-8")
    (folder / FILE).write_text(_settings(port), encoding="utf-8")
    users: dict[str, dict[str, str]] = {
        "devices": {name: new_password() for name in population.fleet.devices},
        "services": {"ingest": new_password(), PLAYER: new_password()},
    }
    write_private(folder / PASSWORDS, json.dumps(users, indent=1).encode())
    write_private(folder / "ingest.password", users["services"]["ingest"].encode() + b"\n")
    plan = {"seed": seed, "machines": machines, "days": days, "start_ms": start}
    (folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")


def play(folder: Path, say: Callable[[int, int], None]) -> int:
    """Send the simulated history to the broker that `up` started, as its devices would.

    What was not receipted is sent again. Ground truth is written to truth.csv.

    Args:
        say: told now and then how many messages were sent, and how many are not receipted.

    Returns:
        how many messages were sent.

    Raises:
        TelemetryError: the folder was not written by `write_example`, or no broker answers.
    """
    settings = read_settings(folder)
    fleet = read_fleet(settings.fleet)
    try:
        drawn = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        plan = Plan(seed=drawn["seed"], start=drawn["start_ms"], days=drawn["days"])
        population = draw_population(drawn["seed"], drawn["machines"], start=plan.start)
    except (OSError, ValueError, KeyError):
        raise TelemetryError(
            f"'{folder / PLAN}' is not there or not ours: `simulate-fleet` writes it."
        ) from None
    runs = run_fleet(population, plan)
    write_truths(folder / TRUTH, truths(runs))
    users = read_users(folder / PASSWORDS)
    broker = settings.broker
    load = DeviceLoad(
        BrokerAddress(broker.host, broker.port, broker.authority), PLAYER, users.services[PLAYER]
    )
    sent = 0
    try:
        load.connect()
        for piece in _pieces(arrival_stream(runs)):
            load.add(piece, lambda sample: _lessee(fleet, sample))
            load.send(keys_of(piece))
            sent += len(piece)
            say(sent, load.unreceipted)
        until = time.monotonic() + 60
        while load.unreceipted and time.monotonic() < until:
            load.receive(1.0)
            say(sent, load.unreceipted)
    except OSError as error:
        raise TelemetryError(
            f"The broker at {broker.host}:{broker.port} does not answer "
            f"({error.strerror or type(error).__name__}); start `veilscore iot up` first."
        ) from None
    finally:
        load.close()
    return sent


def _pieces(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    while piece := list(islice(samples, _PIECE)):
        yield piece


def _lessee(fleet: Fleet, sample: Sample) -> str:
    lease = fleet.lease_at(sample.device, sample.at)
    return NO_LESSEE if lease is None else lease.lessee


def _settings(port: int) -> str:
    return f"""\
fleet = "fleet.toml"
database = "sqlite:///telemetry.db"
rate_cards = "cards.toml"

[broker]
host = "127.0.0.1"
port = {port}
authority = "broker/authority.pem"
user = "ingest"
password_file = "ingest.password"
local = true                 # `veilscore iot up` starts it
"""
