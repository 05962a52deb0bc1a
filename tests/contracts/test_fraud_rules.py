"""Each rule finds its fraud, and not the ordinary trade beside it."""

from __future__ import annotations

import pytest

from contracts.fraud import FraudKind, FraudSettings, Severity, desk_kind
from contracts.fraud.detector import FraudDetector
from contracts.fraud.errors import FactsOutOfOrder
from contracts.index.movements import MovementKind
from federation.proto import alerts_pb2
from tests.contracts.fraud_facts import Facts, account, said

GROUPS = FraudSettings(groups={account("mother"): "holding", account("daughter"): "holding"})


def test_an_invoice_that_was_cancelled_and_presented_again() -> None:
    """With other terms it is a warning, with the same ones a note; amounts in the token's form."""
    facts = Facts()
    same = {"fingerprint": "0x" + 64 * "a", "document_hash": "0x" + 64 * "b"}
    facts.confirm(0, "core", "smith", 1_234_567, **same)
    facts.confirm(2, "core", "smith", 1_234_567, **same)
    facts.confirm(3, "core", "smith", 2_000_000, **same)
    facts.confirm(4, "core", "smith", 2_000_000)
    note, warning = facts.alerts()
    assert said([note, warning]) == [
        ("fingerprint-elsewhere", "cancelled before", "info", "receivable 2"),
        ("fingerprint-elsewhere", "cancelled before", "warning", "receivable 3"),
    ]
    assert "12,345.67 dEUR then, 20,000.00 dEUR now" in warning.sentence
    assert "of receivable 2, which was cancelled" in warning.sentence


def test_amounts_of_an_unknown_token_are_in_minor_units() -> None:
    """Rather than in decimals that are guessed."""
    facts = Facts()
    facts.confirm(0, "core", "smith", 1_000, fingerprint="0xa", words=None)
    facts.confirm(1, "core", "smith", 2_000, fingerprint="0xa", words=None)
    [alert] = facts.alerts()
    assert "(1,000 minor units then, 2,000 minor units now)" in alert.sentence


def test_a_document_under_two_invoice_numbers() -> None:
    """Unless no document was given at all."""
    facts = Facts()
    facts.confirm(0, "core", "smith", document_hash="0x" + 64 * "b")
    facts.confirm(1, "core", "smith", document_hash="0x" + 64 * "b")
    for day in (2, 3):
        facts.confirm(day, "core", "smith", document_hash="0x" + 64 * "0")
    [alert] = facts.alerts()
    assert said([alert]) == [("same-document", "", "critical", "receivable 2")]
    assert alert.related == (account("core"), "receivable 1")


def test_an_invoice_that_stands_elsewhere() -> None:
    """Whichever registry had it first, and told once."""
    facts = Facts()
    facts.confirm(0, "core", "smith", fingerprint="0xAB")
    facts.confirm(1, "core", "smith", fingerprint="0xCD")
    known = {"north": {"0xab"}}
    before = FraudDetector(elsewhere=known)
    found = before.observe(facts)
    assert said(found) == [("fingerprint-elsewhere", "in north", "critical", "receivable 1")]
    assert before.learned("north", {"0xab"}) == []
    after = FraudDetector(elsewhere={"north": set()})
    assert after.observe(facts) == []
    assert after.learned("north", {"0xab", "0xef"}) == found


def test_a_carousel() -> None:
    """Three firms, each of which owes the next; the alert names them and their claims."""
    facts = Facts()
    facts.confirm(0, "ann", "bob", 1_000_000)
    facts.confirm(3, "bob", "carl", 1_020_000)
    facts.confirm(4, "bob", "carl", 90)  # a small claim between hides nothing
    facts.confirm(9, "carl", "ann", 1_040_000)
    [alert] = facts.alerts()
    assert said([alert]) == [("circular-trading", "", "critical", "receivable 4")]
    assert (alert.account, set(alert.related)) == (
        account("ann"),
        {account("bob"), account("carl")},
    )
    assert "a circle of 3 firms" in alert.sentence
    assert "(receivables 1, 2, 4: 10,000.00 dEUR to 10,400.00 dEUR)" in alert.sentence


