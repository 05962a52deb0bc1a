"""Rows that other hands changed: named by `verify`, refused by a desk that goes on as it was."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.errors import InputError
from federation.scoring import ServedModel
from server.desk.registry.database import Database
from server.desk.registry.directory import DirectoryNote, ModelDirectory
from server.desk.registry.registry import Registry
from server.desk.registry.settings import DatabaseAddress
from server.desk.registry.verification import verify_registry
from tests.server.desk.contributors import Counted
from tests.server.desk.databases import SIGNER, STRANGER, by_hand, document, made, sqlite_address

HOW: dict[str, Any] = {"by": "ann", "why": "a test"}
OFF = {
    "sqlite": "drop trigger desk_events_no_update",
    "postgresql": "drop trigger desk_events_append_only on desk_registry_events",
}


def opened(address: DatabaseAddress) -> Registry:
    """The registry of a database."""
    return Registry(Database(address), [SIGNER.public])


def filled(address: DatabaseAddress) -> Registry:
    """One in production, one a challenger, one a shadow, one archived."""
    registry = opened(address)
    for number in range(1, 6):
        registry.add(document(number), **HOW)
    registry.promote("default:5", **HOW)
    registry.promote("default:1", **HOW)
    registry.challenge("default:2", 0.5, **HOW)
    registry.shadow("default:3", **HOW)
    return registry


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a registry in SQLite, for copies."""
    folder = tmp_path_factory.mktemp("filled")
    filled(sqlite_address(folder)).close()
    return folder


@pytest.fixture
def registry(address: DatabaseAddress, file: Path) -> Iterator[Registry]:
    """Such a registry of one's own."""
    if "sqlite" in address.url:
        shutil.copytree(file, address.folder, dirs_exist_ok=True)
        one = opened(address)
    else:
        one = filled(address)
    yield one
    one.close()


TAMPERED = {
    "another's model": (
        "update desk_models set document = :document where name = 'default:1'",
        {"document": document(9, STRANGER)},
        "signed with the key",
    ),
    "another genuine model": (
        "update desk_models set document = :document where name = 'default:1'",
        {"document": document(4)},
        "document is of another model",
    ),
    "another genuine model with its digest": (
        "update desk_models set document = :document, digest = :digest where name = 'default:1'",
        {"document": document(9), "digest": made(9).served.digest},
        "another digest than the registry's event record says",
    ),
    "a changed weight": (
        "update desk_models set document = :document where name = 'default:1'",
        {"document": document(1).replace(b'"weights":[[', b'"weights":[[9.0,', 1)},
        "was changed after it was signed",
    ),
    "no model at all": (
        "update desk_models set document = :document where name = 'default:1'",
        {"document": b"\x00"},
        "not a signed served model",
    ),
    "a stage": (
        "update desk_models set stage = 'staging' where name = 'default:5'",
        {},
        "is in stage 'staging', and the registry's event record says 'archived'",
    ),
    "a champion": (
        "update desk_routing set champion = 'default:4'",
        {},
        "the champion of 'default' is not the one",
    ),
    "a share": (
        "update desk_routing set share_millionths = 900000",
        {},
        "the challenge of 'default' is not the one",
    ),
    "a key": (
        "update desk_routing set epoch_key = :key",
        {"key": bytes(16)},
        "the challenge of 'default' is not the one",
    ),
    "a short key": (
        "update desk_routing set epoch_key = :key",
        {"key": b""},
        "the challenge of 'default' is not the one",
    ),
    "a shadow": ("delete from desk_shadows", {}, "the shadows of 'default' are not those"),
    "an end": (
        "update desk_parts set changes = changes + 1, head = 'x'",
        {},
        "its written-down end says",
    ),
    "an added event": (
        "insert into desk_registry_events values (99, '{}')",
        {},
        "not an entry of a veilscore record chain",
    ),
}


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", TAMPERED)
def test_what_other_hands_changed_is_found(
    registry: Registry, address: DatabaseAddress, how: str
) -> None:
    """By the command, in a sentence."""
    assert verify_registry(registry).findings == ()
    statement, values, sentence = TAMPERED[how]
    by_hand(address, statement, **values)
    findings = verify_registry(registry).findings
    assert any(sentence in finding for finding in findings), findings


def test_a_changed_event_is_found(registry: Registry, address: DatabaseAddress) -> None:
    """Where the database's own guard was taken off."""
    by_hand(address, OFF["sqlite" if "sqlite" in address.url else "postgresql"])
    by_hand(
        address,
        "update desk_registry_events set entry = replace(entry, 'ann', 'eve') where place = 2",
    )
    assert "line 4" in verify_registry(registry).findings[0]


