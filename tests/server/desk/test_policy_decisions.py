"""Decisions of the example policy: hard rules, limits, prices, what a borrower is told."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal, getcontext, localcontext
from pathlib import Path

import pytest

from federation.errors import InputError
from federation.scoring.rows import FieldErrors
from server.desk.answers import GivenReason
from server.desk.policy.decision import Application, FollowUp, Outcome
from server.desk.policy.lending_policy import LendingPolicy
from tests.server.desk.policies import DAY, EXAMPLE, POLICY, PRODUCTS, applied, facts, written

WATCHED = frozenset({FollowUp.WATCH_LIST})
REVIEWED = frozenset({FollowUp.LIMIT_REVIEW})
REASONS = (GivenReason("platform", "many returns", 12), GivenReason("bank", "overdrafts", 5))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"consent": False}, "H02-consent"),
        ({"months_in_business": 11}, "H03-months-in-business"),
        ({"industry": "gambling"}, "H04-industry"),
        ({"consent": False, "industry": "gambling"}, "H02-consent"),
        ({"borrower_exposure_minor": 99_900_000}, "H10-borrower-cap"),
        ({"industry_exposure_minor": 10**12}, "H12-industry-cap"),
    ],
)
def test_hard_rules_decline_in_the_order_of_the_file(change: dict[str, int], rule: str) -> None:
    """The first rule names the decision, and its reason stands first."""
    made = POLICY.decide(applied(0.001, given=facts(**change)), DAY)
    assert (made.outcome, made.rule) == (Outcome.DECLINE, rule)
    assert not made.terms
    assert made.economics is None
    assert made.reasons[0].party == "policy"


def test_a_blocked_borrower_is_declined_whatever_the_score() -> None:
    """And the score's reasons are not given for it."""
    made = POLICY.decide(applied(0.0001, borrower="blocked-example-1", reasons=REASONS), DAY)
    assert (made.outcome, made.rule) == (Outcome.DECLINE, "H01-blocked")
    assert made.reasons == (GivenReason("policy", "blocked list", 0),)


def test_a_blocked_debtor_is_declined() -> None:
    """A list can look at a fact."""
    given = facts("receivable-advance", debtor="blocked-example-2")
    made = POLICY.decide(applied(0.01, "receivable-advance", given=given), DAY)
    assert made.rule == "H07-blocked-debtor"


def test_a_decline_by_grade_gives_the_scores_reasons() -> None:
    """After the rule's own."""
    made = POLICY.decide(applied(0.5, reasons=REASONS), DAY)
    assert (made.outcome, made.rule, made.grade) == (Outcome.DECLINE, "WC-F", "F")
    assert made.reasons[1:] == REASONS


def test_the_watch_list_refers_and_keeps_the_terms_as_a_proposal() -> None:
    """A person decides; a decline by grade still wins."""
    made = POLICY.decide(applied(0.01, follow_ups=WATCHED), DAY)
    assert (made.outcome, made.rule) == (Outcome.REFER, "H08-watch-list")
    assert made.terms["limit_minor"] == 5_000_000
    assert POLICY.decide(applied(0.5, follow_ups=WATCHED), DAY).rule == "WC-F"


