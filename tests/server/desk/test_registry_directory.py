"""The models a desk answers with: hot reload, routing, rollback, a database that goes away."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from clients.vault.served_models import signed_document
from federation.errors import InputError
from federation.scoring import ServedModel
from server.desk.answers import LoadedModel, ModelSource
from server.desk.registry.database import Database, DatabaseUnavailable
from server.desk.registry.directory import DirectoryNote, ModelDirectory
from server.desk.registry.registry import Registry
from server.desk.registry.settings import DatabaseAddress
from tests.clients.postgres_server import PASSWORD, PostgresServer
from tests.server.desk.contributors import Counted
from tests.server.desk.databases import SIGNER, document, made, postgres_address

HOW: dict[str, Any] = {"by": "ann", "why": "a test"}
BORROWERS = [f"b{number}" for number in range(400)]


@pytest.fixture
def registry(address: DatabaseAddress) -> Iterator[Registry]:
    """Three models, the first in production."""
    opened = Registry(Database(address), [SIGNER.public])
    for number in (1, 2, 3):
        opened.add(document(number), **HOW)
    opened.promote("default:1", **HOW)
    yield opened
    opened.close()


@asynccontextmanager
async def directory_of(registry: Registry, **options: Any) -> AsyncIterator[ModelDirectory]:
    """A running one that looks only when it is told, unless the options say otherwise."""
    directory = ModelDirectory(
        registry, options.pop("contributors", Counted), **{"poll_seconds": 60, **options}
    )
    await directory.start()
    try:
        yield directory
    finally:
        await directory.close()


def names(source: ModelSource, asked: str = "") -> Counter[str]:
    """How many borrowers each model answers."""
    return Counter(source.route(borrower, asked).model.name for borrower in BORROWERS)


def test_what_is_in_production_answers(registry: Registry) -> None:
    """Others only by name; what is not served is one sentence."""

    async def desk() -> None:
        async with directory_of(registry) as directory:
            assert names(directory) == {"default:1": 400}
            route = directory.route("b1", "default:2")
            assert (route.model.name, route.model.stage, route.role) == (
                "default:2",
                "staging",
                "challenger",
            )
            assert route.model.served == made(2).served
            assert directory.route("b1", "default:1").role == "champion"
            assert names(directory, "default") == {"default:1": 400}
            for asked in ("default:9", "leases", "\x00"):
                with pytest.raises(InputError, match="not served here") as caught:
                    directory.route("b1", asked)
                assert "b1" not in str(caught.value)

    asyncio.run(desk())


def test_a_desk_starts_before_anything_is_in_production(address: DatabaseAddress) -> None:
    """It says what to do; once promoted, it answers."""
    registry = Registry(Database(address), [SIGNER.public])

    async def desk() -> None:
        async with directory_of(registry) as directory:
            with pytest.raises(InputError, match="veilscore models promote"):
                directory.route("b1", "")
            registry.seed(document(1), by="ann")
            assert await directory.refresh()
            assert names(directory) == {"default:1": 400}

    asyncio.run(desk())
    registry.close()


def test_champion_challenger_and_shadows(registry: Registry) -> None:
    """The challenger's borrowers are the same at every desk; shadows go with both."""
    registry.challenge("default:2", 0.25, **HOW)
    registry.shadow("default:3", **HOW)

    async def desk() -> None:
        async with directory_of(registry) as one, directory_of(registry) as other:
            shares = names(one)
            assert 60 < shares["default:2"] < 140
            assert shares["default:1"] == 400 - shares["default:2"]
            for borrower in BORROWERS:
                route = one.route(borrower, "")
                assert route.model.name == other.route(borrower, "").model.name
                assert route.role == {"1": "champion", "2": "challenger"}[route.model.name[-1]]
                assert [shadow.name for shadow in route.shadows] == ["default:3"]

    asyncio.run(desk())


