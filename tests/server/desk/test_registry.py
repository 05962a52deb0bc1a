"""The registry's operations, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.record_chain import read_chain
from server.desk.registry import schema
from server.desk.registry.database import Database
from server.desk.registry.migrations import Step, migrate
from server.desk.registry.records import Routing, Stage
from server.desk.registry.registry import MOST_SHADOWS, Registry
from server.desk.registry.settings import DatabaseAddress
from server.desk.registry.verification import verify_registry
from tests.server.desk.databases import (
    SIGNER,
    STRANGER,
    by_hand,
    document,
    made,
    sqlite_address,
)

HOW: dict[str, Any] = {"by": "ann", "why": "a test"}


@pytest.fixture
def registry(address: DatabaseAddress) -> Iterator[Registry]:
    """An empty one."""
    opened = opened_registry(address)
    yield opened
    opened.close()


def opened_registry(address: DatabaseAddress) -> Registry:
    """The registry of a database."""
    return Registry(Database(address), [SIGNER.public])


def stages(registry: Registry) -> dict[str, str]:
    """Every model's stage."""
    return {record.name: str(record.stage) for record in registry.models()}


def with_models(registry: Registry, count: int) -> list[str]:
    """Add models, and return their names."""
    return [registry.add(document(number), **HOW).name for number in range(count)]


def test_a_model_is_added_in_staging_and_kept_as_it_was_signed(registry: Registry) -> None:
    """With its digest, signer and origin."""
    record = registry.add(document(1), **HOW)
    served = made(1).served
    assert record.name == "default:1"
    assert record.stage is Stage.STAGING
    assert (record.digest, record.signer) == (served.digest, SIGNER.public.fingerprint)
    assert (record.run, record.session) == (served.run, "session-1")
    assert registry.models() == [record]
    assert registry.document("default:1") == document(1)
    assert [(c.stage, c.by, c.why) for c in registry.history("default:1")] == [
        (Stage.STAGING, "ann", "a test")
    ]


def test_versions_count_up_in_each_line(registry: Registry) -> None:
    """And a line lists them by number, not by text."""
    assert registry.add(document(0), line="leases", **HOW).name == "leases:1"
    names = with_models(registry, 11)
    assert names == [f"default:{number}" for number in range(1, 12)]
    assert [record.name for record in registry.models()] == [*names, "leases:1"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (document(1, STRANGER), "signed with the key"),
        (document(1).replace(b"session-1", b"session-2"), "was changed after it was signed"),
        (b"{}", "not a signed served model"),
        (b"\xff", "not a signed served model"),
        (b"[" * 100_000, "not a signed served model"),
    ],
)
def test_what_nobody_who_counts_signed_is_refused(
    registry: Registry, data: bytes, sentence: str
) -> None:
    """And leaves nothing."""
    with pytest.raises(InputError, match=sentence):
        registry.add(data, **HOW)
    assert registry.models() == []
    assert registry.changes() == 0


def test_the_same_model_is_added_once_in_a_line(registry: Registry) -> None:
    """The sentence says where it is."""
    with_models(registry, 2)
    with pytest.raises(InputError, match="in the registry already, as 'default:2'"):
        registry.add(document(1), **HOW)


def test_promoting_archives_the_former_production(registry: Registry) -> None:
    """Exactly one is in production."""
    first, second = with_models(registry, 2)
    assert registry.promote(first, **HOW) is None
    assert registry.promote(second, **HOW) == first
    assert stages(registry) == {first: "archived", second: "production"}
    assert registry.routing()["default"] == Routing(champion=second)
    with pytest.raises(InputError, match="in production already"):
        registry.promote(second, **HOW)


def test_rollback_goes_back_step_by_step(registry: Registry) -> None:
    """What was rolled back is not come back to."""
    one, two, three = with_models(registry, 3)
    for name in (one, two, three):
        registry.promote(name, **HOW)
    assert registry.rollback(**HOW) == (two, three)
    assert stages(registry) == {one: "archived", two: "production", three: "archived"}
    assert registry.rollback(**HOW) == (one, two)
    with pytest.raises(InputError, match="no other model in production before"):
        registry.rollback(**HOW)
    registry.promote(three, **HOW)
    assert registry.rollback(**HOW) == (one, three)


def test_a_challenger_gets_its_share_and_loses_it(registry: Registry) -> None:
    """Its borrowers stay the same for as long as it is the challenger."""
    one, two, three = with_models(registry, 3)
    with pytest.raises(InputError, match="no model in production to challenge"):
        registry.challenge(two, 0.1, **HOW)
    registry.promote(one, **HOW)
    registry.challenge(two, 0.1, **HOW)
    before = registry.routing()["default"]
    assert (before.challenger, before.share) == (two, 0.1)
    registry.challenge(two, 0.25, **HOW)
    after = registry.routing()["default"]
    assert (after.share, after.epoch_key) == (0.25, before.epoch_key)
    registry.challenge(three, 0.25, **HOW)
    assert registry.routing()["default"].challenger == three
    assert registry.routing()["default"].epoch_key != before.epoch_key
    registry.challenge(three, 0, **HOW)
    assert registry.routing()["default"].challenger is None
    with pytest.raises(InputError, match="is not the challenger"):
        registry.challenge(three, 0, **HOW)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan"), float("inf"), 1e-9, 0.9999999])
