"""Histories: the whole of it counts, in words and against a budget that is a hard stop."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from federation.errors import InputError
from federation.privacy.events import (
    CLIENT,
    LABEL,
    RECORD,
    DistributedGaussian,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
    Unit,
)
from federation.privacy.history import PrivacyHistory, check_run, shown
from federation.privacy.zcdp import epsilon_of, rho_for

DELTA = 1e-5
NOISY = GaussianRelease(0.02)


@pytest.mark.parametrize("unit", [RECORD, LABEL, CLIENT])
def test_the_sentence_names_the_unit_and_the_whole_history(unit: Unit) -> None:
    """One, several, and exact among them: no ε is claimed once something was exact."""
    one = PrivacyHistory(unit, (NOISY,))
    assert PrivacyHistory(unit).sentence(DELTA) == f"nothing about {unit} was ever released"
    assert one.sentence(DELTA) == (
        f"ε = {shown(epsilon_of(0.02, DELTA))} at δ = 1e-05 per {unit}, for 1 release with "
        "discrete Gaussian noise (ρ = 0.02)"
    )
    assert (
        one.after(NOISY)
        .sentence(DELTA)
        .endswith("for 2 releases with discrete Gaussian noise (ρ = 0.02 each)")
    )
    both = one.after(Exact()).sentence(DELTA)
    assert both == (
        f"no ε bounds what was given away about {unit} by 1 release with discrete Gaussian noise "
        "(ρ = 0.02), 1 exact release"
    )


def test_every_mechanism_has_words() -> None:
    """What a mixed history is made of, merged."""
    history = PrivacyHistory(RECORD).after(
        SampledGaussian(2.0, 0.01, 300),
        RandomisedResponse(0.5),
        SampledGaussian(2.0, 0.01, 700),
        RandomisedResponse(0.5),
        DistributedGaussian(100.0, 250.0, 4, 10),
    )
    sentence = history.sentence(DELTA, "rdp")
    for words in (
        "1,000 steps of DP-SGD (noise multiplier 2, sampling rate 0.01)",
        "2 releases by randomised response (ε = 0.5 each)",
        "1 secure sum of updates with noise shares (σ = 2.5 of the clipping norm from each of 4 "
        "honest contributors)",
    ):
        assert words in sentence


def test_a_shown_epsilon_is_rounded_up() -> None:
    """A reader must not see less than the bound."""
    assert [shown(value) for value in (0.0, 1.0, 2.0000001, 2.001, 0.999999999)] == [
        "0.00",
        "1.00",
        "2.01",
        "2.01",
        "1.00",
    ]


def test_the_budget_stops_the_event_that_would_pass_it() -> None:
    """Events fit until the history with the next one is over; the error has all the numbers."""
    share = GaussianRelease(rho_for(2.0, DELTA) / 3)
    history = PrivacyHistory(LABEL)
    for _ in range(3):
        history.check_budget(share, 2.0, DELTA)
        history = history.after(share)
    with pytest.raises(
        InputError,
        match=r"is 2 \(δ = 1e-05, per one borrower's label\): ε = 2\.00 is spent, .* make it "
        r"ε = 2\.\d\d in all",
    ):
        history.check_budget(share, 2.0, DELTA)
    history.check_budget(share, None, DELTA)


def test_no_budget_has_room_for_exact_releases() -> None:
    """They have no ε, so any budget refuses them, before and after."""
    with pytest.raises(InputError, match=r"would make it exact \(no ε\)"):
        PrivacyHistory(LABEL).check_budget(Exact(), 1e6, DELTA)
    with pytest.raises(InputError, match="no budget can be kept any more"):
        PrivacyHistory(LABEL, (Exact(),)).check_budget(NOISY, 50.0, DELTA)


def test_a_run_is_judged_as_a_whole_before_it_starts() -> None:
    """Each of its events would fit, all of them do not."""
    round_of = SampledGaussian(1.0, 0.02, 100)
    history = PrivacyHistory(RECORD, (SampledGaussian(2.0, 0.05, 200),))
    budget = history.after(*[round_of] * 5).epsilon(DELTA, "rdp")
    check_run(history, [round_of] * 5, budget, DELTA, "rdp")
    with pytest.raises(InputError, match="per one borrower's record.* and this run would make it"):
        check_run(history, [round_of] * 6, budget, DELTA, "rdp")
    assert history.events == (SampledGaussian(2.0, 0.05, 200),)


def test_the_tighter_accountant_decides_where_the_quick_one_has_no_room() -> None:
    """A budget between the two bounds has room."""
    steps = SampledGaussian(1.0, 0.02, 1000)
    history = PrivacyHistory(RECORD, (steps,))
    tight, loose = history.epsilon(DELTA, "prv"), history.epsilon(DELTA, "rdp")
    assert tight < loose
    check_run(PrivacyHistory(RECORD), [steps], (tight + loose) / 2, DELTA)
    with pytest.raises(InputError, match="this run would make it"):
        check_run(PrivacyHistory(RECORD), [steps], (tight + loose) / 2, DELTA, "rdp")


def test_an_unknown_accountant_is_refused() -> None:
    """The known ones are named."""
    with pytest.raises(InputError, match="accountant is 'moments'; one of rdp, prv, best is right"):
        PrivacyHistory(RECORD, (NOISY,)).epsilon(DELTA, "moments")


def test_units_are_words() -> None:
    """Whom each guarantee protects."""
    assert [unit.value for unit in Unit] == [
        "one borrower's record",
        "one borrower's label",
        "one bank's whole data set",
    ]
    assert math.isinf(PrivacyHistory(CLIENT, (Exact(),)).epsilon(DELTA))


def test_a_history_without_dp_sgd_never_loads_torch() -> None:
    """The command line and vertical runs account for labels; torch takes seconds to load."""
    program = (
        "import sys; from clients.ledger_listing import ledger_listing; "
        "from federation.privacy import LABEL, GaussianRelease, PrivacyHistory; "
        "print(PrivacyHistory(LABEL, (GaussianRelease(0.02),)).sentence(1e-5)); "
        "sys.exit(bool({'torch', 'opacus'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ε = ")
