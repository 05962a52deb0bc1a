"""The benchmark of a financing: real processes, a real EVM, and money that has arrived."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clients.desk_answers import decision_of
from clients.desk_attestations import Attested
from federation.errors import InputError
from federation.proto.scoring_pb2 import DecideReply
from simulations.bench_financing import (
    PARTS,
    bench_financing,
    check_paid,
    financing_figures,
    signed_of,
)
from simulations.bench_scoring_federation import Trained
from simulations.bench_scoring_local import pooled_model


@pytest.mark.slow
def test_applications_are_paid_and_measured(made_trained: Trained, tmp_path: Path) -> None:
    """Every part has a figure, and the parts make up the whole."""
    said: list[str] = []
    run = shutil.copytree(made_trained.run, tmp_path / "runs" / "made")
    pooled, offline = pooled_model(replace(made_trained, run=run))
    begin = time.monotonic()
    figures = financing_figures(pooled, offline, tmp_path, 2, "eth-tester", said.append)
    took = (time.monotonic() - begin) * 1e3
    assert (figures["chain"], figures["runs"], figures["partners"]) == ("eth-tester", 2, 0)
    assert any("anvil is not installed" in words for words in said)
    parts = [figures[f"{part}_p50_ms"] for part in PARTS]
    assert all(milliseconds >= 0 for milliseconds in parts)
    # Of two runs the median is the mean, which adds up; each figure is rounded to a tenth.
    assert sum(parts) == pytest.approx(figures["paid_p50_ms"], abs=1.0)
    assert 0 < figures["paid_p50_ms"] <= figures["paid_p99_ms"] < took
    assert figures["within_bar"] == (figures["paid_p99_ms"] <= 1_000)
    assert figures["indexed_p50_ms"] > 0


@pytest.mark.parametrize(("risen", "payout"), [(98, 99), (0, 0), (100, 100), (-99, -99)])
def test_a_supplier_that_gets_too_little_is_noticed(risen: int, payout: int) -> None:
    """The balance must rise as the event says, by less than the advance."""
    check_paid(99, 99, 100)
    with pytest.raises(InputError, match=f"balance rose by {risen}; {payout} is right"):
        check_paid(risen, payout, 100)


def test_an_application_that_is_declined_is_noticed() -> None:
    """Nothing is measured that was not signed."""
    declined = decision_of(DecideReply(decision="decline"))
    with pytest.raises(InputError, match="nothing was attested: the decision is 'decline'"):
        signed_of(Attested(declined, "the decision is 'decline'"))


def test_how_many_runs_there_can_be() -> None:
    """Said before anything is trained."""
    with pytest.raises(InputError, match="--runs must be 1 to 10,000"):
        bench_financing(0)