def test_a_limit_review_stops_rises_only() -> None:
    """An existing limit stays; a new one is referred; a cut goes through."""
    given = facts(current_limit_minor=3_000_000)
    assert POLICY.decide(applied(given=given), DAY).terms["limit_minor"] == 3_750_000
    held = POLICY.decide(applied(given=given, follow_ups=REVIEWED), DAY)
    assert (held.outcome, held.terms["limit_minor"]) == (Outcome.APPROVE, 3_000_000)
    assert "H09-limit-review" in held.fired
    new = POLICY.decide(applied(follow_ups=REVIEWED), DAY)
    assert (new.outcome, new.rule) == (Outcome.REFER, "H09-limit-review")
    cut = POLICY.decide(applied(0.09, given=given, follow_ups=REVIEWED), DAY)
    assert cut.terms["limit_minor"] < 3_000_000


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({}, 5_000_000),  # as requested, below 12 % of the turnover
        ({"annual_turnover_minor": 30_000_000}, 3_600_000),
        ({"annual_turnover_minor": 30_009_999}, 3_600_000),  # down to hundreds
        ({"current_limit_minor": 3_000_000}, 3_750_000),  # a quarter up
        ({"current_limit_minor": 3_000_000, "days_since_rise": 89}, 3_000_000),
        ({"current_limit_minor": 3_000_000, "average_utilisation": Decimal("0.96")}, 3_000_000),
        ({"current_limit_minor": 6_000_000}, 5_000_000),  # cut at once
        ({"current_limit_minor": 4_000_000, "average_utilisation": Decimal("0.05")}, 2_800_000),
        ({"borrower_exposure_minor": 96_005_000}, 3_990_000),  # what the cap leaves
    ],
)
def test_limits_of_the_revolving_loan(change: dict[str, int], limit: int) -> None:
    """Turnover, the present limit, its use, and caps."""
    made = POLICY.decide(applied(0.02, given=facts(**change)), DAY)
    assert made.terms["limit_minor"] == limit


def test_a_cut_below_what_is_drawn_stops_drawing() -> None:
    """Nothing is available, never less than nothing."""
    given = facts(current_limit_minor=5_000_000, drawn_minor=4_900_000)
    made = POLICY.decide(applied(0.09, given=given), DAY)
    assert made.terms["limit_minor"] < 4_900_000
    assert made.terms["available_minor"] == 0
    assert "more is drawn than the new limit: no further drawing" in made.notes


@pytest.mark.parametrize(
    ("product", "outcome", "share"),
    [
        ("working-capital", Outcome.REFER, 1),  # no increase, and there is no limit yet
        ("order-loan", Outcome.APPROVE, Decimal("0.6")),
        ("receivable-advance", Outcome.APPROVE, 1),
        ("equipment-lease", Outcome.REFER, 1),
    ],
)
def test_a_silent_party(product: str, outcome: Outcome, share: Decimal) -> None:
    """What the policy says of each product: refer, a lower limit, or as it is."""
    whole = POLICY.decide(applied(0.02, product), DAY)
    made = POLICY.decide(applied(0.02, product, silent=("platform",)), DAY)
    assert made.outcome is outcome
    assert made.terms["limit_minor"] == whole.terms["limit_minor"] * share
    assert any("platform" in note for note in made.notes)


def test_the_price_by_hand() -> None:
    """An order loan of 10,000.00 for 60 days at 2 %: every part reckoned apart, in floats."""
    given = facts("order-loan", requested_minor=1_000_000)
    made = POLICY.decide(applied(0.02, "order-loan", given=given), DAY)
    years = 60 / 365
    over_tenor = 1 - 0.98**years
    assert made.economics is not None
    assert float(made.economics.probability_over_tenor) == pytest.approx(over_tenor)
    weight = 0.5799  # published for other retail, LGD 45 %
    parts = 0.025 + (0.015 + 1_500 / (1_000_000 * years)) + over_tenor * 0.45 / years
    parts += weight * 0.13 * 0.10 + 0.025
    assert float(made.terms["annual_rate"]) == pytest.approx(parts, abs=0.0005)
    assert float(made.terms["annual_rate"]) >= parts - 1e-6
    assert made.economics.exposure_at_default_minor == 1_000_000
    lost = over_tenor * 0.45 * 1_000_000
    assert made.economics.expected_loss_minor == int(lost) + 1  # up
    assert made.terms["interest_minor"] == int(1_000_000 * float(made.terms["annual_rate"]) * years)


def test_expected_loss_of_a_revolving_loan_by_hand() -> None:
    """40,000.00 drawn of 50,000.00: 40,000 + 0.4 · 10,000 = 44,000.00 at default, 40 % lost."""
    given = facts(current_limit_minor=5_000_000, drawn_minor=4_000_000)
    made = POLICY.decide(applied(0.02, given=given), DAY)
    economics = made.economics
    assert economics is not None
    assert economics.exposure_at_default_minor == 4_400_000
    assert economics.loss_given_default == Decimal("0.4")
    assert economics.probability_over_tenor == pytest.approx(Decimal("0.02"), abs=Decimal("1e-20"))
    assert economics.expected_loss_minor == 35_200