def test_shares_that_are_none(registry: Registry, share: float) -> None:
    """One sentence."""
    one, two = with_models(registry, 2)
    registry.promote(one, **HOW)
    with pytest.raises(InputError, match="share must be"):
        registry.challenge(two, share, **HOW)


def test_a_promoted_challenger_challenges_nobody(registry: Registry) -> None:
    """Nor does the former production."""
    one, two = with_models(registry, 2)
    registry.promote(one, **HOW)
    registry.challenge(two, 0.5, **HOW)
    with pytest.raises(InputError, match="is in production"):
        registry.challenge(one, 0.5, **HOW)
    registry.promote(two, **HOW)
    assert registry.routing()["default"] == Routing(champion=two)


def test_shadows(registry: Registry) -> None:
    """A few, none of which answers borrowers itself."""
    names = with_models(registry, MOST_SHADOWS + 3)
    champion, challenger, *others = names
    registry.shadow(others[0], **HOW)  # before anything is in production
    registry.promote(champion, **HOW)
    registry.challenge(challenger, 0.1, **HOW)
    for name in others[1:-1]:
        registry.shadow(name, **HOW)
    assert registry.routing()["default"].shadows == tuple(sorted(others[:-1]))
    for name, sentence in (
        (champion, "answers borrowers itself"),
        (challenger, "answers borrowers itself"),
        (others[0], "a shadow already"),
        (others[-1], "at most"),
    ):
        with pytest.raises(InputError, match=sentence):
            registry.shadow(name, **HOW)
    registry.shadow(others[0], end=True, **HOW)
    assert registry.routing()["default"].shadows == tuple(sorted(others[1:-1]))
    registry.challenge(others[1], 0.1, **HOW)
    assert registry.routing()["default"].shadows == tuple(sorted(others[2:-1]))
    assert verify_registry(registry).findings == ()


def test_archiving(registry: Registry) -> None:
    """Only what answers nobody; a challenge takes it out again."""
    one, two, three = with_models(registry, 3)
    registry.promote(one, **HOW)
    registry.challenge(two, 0.1, **HOW)
    with pytest.raises(InputError, match="in production"):
        registry.archive(one, **HOW)
    with pytest.raises(InputError, match="end that first"):
        registry.archive(two, **HOW)
    registry.archive(three, **HOW)
    with pytest.raises(InputError, match="archived already"):
        registry.archive(three, **HOW)
    registry.challenge(three, 0.1, **HOW)
    assert [c.stage for c in registry.history(three)] == ["staging", "archived", "staging"]
    assert verify_registry(registry).findings == ()


@pytest.mark.parametrize("name", ["default:9", "default", "", "Default:1", "default:0", "a b:1"])
def test_names_of_no_model(registry: Registry, name: str) -> None:
    """One sentence, whatever is asked."""
    with_models(registry, 1)
    for operation in (registry.promote, registry.archive, registry.shadow):
        with pytest.raises(InputError, match="model"):
            operation(name, **HOW)


@pytest.mark.parametrize("why", ["", "  ", "x" * 501, "two\nlines", "a\x00b", "\ud800"])
def test_a_change_needs_a_reason(registry: Registry, why: str) -> None:
    """Of one line."""
    with pytest.raises(InputError, match=r"the reason \(--why\)"):
        registry.add(document(1), by="ann", why=why)
    assert registry.models() == []


def test_seeding_an_empty_line(registry: Registry) -> None:
    """Once."""
    assert registry.seed(document(1), by="ann") == "default:1"
    assert stages(registry) == {"default:1": "production"}
    assert registry.seed(document(2), by="ann") is None


def test_every_change_is_an_event(registry: Registry) -> None:
    """With who, why and when, chained; the epoch's key is not in it."""
    one, two = with_models(registry, 2)
    registry.promote(one, **HOW)
    registry.challenge(two, 0.1, **HOW)
    snapshot = registry.snapshot()
    head, entries = read_chain(snapshot.entries, "here")
    assert head == snapshot.head
    assert head.length == registry.changes() == 4
    assert [entry.body["change"] for entry in entries] == ["added"] * 2 + ["promoted", "challenged"]
    assert all(entry.body["by"] == "ann" and entry.body["at_ms"] for entry in entries)
    key = registry.routing()["default"].epoch_key
    assert len(key) == 16
    assert key.hex() not in "".join(snapshot.entries)


def test_the_event_record_is_append_only(registry: Registry, address: DatabaseAddress) -> None:
    """In the database itself."""
    with_models(registry, 1)
    for statement in (
        "update desk_registry_events set entry = ''",
        "delete from desk_registry_events",
    ):
        with pytest.raises(InputError, match="the database of"):
            by_hand(address, statement)


