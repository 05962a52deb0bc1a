"""Two connections to one partner: a hedge must not wait in the queue of what it hedges."""

from __future__ import annotations

import asyncio
import time

from server.desk.partners.line import Dialling, Line


class LinePair:
    """Two lines that are made, renewed and closed together.

    Args:
        dialling: whom they connect to.
    """

    def __init__(self, dialling: Dialling) -> None:
        """Make both; on the event loop that uses them."""
        self._dialling = dialling
        self._lines = (Line(dialling), Line(dialling))
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def age(self) -> float:
        """Seconds since they were made, and their certificates with them."""
        return time.monotonic() - self._lines[0].made_at

    def in_order(self, small: bool) -> list[Line]:
        """The one to use first, then its spare: connected ones before those that are not.

        Small requests begin with the first and batches with the second, so that they don't wait
        for each other.
        """
        lines = self._lines if small else self._lines[::-1]
        return sorted(lines, key=lambda line: not line.ready)

    def nudge(self) -> None:
        """Connect what is not connected."""
        for line in self._lines:
            line.nudge()

    async def connected(self, seconds: float) -> bool:
        """Connect both; whether that was done within so many seconds."""
        return all(await asyncio.gather(*(line.connected(seconds) for line in self._lines)))

    async def renew(self, seconds: float) -> bool:
        """Put fresh lines in their place, and close the old ones once nothing is under way there.

        Args:
            seconds: that the fresh ones have to connect before they are used.

        Returns:
            Whether both did.
        """
        fresh = (Line(self._dialling), Line(self._dialling))
        connected = await asyncio.gather(*(line.connected(seconds) for line in fresh))
        old, self._lines = self._lines, fresh
        for line in old:
            task = asyncio.create_task(line.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        return all(connected)

    async def close(self) -> None:
        """Close all at once; what is under way fails."""
        retiring = tuple(self._retiring)
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        await asyncio.gather(*(line.close() for line in self._lines))