def test_insurance_and_guarantee_lower_the_price() -> None:
    """Half insured, counted on to 90 %: 45 % of the loss is the insurer's."""
    given = facts("order-loan", insured_share=Decimal("0.5"))
    plain = POLICY.decide(applied(0.05, "order-loan"), DAY)
    insured = POLICY.decide(applied(0.05, "order-loan", given=given), DAY)
    assert plain.economics is not None
    assert insured.economics is not None
    assert insured.economics.loss_given_default == Decimal("0.45") * Decimal("0.55")
    assert insured.terms["annual_rate"] < plain.terms["annual_rate"]


def test_a_receivable_is_priced_by_both_parties() -> None:
    """Both must fail: d·s + ρ·√(d(1−d)·s(1−s)), and a weak debtor gets a smaller advance."""
    good = POLICY.decide(applied(0.02, "receivable-advance"), DAY)
    assert good.economics is not None
    together = 0.01 * 0.02 + 0.15 * (0.01 * 0.99 * 0.02 * 0.98) ** 0.5
    assert float(good.economics.probability) == pytest.approx(together)
    assert good.terms["advance_rate"] == Decimal("0.8075")
    given = facts("receivable-advance", debtor_probability=Decimal("0.06"))
    weak = POLICY.decide(applied(0.02, "receivable-advance", given=given), DAY)
    assert weak.terms["limit_minor"] < good.terms["limit_minor"]
    assert weak.terms["annual_rate"] > good.terms["annual_rate"]
    given = facts("receivable-advance", debtor_probability=Decimal("0.08"))
    none = POLICY.decide(applied(0.02, "receivable-advance", given=given), DAY)
    assert (none.outcome, none.rule) == (Outcome.DECLINE, "RA-DEBTOR")


def test_the_discount_is_true_to_the_rate() -> None:
    """The payout grows to the advance at the annual rate, to a minor unit."""
    made = POLICY.decide(applied(0.02, "receivable-advance"), DAY)
    limit, payout = made.terms["limit_minor"], made.terms["payout_minor"]
    assert made.terms["discount_minor"] == limit - payout
    grown = payout * (1 + made.terms["annual_rate"] * made.terms["tenor_days"] / 365)
    assert 0 <= grown - limit < 2


def test_the_rent_pays_the_lease_back() -> None:
    """Month by month: interest, rent, and at the end the residual value is left."""
    made = POLICY.decide(applied(0.02, "equipment-lease"), DAY)
    monthly = made.terms["annual_rate"] / Decimal(12)
    balance = Decimal(made.terms["limit_minor"])
    for _ in range(int(made.terms["tenor_months"])):
        balance += balance * monthly - made.terms["rent_minor"]
    left = balance - made.terms["residual_minor"]
    assert 0 <= left < 2 * made.terms["tenor_months"]  # the rent was rounded down
    assert made.terms["down_payment_minor"] + made.terms["limit_minor"] == 6_000_000
    assert made.terms["residual_minor"] == 1_260_000  # 6 million · 0.35 · 0.6


def test_the_rate_cap_lowers_or_declines() -> None:
    """Above the cap: at the cap with half the limit while a margin is left, then not at all."""
    lowered = POLICY.decide(applied(0.1), DAY)
    assert lowered.terms["annual_rate"] == Decimal("0.15")
    assert lowered.terms["limit_minor"] == 1_200_000  # half of 4 % of 600,000.00
    assert "WC-RATE-CAP" in lowered.fired
    assert POLICY.decide(applied(0.135), DAY).rule == "WC-RATE-CAP"


def test_an_order_that_pays_too_late_is_declined() -> None:
    """The grade's longest tenor counts, grace included."""
    given = facts("order-loan", days_to_payment=105)
    assert POLICY.decide(applied(0.02, "order-loan", given=given), DAY).outcome == "approve"
    given = facts("order-loan", days_to_payment=106)
    assert POLICY.decide(applied(0.02, "order-loan", given=given), DAY).rule == "OL-TENOR"