def test_a_reload_keeps_models_that_stay(registry: Registry) -> None:
    """Their connections too; those of archived ones are closed after the grace."""
    opened: list[Counted] = []

    def contributors(served: ServedModel) -> Counted:
        opened.append(Counted(served))
        return opened[-1]

    async def desk() -> None:
        options: dict[str, Any] = {"contributors": contributors, "grace_seconds": 0.05}
        async with directory_of(registry, **options) as directory:
            old = directory.route("b1", "").model
            assert len(opened) == 3
            registry.promote("default:2", **HOW)
            assert await directory.refresh()
            assert not await directory.refresh()
            assert len(opened) == 3
            new = directory.route("b1", "").model
            assert (new.name, new.stage) == ("default:2", "production")
            # A request that held the old one still finishes.
            await old.contributors.gather(["b1"], 1)
            while not opened[0].closed:
                await asyncio.sleep(0.01)
            assert not opened[1].closed
            registry.rollback(**HOW)
            assert await directory.refresh()
            assert names(directory) == {"default:1": 400}
            await directory.route("b1", "").model.contributors.gather(["b1"], 1)
        assert all(one.closed for one in opened)

    asyncio.run(desk())


def test_changes_are_seen_without_being_told(registry: Registry) -> None:
    """By the counter."""

    async def desk() -> None:
        async with directory_of(registry, poll_seconds=0.02) as directory:
            registry.promote("default:3", **HOW)
            while names(directory) != {"default:3": 400}:
                await asyncio.sleep(0.01)

    asyncio.run(desk())


def test_reloads_under_load_lose_and_mix_nothing(registry: Registry) -> None:
    """Every request finishes with one whole model, and nobody's connections are closed early."""

    async def request(directory: ModelDirectory, number: int, seen: Counter[str]) -> None:
        route = directory.route(f"b{number}", "")
        model = route.model
        await asyncio.sleep(0.002 * (1 + number % 5))
        gathered = await model.contributors.gather([f"b{number}"], 1)
        assert isinstance(model.contributors, Counted)
        assert model.contributors.served is model.served
        assert gathered.variants[0] is model.served.main
        assert model.digest == model.served.digest
        assert route.role in ("champion", "challenger")
        seen[model.name] += 1

    async def load(directory: ModelDirectory, seen: Counter[str], stop: asyncio.Event) -> int:
        sent = 0
        while not stop.is_set():
            await asyncio.gather(*(request(directory, sent + n, seen) for n in range(10)))
            sent += 10
        return sent

    async def desk() -> None:
        seen: Counter[str] = Counter()
        async with directory_of(registry, poll_seconds=0.05, grace_seconds=0.1) as directory:
            stop = asyncio.Event()
            loads = [asyncio.create_task(load(directory, seen, stop)) for _ in range(2)]
            for work in (
                lambda: registry.promote("default:2", **HOW),
                lambda: registry.challenge("default:3", 0.3, **HOW),
                lambda: registry.challenge("default:3", 0, **HOW),
                lambda: registry.promote("default:3", **HOW),
                lambda: registry.rollback(**HOW),
                lambda: registry.rollback(**HOW),
            ):
                await asyncio.to_thread(work)
                await directory.refresh()
                await asyncio.sleep(0.01)
            stop.set()
            sent = sum(await asyncio.gather(*loads))
        assert seen.total() == sent
        assert set(seen) == {"default:1", "default:2", "default:3"}

    asyncio.run(desk())


def test_a_new_model_is_warm_before_it_answers(registry: Registry) -> None:
    """Until then the old one does."""
    warming, warmed = asyncio.Event(), asyncio.Event()

    async def warm(model: LoadedModel) -> None:
        if model.name == "default:4":
            warming.set()
            await warmed.wait()

    async def desk() -> None:
        async with directory_of(registry, warm=warm) as directory:
            registry.add(document(4), **HOW)
            registry.promote("default:4", **HOW)
            refreshing = asyncio.create_task(directory.refresh())
            await warming.wait()
            assert names(directory) == {"default:1": 400}
            warmed.set()
            assert await refreshing
            assert names(directory) == {"default:4": 400}

    asyncio.run(desk())


