"""The models a desk answers with, kept up with the registry without a dropped request.

What answers is one table that is replaced as a whole: a request takes its route from one table and
finishes with the models of it, which are let go of a while after the table is gone. Where the
database is down, or says what it must not, the table stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from typing import TypeVar

from federation.errors import InputError
from federation.scoring import ServedModel
from server.desk.answers import Contributors, LoadedModel, Route
from server.desk.registry.assembly import Assembly, Checked, check_snapshot
from server.desk.registry.database import DatabaseUnavailable
from server.desk.registry.names import DEFAULT_LINE
from server.desk.registry.registry import Registry
from server.desk.registry.table import ModelTable

log = logging.getLogger("veilscore.desk")

RETRY_SECONDS = 30.0
GRACE_SECONDS = 30.0
_Result = TypeVar("_Result")


class DirectoryNote(StrEnum):
    """What happened to the directory, for metrics."""

    SWAPPED = "swapped"  # another table answers
    REFUSED = "refused"  # a model or the registry was tampered with, or does not work
    DATABASE_DOWN = "database down"
    DATABASE_BACK = "database back"


class ModelDirectory:
    """A `ModelSource` over a registry; lives in one event loop.

    Args:
        registry: read in a thread of the directory's own; whoever opened it closes it.
        contributors: makes what asks a model's feature parties; called in the event loop.
        line: answers where a request names no model.
        poll_seconds: between two looks at the registry's counter.
        retry_seconds: between two looks at what was refused, which may be put right by hand.
        grace_seconds: that requests have to finish with models that were replaced.
        warm: prepares a model before it answers anybody; one that fails is refused.
        note: told what happens, with the model's name or an empty text.
    """

    def __init__(
        self,
        registry: Registry,
        contributors: Callable[[ServedModel], Contributors],
        *,
        line: str = DEFAULT_LINE,
        poll_seconds: float = 1.0,
        retry_seconds: float = RETRY_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        warm: Callable[[LoadedModel], Awaitable[None]] | None = None,
        note: Callable[[DirectoryNote, str], None] = lambda note, name: None,
    ) -> None:
        self._registry = registry
        self._contributors = contributors
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._grace_seconds = grace_seconds
        self._warm = warm
        self._note = note
        self._table = ModelTable(line)
        self._seen = -1
        self._retry_at: float | None = None
        self._complaints: frozenset[str] = frozenset()
        self._down = False
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry")
        self._polling: asyncio.Task[None] | None = None
        self._closing: dict[asyncio.Task[None], Contributors] = {}

    def route(self, borrower: str, asked: str) -> Route:
        """The models for a borrower (normalised id); `asked`: a line, a name, or empty.

        Raises:
            InputError: no model goes by that name, or none is in production.
        """
        return self._table.route(borrower, asked)

    def champion(self, asked: str) -> LoadedModel:
        """The model for what is about no single borrower; `asked` and errors as for `route`."""
        return self._table.champion(asked)

    @property
    def models(self) -> list[LoadedModel]:
        """All models that may answer now."""
        return self._table.models

    async def start(self) -> None:
        """Load what is there and keep up with it.

        Raises:
            InputError: the database does not answer, the registry was tampered with, or what is
                in production can't be served.
        """
        await self._update(first=True)
        if self._complaints and self._table.default not in self._table.lines:
            raise InputError(min(self._complaints))
        self._polling = asyncio.create_task(self._poll(), name="registry")

    async def refresh(self) -> bool:
        """Look at the registry now; returns whether another table answers."""
        return await self._update(first=False)

    async def close(self) -> None:
        """Stop, and let go of every model at once."""
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
        async with self._turn:
            waiting = dict(self._closing)
            for task in waiting:
                task.cancel()
            held = {id(model.contributors): model.contributors for model in self.models}
            held |= {id(one): one for one in waiting.values()}
            self._table = ModelTable(self._table.default)
            await asyncio.gather(*waiting, return_exceptions=True)
            await asyncio.gather(*(_let_go(one) for one in held.values()))
        # Not in this thread: a database that hangs may hold the other one for a while.
        await asyncio.to_thread(self._thread.shutdown)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._update(first=False)
            except Exception:
                # Whatever it is, the desk goes on with the models that it has.
                log.exception("the model directory could not look at the registry")

    async def _update(self, *, first: bool) -> bool:
        async with self._turn:
            changes = self._seen
            try:
                changes = await self._in_thread(self._registry.changes)
                now = asyncio.get_running_loop().time()
                due = self._retry_at is not None and now >= self._retry_at
                if changes == self._seen and not due:
                    self._answers()
                    return False
                checked = await self._in_thread(
                    lambda: check_snapshot(self._registry.snapshot(), self._registry.signers)
                )
            except DatabaseUnavailable as error:
                if first:
                    raise
                self._is_down(error)
                return False
            except InputError as error:
                if first:
                    raise
                self._seen = changes
                self._complain({"": str(error)})
                return False
            self._answers()
            self._seen = checked.changes
            return await self._replace(checked)

    async def _replace(self, checked: Checked) -> bool:
        before = self._table
        assembly = Assembly(checked, before, self._contributors, self._warm)
        table = await assembly.table()
        self._complain(assembly.refused)
        if table == before:
            return False
        self._table = table
        log.info("the registry changed; %d models answer now", len(table.models))
        self._note(DirectoryNote.SWAPPED, "")
        kept = {id(model.contributors) for model in table.models}
        self._close_later(m.contributors for m in before.models if id(m.contributors) not in kept)
        return True

    def _complain(self, refused: dict[str, str]) -> None:
        """Log an alarm for what is new in it, and look again later: it may be put right."""
        now = asyncio.get_running_loop().time()
        self._retry_at = now + self._retry_seconds if refused else None
        for name, sentence in refused.items():
            if sentence not in self._complaints:
                log.error("ALARM: %s; the desk goes on with the models that it has", sentence)
                self._note(DirectoryNote.REFUSED, name)
        self._complaints = frozenset(refused.values())

    def _is_down(self, error: DatabaseUnavailable) -> None:
        if not self._down:
            log.error("%s; the desk goes on with the models that it has", error)
            self._note(DirectoryNote.DATABASE_DOWN, "")
        self._down = True

    def _answers(self) -> None:
        if self._down:
            log.info("the registry's database answers again")
            self._note(DirectoryNote.DATABASE_BACK, "")
        self._down = False

    def _close_later(self, contributors: Iterable[Contributors]) -> None:
        for one in {id(one): one for one in contributors}.values():
            task = asyncio.create_task(self._after_grace(one))
            self._closing[task] = one
            task.add_done_callback(lambda done: self._closing.pop(done, None))

    async def _after_grace(self, contributors: Contributors) -> None:
        await asyncio.sleep(self._grace_seconds)
        await _let_go(contributors)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _let_go(contributors: Contributors) -> None:
    try:
        await contributors.close()
    except Exception:
        # Its model answers nobody any more; what is left is to say so.
        log.exception("connections of a replaced model could not be closed")
