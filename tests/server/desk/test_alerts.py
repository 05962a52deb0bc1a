"""Alerts as they come in and what follows from them: rules, validation, pace. No database."""

from __future__ import annotations

import asyncio
import tomllib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError, ProtocolError
from federation.identifiers import IdentifierRule
from federation.proto import alerts_pb2
from server.desk.alerts.incoming import (
    MOST_AHEAD_MS,
    MOST_ALERT_BYTES,
    check_alert,
    parse_alert,
    to_message,
)
from server.desk.alerts.pace import Pace
from server.desk.alerts.rules import (
    MS_A_DAY,
    AlertKind,
    AlertRules,
    FollowUp,
    Severity,
    read_rules,
)
from tests.server.desk.alert_cases import NOW_MS, alert

RULE = IdentifierRule.CASEFOLD


def rules(text: str) -> AlertRules:
    """Rules of a TOML table."""
    return read_rules(tomllib.loads(text), "[alerts]")


def test_kinds_and_severities_are_those_of_the_wire() -> None:
    """All of them, and rules for all."""
    kinds = {kind.name for kind in AlertKind} | {"KIND_UNSPECIFIED"}
    severities = {severity.name for severity in Severity} | {"SEVERITY_UNSPECIFIED"}
    assert kinds == set(alerts_pb2.Alert.Kind.keys())
    assert severities == set(alerts_pb2.Alert.Severity.keys())
    assert set(AlertRules().follow_ups) == {(k, s) for k in AlertKind for s in Severity}


def test_by_default_worse_alerts_never_ask_for_less() -> None:
    """Fraud puts a borrower on the watch list."""
    follow_ups = AlertRules().follow_ups
    for kind in AlertKind:
        info, warning, critical = (set(follow_ups[kind, severity]) for severity in Severity)
        assert info <= warning <= critical
    assert FollowUp.WATCH_LIST in follow_ups[AlertKind.DOUBLE_FINANCING, Severity.WARNING]
    assert follow_ups[AlertKind.DEVICE_IDLE, Severity.INFO] == ()


def test_rules_replace_those_of_a_kind() -> None:
    """Severities that are not named have none; other kinds stay."""
    chosen = rules(
        "review_days = 3\n[follow_ups.device-moved]\nwarning = ['watch-list', 'contact']\n"
    )
    assert chosen.follow_ups[AlertKind.DEVICE_MOVED, Severity.WARNING] == (
        FollowUp.CONTACT,
        FollowUp.WATCH_LIST,
    )
    assert chosen.follow_ups[AlertKind.DEVICE_MOVED, Severity.CRITICAL] == ()
    other = (AlertKind.OTHER, Severity.CRITICAL)
    assert chosen.follow_ups[other] == AlertRules().follow_ups[other]
    assert chosen.due_ms(FollowUp.LIMIT_REVIEW, 5) == 5 + 3 * MS_A_DAY
    assert chosen.due_ms(FollowUp.CONTACT, 5) is None


@pytest.mark.parametrize(
    "text",
    ["days = 1", "review_days = 0", "review_days = true", "review_days = 1.5",
     "alerts_per_second = 0", "alerts_per_day = -1", "follow_ups = 1",
     "[follow_ups.device]\ninfo = []", "[follow_ups.other]\nbad = []",
     "[follow_ups.other]\ninfo = 'contact'", "[follow_ups.other]\ninfo = ['call']",
     "[follow_ups.other]\ninfo = [1]", "[follow_ups]\nother = []"],
)  # fmt: skip
def test_rules_that_are_wrong(text: str) -> None:
    """One sentence that says where."""
    with pytest.raises(InputError, match=r"^\[alerts\]"):
        rules(text)


def test_a_good_alert() -> None:
    """Its id in the rule's form; back over the wire it is what came."""
    message = alert(
        borrower="  B１2 ".strip(), detail="It moved 40 km, to Łódź.", subject="tractor 7"
    )
    checked = check_alert(message, "lessor", RULE, NOW_MS)
    assert checked.borrower_key == "b12"
    assert to_message(checked) == message


