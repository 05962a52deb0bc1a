"""How fast one source may report: what comes faster waits."""

from __future__ import annotations

import asyncio


class Pace:
    """A token bucket that makes callers wait instead of refusing them.

    Args:
        per_second: on the long run; as many may come at once after a quiet second.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    async def wait(self) -> None:
        """Wait until one more may come."""
        now = asyncio.get_running_loop().time()
        # The moment at which the bucket would be full again is all that must be kept.
        self._free_at = max(self._free_at, now) + 1 / self._per_second
        late = self._free_at - now - 1
        if late > 0:
            await asyncio.sleep(late)
