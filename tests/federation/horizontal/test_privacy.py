"""Differential privacy of horizontal runs: what the ledgers hold is what was asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from federation.aggregation import SecureSumClient
from federation.errors import InputError, PartyFailure, ProtocolError
from federation.horizontal.client_noise import ClientNoise
from federation.horizontal.contribution import Contributor
from federation.horizontal.messages import PROTOCOL_VERSION as SPOKEN
from federation.horizontal.server import Limits
from federation.privacy import CLIENT, RECORD, Event, Exact, PrivacyHistory, Unit, check_run
from federation.proto.horizontal_pb2 import Order
from tests.federation.horizontal.banks import (
    FIVE,
    Answer,
    Drive,
    at,
    plan_of,
    rows_of,
    silent,
    step_of,
)

torch.set_num_threads(1)


def history(spent: list[tuple[Event, Unit, str]], unit: Unit) -> PrivacyHistory:
    """What was spent for a unit of privacy."""
    return PrivacyHistory(unit, tuple(event for event, of, _ in spent if of is unit))


def test_an_exact_run_says_that_no_epsilon_holds() -> None:
    """One exact release a run for records and one for the bank, entered before the first sum."""
    drive = Drive(plan_of(rounds=1))
    drive.finish()
    for bank in FIVE:
        spent = [(event, unit) for event, unit, _ in drive.spent[bank]]
        assert spent == [(Exact(), RECORD), (Exact(), CLIENT)]


@pytest.mark.slow
def test_record_level_privacy_composes_to_what_was_asked() -> None:
    """Every bank's ledger ends at ε = 4, not above it, also when a step was tried twice."""

    def lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 2) and name == "birch" else answer()

    banks = FIVE[:3]
    plan = plan_of(banks, record_epsilon=4.0, record_delta=1e-4, rounds=3, dropouts=0)
    drive = Drive(plan, tamper=lost)
    outcome = drive.finish()
    assert outcome.steps < 3 + 2 + 1
    assert any(kind == "contribute" and step == 2 for kind, step, *_ in drive.asked)
    for bank in banks:
        epsilon = history(drive.spent[bank], RECORD).epsilon(1e-4)
        assert 3.6 < epsilon <= 4.0
        exact = [unit for event, unit, _ in drive.spent[bank] if isinstance(event, Exact)]
        assert exact == [CLIENT]  # noise for records does not hide a bank
        assert drive.state(bank).evaluation == {}
    drive.check_same(outcome)


def test_a_budget_that_is_too_small_stops_the_run_before_anything_leaves() -> None:
    """The bank declines with the numbers, and nothing was spent or contributed."""

    def refuse(planned: list[tuple[Event, Unit]]) -> None:
        events = [event for event, unit in planned if unit is RECORD]
        check_run(PrivacyHistory(RECORD, ()), events, 1.0, 1e-4)

    drive = Drive(plan_of(record_epsilon=4.0, record_delta=1e-4), refuse=refuse)
    with pytest.raises(PartyFailure, match=r"1\b.*"):
        drive.finish()
    assert drive.spent == {}
    assert drive.states == {}
    assert [kind for kind, *_ in drive.asked] == ["join"]
    with pytest.raises(InputError, match=r"\d"):
        drive.bank("ash").answer(
            Order(protocol_version=SPOKEN, run="run-1", bank="ash", join={}).SerializeToString()
        )


@pytest.mark.parametrize(
    ("names", "privacy", "sentence"),
    [
        (FIVE, {"record_epsilon": 1.0, "record_delta": 1 / 236}, "for 236 records; less than"),
        (
            tuple(f"bank {number}" for number in range(10, 30)),
            {"client_epsilon": 1.0, "client_delta": 0.05},
            "for 20 banks; less than 1/20 = 0.05",
        ),
    ],
)
def test_a_delta_at_which_a_unit_could_be_given_away_is_refused(
    names: tuple[str, ...], privacy: dict[str, float], sentence: str
) -> None:
    """Before the bank joins: δ must be below one over the records, or over the banks."""
    contributor = Contributor(
        plan_of(names, **privacy), names[0], lambda: rows_of(names[0]), lambda *_: None
    )
    with pytest.raises(InputError, match=sentence):
        contributor.check()