def test_trade_that_is_no_carousel() -> None:
    """A chain, unlike amounts, another token, long ago, or too many firms."""
    for closing, day in (
        (("dora", "erin", 1_000_000), 9),
        (("carl", "ann", 700_000), 9),
        (("carl", "ann", 1_400_000), 9),
        (("carl", "ann", 1_000_000), 101),
    ):
        facts = Facts()
        facts.confirm(0, "ann", "bob", 1_000_000)
        facts.confirm(3, "bob", "carl", 1_000_000)
        facts.confirm(day, *closing)
        assert facts.alerts() == []
    facts = Facts()
    facts.confirm(0, "ann", "bob", token="yen")
    facts.confirm(3, "bob", "carl")
    facts.confirm(9, "carl", "ann")
    assert facts.alerts() == []
    facts = Facts()
    ring = ["ann", "bob", "carl", "dora", "erin"]
    for day, (debtor, supplier) in enumerate(zip(ring, [*ring[1:], "ann"], strict=True)):
        facts.confirm(day, debtor, supplier)
    assert facts.alerts() == []
    assert len(facts.alerts(FraudSettings(circle_firms=5))) == 1


def test_firms_that_buy_from_each_other_are_told_once() -> None:
    """As a note, and again only after they had stopped."""
    facts = Facts()
    for week in range(60):
        facts.confirm(7 * week, "ann", "bob")
        facts.confirm(7 * week + 1, "bob", "ann")
    facts.confirm(7 * 60 + 100, "ann", "bob")
    facts.confirm(7 * 60 + 101, "bob", "ann")
    circles = [one for one in facts.alerts() if one.kind is FraudKind.CIRCULAR_TRADING]
    assert [one.severity for one in circles] == [Severity.INFO, Severity.INFO]
    assert "2 firms" in circles[0].sentence


def test_groups_close_a_circle() -> None:
    """What a holding's daughter is owed and its mother owes is one firm's."""
    facts = Facts()
    facts.confirm(0, "mother", "bob")
    facts.confirm(1, "bob", "carl")
    facts.confirm(2, "carl", "daughter")
    assert facts.alerts() == []
    [alert] = facts.alerts(GROUPS)
    assert alert.kind is FraudKind.CIRCULAR_TRADING


def test_a_claim_that_comes_back() -> None:
    """To who gave it away, or to its debtor; split and merged claims remember."""
    facts = Facts()
    leaf = facts.confirm(0, "core", "ann")
    facts.transfer(1, leaf, "ann", "bob")
    facts.transfer(2, leaf, "bob", "ann")
    facts.transfer(3, leaf, "ann", "core")
    assert said(facts.alerts()) == [
        ("round-trip", "to a former holder", "warning", "receivable 1"),
        ("round-trip", "to its debtor", "warning", "receivable 1"),
    ]
    facts = Facts()
    facts.transfer(0, 1, "ann", "bob")
    for child, holder in ((2, "bob"), (3, "carl")):
        facts.tell(MovementKind.SPLIT, 1, child, extra=1, debtor=account("core"),
                   actor=account("bob"), counterparty=account(holder))  # fmt: skip
    facts.tell(MovementKind.MERGED, 2, 2, extra=4, actor=account("bob"))
    facts.transfer(3, 4, "bob", "dora")
    facts.transfer(4, 3, "carl", "erin")
    assert facts.alerts() == []
    facts.transfer(5, 4, "dora", "ann")
    facts.transfer(6, 3, "erin", "bob")
    assert [one.subject for one in facts.alerts()] == ["receivable 4", "receivable 3"]


def test_a_claim_that_only_goes_on() -> None:
    """Down the tiers, between accounts of one firm, and anew after a settled one of its number."""
    facts = Facts()
    leaf = facts.confirm(0, "core", "mother")
    facts.transfer(1, leaf, "mother", "daughter")
    facts.transfer(2, leaf, "daughter", "mother")
    facts.transfer(3, leaf, "mother", "bob")
    facts.transfer(4, leaf, "bob", "carl")
    facts.tell(MovementKind.SETTLED, 5, leaf, counterparty=account("carl"))
    assert facts.alerts(GROUPS) == []


def test_dealing_with_oneself() -> None:
    """A group's own debt is a warning, and critical once a bank pays for it."""
    facts = Facts()
    facts.confirm(0, "ann", "ann")
    leaf = facts.confirm(1, "mother", "daughter")
    parties = {"debtor": account("mother"), "supplier": account("daughter")}
    facts.tell(MovementKind.FINANCED, 2, leaf, bank=account("bank"), **parties)
    facts.tell(MovementKind.FINANCED, 3, 9, bank=account("mother"), debtor=account("core"),
               supplier=account("daughter"))  # fmt: skip
    assert said(facts.alerts(GROUPS)) == [
        ("self-dealing", "own debtor", "critical", "receivable 1"),
        ("self-dealing", "debtor of the group", "warning", "receivable 2"),
        ("self-dealing", "financed within the group", "critical", "receivable 2"),
        ("self-dealing", "bank of the group", "critical", "receivable 9"),
    ]
    assert len(facts.alerts()) == 1


