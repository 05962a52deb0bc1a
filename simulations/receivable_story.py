"""Random but lawful lives of receivables, as the logs that the contracts would write.

What a leaf or loan can do next is kept here, simply and apart from the indexer's own state machine,
whose results the tests compare with it.
"""

from __future__ import annotations

from collections.abc import Callable

from simulations.memory_chain import BLOCK_SECONDS, GENESIS_TIME, EncodedLog
from simulations.story_lending import finance, order, pay, repurchase, worsen
from simulations.story_receivables import cancel, confirm, credit, dispute, merge, split, transfer
from simulations.story_teller import Teller

_WEIGHTS: dict[Callable[[Teller], object], int] = {
    confirm: 6,
    transfer: 4,
    split: 2,
    merge: 1,
    dispute: 1,
    credit: 1,
    cancel: 1,
    pay: 8,
    finance: 5,
    repurchase: 1,
    worsen: 2,
    order: 2,
}
_ACTS = [act for act, weight in _WEIGHTS.items() for _ in range(weight)]


class Story(Teller):
    """Tells what happens, block by block; its arguments are `Teller`'s."""

    def opening(self) -> list[EncodedLog]:
        """What an administrator does first."""
        self.tell("registry", "PoolAdmitted", pool=self.pool)
        self.tell("registry", "TokenAdmitted", token=self.token, admitted=True, dustFloor=100)
        return self.taken()

    def block(self, number: int, acts: int) -> list[EncodedLog]:
        """The logs of block `number`, in which so many things happen."""
        self.now = GENESIS_TIME + number * BLOCK_SECONDS
        for _ in range(acts):
            self.random.choice(_ACTS)(self)
        return self.taken()
