"""Runs in Flower's simulation: a session of all parties over the relay, or banks' rounds."""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig
from federation.errors import PartyFailure, VeilscoreError
from federation.proto.relay_pb2 import ProgressNote

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # One thread a party: they share the machine's cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


# Ray's sockets lie below it, and a socket's path has at most 107 signs.
LONGEST_RAY_FOLDER = 40


def new_run_id(name: str) -> str:
    """Sortable by time, unique: 20261122-101500-demo-3f2a."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{name}-{secrets.token_hex(2)}"


def run_in_flower(
    config: FederationConfig,
    run: str,
    trainings: Sequence[Mapping[str, Any]] = (),
    on_progress: Callable[[str, ProgressNote], None] = lambda party, note: None,
    party_seconds: float = 60.0,
    nodes: int | None = None,
    task: Mapping[str, str] | None = None,
) -> Any:
    """Run one session; returns the coordinator's `SessionOutcome`.

    Args:
        config: the federation; every party reads its file, and its own manifest.
        run: the run's id.
        trainings: overrides of the file's settings, one a training.
        on_progress: called with a party's name and its progress note.
        party_seconds: time limit for all parties to come.
        nodes: how many nodes to start; one a party if not given.
        task: what to do instead of training (`SessionJob`).

    Raises:
        PartyFailure: a party failed or did not come; one sentence.
    """
    parties = [party.name for party in config.parties]

    def serve(grid: Any) -> Any:
        from clients.pins import pins_of
        from server.coordinator.app import SessionJob, run_session

        job = SessionJob(
            run,
            f"{run}-{secrets.token_hex(4)}",
            parties[0],
            tuple(parties),
            pins_of(config),
            tuple(trainings),
            party_seconds=party_seconds,
            **(task or {}),
        )
        return run_session(grid, job, on_progress)

    # All parties hold a session at once: the last would wait for the first for ever.
    count = nodes or len(parties)
    return simulate(config, serve, nodes=count, at_once=count)


def run_banks_in_flower(
    config: FederationConfig,
    run: str,
    folder: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    on_note: Callable[[Any], None] = lambda note: None,
    party_seconds: float = 60.0,
) -> Any:
    """Run one horizontal training; returns the coordinator's `HorizontalOutcome`.

    Args:
        config: the federation of banks.
        run: the run's id.
        folder: where the coordinator keeps its transcript.
        overrides: of the file's settings.
        resume: go on with that run from its transcript.
        on_note: called with the coordinator's notes.
        party_seconds: time limit for all banks to come.

    Raises:
        PartyFailure: too few banks came or are left; one sentence.
    """
    if config.aggregation is None:
        raise ValueError("a horizontal federation has aggregation settings")
    aggregation = config.aggregation
    banks = tuple(party.name for party in config.parties)

    def serve(grid: Any) -> Any:
        from federation.horizontal.server import Limits
        from server.coordinator.horizontal_run import HorizontalJob, run_horizontal
        from server.coordinator.transcript_store import TranscriptStore

        limits = Limits(
            minimum_banks=aggregation.minimum_clients,
            dropouts=aggregation.dropouts,
            sample_share=aggregation.sample_share,
        )
        job = HorizontalJob(
            run,
            banks,
            limits,
            aggregation.round_seconds,
            overrides or {},
            resume,
            party_seconds,
        )
        return run_horizontal(grid, job, TranscriptStore(folder), on_note)

    # No order waits for another bank's reply: as many at once as the machine has cores.
    at_once = min(len(banks), len(os.sched_getaffinity(0)))
    return simulate(config, serve, nodes=len(banks), at_once=at_once)


def simulate(
    config: FederationConfig, serve: Callable[[Any], Any], *, nodes: int, at_once: int
) -> Any:
    """What `serve` returns, given the grid of a Flower simulation with so many nodes.

    Args:
        config: the federation that the nodes belong to.
        serve: the coordinator's work.
        nodes: how many to start.
        at_once: how many work at the same time.

    Raises:
        VeilscoreError: what `serve` raised.
    """
    from clients.pins import pins_of

    keys = {party: pin.text for party, pin in pins_of(config).items()}
    with tempfile.TemporaryDirectory(
        prefix="veilscore-flower-", ignore_cleanup_errors=True
    ) as home:
        settings = QUIET | {
            "FLWR_HOME": home,
            "VEILSCORE_SIMULATION_FEDERATION": str(config.path.resolve()),
            "VEILSCORE_SIMULATION_OUTPUT": str(config.output.resolve()),
            "VEILSCORE_SIMULATION_KEYS": json.dumps(keys),
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            return _simulate(serve, nodes, at_once, home)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _simulate(serve: Callable[[Any], Any], nodes: int, at_once: int, home: str) -> Any:
    # Imported here: Flower reads its environment at import, and printing help must not wait for it.
    from flwr.app import Context
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    from clients.app import app as client_app

    for name in ("flwr", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    returned: list[Any] = []
    raised: list[BaseException] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            returned.append(serve(grid))
        except BaseException as error:
            raised.append(error)

    run_simulation(
        server_app,
        client_app,
        num_supernodes=nodes,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {
                "num_cpus": at_once,
                "include_dashboard": False,
                "log_to_driver": False,
                "logging_level": logging.CRITICAL,
                # Its logs belong in a folder of our own that goes when the run ends.
                **({"_temp_dir": home} if len(home) <= LONGEST_RAY_FOLDER else {}),
            },
        },
    )
    if returned:
        return returned[0]
    if not raised:
        raise PartyFailure("Flower's simulation ended before the session did; see its log")
    if isinstance(raised[0], VeilscoreError):
        raise raised[0]
    raise RuntimeError("the coordinator failed") from raised[0]