def test_an_archived_model_is_checked_too(registry: Registry, address: DatabaseAddress) -> None:
    """Else a rollback would bring it."""
    by_hand(
        address,
        "update desk_models set document = :document where name = 'default:5'",
        document=document(9, STRANGER),
    )
    assert "model 'default:5'" in verify_registry(registry).findings[0]
    with pytest.raises(InputError, match="signed with the key"):
        registry.rollback(**HOW)
    assert registry.routing()["default"].champion == "default:1"


def test_a_tampered_model_is_promoted_by_nobody(
    registry: Registry, address: DatabaseAddress
) -> None:
    """Nor made challenger or shadow; the production stays."""
    by_hand(
        address,
        "update desk_models set document = :document where name = 'default:4'",
        document=document(9),
    )
    changes = registry.changes()
    for operation in (
        lambda: registry.promote("default:4", **HOW),
        lambda: registry.challenge("default:4", 0.1, **HOW),
        lambda: registry.shadow("default:4", **HOW),
    ):
        with pytest.raises(InputError, match="is of another model"):
            operation()
    assert registry.changes() == changes


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", TAMPERED)
def test_a_desk_goes_on_as_it_was_and_raises_an_alarm(
    registry: Registry, address: DatabaseAddress, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Once, however often it looks."""
    notes: list[DirectoryNote] = []
    statement, values, sentence = TAMPERED[how]

    async def desk() -> None:
        directory = ModelDirectory(
            registry, Counted, poll_seconds=60, note=lambda note, name: notes.append(note)
        )
        await directory.start()
        serving = directory.route("b1", "default:1").model
        by_hand(address, statement, **values)
        if how != "an end":
            registry.add(document(6), **HOW)  # something changes, so that the desk looks
        with caplog.at_level(logging.ERROR, "veilscore.desk"):
            for _ in range(3):
                await directory.refresh()
        assert directory.route("b1", "default:1").model is serving
        routes = {directory.route(f"b{n}", "").model.name for n in range(100)}
        assert routes == {"default:1", "default:2"}
        await directory.close()

    asyncio.run(desk())
    alarms = [record.getMessage() for record in caplog.records if "ALARM" in record.getMessage()]
    assert len(alarms) == 1
    assert sentence in alarms[0]
    assert notes.count(DirectoryNote.REFUSED) == 1


def test_a_desk_does_not_start_on_a_tampered_champion(
    registry: Registry, address: DatabaseAddress
) -> None:
    """One sentence; nothing stays open."""
    by_hand(
        address,
        "update desk_models set document = :document where name = 'default:1'",
        document=document(9, STRANGER),
    )
    links: list[Counted] = []

    def contributors(served: ServedModel) -> Counted:
        links.append(Counted(served))
        return links[-1]

    async def desk() -> None:
        directory = ModelDirectory(registry, contributors)
        with pytest.raises(InputError, match="model 'default:1' of the registry: signed with"):
            await directory.start()
        await directory.close()

    asyncio.run(desk())
    assert all(one.closed for one in links)


def test_a_tampered_challenger_leaves_the_champion(
    registry: Registry, address: DatabaseAddress
) -> None:
    """A desk that starts then answers all borrowers with the champion."""
    by_hand(
        address,
        "update desk_models set document = :document where name = 'default:2'",
        document=document(9, STRANGER),
    )

    async def desk() -> None:
        directory = ModelDirectory(registry, Counted)
        await directory.start()
        assert {directory.route(f"b{n}", "").model.name for n in range(100)} == {"default:1"}
        with pytest.raises(InputError, match="not served here"):
            directory.route("b1", "default:2")
        await directory.close()

    asyncio.run(desk())


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_what_is_put_right_answers_without_another_change(
    registry: Registry, address: DatabaseAddress
) -> None:
    """A document that was restored from a copy."""
    restore = "update desk_models set document = :document where name = 'default:4'"

    async def desk() -> None:
        directory = ModelDirectory(registry, Counted, poll_seconds=0.02, retry_seconds=0.02)
        await directory.start()
        registry.promote("default:4", **HOW)
        by_hand(address, restore, document=b"{}")
        await directory.refresh()
        by_hand(address, restore, document=document(4))
        while "default:4" not in {directory.route(f"b{n}", "").model.name for n in range(100)}:
            await asyncio.sleep(0.01)
        await directory.close()

    asyncio.run(desk())