def client_private(**values: object) -> Drive:
    """A run under client-level privacy."""
    return Drive(
        plan_of(
            client_epsilon=50.0,
            client_delta=1e-3,
            update_norm_bound=0.5,
            minimum_banks=3,
            dropouts=1,
            **values,
        )
    )


def test_client_level_privacy_adds_the_noise_that_its_ledger_says() -> None:
    """The opened sum is the banks' updates and five shares of noise; all rounds make ε = 50."""
    drive = client_private(rounds=2)
    # No step of SGD: what is left of every update is its noise.
    drive.plan = dataclasses.replace(
        drive.plan, settings=dataclasses.replace(drive.plan.settings, learning_rate=1e-12)
    )
    drive.run(stop=lambda kept: len(kept.totals) == 3)
    client = SecureSumClient.from_bytes(drive.state("cedar").secure_sum)
    parameters = len(drive.state("cedar").weights)
    layout = client.layout(parameters, fields=2)
    noise = ClientNoise(drive.plan, layout)
    assert noise.honest == 3  # of five, one may be missing, and one looks
    sums = [
        noise.decode(drive.opened(total), 5, total.step) * 5 * noise.scale
        for total in drive.totals[1:]
    ]
    found = np.concatenate(sums).std()
    values = 2 * parameters
    assert abs(found / (np.sqrt(5) * noise.sigma) - 1) < 5 / np.sqrt(2 * values)
    epsilon = history(drive.spent["cedar"], CLIENT).epsilon(1e-3)
    assert len(drive.spent["cedar"]) == 4
    # A record moves its bank's update by up to twice the norm bound: protected too, but less.
    of_records = history(drive.spent["cedar"], RECORD).epsilon(1e-3)
    assert epsilon < of_records < math.inf
    assert 45 < epsilon <= 50


def test_under_client_level_privacy_row_counts_stay_at_the_banks() -> None:
    """All banks weigh the same, so that each counts as one."""
    drive = client_private(rounds=1)
    drive.finish()
    assert drive.state("ash").total_rows == 5


def test_a_sample_of_banks_would_have_too_little_noise() -> None:
    """Banks ask for everyone, and a coordinator that sums fewer than planned is refused."""
    drive = client_private(rounds=3)
    drive.limits = Limits(3, dropouts=1, sample_share=0.6)
    drive.finish()
    assert {len(total.survivors) for total in drive.totals} == {5}
    drive = client_private(rounds=3)
    drive.limits = Limits(3, dropouts=2)

    def two_lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 1) and name > "cedar" else answer()

    drive.tamper = two_lost
    with pytest.raises(PartyFailure, match=r"fewer than the 4 that"):
        drive.finish()


def test_noise_is_drawn_once_a_round() -> None:
    """A round that is tried again sends the same noisy vector, and costs nothing more."""
    drive = client_private(rounds=1)
    drive.tamper = at("ash", "contribute", 1, silent)
    drive.limits = Limits(3, dropouts=1)

    def lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 1) and name < "cedar" else answer()

    drive.tamper = lost
    drive.finish()
    assert [unit for _, unit, _ in drive.spent["elm"]] == [CLIENT, RECORD]
    assert (drive.slots[1, "elm"] == drive.slots[2, "elm"]).all()


def test_an_order_that_can_not_be_followed_costs_nothing() -> None:
    """A step with too few banks is refused before a row is looked at or the ledger written."""
    drive = client_private(rounds=2)
    drive.run(stop=lambda kept: len(kept.totals) == 1)
    assert "ash" not in drive.spent
    order = Order(
        protocol_version=SPOKEN,
        run="run-1",
        bank="ash",
        contribute={"step": 1, "participants": ["ash"], "totals": drive.totals},
    )
    with pytest.raises(ProtocolError, match="1 participants in step 1"):
        drive.bank("ash").answer(order.SerializeToString())
    assert "ash" not in drive.spent
