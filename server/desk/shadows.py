"""Work after an answer: bounded, in the background, and never in its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

LOG = logging.getLogger("veilscore.desk")
MOST = 64  # at once; more are dropped, and counted
# The caller's reply goes first.
PAUSE_SECONDS = 0.005


class Shadows:
    """Runs shadow models' scores.

    Args:
        on_failed: told 'shadow' or 'shadow dropped'.
    """

    def __init__(self, on_failed: Callable[[str], None]) -> None:
        """Nothing runs."""
        self._on_failed = on_failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run it soon, unless too many run already."""
        if len(self._running) >= MOST:
            self._on_failed("shadow dropped")
            return
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End what still runs."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        try:
            await work()
        except Exception as error:
            self._on_failed("shadow")
            LOG.warning("a shadow model gave no score (%s)", type(error).__name__)
