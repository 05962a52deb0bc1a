"""The driver: asks a node and the database what the follower wants to know, and writes its changes.

It may be killed at any moment: a chunk is one transaction, so that it is wholly there or not at
all, and the next run goes on from what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from contracts.index.decoding import Event
from contracts.index.deployment import Deployment
from contracts.index.errors import (
    ChainKeepsChanging,
    DatabaseUnavailable,
    IndexMoved,
    NodeInconsistent,
    RangeRefused,
    SourceUnavailable,
    WrongChain,
)
from contracts.index.follower import (
    Answer,
    Append,
    Ask,
    AskBlock,
    AskHead,
    AskLogs,
    ChainFollower,
    Change,
    Rewind,
    Settings,
    UpToDate,
)
from contracts.index.source import BlockHeader, ChainSource
from contracts.index.store import IndexStore

_PASSING = (SourceUnavailable, NodeInconsistent, DatabaseUnavailable, IndexMoved)
MOST_REWINDS = 10  # one after the other, without a block between


@dataclass(frozen=True)
class Retries:
    """How often something that may pass is tried again.

    Attributes:
        attempts: in all, one after the other; what goes well sets the count back.
        first_seconds: before the second attempt; each wait is twice the one before.
        most_seconds: the longest wait.
    """

    attempts: int = 6
    first_seconds: float = 0.2
    most_seconds: float = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        block: the last indexed one; None before the first.
        head: the node's newest.
        blocks, events: indexed by this run, those taken back included.
        rewinds, events_taken_back: reorganisations that it followed.
    """

    block: int | None = None
    head: int = 0
    blocks: int = 0
    events: int = 0
    rewinds: int = 0
    events_taken_back: int = 0


@dataclass
class Indexer:
    """Brings an index up to its chain.

    Attributes:
        source: the chain.
        store: the index.
        deployment: what is indexed.
        settings: how far and in which steps.
        retries: what is done about a node or database that is away.
        on_progress: told after every chunk.
        on_events: told of the events of every chunk, once they are committed.
        sleep: waits so many seconds.
    """

    source: ChainSource
    store: IndexStore
    deployment: Deployment
    settings: Settings = field(default_factory=Settings)
    retries: Retries = field(default_factory=Retries)
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_events: Callable[[Sequence[Event]], None] = lambda events: None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Nothing is done yet."""
        self._follower = ChainFollower(self.deployment.block, self.settings)
        self._progress = Progress()
        self._chain_checked = False

    def run(self) -> Progress:
        """Index up to the head (less the confirmations) and return what was done.

        Raises:
            SourceUnavailable, NodeInconsistent, DatabaseUnavailable: it did not pass in all
                attempts.
            WrongChain: the node is of another chain.
            DeepReorganisation, MalformedLog, EventOutOfPlace, AmountTooLarge: see there.
        """
        rewinds = 0
        while True:
            change = self._persistently()
            if isinstance(change, UpToDate):
                return self._progress
            rewinds = rewinds + 1 if isinstance(change, Rewind) else 0
            if rewinds > MOST_REWINDS:
                raise ChainKeepsChanging(
                    f"the node's chain was another one {rewinds} times in a row; use another node"
                )

    def follow(self, poll_seconds: float, stopped: Callable[[], bool]) -> Progress:
        """Index for good, looking for new blocks every so often; raises what `run` does."""
        while True:
            self.run()
            if stopped():
                return self._progress
            self.sleep(poll_seconds)

    def _persistently(self) -> Change:
        wait, failures = self.retries.first_seconds, 0
        while True:
            try:
                return self._step()
            except _PASSING:
                failures += 1
                if failures >= self.retries.attempts:
                    raise
            self.sleep(wait)
            wait = min(2 * wait, self.retries.most_seconds)

    def _step(self) -> Change:
        """One change, from the look to the commit."""
        if not self._chain_checked:
            found = self.source.chain_id()
            if found != self.deployment.chain_id:
                raise WrongChain(
                    f"the node is of chain {found}, and the deployment is on chain "
                    f"{self.deployment.chain_id}; name another --rpc or --deployment"
                )
            self._chain_checked = True
        asking = self._follower.step()
        try:
            ask = next(asking)
            while True:
                ask = asking.send(self._answer(ask))
        except StopIteration as done:
            change: Change = done.value
        self._apply(change)
        return change

    def _answer(self, ask: Ask) -> Answer:
        if isinstance(ask, AskHead):
            return self.source.head()
        if isinstance(ask, AskBlock):
            return self.source.block(ask.number)
        if isinstance(ask, AskLogs):
            try:
                return self.source.logs(ask.first, ask.last)
            except RangeRefused as refused:
                return refused
        return self.store.stored(ask.at_most)

    def _apply(self, change: Change) -> None:
        before = self._progress
        if isinstance(change, Append):
            found = self.store.append(change)
            self._progress = replace(
                before,
                block=change.last,
                head=change.head,
                blocks=before.blocks + change.last - change.first + 1,
                events=before.events + len(found),
            )
            self.on_events(found)
        elif isinstance(change, Rewind):
            gone = self.store.rewind(change)
            self._progress = replace(
                before,
                block=_number(change.to),
                rewinds=before.rewinds + 1,
                events_taken_back=before.events_taken_back + gone,
            )
        else:
            self._progress = replace(before, block=_number(change.tip), head=change.head)
        self.on_progress(self._progress)


def _number(header: BlockHeader | None) -> int | None:
    return None if header is None else header.number
