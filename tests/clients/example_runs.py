"""Whole runs of a federation's parties in one process, from their files to what they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig
from clients.party import PartyJob, PartyRun
from clients.plan import epsilon_budget, session_plan
from federation.session.in_process import run_in_process


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