def test_a_second_production_is_refused_by_the_database(
    registry: Registry, address: DatabaseAddress
) -> None:
    """Whoever writes it."""
    one, _ = with_models(registry, 2)
    registry.promote(one, **HOW)
    with pytest.raises(InputError, match="the database of"):
        by_hand(address, "update desk_models set stage = 'production'")


def test_opening_again_finds_everything(registry: Registry, address: DatabaseAddress) -> None:
    """Migrations are made once."""
    one, two = with_models(registry, 2)
    registry.promote(one, **HOW)
    registry.challenge(two, 0.1, **HOW)
    again = opened_registry(address)
    assert again.models() == registry.models()
    assert again.routing() == registry.routing()
    again.close()


def test_tables_as_migrated_are_those_that_the_code_knows(
    registry: Registry, address: DatabaseAddress
) -> None:
    """Column by column."""
    database = Database(address)
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        for table in schema.TABLES:
            found = {c["name"]: c["nullable"] for c in inspector.get_columns(table.name)}
            known = {column.name: column.nullable for column in table.columns}
            assert found.keys() == known.keys()
            # SQLite calls a whole number that is a key nullable.
            keys = {column.name for column in table.primary_key if column.name in ("id", "place")}
            assert all(found[name] == known[name] for name in known.keys() - keys)
    database.close()


def test_a_newer_schema_is_refused(registry: Registry, address: DatabaseAddress) -> None:
    """In one sentence; an older one goes forward."""
    later = Step(both=("create table later (n {bigint})",))
    database = Database(address)
    migrate(database, schema.PART, (*schema.STEPS, later))
    migrate(database, schema.PART, (*schema.STEPS, later))
    with pytest.raises(InputError, match="in version 2, and this veilscore knows versions up to 1"):
        opened_registry(address)
    database.close()


def test_a_step_that_fails_leaves_nothing(address: DatabaseAddress) -> None:
    """Neither its tables nor its version."""
    database = Database(address)
    broken = Step(both=("create table half (n {bigint})", "create table half (n {bigint})"))
    with pytest.raises(InputError, match="the database of"):
        migrate(database, "broken", (broken,))
    migrate(database, "broken", (Step(both=("create table half (n {bigint})",)),))
    database.close()


OPERATOR = """
import sys
from pathlib import Path
from federation.errors import InputError
from server.desk.registry.database import Database
from server.desk.registry.registry import Registry
from server.desk.registry.settings import DatabaseAddress
from tests.server.desk.databases import SIGNER, document

who, url, folder = sys.argv[1:]
registry = Registry(Database(DatabaseAddress(url, "'url'", Path(folder))), [SIGNER.public])
done = 0
for turn in range(5):
    for work in (
        lambda: registry.add(document(100 * int(who) + turn), by=who, why="turn"),
        lambda: registry.promote(f"default:{turn + 1}", by=who, why="turn"),
        lambda: registry.challenge(f"default:{turn + 2}", 0.1, by=who, why="turn"),
        lambda: registry.rollback(by=who, why="turn"),
    ):
        try:
            work()
            done += 1
        except InputError as error:
            assert "in production" in str(error) or "no model" in str(error), error
registry.close()
sys.stdout.write(str(done))
"""


def test_operators_at_once_do_not_corrupt(address: DatabaseAddress, tmp_path: Path) -> None:
    """Two processes, from the very first migration on: every change counts once."""
    command = [sys.executable, "-c", OPERATOR]
    rest = [address.url, str(address.folder)]
    running = [
        subprocess.Popen(
            [*command, str(who), *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for who in range(1, 3)
    ]
    done = 0
    for process in running:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
        done += int(output)
    registry = opened_registry(address)
    report = verify_registry(registry)
    assert report.findings == ()
    assert report.events == done
    assert [record.name for record in registry.models()] == [f"default:{n}" for n in range(1, 11)]
    assert list(stages(registry).values()).count("production") == 1
    registry.close()


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "promote", "rollback", "challenge", "end", "shadow", "unshadow",
                         "archive"]),
        st.integers(1, 4),
    ),
    max_size=25,
)  # fmt: skip


@given(operations=OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_done_the_tables_follow_from_the_events(
    operations: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And a refused change leaves nothing."""
    registry = opened_registry(sqlite_address(tmp_path_factory.mktemp("registry")))
    try:
        for name, number in operations:
            model = f"default:{number}"
            before = registry.snapshot()
            works = {
                "add": lambda n=number: registry.add(document(n), **HOW),
                "promote": lambda m=model: registry.promote(m, **HOW),
                "rollback": lambda: registry.rollback(**HOW),
                "challenge": lambda m=model, n=number: registry.challenge(m, n / 10, **HOW),
                "end": lambda m=model: registry.challenge(m, 0, **HOW),
                "shadow": lambda m=model: registry.shadow(m, **HOW),
                "unshadow": lambda m=model: registry.shadow(m, end=True, **HOW),
                "archive": lambda m=model: registry.archive(m, **HOW),
            }
            try:
                works[name]()
            except InputError:
                assert registry.snapshot() == before
            else:
                assert registry.changes() == before.head.length + 1
            assert registry.snapshot().findings() == []
            assert list(stages(registry).values()).count("production") <= 1
    finally:
        registry.close()
