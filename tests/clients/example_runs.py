"""Whole runs of a federation's parties, in one process or one each, files to files."""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clients.channels.stream import StreamChannel
from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.party import PartyJob, PartyRun
from clients.pins import identity_of, pins_of
from clients.plan import epsilon_budget, session_plan
from federation.session.in_process import run_in_process
from server.coordinator.relay import Relay


def party_job(
    config: FederationConfig,
    party: str,
    run: str,
    trainings: Sequence[Mapping[str, Any]] = (),
) -> PartyJob:
    """What the coordinator's start message makes a party's process do."""
    session = f"{run}-session"
    is_label_party = party == config.label_party.name
    return PartyJob(
        run=run,
        session=session,
        manifest=config.manifest_of(party),
        identity=identity_of(config, party),
        label_party=config.label_party.name,
        output=config.output / run / party,
        plan=session_plan(config, session, trainings) if is_label_party else None,
        split_column=config.split.column if is_label_party else None,
        epsilon_budget=epsilon_budget(config) if is_label_party else None,
    )


def start_all(
    config: FederationConfig, run: str, trainings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, PartyRun]:
    """Every party with its table read and its machine ready."""
    return {
        party.name: PartyRun(party_job(config, party.name, run, trainings))
        for party in config.parties
    }


def run_all(
    config: FederationConfig, run: str, trainings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Run a session and let every party write what it keeps; returns their summaries."""
    parties = start_all(config, run, trainings)
    run_in_process({name: party.machine for name, party in parties.items()})
    return {name: party.finish() for name, party in parties.items()}


def files_below(folder: Path) -> set[str]:
    """Every file, relative to the folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _take_part(
    federation: Path,
    party: str,
    run: str,
    trainings: Sequence[Mapping[str, Any]],
    address: str,
    certificate: bytes,
) -> None:
    config = read_federation(federation)
    key = identity_of(config, party).key
    channel = StreamChannel(address, key, certificate, tell_inputs=True)
    part = PartyRun(party_job(config, party, run, trainings), channel.note)
    channel.run(part.machine, lambda: json.dumps(part.finish()))


def run_over_stream(
    config: FederationConfig, run: str, trainings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """As `run_all`, every party in a process of its own, over the relay."""
    names = [party.name for party in config.parties]
    spawn = multiprocessing.get_context("spawn")
    with Relay(f"{run}-session", pins_of(config), join_seconds=60) as relay:
        arguments = (run, trainings, relay.address, relay.certificate)
        processes = [
            spawn.Process(target=_take_part, args=(config.path, name, *arguments)) for name in names
        ]
        for process in processes:
            process.start()
        try:
            return {name: json.loads(text) for name, text in relay.wait().items()}
        finally:
            for process in processes:
                process.join(20)
                process.kill()


TELECOM = """
[party]
name = "telecom"
role = "feature"

[source]
path = "customers.csv"

[ids]
column = "firm"

[features]
disputes = "numeric"

[features.turnover]
columns = ["turnover_q1", "turnover_q2", "turnover_q3", "turnover_q4"]
kind = "numeric"
missing = [-1]
"""


def three_parties(folder: Path, alignment: str) -> FederationConfig:
    """The example with a third party, which has some of the platform's columns and firms."""
    path = write_example(folder)
    platform = folder / "platform" / "manifest.toml"
    kept, _, rest = platform.read_text().partition("disputes = ")
    platform.write_text(kept + 'tier = "categorical"\n')
    assert "turnover" in rest
    columns = ["disputes", "turnover_q1", "turnover_q2", "turnover_q3", "turnover_q4"]
    (folder / "telecom").mkdir()
    (folder / "telecom" / "manifest.toml").write_text(TELECOM)
    with (
        (folder / "platform" / "merchants.csv").open(newline="") as source,
        (folder / "telecom" / "customers.csv").open("w", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["firm", *columns])
        rows = [
            [row["registration_number"], *(row[column] for column in columns)]
            for row in csv.DictReader(source)
        ]
        writer.writerows(row for number, row in enumerate(reversed(rows)) if number % 20)
    text = path.read_text().replace('alignment = "inner"', f'alignment = "{alignment}"')
    path.write_text(
        text + '\n[parties.telecom]\nrole = "feature"\nmanifest = "telecom/manifest.toml"\n'
    )
    return read_federation(path)