WRONG = {
    "source": [{"source": "platform"}, {"source": ""}, {"source": "Lessor"}],
    "id": [{"id": ""}, {"id": "x" * 65}, {"id": "a\nb"}, {"id": " a"}, {"id": "a\u202eb"}],
    "borrower": [{"borrower": ""}, {"borrower": "x" * 129}, {"borrower": "\u200b"},
                 {"borrower": "a\x00b"}],
    "kind": [{"kind": 0}, {"kind": 10}, {"kind": -1}, {"kind": 2**31 - 1}],
    "severity": [{"severity": 0}, {"severity": 4}, {"severity": -2}],
    "observed_ms": [{"observed_ms": 0}, {"observed_ms": NOW_MS + MOST_AHEAD_MS + 1},
                    {"observed_ms": 2**64 - 1}],
    "detail": [{"detail": "x" * 501}, {"detail": "a\u2028b"}, {"detail": "", "kind": 9}],
    "subject": [{"subject": "x" * 129}, {"subject": "\x1b[2J"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "values"), [(field, values) for field, row in WRONG.items() for values in row]
)
def test_a_wrong_field_is_named(field: str, values: dict[str, object]) -> None:
    """And its value is not repeated."""
    with pytest.raises(InputError, match=f"^'{field}'") as caught:
        check_alert(alert(**values), "lessor", RULE, NOW_MS)
    assert "\x1b" not in str(caught.value)


def test_old_alerts_and_clocks_a_little_ahead_are_taken() -> None:
    """Telemetry may have been without a network for long."""
    for observed_ms in (1, NOW_MS - 400 * MS_A_DAY, NOW_MS + MOST_AHEAD_MS):
        assert check_alert(alert(observed_ms=observed_ms), "lessor", RULE, NOW_MS)


def test_a_field_of_a_newer_sender_is_refused() -> None:
    """It would be lost in silence."""
    data = alert().SerializeToString() + bytes([12 << 3, 1])
    with pytest.raises(InputError, match="a field of number 12"):
        check_alert(parse_alert(data), "lessor", RULE, NOW_MS)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff", b"\x00"])
def test_bytes_that_are_no_alert(data: bytes) -> None:
    """One sentence."""
    with pytest.raises(ProtocolError, match="no alert"):
        parse_alert(data)


def test_a_huge_alert_is_not_even_parsed() -> None:
    """Its length is enough."""
    with pytest.raises(ProtocolError, match="at most 8192 bytes"):
        parse_alert(bytes(MOST_ALERT_BYTES + 1))


@given(data=st.binary(max_size=300))
def test_any_bytes_end_in_an_alert_or_a_sentence(data: bytes) -> None:
    """Nothing else."""
    with suppress(InputError, ProtocolError):
        check_alert(parse_alert(data), "lessor", RULE, NOW_MS)


TEXT = st.text(max_size=140)


@given(identifier=TEXT, borrower=TEXT, detail=TEXT, subject=TEXT, kind=st.integers(-5, 15),
       severity=st.integers(-2, 6), observed_ms=st.integers(0, 2**64 - 1))  # fmt: skip
def test_what_passes_is_whole_and_storable(
    identifier: str,
    borrower: str,
    detail: str,
    subject: str,
    kind: int,
    severity: int,
    observed_ms: int,
) -> None:
    """Every limit holds, no NUL, 64-bit times; the same message again has the same digest."""
    message = alert(id=identifier, borrower=borrower, detail=detail, subject=subject, kind=kind,
                    severity=severity, observed_ms=observed_ms)  # fmt: skip
    try:
        checked = check_alert(message, "lessor", RULE, NOW_MS)
    except InputError:
        return
    assert to_message(checked) == message
    assert 1 <= len(checked.id) <= 64
    assert checked.borrower_key.strip()
    assert 0 < checked.observed_ms < 2**63
    for text in (checked.id, checked.borrower, checked.detail, checked.subject):
        assert not any(ord(sign) < 32 for sign in text)
        text.encode()
    again = check_alert(parse_alert(message.SerializeToString()), "lessor", RULE, NOW_MS)
    assert again.digest == checked.digest


@given(
    field=st.sampled_from(["id", "borrower", "detail", "subject"]),
    one=st.text("abc ", max_size=9),
    other=st.text("abc ", max_size=9),
)
def test_another_content_has_another_digest(field: str, one: str, other: str) -> None:
    """Whichever field differs."""
    digests = []
    for text in (one, other):
        try:
            digests.append(check_alert(alert(**{field: text}), "lessor", RULE, NOW_MS).digest)
        except InputError:
            return
    assert (digests[0] == digests[1]) == (one == other)


def test_what_comes_too_fast_waits() -> None:
    """A second's worth at once, then one after the other; nothing is refused."""

    async def flood() -> float:
        pace, loop = Pace(100), asyncio.get_running_loop()
        started = loop.time()
        for _ in range(110):
            await pace.wait()
        return loop.time() - started

    assert asyncio.run(flood()) >= 0.09
