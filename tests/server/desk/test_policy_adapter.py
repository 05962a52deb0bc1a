"""The policy at the desk, its challenger, and what reviewers are told of a policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from federation.errors import InputError
from federation.scoring.rows import FieldErrors
from server.desk.answers import Absence, GivenReason, ScoreAnswer
from server.desk.decisions import DecisionMaker
from server.desk.policy.adapter import PolicyDesk
from server.desk.policy.challenger import PairedDecision, PolicyPair, Role
from server.desk.policy.decision import Outcome
from server.desk.policy.description import describe
from server.desk.policy.findings import findings
from server.desk.policy.lending_policy import LendingPolicy
from tests.server.desk.policies import DAY, EXAMPLE, POLICY, applied, facts, written

ANSWER = ScoreAnswer("sme", "d1", "champion", None, 0, 600, 0.02)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Open:
    follow_up: str


class _Watched:
    """Alerts that have put 'firm-2' on the watch list."""

    def open_follow_ups(self, borrower: str) -> tuple[_Open, ...]:
        """What is open."""
        return (_Open("contact"), _Open("watch-list")) if borrower == "firm-2" else ()


def _desk(pair: PolicyPair | None = None) -> tuple[PolicyDesk, list[PairedDecision]]:
    kept: list[PairedDecision] = []
    return PolicyDesk(pair or PolicyPair(POLICY), _Watched(), lambda: DAY, kept.append), kept


def _pair(folder: Path, share: str) -> PolicyPair:
    """The example with a stricter challenger for a share of the borrowers."""
    text = EXAMPLE.read_text("utf-8")
    stricter = text.replace("2026.1", "2026.2").replace("up_to = 0.035", "up_to = 0.018")
    (folder / "challenger.toml").write_text(stricter)
    (folder / "key").write_text("0f" * 32)
    table = f'[challenger]\nfile = "challenger.toml"\nshare = {share}\nkey_file = "key"\n\n[score]'
    return PolicyPair.load(written(folder, old="[score]", new=table))


def test_the_desk_gets_its_decision() -> None:
    """Decision, rule, terms as decimal texts, the borrower's sentence and the grade as notes."""
    desk, kept = _desk()
    maker: DecisionMaker = desk
    reasons = [GivenReason("platform", "returns", 9)]
    made = maker.decide(ANSWER, "working-capital", facts(), reasons, "firm-1")
    assert (made.decision, made.rule) == ("approve", "WC-C")
    assert made.policy == "sme-lending 2026.1"
    assert made.policy_digest == POLICY.digest
    assert made.terms["limit_minor"] == "5000000"
    assert Decimal(made.terms["annual_rate"]) == kept[0].decision.terms["annual_rate"]
    assert all(isinstance(value, str) and "E" not in value for value in made.terms.values())
    assert made.reasons == tuple(reasons)
    assert made.notes[0].startswith("Working-capital loan: we offer 50,000.00 EUR")
    assert made.notes[1] == "grade C"


def test_alerts_and_silence_reach_the_policy() -> None:
    """A watched borrower is referred; only a party that should have answered is silent."""
    desk, _ = _desk()
    watched = desk.decide(ANSWER, "working-capital", facts(), (), "firm-2")
    assert (watched.decision, watched.rule) == ("refer", "H08-watch-list")
    silent = replace(ANSWER, absent={"platform": Absence.CIRCUIT_OPEN})
    assert desk.decide(silent, "equipment-lease", facts("equipment-lease"), (), "f").rule == (
        "EL-SILENT"
    )
    unknown = replace(ANSWER, absent={"platform": Absence.NOT_KNOWN_THERE})
    assert desk.decide(unknown, "equipment-lease", facts("equipment-lease"), (), "f").rule == "EL-C"


def test_wrong_facts_are_the_callers_fields() -> None:
    """As the desk's decision maker promises."""
    desk, kept = _desk()
    with pytest.raises(FieldErrors) as caught:
        desk.decide(ANSWER, "working-capital", facts(consent=1), (), "firm-1")
    assert caught.value.fields[0][0] == "facts.consent"
    assert not kept


def test_both_policies_decide_and_one_counts(tmp_path: Path) -> None:
    """Both decisions are recorded; the challenger's counts for its borrowers."""
    pair = _pair(tmp_path, "0.5")
    desk, kept = _desk(pair)
    for number in range(40):
        desk.decide(ANSWER, "working-capital", facts(), (), f"firm-{number}")
    roles = {paired.role for paired in kept}
    assert roles == {Role.CHAMPION, Role.CHALLENGER}
    for paired in kept:
        assert paired.other is not None
        by_challenger = paired.role is Role.CHALLENGER
        assert paired.decision.policy == f"sme-lending 2026.{2 if by_challenger else 1}"
        assert paired.other.policy == f"sme-lending 2026.{1 if by_challenger else 2}"
    made = desk.decide(ANSWER, "working-capital", facts(), (), "firm-1")
    assert "by rule WC-" in made.notes[-1]