def test_grades_end_with_their_border() -> None:
    """0.5 % is grade A, and so is what rounds to it."""
    grades = [POLICY.decide(applied(p), DAY).grade for p in (0.005, 0.005004, 0.00501)]
    assert grades == ["A", "A", "B"]


def test_the_sentence_says_the_offer() -> None:
    """Amount, price, tenor; for a lease the rent too."""
    made = POLICY.decide(applied(0.02), DAY)
    rate = made.terms["annual_rate"] * 100
    assert made.sentence == (
        f"Working-capital loan: we offer 50,000.00 EUR at {rate.normalize()} % a year for "
        "12 months."
    )
    assert "a month" in POLICY.decide(applied(0.02, "equipment-lease"), DAY).sentence
    consent = POLICY.decide(applied(given=facts(consent=False)), DAY)
    assert consent.sentence.startswith("We need your consent")


@pytest.mark.parametrize("product", PRODUCTS)
def test_wrong_facts_are_all_named_without_their_values(product: str) -> None:
    """Missing, of another type, out of range, unknown: a list of fields."""
    given = facts(product, consent="yes", months_in_business=-7, shoe_size=44321)
    del given["industry"]
    with pytest.raises(FieldErrors) as caught:
        POLICY.decide(applied(product=product, given=given), DAY)
    fields = dict(caught.value.fields)
    assert set(fields) == {
        "facts.consent",
        "facts.months_in_business",
        "facts.industry",
        "facts.shoe_size",
    }
    assert "44321" not in str(fields)
    assert "yes" not in str(fields)


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("Infinity"), Decimal("1.0001"), Decimal("1E-40"), True, 0.5]
)
def test_odd_decimals_are_refused(value: object) -> None:
    """A share is a Decimal (or 0, 1) from 0 to 1 with up to 12 decimals; a float is none."""
    with pytest.raises(FieldErrors):
        POLICY.decide(applied(given=facts(average_utilisation=value)), DAY)  # type: ignore[arg-type]


def test_an_unknown_product_is_a_field_error() -> None:
    """Named 'product'."""
    with pytest.raises(FieldErrors) as caught:
        POLICY.decide(Application("yacht", "b", 0.1, {}), DAY)
    assert caught.value.fields[0][0] == "product"


@pytest.mark.parametrize("probability", [float("nan"), float("inf"), -0.01, 1.01])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    """Before anything is decided."""
    with pytest.raises(InputError, match="from 0 to 1"):
        POLICY.decide(applied(probability), DAY)


def test_a_policy_decides_on_its_days_only() -> None:
    """First and last day included."""
    for day in (date(2026, 1, 1), date(2027, 12, 31)):
        assert POLICY.decide(applied(), day).outcome is Outcome.APPROVE
    for day in (date(2025, 12, 31), date(2028, 1, 1)):
        with pytest.raises(InputError, match="in force"):
            POLICY.decide(applied(), day)


def test_nothing_of_a_borrower_is_shown() -> None:
    """An application's representation holds neither id nor score nor facts."""
    shown = repr(applied(0.0123, borrower="secret-firm"))
    assert "secret-firm" not in shown
    assert "0.0123" not in shown
    assert "retail" not in shown


def test_the_callers_decimal_context_changes_nothing() -> None:
    """Three digits, other rounding: the same decision; and the caller's context stays."""
    before = POLICY.decide(applied(0.0321), DAY)
    with localcontext(prec=3, rounding="ROUND_UP"):
        assert POLICY.decide(applied(0.0321), DAY) == before
        assert LendingPolicy.load(EXAMPLE) == POLICY
        assert getcontext().prec == 3


def test_the_digest_covers_the_blocked_list(tmp_path: Path) -> None:
    """Another list, another digest; the same files, the same."""
    path = written(tmp_path)
    first = LendingPolicy.load(path)
    assert LendingPolicy.load(path).digest == first.digest
    (tmp_path / "blocked-ids.txt").write_text("blocked-example-1\nsomebody\n")
    assert LendingPolicy.load(path).digest != first.digest


def test_decisions_are_frozen() -> None:
    """Nobody changes one after it was made."""
    made = POLICY.decide(applied(), DAY)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.outcome = Outcome.DECLINE  # type: ignore[misc]
