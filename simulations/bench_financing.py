"""`veilscore bench financing`: from a supplier's application to its money, and to the index.

A federation is trained, the bank's desk and two partners answer as processes, and the contracts
run on a chain of their own. Each application is one gRPC call over mutual TLS (score, decision,
signature), a dry run and one transaction of the supplier's, which pays it. On a development chain
a block is made at once, so what is measured is our own part: on another chain a block's time comes
on top.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from clients.desk_attestations import Attested, FinancingClaim
from clients.desk_client import DeskClient
from contracts.gateway.structs import Attestation
from contracts.index.database import IndexDatabase
from contracts.index.deployment import read_deployment
from contracts.index.indexer import Indexer
from contracts.index.schema import loans
from contracts.index.store import IndexStore
from contracts.index.web3_source import Web3Source
from contracts.units import ReceivableId, TokenMinor
from federation.errors import InputError
from simulations.bench_financing_desk import (
    DEBTOR_PROBABILITY,
    FACE,
    FACTS,
    PRODUCT,
    attesting_desk,
)
from simulations.bench_scoring_desk import running_partners
from simulations.bench_scoring_federation import Trained, train, write_federation
from simulations.bench_scoring_offline import Offline, offline_scores
from simulations.bench_scoring_processes import Service, ended_in_order
from simulations.financing_stage import DEPLOYMENT, FinancingStage, financing_stage

BORROWERS = 3_000
BAR_SECONDS = 1.0
"""From apply to paid, on anvil."""
WARM = 3
PARTS = ("attested", "tried", "stored", "sent", "mined", "confirmed", "seen")

Say = Callable[[str], None]


@dataclass
class _Clock:
    """Seconds of each part of each application, and of the whole."""

    parts: dict[str, list[float]] = field(default_factory=dict)
    marks: list[tuple[str, float]] = field(default_factory=list)

    def begin(self) -> None:
        """An application goes in."""
        self.marks = [("", time.perf_counter())]

    def mark(self, name: str) -> None:
        """A part is done."""
        self.marks.append((name, time.perf_counter()))

    def keep(self) -> None:
        """The application is paid."""
        for (_, before), (name, after) in zip(self.marks, self.marks[1:], strict=False):
            self.parts.setdefault(name, []).append(after - before)
        self.parts.setdefault("paid", []).append(self.marks[-1][1] - self.marks[0][1])


def bench_financing(
    runs: int, kind: str = "", borrowers: int = BORROWERS, say: Say = lambda _: None
) -> dict[str, Any]:
    """Measure applications, one after the other; returns the figures.

    Args:
        runs: applications.
        kind: 'anvil', 'eth-tester', or '' for anvil where it is installed.
        borrowers: of the bank, that the model is trained on.
        say: told what happens now.

    Raises:
        InputError: a process ended, an application was not approved or not paid in full.
    """
    if not 1 <= runs <= 10_000:
        raise InputError("bench financing: --runs must be 1 to 10,000")
    with ended_in_order(), tempfile.TemporaryDirectory(prefix="veilscore-bench-") as name:
        folder = Path(name)
        say("training the federation that is served")
        trained = train(write_federation(folder / "federation", borrowers))
        return financing_figures(trained, offline_scores(trained), folder, runs, kind, say)


def financing_figures(
    trained: Trained, offline: Offline, folder: Path, runs: int, kind: str, say: Say
) -> dict[str, Any]:
    """As `bench_financing`, on a federation that is trained; `offline` has its scores."""
    place = _safest(offline)
    with ExitStack() as stack:
        chain = stack.enter_context(financing_stage(kind, folder))
        if chain.development.kind != "anvil":
            say("anvil is not installed; eth-tester, a chain within this process, is slower")
        partners: Mapping[str, Service] = {}
        if offline.served.pins:
            partners = stack.enter_context(running_partners(trained, folder))
        desk, signer = stack.enter_context(
            attesting_desk(
                trained,
                {name: partner.address for name, partner in partners.items()},
                folder,
                folder / DEPLOYMENT,
                chain.address("bank"),
                {offline.borrowers[place]: chain.address("supplier")},
            )
        )
        chain.authorise(signer)
        say(f"the debtor confirms {runs + WARM} invoices on {chain.development.kind}")
        claims = [chain.confirmed(TokenMinor(FACE), number) for number in range(runs + WARM)]
        say(f"{runs} applications, one after the other")
        client = stack.enter_context(desk.client())
        applicant = _Applicant(chain, client, offline, place)
        for claim in claims[:WARM]:
            applicant.finances(claim, _Clock())
        clock = _Clock()
        indexed = [applicant.finances(claim, clock) for claim in claims[WARM:]]
        applicant.close()
        return {
            "chain": chain.development.kind,
            "runs": runs,
            "partners": len(partners),
            **_figures(clock.parts, indexed),
        }


def _safest(offline: Offline) -> int:
    """Of the borrowers that all parties know, the one with the lowest probability of default."""
    known = offline.expected_variants() == offline.served.main.name
    return int(np.argmin(np.where(known, offline.probabilities[offline.served.main.name], np.inf)))


class _Applicant:
    """The bank's caller of the desk, the supplier's account, and an index of the chain."""

    def __init__(
        self, stage: FinancingStage, client: DeskClient, offline: Offline, place: int
    ) -> None:
        self._stage, self._client = stage, client
        self._borrower, self._features = offline.borrowers[place], offline.features(place)
        deployment = read_deployment(stage.folder / DEPLOYMENT)
        self._database = IndexDatabase(f"sqlite:///{stage.folder / 'index.db'}")
        source = Web3Source(stage.gateway.chain.web3, deployment.contracts.values())
        self._indexer = Indexer(source, IndexStore(self._database, deployment), deployment)
        self._indexer.run()

    def finances(self, claim: ReceivableId, clock: _Clock) -> float:
        """Apply for one claim, be paid, find the loan in the index; seconds of the last part."""
        stage = self._stage
        facts = {**FACTS, "debtor_probability": Decimal(DEBTOR_PROBABILITY)}
        account = stage.address("supplier")
        before = stage.balance("supplier")
        clock.begin()
        attested = self._client.attest(
            self._borrower, self._features, PRODUCT, facts, FinancingClaim(account, claim)
        )
        clock.mark("attested")
        principal = TokenMinor(int(attested.decision.terms.get("limit_minor", 0)))
        signed, signature = signed_of(attested), attested.signature
        call = stage.gateway.pool.finance(claim, principal, signed, signature)
        receipt = stage.submit("supplier", call, step=clock.mark)
        risen = stage.balance("supplier") - before
        clock.mark("seen")
        clock.keep()
        check_paid(risen, stage.gateway.pool.payout_of(receipt), principal)
        begin = time.perf_counter()
        self._indexer.run()
        with self._database.reading() as connection:
            query = sa.select(loans.c.principal).where(loans.c.id == claim)
            if connection.execute(query).scalar_one_or_none() != principal:
                raise InputError(f"bench financing: the index has no loan on receivable {claim}")
        return time.perf_counter() - begin

    def close(self) -> None:
        """Close the index."""
        self._database.close()


def signed_of(attested: Attested) -> Attestation:
    """What the bank signed; raises `InputError` where it signed nothing."""
    if attested.attestation is None:
        raise InputError(f"bench financing: nothing was attested: {attested.withheld}")
    return attested.attestation


def check_paid(risen: int, payout: int, principal: int) -> None:
    """Whether the supplier has what the event says, an advance less its discount.

    Raises:
        InputError: it has not; then nothing is measured.
    """
    if risen != payout or not 0 < payout < principal:
        raise InputError(
            f"bench financing: the supplier's balance rose by {risen}; {payout} is right, of an "
            f"advance of {principal}"
        )


def _figures(parts: Mapping[str, list[float]], indexed: list[float]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in ("paid", *(part for part in PARTS if part in parts)):
        shown |= _milliseconds(name, parts[name])
    shown |= _milliseconds("indexed", indexed)
    return shown | {"within_bar": bool(np.quantile(parts["paid"], 0.99) <= BAR_SECONDS)}


def _milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    return {
        f"{name}_p50_ms": round(float(np.quantile(seconds, 0.5)) * 1e3, 1),
        f"{name}_p99_ms": round(float(np.quantile(seconds, 0.99)) * 1e3, 1),
    }
