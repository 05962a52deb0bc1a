"""Contributors that count what is asked of them, for the tests of the directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from federation.scoring import ServedModel, ServedVariant
from server.desk.answers import Gathered, GivenReason


class Counted:
    """Answers 0 points of a model's partners, and refuses once it is closed."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.closed = False

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """Nothing of anybody."""
        if self.closed:
            raise RuntimeError("asked after it was closed")
        count = len(borrowers)
        return Gathered((self.served.main,), np.zeros(count, np.uint8), np.zeros(count, np.int64))

    async def reasons(
        self, borrower: str, variant: ServedVariant, most: int, seconds: float
    ) -> Mapping[str, list[GivenReason] | None]:
        """None."""
        return {}

    async def close(self) -> None:
        """Note it."""
        self.closed = True
