"""A horizontal run in one process: the real protocol, keys, masks and ciphertexts, without Flower.

For benchmarks: no Ray to start, and one core's time shows what the protocol costs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from clients.bank.horizontal_training import BankJob, BankTraining
from clients.bank.results import TEST_SCORES
from clients.federation_file import FederationConfig, read_federation
from federation.errors import VeilscoreError
from federation.horizontal.messages import declined
from federation.horizontal.server import Ask, Limits, Outcome, coordinate
from federation.metrics import auc, ks, log_loss
from simulations.uci_banks import write_banks

RUN = "bench"


@dataclass(frozen=True)
class InProcessResult:
    """What a run came to.

    Attributes:
        auc, ks, log_loss: on all banks' test rows.
        rounds: of training.
        bytes_up: of all banks' replies.
        seconds: of all banks' and the coordinator's work, one after the other.
        excluded: banks that were left out, and why.
    """

    auc: float
    ks: float
    log_loss: float
    rounds: int
    bytes_up: int
    seconds: float
    excluded: Mapping[str, str]


def run_uci(
    overrides: Mapping[str, Any], *, banks: int = 4, partition: str = "iid", seed: int = 2005
) -> InProcessResult:
    """Divide the UCI data among banks in a folder that goes, and train them.

    Args:
        overrides: settings of the training.
        banks: how many.
        partition, seed: of the division.
    """
    with tempfile.TemporaryDirectory(prefix="veilscore-banks-") as folder:
        config = read_federation(write_banks(folder, banks=banks, partition=partition, seed=seed))
        return run_in_process(config, overrides)


def run_in_process(config: FederationConfig, overrides: Mapping[str, Any]) -> InProcessResult:
    """Train the banks of a federation; their vaults fill as in any run.

    Raises:
        PartyFailure: too few banks are left.
    """
    if config.aggregation is None:
        raise ValueError("a horizontal federation has aggregation settings")
    started = time.perf_counter()
    limits = Limits(
        config.aggregation.minimum_clients,
        config.aggregation.dropouts,
        config.aggregation.sample_share,
    )
    with tempfile.TemporaryDirectory(prefix="veilscore-banks-out-") as output:
        jobs = {
            party.name: BankJob(
                RUN, party.name, config, overrides, Path(output) / party.name, "veilscore bench"
            )
            for party in config.parties
        }
        outcome, bytes_up = _coordinate(jobs, limits)
        tables = [pq.read_table(jobs[bank].output / TEST_SCORES) for bank in outcome.banks]
    labels = np.concatenate([table.column("label").to_numpy() for table in tables])
    scores = np.concatenate([table.column("probability").to_numpy() for table in tables])
    return InProcessResult(
        auc(labels, scores),
        ks(labels, scores),
        log_loss(labels, scores),
        outcome.rounds,
        bytes_up,
        time.perf_counter() - started,
        outcome.excluded,
    )


def _coordinate(jobs: Mapping[str, BankJob], limits: Limits) -> tuple[Outcome, int]:
    role = coordinate(RUN, jobs, limits)
    replies: Mapping[str, bytes] | None = None
    bytes_up = 0
    while True:
        try:
            step = role.send(replies) if replies is not None else next(role)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome, bytes_up
        replies = {}
        if isinstance(step, Ask):
            replies = {bank: _answer(jobs[bank], order) for bank, order in step.orders.items()}
            bytes_up += sum(map(len, replies.values()))


def _answer(job: BankJob, order: bytes) -> bytes:
    try:
        return BankTraining(job).answer(order)
    except VeilscoreError as error:
        return declined(order, str(error))
