"""Alerts in the database, SQLite and PostgreSQL alike: stored once, followed up, resolved."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from federation.errors import InputError
from server.desk.alerts import schema
from server.desk.alerts.kept import NoSuchAlert
from server.desk.alerts.rules import MS_A_DAY, AlertRules, FollowUp
from server.desk.alerts.store import AlertStore
from server.desk.registry.database import Database
from server.desk.registry.settings import DatabaseAddress
from tests.server.desk.alert_cases import NOW_MS, incoming

ALL = (FollowUp.CONTACT, FollowUp.LIMIT_REVIEW, FollowUp.WATCH_LIST)


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """NOW_MS, until a test says otherwise."""
    return Clock()


@pytest.fixture
def store(address: DatabaseAddress, clock: Clock) -> Iterator[AlertStore]:
    """An empty one, three alerts a day."""
    database = Database(address)
    yield AlertStore(database, AlertRules(alerts_per_day=3), clock)
    database.close()


def test_an_alert_is_stored_with_what_follows(store: AlertStore) -> None:
    """A limit review has a date."""
    stored = store.store([incoming()])
    assert [outcome.stored for outcome in stored.outcomes] == [True]
    [kept] = store.find()
    assert kept.alert == incoming()
    assert (kept.state, kept.follow_ups, kept.received_ms) == ("open", ALL, NOW_MS)
    changes, opened = store.open_follow_ups()
    assert changes == stored.changes == store.changes() == 1
    assert {row.follow_up: row.due_ms for row in opened} == {
        FollowUp.LIMIT_REVIEW: NOW_MS + 14 * MS_A_DAY,
        FollowUp.CONTACT: None,
        FollowUp.WATCH_LIST: None,
    }
    assert set(opened) == set(stored.opened)


def test_the_same_alert_again_changes_nothing(store: AlertStore, clock: Clock) -> None:
    """In one batch, in the next, after it was resolved; nor does it count for the day."""
    first = store.store([incoming(), incoming()])
    assert [outcome.stored for outcome in first.outcomes] == [True, True]
    clock.now_ms += 5
    store.resolve("lessor", "a1", "a false alarm", "ann")
    for _ in range(5):
        assert store.store([incoming()]).outcomes[0].stored
    [kept] = store.find()
    assert (kept.received_ms, kept.state) == (NOW_MS, "resolved")
    assert store.changes() == 2


def test_the_same_id_with_other_content_is_refused(store: AlertStore) -> None:
    """In one batch and in the next; another source may use it."""
    outcomes = store.store([incoming(), incoming(detail="it moved 41 km")]).outcomes
    outcomes += store.store([incoming(borrower="b0002")]).outcomes
    outcomes += store.store([incoming(source="platform")]).outcomes
    assert [outcome.stored for outcome in outcomes] == [True, False, False, True]
    assert "other content is stored already" in outcomes[1].refusal
    assert {(k.alert.source, k.alert.detail) for k in store.find()} == {
        ("lessor", "it moved 40 km"),
        ("platform", "it moved 40 km"),
    }


def test_a_source_has_so_many_alerts_a_day(store: AlertStore, clock: Clock) -> None:
    """Of its own; from midnight UTC it has them anew, also after a restart."""
    batch = [incoming(id=f"a{number}") for number in range(5)]
    outcomes = store.store(batch).outcomes
    assert [outcome.stored for outcome in outcomes] == [True, True, True, False, False]
    assert "its 3 alerts of this day" in outcomes[3].refusal
    assert store.store([incoming(source="platform")]).outcomes[0].stored
    assert not store.store(batch[3:4]).outcomes[0].stored
    clock.now_ms = (NOW_MS // MS_A_DAY + 1) * MS_A_DAY
    assert [outcome.stored for outcome in store.store(batch).outcomes] == [True] * 5


def test_alerts_out_of_order_end_alike(store: AlertStore) -> None:
    """What happened first may come last."""
    late = [incoming(id=f"a{n}", observed_ms=NOW_MS - n * MS_A_DAY) for n in (1, 400, 30)]
    store.store(late)
    assert {kept.alert.observed_ms for kept in store.find()} == {a.observed_ms for a in late}


def test_listing(store: AlertStore, clock: Clock) -> None:
    """The latest received first, of one borrower, open ones, so many."""
    for number, borrower in enumerate(["B1", "b1", "b2"]):
        clock.now_ms += 1
        store.store([incoming(id=f"a{number}", borrower=borrower)])
    store.resolve("lessor", "a0", "a false alarm", "ann")

    def found(**options: object) -> list[str]:
        return [kept.alert.id for kept in store.find(**options)]  # type: ignore[arg-type]

    assert found() == ["a2", "a1", "a0"]
    assert found(borrower="b1") == ["a1", "a0"]
    assert found(borrower="B1") == ["a0"]
    assert found(open_only=True) == ["a2", "a1"]
    assert found(most=1) == ["a2"]
    assert found(borrower="nobody") == []


def test_resolving_ends_what_follows(store: AlertStore) -> None:
    """Once; the same again is the same, another resolution is refused."""
    store.store([incoming(), incoming(id="a2")])
    resolved = store.resolve("lessor", "a1", "a false alarm", "ann")
    assert (resolved.state, resolved.resolution, resolved.resolved_by, resolved.follow_ups) == (
        "resolved",
        "a false alarm",
        "ann",
        ALL,
    )
    assert store.resolve("lessor", "a1", "a false alarm", "bob") == resolved
    with pytest.raises(InputError, match="with another resolution"):
        store.resolve("lessor", "a1", "it was stolen", "bob")
    with pytest.raises(NoSuchAlert, match="no alert of this source and id"):
        store.resolve("platform", "a1", "a false alarm", "ann")
    assert {row.id for row in store.open_follow_ups()[1]} == {"a2"}


@pytest.mark.parametrize("resolution", ["", "x" * 501, "a\nb", " a"])
def test_a_resolution_is_a_line(store: AlertStore, resolution: str) -> None:
    """Of up to 500 signs."""
    store.store([incoming()])
    with pytest.raises(InputError, match="'resolution'"):
        store.resolve("lessor", "a1", resolution, "ann")
    with pytest.raises(InputError, match="'resolution'"):
        store.close_follow_up("lessor", "a1", FollowUp.CONTACT, resolution, "ann")


def test_one_follow_up_is_closed_by_itself(store: AlertStore) -> None:
    """The alert stays open, with the others."""
    store.store([incoming()])
    store.close_follow_up("lessor", "a1", FollowUp.LIMIT_REVIEW, "limit halved", "ann")
    assert store.open_follow_ups(FollowUp.LIMIT_REVIEW)[1] == []
    assert len(store.open_follow_ups()[1]) == 2
    assert store.find(open_only=True)
    with pytest.raises(NoSuchAlert, match="no open limit-review"):
        store.close_follow_up("lessor", "a1", FollowUp.LIMIT_REVIEW, "limit halved", "ann")


def test_reviews_come_by_their_dates(store: AlertStore, clock: Clock) -> None:
    """The earliest first."""
    for number in (2, 0, 1):
        clock.now_ms = NOW_MS + number
        store.store([incoming(id=f"a{number}")])
    _, reviews = store.open_follow_ups(FollowUp.LIMIT_REVIEW)
    assert [row.id for row in reviews] == ["a0", "a1", "a2"]


def test_texts_come_back_as_they_came(store: AlertStore) -> None:
    """In any script; a text is never part of a statement."""
    odd = incoming(
        id="'; drop table desk_alerts; --", detail="Łódź 工場 🙂 100% %s :x", subject="$1"
    )
    store.store([odd])
    assert store.find()[0].alert == odd


def test_tables_as_migrated_are_those_that_the_code_knows(
    store: AlertStore, address: DatabaseAddress
) -> None:
    """Column by column."""
    database = Database(address)
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        for table in schema.TABLES:
            found = {c["name"]: c["nullable"] for c in inspector.get_columns(table.name)}
            assert found == {column.name: column.nullable for column in table.columns}
    database.close()


REPORTER = """
import sys
from pathlib import Path
from server.desk.alerts.rules import AlertRules
from server.desk.alerts.store import AlertStore
from server.desk.registry.database import Database
from server.desk.registry.settings import DatabaseAddress
from tests.server.desk.alert_cases import incoming

url, folder = sys.argv[1:]
store = AlertStore(Database(DatabaseAddress(url, "'url'", Path(folder))), AlertRules())
for turn in range(10):
    batch = [incoming(id=f"a{turn}-{n}") for n in range(5)]
    assert all(outcome.stored for outcome in store.store(batch).outcomes)
"""


def test_desks_at_once_store_each_alert_once(address: DatabaseAddress) -> None:
    """Two processes are told the same alerts, from the first migration on."""
    command = [sys.executable, "-c", REPORTER, address.url, str(address.folder)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    database = Database(address)
    store = AlertStore(database, AlertRules())
    assert len(store.find(most=1000)) == 50
    assert store.changes() == 10
    database.close()
