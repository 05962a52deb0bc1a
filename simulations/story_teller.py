"""What the actors of a made-up supply chain may do next, and how it is told in logs."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

from contracts.index.deployment import Deployment
from simulations.memory_chain import GENESIS_TIME, EncodedLog, LogEncoder, address_of

DAY = 86_400
ZERO = "0x" + 40 * "0"
FIRST_ORDER = 1 << 128


@dataclass
class StoryLeaf:
    """A leaf that still lives."""

    root: int
    debtor: str
    holder: str
    remaining: int
    due: int
    depth: int = 0
    disputed: bool = False
    whole: bool = True  # never split nor paid, so that it can be cancelled


@dataclass
class StoryLoan:
    """A loan that is not settled; its leaf may be gone."""

    bank: str
    supplier: str
    principal: int
    state: str = "open"


@dataclass
class StoryOrder:
    """A purchase order that is not at its end."""

    bank: str
    supplier: str
    buyer: str
    value: int
    principal: int = 0
    drawn: int = 0


@dataclass
class StoryState:
    """Who owes what; `copy.deepcopy` of it goes back in time."""

    last_id: int = 0
    last_order: int = FIRST_ORDER
    invoices: int = 0
    leaves: dict[int, StoryLeaf] = field(default_factory=dict)
    loans: dict[int, StoryLoan] = field(default_factory=dict)
    orders: dict[int, StoryOrder] = field(default_factory=dict)


class Teller:
    """Keeps the books of the story and writes its logs.

    Args:
        deployment: whose logs.
        seed: of everything that is drawn.
        suppliers, debtors, banks: how many accounts of each.
        most_live: leaves beyond which no invoice is confirmed.
    """

    def __init__(
        self,
        deployment: Deployment,
        seed: int,
        suppliers: int = 12,
        debtors: int = 4,
        banks: int = 3,
        most_live: int = 200,
    ) -> None:
        self.random = random.Random(seed)  # nosec B311
        self.encoder = LogEncoder(deployment)
        self.pool = deployment.contracts["pool"]
        self.token = deployment.token or ZERO
        self.suppliers = [address_of(number) for number in range(suppliers)]
        self.debtors = [address_of(10_000 + number) for number in range(debtors)]
        self.banks = [address_of(20_000 + number) for number in range(banks)]
        self.most_live = most_live
        self.state = StoryState()
        self.now = GENESIS_TIME
        self.logs: list[EncodedLog] = []

    def snapshot(self) -> StoryState:
        """The state now, to go back to."""
        return copy.deepcopy(self.state)

    def taken(self) -> list[EncodedLog]:
        """The logs since the last call."""
        taken, self.logs = self.logs, []
        return taken

    def tell(self, contract: str, name: str, **values: object) -> None:
        """Write a log; a name that Python keeps for itself ends in '_'."""
        renamed = {key.rstrip("_"): value for key, value in values.items()}
        self.logs.append(self.encoder.encode(contract, name, renamed))

    def move(self, giver: str, taker: str, leaf: int) -> None:
        """A leaf's owner changes."""
        self.tell("registry", "Transfer", from_=giver, to=taker, tokenId=leaf)

    def some(self, free: bool = True) -> int | None:
        """A live leaf: one that no pool holds and nobody disputes, or any."""
        leaves = self.state.leaves
        for _ in range(5 if leaves else 0):
            identifier = self.random.choice(list(leaves)[-50:])
            leaf = leaves[identifier]
            if not free or (leaf.holder != self.pool and not leaf.disputed):
                return identifier
        return None

    def new_id(self) -> int:
        """The next leaf's number."""
        self.state.last_id += 1
        return self.state.last_id
