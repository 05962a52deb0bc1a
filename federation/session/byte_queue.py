"""A queue between two threads that is bounded in bytes: a full one holds its sender up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
# What a queued item costs beside its bytes, so that many tiny ones are bounded too.
ITEM_BYTES = 128


class QueueEmpty(Exception):
    """Nothing came within the time."""


class QueueClosed(Exception):
    """The queue is closed, and everything that was left in it has been taken."""


class ByteQueue(Generic[Item]):
    """Items in order, of at most `limit` bytes together.

    Args:
        limit: bytes; an item that is larger alone passes when nothing else waits.
        hard_limit: bytes while the queue is `widened`.
    """

    def __init__(self, limit: int, hard_limit: int | None = None) -> None:
        """Open and empty."""
        self._soft, self._hard = limit, limit if hard_limit is None else hard_limit
        self._wide = False
        self._items: deque[tuple[Item, int]] = deque()
        self._queued = 0
        self._most = 0
        self._closed = False
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._left = threading.Condition(self._lock)

    @property
    def queued_bytes(self) -> int:
        """What waits now, ITEM_BYTES an item included."""
        return self._queued

    @property
    def most_bytes(self) -> int:
        """The most that ever waited."""
        return self._most

    def put(self, item: Item, size: int, timeout: float | None = None) -> bool:
        """Add an item when there is room for it; False if there was none within the time.

        Raises:
            QueueClosed: nobody will take it.
        """
        cost = size + ITEM_BYTES
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while not self._closed and self._items and self._queued + cost > self._limit():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._left.wait(left)
            self._add(item, cost)
        return True

    def put_now(self, item: Item, size: int) -> None:
        """Add a small item whether or not there is room; nothing happens when it is closed."""
        with self._lock, contextlib.suppress(QueueClosed):
            self._add(item, size + ITEM_BYTES)

    def _add(self, item: Item, cost: int) -> None:
        if self._closed:
            raise QueueClosed
        self._items.append((item, cost))
        self._queued += cost
        self._most = max(self._most, self._queued)
        self._came.notify()

    def get(self, timeout: float | None = None) -> Item:
        """Take the next item.

        Raises:
            QueueEmpty: none came within the time.
            QueueClosed: none will come.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while not self._items:
                if self._closed:
                    raise QueueClosed
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise QueueEmpty
                self._came.wait(left)
            item, cost = self._items.popleft()
            self._queued -= cost
            self._left.notify()
        return item

    def finish(self) -> None:
        """Close the queue; what waits in it is still taken."""
        with self._lock:
            self._close()

    def replace(self, *last: Item) -> None:
        """Close the queue with these in the place of all that waits (of a size of nothing).

        Nobody needs what waited in a session that is dead.
        """
        with self._lock:
            if self._closed:
                return
            self._items = deque((item, 0) for item in last)
            self._queued = 0
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._came.notify_all()
        self._left.notify_all()

    @contextlib.contextmanager
    def widened(self) -> Iterator[None]:
        """Let the queue grow up to its hard limit meanwhile."""
        self._widen(True)
        try:
            yield
        finally:
            self._widen(False)

    def overflows(self, size: int) -> bool:
        """Whether an item finds no room although the queue is `widened`."""
        with self._lock:
            return self._wide and self._queued + size + ITEM_BYTES > self._hard

    def _limit(self) -> int:
        return self._hard if self._wide else self._soft

    def _widen(self, wide: bool) -> None:
        with self._lock:
            self._wide = wide
            self._left.notify_all()