def test_routing_is_by_the_keyed_hash(tmp_path: Path) -> None:
    """About the share of borrowers, always the same ones, others under another key."""
    pair = _pair(tmp_path, "0.2")
    ids = [f"firm-{number}" for number in range(5000)]
    first = [pair.role_of(one) for one in ids]
    assert first == [pair.role_of(one) for one in ids]
    # Five standard deviations of a binomial.
    assert abs(first.count(Role.CHALLENGER) - 1000) < 5 * (5000 * 0.2 * 0.8) ** 0.5
    other = replace(pair, key=b"\x01" * 32)
    assert first != [other.role_of(one) for one in ids]
    whole = _pair(tmp_path, "1")
    assert all(whole.role_of(one) is Role.CHALLENGER for one in ids)


def test_a_challenger_out_of_force_leaves_all_to_the_champion(tmp_path: Path) -> None:
    """A policy that may not decide does not stop the one that may."""
    pair = _pair(tmp_path, "1")
    assert pair.challenger is not None
    ended = replace(pair, challenger=replace(pair.challenger, valid_until=date(2026, 2, 1)))
    paired = ended.decide(applied(), DAY)
    assert (paired.role, paired.other) == (Role.CHAMPION, None)


def test_a_challenger_must_take_the_same_facts(tmp_path: Path) -> None:
    """Or requests that serve the one would fail with the other."""
    _pair(tmp_path, "1")
    file = tmp_path / "challenger.toml"
    text = file.read_text()
    file.write_text(text.replace("drawn_minor = {type", "owed_minor = {type", 1))
    with pytest.raises(InputError):  # the kind itself misses it
        PolicyPair.load(tmp_path / "policy.toml")
    more = "guarantee_share = {type"
    extra = 'tax_debt_minor = {type = "integer", unit = "minor", default = 0}\n' + more
    file.write_text(text.replace(more, extra, 1))
    with pytest.raises(InputError, match="these differ: tax_debt_minor"):
        PolicyPair.load(tmp_path / "policy.toml")


def _found(folder: Path, old: str, new: str) -> list[str]:
    policy = LendingPolicy.load(written(folder, old=old, new=new))
    return [f"{one.where}: {one.sentence}" for one in findings(policy, DAY)]


def test_the_example_has_one_known_gap() -> None:
    """Grade E of the working-capital loan is partly too dear, and nothing else is found."""
    assert [one.where for one in findings(POLICY, DAY)] == ["rule WC-E"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("margin = 0.025\n", "margin = 0.01\n", "a lower margin than the safer grade B"),
        ("turnover_share = 0.12", "turnover_share = 0.17", "a larger share"),
        ("most_minor = 15_000_000", "most_minor = 35_000_000", "a higher limit"),
        ("down_payment_share = 0.15", "down_payment_share = 0.05", "a smaller down payment"),
        ('grade = "A"\ndecision = "approve"', 'grade = "A"\ndecision = "refer"', "not monotone"),
        ("C = 0.85", "C = 0.99", "debtors of grade C"),
        ("probability_floor = 0.0005", "probability_floor = 0.009", "nobody is in it"),
        ("valid_until = 2027-12-31", "valid_until = 2026-06-01", "within 60 days"),
        ("valid_from = 2026-01-01", "valid_from = 2027-01-01", "not in force"),
        ('[[rules]]\nid = "H12', '[[rules]]\nid = "H99"\nkind = "requirement"\nfact = "consent"\n'
         'is = true\nthen = "refer"\n\n[[rules]]\nid = "H12', "overlaps"),
        ("most = 0.15\n", "most = 0.05\n", "always declined by WC-RATE-CAP"),
        ("most_minor = 100_000_000", "most_minor = 100", "all are declined"),
        ("guarantee_share = {", 'nothing = {type = "flag", default = true}\nguarantee_share = {',
         "uses the fact 'nothing'"),
    ],
)  # fmt: skip
def test_gaps_overlaps_and_wrong_orders_are_found(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    """Each is one sentence that says where."""
    assert said in "\n".join(_found(tmp_path, old, new))


def test_the_description_says_every_rule_and_rate() -> None:
    """Each rule's id stands in it; amounts as people write them."""
    text = "\n".join(describe(POLICY))
    for rule in POLICY.rules:
        assert f"{rule.rule.id}: " in text
    for product in POLICY.products.values():
        for terms in product.terms:
            assert terms.rule.id in text
        for one in (product.rate_cap.rule.id, product.smallest.id, product.silence.rule.id):
            assert one in text
    assert "500,000.00 EUR" in text
    assert Outcome.REFER in text
