"""A session in Flower's simulation: every party a process of its own, over the relay."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
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
        task: fields of the coordinator's `SessionJob` that make it another task than training.

    Raises:
        PartyFailure: a party failed or did not come; one sentence.
    """
    with tempfile.TemporaryDirectory(
        prefix="veilscore-flower-", ignore_cleanup_errors=True
    ) as home:
        settings = QUIET | {
            "FLWR_HOME": home,
            "VEILSCORE_SIMULATION_FEDERATION": str(config.path.resolve()),
            "VEILSCORE_SIMULATION_OUTPUT": str(config.output.resolve()),
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            parties = [party.name for party in config.parties]
            return _run(
                parties, run, trainings, on_progress, party_seconds, nodes, task or {}, home
            )
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _run(
    parties: Sequence[str],
    run: str,
    trainings: Sequence[Mapping[str, Any]],
    on_progress: Callable[[str, ProgressNote], None],
    party_seconds: float,
    nodes: int | None,
    task: Mapping[str, str],
    home: str,
) -> Any:
    # Imported here: Flower reads its environment at import, and printing help must not wait for it.
    from flwr.app import Context
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    from clients.app import app as client_app
    from server.coordinator.app import SessionJob, SessionOutcome, run_session

    for name in ("flwr", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    job = SessionJob(
        run,
        f"{run}-{secrets.token_hex(4)}",
        parties[0],
        tuple(parties),
        tuple(trainings),
        party_seconds=party_seconds,
        **task,
    )
    ended: list[SessionOutcome | BaseException] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            ended.append(run_session(grid, job, on_progress))
        except BaseException as error:
            ended.append(error)

    count = nodes or len(parties)
    run_simulation(
        server_app,
        client_app,
        num_supernodes=count,
        backend_config={
            # As many logical cores as parties: all must be scheduled at once, or the last would
            # wait for the first for ever.
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {
                "num_cpus": count,
                "include_dashboard": False,
                "log_to_driver": False,
                "logging_level": logging.CRITICAL,
                # Its logs belong in a folder of our own that goes when the run ends.
                **({"_temp_dir": home} if len(home) <= LONGEST_RAY_FOLDER else {}),
            },
        },
    )
    if not ended:
        raise PartyFailure("Flower's simulation ended before the session did; see its log")
    outcome = ended[0]
    if isinstance(outcome, SessionOutcome):
        return outcome
    if isinstance(outcome, VeilscoreError):
        raise outcome
    raise RuntimeError("the coordinator failed") from outcome