def test_a_desk_that_closes_while_it_warms_leaves_nothing_open(registry: Registry) -> None:
    """The model that was never ready is let go of too."""
    opened: list[Counted] = []
    warming = asyncio.Event()

    def contributors(served: ServedModel) -> Counted:
        opened.append(Counted(served))
        return opened[-1]

    async def warm(model: LoadedModel) -> None:
        if model.name == "default:4":
            warming.set()
            await asyncio.Event().wait()

    async def desk() -> None:
        options: dict[str, Any] = {"contributors": contributors, "warm": warm}
        async with directory_of(registry, poll_seconds=0.01, **options):
            registry.add(document(4), **HOW)
            await warming.wait()
        assert len(opened) == 4
        assert all(one.closed for one in opened)

    asyncio.run(desk())


def test_a_model_that_cannot_be_prepared_answers_nobody(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one goes on; what the failure said is not told, it may hold anything."""
    opened: list[Counted] = []

    def contributors(served: ServedModel) -> Counted:
        if served.session == "session-4":
            raise ValueError("hush")
        opened.append(Counted(served))
        return opened[-1]

    async def desk() -> None:
        notes: list[tuple[DirectoryNote, str]] = []
        options: dict[str, Any] = {
            "contributors": contributors,
            "note": lambda note, name: notes.append((note, name)),
        }
        async with directory_of(registry, **options) as directory:
            registry.add(document(4), **HOW)
            registry.promote("default:4", **HOW)
            await directory.refresh()
            assert names(directory) == {"default:1": 400}
            assert (DirectoryNote.REFUSED, "default:4") in notes
            registry.rollback(**HOW)
            await directory.refresh()
            assert names(directory) == {"default:1": 400}

    asyncio.run(desk())
    assert "model 'default:4' can't be prepared (ValueError)" in caplog.text
    assert "hush" not in caplog.text


def test_a_model_that_gives_no_points_is_refused(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried out on a borrower of whom nothing is known."""
    served = made(4).served
    part = replace(served.main.part, intercept=1e9)
    broken = replace(served, variants=(replace(served.main, part=part), *served.variants[1:]))

    async def desk() -> None:
        async with directory_of(registry) as directory:
            registry.add(signed_document(broken, SIGNER), **HOW)
            registry.promote("default:4", **HOW)
            await directory.refresh()
            assert names(directory) == {"default:1": 400}

    asyncio.run(desk())
    assert "its variant 'exact' gives no points" in caplog.text


def test_a_database_that_goes_away_and_comes_back(
    postgres: PostgresServer, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The desk goes on with what it has, says so once, and then keeps up again."""
    registry = Registry(Database(postgres_address(postgres, tmp_path)), [SIGNER.public])
    registry.seed(document(1), by="ann")
    notes: list[DirectoryNote] = []

    async def desk() -> None:
        options: dict[str, Any] = {
            "poll_seconds": 0.02,
            "note": lambda note, name: notes.append(note),
        }
        async with directory_of(registry, **options) as directory:
            await asyncio.to_thread(postgres.stop)
            try:
                while DirectoryNote.DATABASE_DOWN not in notes:
                    await asyncio.sleep(0.01)
                for _ in range(3):
                    assert not await directory.refresh()
                assert names(directory) == {"default:1": 400}
                with pytest.raises(DatabaseUnavailable):
                    registry.models()
            finally:
                await asyncio.to_thread(postgres.start)
            while DirectoryNote.DATABASE_BACK not in notes:
                await asyncio.sleep(0.01)
            registry.add(document(2), **HOW)
            registry.promote("default:2", **HOW)
            while names(directory) != {"default:2": 400}:
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.INFO, "veilscore.desk"):
        asyncio.run(desk())
    assert notes.count(DirectoryNote.DATABASE_DOWN) == 1
    assert caplog.text.count("goes on with the models that it has") == 1
    assert PASSWORD not in caplog.text
    assert str(postgres.port) not in caplog.text
    registry.close()