@pytest.mark.parametrize(
    ("payer", "alerts"), [("ann", 1), ("bob", 1), ("core", 0), ("guarantor", 0)]
)
def test_who_pays_in_the_debtors_stead(payer: str, alerts: int) -> None:
    """Its holder or its first supplier must not; twice in parts is one alert."""
    facts = Facts()
    for day in (1, 2):
        facts.tell(MovementKind.PAID, day, 5, debtor=account("core"), supplier=account("bob"),
                   first_supplier=account("ann"), actor=account(payer))  # fmt: skip
    found = facts.alerts()
    assert said(found) == alerts * [
        ("self-dealing", "paid by a supplier", "warning", "receivable 5")
    ]


def year_of_trade(debtors: tuple[str, ...] = ("core", "corf", "corg", "corh")) -> Facts:
    """A claim a fortnight on each debtor in turn."""
    facts = Facts()
    for day in range(0, 364, 14):
        facts.confirm(day, debtors[(day // 14) % len(debtors)], "ann")
    return facts


def test_claims_that_turn_to_one_debtor() -> None:
    """A run of claims on a new one; told once a period."""
    facts = year_of_trade()
    for day in range(6):
        facts.confirm(370 + day, "shell", "ann", 500_000)
    [alert] = facts.alerts()
    assert alert.kind is FraudKind.SUDDEN_CONCENTRATION
    assert alert.related == (account("shell"),)
    assert "which had 0% of the amount in the year before" in alert.sentence


def test_concentration_that_is_ordinary() -> None:
    """Of old, by chance, of a new firm, or one large order."""
    facts = year_of_trade(("core",))
    for day in range(6):
        facts.confirm(370 + day, "core", "ann", 500_000)
    assert facts.alerts() == []
    facts = year_of_trade()
    facts.confirm(370, "core", "ann")
    facts.confirm(371, "core", "ann")
    assert facts.alerts() == []
    facts = Facts()
    for day in range(9):
        facts.confirm(day, "core", "ann")
    assert facts.alerts() == []
    facts = year_of_trade()
    facts.confirm(370, "shell", "ann", 50_000_000)
    assert facts.alerts() == []


def test_a_burst() -> None:
    """Of claims, and of financings apart; told once a day."""
    facts = year_of_trade()
    for number in range(15):
        facts.confirm(364 + number / 100, f"c{number}", "ann")
    [alert] = facts.alerts()
    assert said([alert]) == [("velocity", "confirmed", "warning", alert.subject)]
    assert "10 claims confirmed within a day" in alert.sentence
    for number in range(12):
        facts.tell(MovementKind.FINANCED, 365 + number / 100, number, supplier=account("bob"),
                   bank=account("bank"), debtor=account("core"))  # fmt: skip
    assert said(facts.alerts()[1:]) == [("velocity", "financed", "info", "receivable 9")]


def test_many_claims_that_are_ordinary() -> None:
    """All invoices of a month on its last day, month after month; a steady stream; below ten."""
    facts = Facts()
    for month in range(13):
        for number in range(40):
            facts.confirm(30 * month + number / 100 + 0.9, f"c{number % 7}", "ann")
    alerts = facts.alerts()
    assert said(alerts) == [("velocity", "confirmed", "info", "receivable 10")]  # when it was new
    facts = Facts()
    for number in range(400):
        facts.confirm(number / 20, f"c{number % 7}", "ann")
    assert [one.severity for one in facts.alerts()] == [Severity.INFO]
    facts = year_of_trade()
    for number in range(9):
        facts.confirm(364 + number / 100, f"c{number}", "ann")
    assert facts.alerts() == []


@pytest.mark.parametrize(
    ("shipped_on", "rule"),
    [(103, "before"), (101, ""), (100, ""), (50, ""), (-81, "long after"), (2**40, "before")],
)
def test_shipment_dates(shipped_on: int, rule: str) -> None:
    """A day ahead is a matter of time zones."""
    facts = Facts()
    at = 1_750_032_000 + shipped_on * 86_400 if shipped_on < 2**40 else shipped_on - 1
    facts.confirm(100, "core", "ann", shipped_at=at)
    assert [one.rule for one in facts.alerts()] == ([rule] if rule else [])


def test_facts_come_in_order() -> None:
    """The same one twice is refused."""
    facts = Facts()
    facts.confirm(0, "core", "ann")
    detector = FraudDetector()
    detector.observe(facts)
    with pytest.raises(FactsOutOfOrder, match="each once"):
        detector.observe(facts)


def test_the_desk_knows_all_kinds() -> None:
    """Each maps to one of the wire's."""
    assert {desk_kind(kind) for kind in FraudKind} <= set(alerts_pb2.Alert.Kind.keys())
