"""The alert desk: takes alerts in, many in one commit, and knows at once who is watched.

What the lending policy asks on every decision is answered from memory. Other processes resolve
alerts too (`veilscore alerts resolve`), so the desk looks at the database's counter of changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise_one
from server.desk.alerts.incoming import IncomingAlert
from server.desk.alerts.kept import KeptAlert, OpenFollowUp, Outcome, Stored
from server.desk.alerts.rules import FollowUp
from server.desk.alerts.store import AlertStore
from server.desk.registry.database import DatabaseUnavailable

log = logging.getLogger("veilscore.desk")

MOST_IN_A_COMMIT = 256
MOST_WAITING = 1024
_Result = TypeVar("_Result")
_Waiting = tuple[IncomingAlert, "asyncio.Future[Outcome]"]


class AlertDesk:
    """Stores alerts and answers what follows from them; lives in one event loop.

    Args:
        store: asked in a thread of the desk's own.
        identifier_rule: of the served model, so that ids match those of scores.
        poll_seconds: between two looks for changes of other processes.
    """

    def __init__(
        self,
        store: AlertStore,
        identifier_rule: IdentifierRule = IdentifierRule.STRIP,
        poll_seconds: float = 1.0,
    ) -> None:
        self.store = store
        self.identifier_rule = identifier_rule
        self._poll_seconds = poll_seconds
        self._open: dict[str, tuple[OpenFollowUp, ...]] = {}
        self._seen = -1
        self._down = False
        self._closed = False
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read what is open.

        Raises:
            InputError: the database does not answer.
        """
        await self.refresh()
        self._tasks = [
            asyncio.create_task(self._commit_all(), name="alerts"),
            asyncio.create_task(self._poll(), name="alerts poll"),
        ]

    async def close(self) -> None:
        """Stop; alerts that were not acknowledged are not stored for certain."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        while not self._waiting.empty():
            _fail([self._waiting.get_nowait()], _closing())
        await asyncio.to_thread(self._thread.shutdown)

    async def submit(self, alert: IncomingAlert) -> asyncio.Future[Outcome]:
        """Hand an alert in; the future is done once it is on the disk, or refused.

        It waits where too many wait already. The future holds an InputError where the database
        did not take the alert: then its source must report it again.
        """
        if self._closed:
            raise _closing()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # A caller that left does not come for its future; its error is no news then.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        await self._waiting.put((alert, future))
        return future

    async def find(self, borrower: str, open_only: bool, most: int) -> list[KeptAlert]:
        """Alerts, the latest first; an empty borrower means all."""
        return await self._in_thread(
            lambda: self.store.find(borrower=borrower or None, open_only=open_only, most=most)
        )

    async def resolve(self, source: str, identifier: str, resolution: str, by: str) -> KeptAlert:
        """Resolve an alert and all that follows from it.

        Raises:
            InputError, NoSuchAlert: as the store's.
        """
        resolved = await self._in_thread(
            lambda: self.store.resolve(source, identifier, resolution, by)
        )
        await self.refresh()
        return resolved

    def open_follow_ups(self, borrower: str) -> tuple[OpenFollowUp, ...]:
        """What is still to be done about a borrower (any way of writing its id)."""
        return self._open.get(normalise_one(borrower, self.identifier_rule), ())

    def is_watched(self, borrower: str) -> bool:
        """Whether an open alert has put a borrower on the watch list."""
        return self._has(borrower, FollowUp.WATCH_LIST)

    def limit_review_due(self, borrower: str) -> bool:
        """Whether a limit review is owed, be its date over or not: limits should not be raised."""
        return self._has(borrower, FollowUp.LIMIT_REVIEW)

    def watch_list(self) -> frozenset[str]:
        """Normalised ids of all watched borrowers."""
        return frozenset(
            key
            for key, rows in self._open.items()
            if any(row.follow_up is FollowUp.WATCH_LIST for row in rows)
        )

    async def refresh(self) -> None:
        """Read what is open, where anything changed.

        Raises:
            InputError: the database does not answer.
        """
        async with self._turn:
            if await self._in_thread(self.store.changes) == self._seen:
                return
            changes, rows = await self._in_thread(self.store.open_follow_ups)
            self._open = _by_borrower(rows)
            self._seen = changes

    def _has(self, borrower: str, follow_up: FollowUp) -> bool:
        return any(row.follow_up is follow_up for row in self.open_follow_ups(borrower))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.refresh()
            except InputError as error:
                if not self._down:
                    log.error("%s; the desk goes on with the watch list that it has", error)
                self._down = True
            except Exception:
                # Whatever it is, the desk goes on with the watch list that it has.
                log.exception("the alert desk could not look for changes")
            else:
                if self._down:
                    log.info("the database of alerts answers again")
                self._down = False

    async def _commit_all(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_IN_A_COMMIT and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._commit(batch)
            except asyncio.CancelledError:
                _fail(batch, _closing())
                raise

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            stored = await self._store([alert for alert, _ in batch])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) > 1:  # one that the database does not take must not hold up the others
                for one in batch:
                    await self._commit([one])
                return
            if not isinstance(error, InputError):
                log.exception("an alert could not be stored")
            _fail(batch, InputError("the desk could not store the alert; report it again later"))
        else:
            for (_, future), outcome in zip(batch, stored.outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _store(self, batch: Sequence[IncomingAlert]) -> Stored:
        async with self._turn:
            stored = await self._in_thread(lambda: self.store.store(batch))
            if stored.opened:
                added = _by_borrower(stored.opened)
                for key, rows in added.items():
                    self._open[key] = self._open.get(key, ()) + rows
            # Where another process changed something in between, the next look reads all anew.
            if stored.before == self._seen:
                self._seen = stored.changes
        return stored

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _by_borrower(rows: Iterable[OpenFollowUp]) -> dict[str, tuple[OpenFollowUp, ...]]:
    grouped: dict[str, list[OpenFollowUp]] = {}
    for row in rows:
        grouped.setdefault(row.borrower_key, []).append(row)
    return {key: tuple(found) for key, found in grouped.items()}


def _fail(batch: Iterable[_Waiting], error: InputError) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def _closing() -> InputError:
    return DatabaseUnavailable("the desk is closing; report the alert again")
