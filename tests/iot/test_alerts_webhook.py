"""The webhook against a real HTTPS server: signed, sent until there is a receipt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.alerts.book import AlertBook
from iot.alerts.delivery import BankUnavailable, Delivery, waiting
from iot.alerts.delivery_webhook import Webhook, WebhookSettings
from iot.alerts.webhook_signature import HEADER, OLDEST, is_genuine, signature_header
from iot.monitor.monitor import Found
from iot.rules.rule import Severity, Verdict
from iot.store.database import Database
from iot.units import DAY, DeviceId, Millis
from tests.iot.aemp_server import Answer, MakersServer, makers_server
from tests.iot.fleets import NOON, fleet_of

SECRET = "0123456789abcdef0123456789abcdef"
FLEET = fleet_of(2)
STORED, AWAY, WRONG = Answer(status=204), Answer(status=503), Answer(status=422)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MakersServer]:
    folder = tmp_path / "bank"
    folder.mkdir()
    with makers_server(folder) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    yield opened
    opened.close()


def secret_file(folder: Path, content: str = SECRET, mode: int = 0o600) -> Path:
    path = folder / "webhook.secret"
    path.write_text(content)
    path.chmod(mode)
    return path


def webhook(server: MakersServer, folder: Path, path: str = "/alerts") -> Webhook:
    where = WebhookSettings(server.url + path, secret_file(folder), server.authority)
    return Webhook(where, now=lambda: Millis(NOON))


def raise_alerts(database: Database, *devices: str) -> None:
    verdict = Verdict(
        "tampered", True, Millis(NOON), Severity.CONTACT, 1.0, 0.5, "h", "It was opened."
    )
    with database.transaction() as connection:
        names = [DeviceId(device) for device in devices]
        found = [Found(name, FLEET.leases[name][0], verdict) for name in names]
        AlertBook("lessor").apply(connection, found, Millis(NOON))


def counts(database: Database) -> dict[str, int]:
    with database.transaction() as connection:
        return waiting(connection)


def test_an_alert_is_posted_once_signed_and_named(
    server: MakersServer, database: Database, tmp_path: Path
) -> None:
    server.answers["/alerts"] = [STORED]
    raise_alerts(database, "d1", "d2")
    delivery = Delivery(database, webhook(server, tmp_path))
    assert delivery.attempt(Millis(NOON)).delivered == 2
    assert delivery.attempt(Millis(NOON + DAY)).delivered == 0
    assert len(server.requests) == 2
    for _, _, headers, body in server.requests:
        assert is_genuine(SECRET.encode(), headers[HEADER], body, Millis(NOON))
        said = json.loads(body)
        assert headers["Idempotency-Key"] == said["id"]
        assert set(said) == {
            *("id", "source", "borrower", "kind", "severity", "observed_ms", "detail", "subject")
        }
        assert (said["kind"], said["severity"]) == ("DEVICE_TAMPERED", "WARNING")
    assert [json.loads(request[3])["subject"] for request in server.requests] == ["d1", "d2"]


def test_while_the_bank_is_away_all_wait_and_the_receiver_can_tell_repeats(
    server: MakersServer, database: Database, tmp_path: Path
) -> None:
    server.answers["/alerts"] = [STORED, AWAY, AWAY, STORED]
    raise_alerts(database, "d1", "d2")
    delivery, now = Delivery(database, webhook(server, tmp_path)), Millis(NOON)
    for _ in range(2):
        outcome = delivery.attempt(now)
        assert outcome.delivered == 0
        assert outcome.retry_ms is not None
        assert outcome.retry_ms > now
        now = outcome.retry_ms
    assert counts(database) == {"waiting": 2}
    assert delivery.attempt(now).delivered == 2
    assert counts(database) == {"delivered": 2}
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in server.requests]
    assert len(set(keys)) == 2


def test_a_message_that_is_refused_is_set_aside_and_the_next_goes_on(
    server: MakersServer, database: Database, tmp_path: Path
) -> None:
    server.answers["/alerts"] = [WRONG, STORED]
    raise_alerts(database, "d1", "d2")
    outcome = Delivery(database, webhook(server, tmp_path)).attempt(Millis(NOON))
    assert (outcome.delivered, outcome.refused) == (1, 1)
    assert counts(database) == {"delivered": 1, "refused": 1}


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 429, 500])
def test_a_status_that_says_nothing_of_the_message_is_no_refusal(
    server: MakersServer, database: Database, tmp_path: Path, status: int
) -> None:
    elsewhere = {"Location": f"{server.url}/elsewhere"}
    server.answers["/alerts"] = [Answer(status=status, headers=elsewhere)]
    raise_alerts(database, "d1")
    outcome = Delivery(database, webhook(server, tmp_path)).attempt(Millis(NOON))
    assert (outcome.delivered, outcome.refused) == (0, 0)
    assert counts(database) == {"waiting": 1}
    assert server.paths() == ["/alerts"]


def test_a_server_that_another_authority_vouches_for_hears_nothing(
    server: MakersServer, database: Database, tmp_path: Path
) -> None:
    raise_alerts(database, "d1")
    stranger = Webhook(WebhookSettings(f"{server.url}/alerts", secret_file(tmp_path)))
    assert Delivery(database, stranger).attempt(Millis(NOON)).retry_ms is not None
    assert server.requests == []


def test_a_changed_secret_holds_from_the_next_attempt_on(
    server: MakersServer, database: Database, tmp_path: Path
) -> None:
    server.answers["/alerts"] = [STORED]
    raise_alerts(database, "d1")
    bank = webhook(server, tmp_path)
    secret_file(tmp_path, SECRET[::-1])
    Delivery(database, bank).attempt(Millis(NOON))
    [(_, _, headers, body)] = server.requests
    assert is_genuine(SECRET[::-1].encode(), headers[HEADER], body, Millis(NOON))
    assert not is_genuine(SECRET.encode(), headers[HEADER], body, Millis(NOON))


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (SECRET, 0o640, "chmod 600"),
        ("short", 0o600, "at least 32"),
        ("", 0o600, "not one line"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_shown(
    tmp_path: Path, content: str, mode: int, words: str
) -> None:
    path = secret_file(tmp_path, content, mode)
    with pytest.raises(BankUnavailable, match=words) as refused:
        Webhook(WebhookSettings("https://bank.example/alerts", path))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["http://bank.example/a", "https://", "https://me:pw@bank.example/a", "https://b.example/?k=1"],
)
def test_an_address_without_tls_or_with_a_secret_in_it_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BankUnavailable, match="https://") as refused:
        Webhook(WebhookSettings(url, secret_file(tmp_path)))
    assert "pw" not in str(refused.value)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=100), st.integers(-2 * OLDEST, 2 * OLDEST), st.binary(max_size=100))
def test_a_signature_fits_its_body_its_time_and_nothing_else(
    body: bytes, age: int, other: bytes
) -> None:
    key, sent = SECRET.encode(), Millis(NOON)
    header = signature_header(key, sent, body)
    assert is_genuine(key, header, body, Millis(NOON + age)) == (abs(age) <= OLDEST)
    if other != body:
        assert not is_genuine(key, header, other, sent)
    assert not is_genuine(key, header.replace(f"t={NOON}", f"t={NOON + 1}"), body, sent)
    assert not is_genuine(key, other.decode("latin-1"), body, sent)
