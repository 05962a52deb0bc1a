"""Fraud alerts reach a real desk under the borrower's id, once however often they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clients.desk_refusals import DeskUnavailable
from clients.receivables.fraud_reports import desk_alerts, read_accounts, report_to_desk
from contracts.fraud import FraudAlert, FraudKind, Severity
from contracts.units import UnixSeconds
from federation.errors import InputError
from federation.proto.alerts_pb2 import Alert
from tests.server.desk.alert_cases import NOW_MS
from tests.server.desk.databases import sqlite_address
from tests.server.desk.test_alerts_service import AlertServer, alert_server

ANN, BOB, EVE = (f"0x{digit * 40}" for digit in "abe")
CIRCLE = FraudAlert(
    FraudKind.CIRCULAR_TRADING,
    "",
    Severity.CRITICAL,
    UnixSeconds(NOW_MS // 1000 - 60),
    "0x" + 40 * "A",
    "receivable 7",
    "Receivable 7 closes a circle of 3 firms.",
    (BOB, EVE),
)
ALONE = replace(CIRCLE, kind=FraudKind.FINGERPRINT_ELSEWHERE, severity=Severity.WARNING)
ACCOUNTS = {ANN: "B1", BOB: "B2"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AlertServer]:
    """A desk that lets 'lessor' report."""
    with alert_server(tmp_path, sqlite_address(tmp_path)) as running:
        yield running


def report(server: AlertServer, messages: list[Alert], caller: str = "lessor") -> dict[str, str]:
    """With a caller's certificate."""
    callers = server.folder / "callers"
    return report_to_desk(
        messages,
        server.address,
        server.folder / "tls" / "callers-ca.pem",
        callers / f"{caller}.pem",
        callers / f"{caller}.key",
        seconds=20,
    )


def test_alerts_are_stored_once(server: AlertServer) -> None:
    """Every borrower of a circle, the account's of other kinds; sent again, nothing changes."""
    messages = desk_alerts([CIRCLE, ALONE, replace(ALONE, account=EVE)], ACCOUNTS, "lessor")
    for _ in range(2):
        assert report(server, messages) == {}
    stored = {(one.alert.borrower, one.alert.kind, one.alert.severity) for one in server.list()}
    assert stored == {
        ("B1", Alert.FORGED_RECEIVABLE, Alert.CRITICAL),
        ("B2", Alert.FORGED_RECEIVABLE, Alert.CRITICAL),
        ("B1", Alert.DOUBLE_FINANCING, Alert.WARNING),
    }
    assert len(server.list()) == 3
    first = server.list()[0].alert
    assert (first.detail, first.subject) == (CIRCLE.sentence, "receivable 7")
    assert server.here(server.desk.watch_list) == {"b1", "b2"}


def test_what_the_desk_refuses_is_returned(server: AlertServer) -> None:
    """By id, with its sentence; the others are stored."""
    good, bad = desk_alerts([ALONE], ACCOUNTS, "lessor")[0], Alert(id="x", source="lessor")
    assert list(report(server, [bad, good])) == ["x"]
    assert len(server.list()) == 1


def test_who_may_not_report(server: AlertServer) -> None:
    """The officer reads; nobody at all where no desk is."""
    messages = desk_alerts([ALONE], ACCOUNTS, "lessor")
    with pytest.raises(InputError, match="does not allow"):
        report(server, messages, "officer")
    server.address = "127.0.0.1:1"
    with pytest.raises(DeskUnavailable):
        report(server, messages)
    with pytest.raises(InputError, match="cannot be read"):
        report(server, messages, "nobody")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("borrower\n", "must name the columns borrower,account"),
        (f"borrower,account\n,{ANN}\n", "line 2: needs a borrower"),
        ("borrower,account\nB1,0x12\n", "line 2: needs a borrower"),
        (f"borrower,account\nB1,{ANN}\nB2,{ANN}\n", "line 3: the account is another borrower's"),
        (f'borrower,account\n"B1,{ANN}\n', "is not readable CSV"),
    ],
)
def test_accounts_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    """The file and the line are named."""
    path = tmp_path / "accounts.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_accounts(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_accounts_of_a_file(tmp_path: Path) -> None:
    """In any spelling of the account; a missing file is said."""
    path = tmp_path / "accounts.csv"
    path.write_text(f"\ufeffborrower,account\nB1,0x{40 * 'A'}\nB1,{BOB}\n")
    assert read_accounts(path) == {ANN: "B1", BOB: "B1"}
    with pytest.raises(InputError, match="cannot be read"):
        read_accounts(tmp_path / "no")
