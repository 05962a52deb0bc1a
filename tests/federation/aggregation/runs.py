"""A run of secure sums between named clients and a server, every state passing through bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.aggregation import SecureSumClient, SecureSumServer
from federation.proto.secure_sum_pb2 import Contribution, UnmaskShares

Words = npt.NDArray[np.uint64]
FIVE = ("ash", "birch", "cedar", "dogwood", "elm")


class Run:
    """Clients with keys and one block of prepared steps; states are kept as bytes only."""

    def __init__(
        self,
        names: tuple[str, ...] = FIVE,
        scheme: str = "bfv",
        dropouts: int = 2,
        minimum: int = 3,
        steps: int = 2,
        run: str = "run-1",
    ) -> None:
        clients = {name: SecureSumClient.start(name, run) for name in names}
        roster = {name: client.public_key for name, client in clients.items()}
        server = SecureSumServer.start(run, roster)
        for client in clients.values():
            client.agree(roster, minimum)
        first = min(names)
        self.parcel = clients[first].make_key(scheme)
        server.take_key(self.parcel)
        for name in names:
            if name != first:
                clients[name].take_key(self.parcel)
        for name, client in clients.items():
            server.take_preparation(name, client.prepare(0, steps, dropouts))
        for name, client in clients.items():
            client.take_preparations(server.preparations_for(name, 0))
        self.names = list(names)
        self.states = {name: client.to_bytes() for name, client in clients.items()}
        self.server_state = server.to_bytes()
        self.modulus = server.cipher.modulus
        self.bound = dict.fromkeys(names, b"")

    def client(self, name: str) -> SecureSumClient:
        """A client as it comes out of its vault, bound to what `bound` says."""
        client = SecureSumClient.from_bytes(self.states[name])
        client.bind(self.bound[name])
        return client

    def server(self) -> SecureSumServer:
        """The server as it comes off its disk."""
        return SecureSumServer.from_bytes(self.server_state)

    def vectors(self, slots: int = 50, seed: int = 1) -> dict[str, Words]:
        """A vector a client, over the whole range."""
        generator = np.random.default_rng(seed)
        return {
            name: generator.integers(0, self.modulus, slots, dtype=np.uint64) for name in self.names
        }

    def order(self, step: int = 0, slots: int = 50) -> None:
        """Open a step for everybody."""
        server = self.server()
        server.order(step, self.names, slots)
        self.server_state = server.to_bytes()

    def contribute(self, name: str, vector: Words, step: int = 0) -> Contribution:
        """One client's vector, as it comes off the wire."""
        client = self.client(name)
        message = client.contribute(step, self.names, vector)
        self.states[name] = client.to_bytes()
        return Contribution.FromString(message.SerializeToString())

    def check(self, name: str, message: Contribution, step: int = 0) -> None:
        """The server's checks."""
        server = self.server()
        server.check(name, step, message)
        self.server_state = server.to_bytes()

    def unmask(self, name: str, survivors: list[str], step: int = 0) -> UnmaskShares:
        """One client's shares."""
        client = self.client(name)
        shares = client.unmask(step, self.names, survivors)
        self.states[name] = client.to_bytes()
        return shares

    def contributions(
        self, vectors: dict[str, Words], names: list[str], step: int = 0
    ) -> dict[str, Contribution]:
        """These clients' vectors, checked by the server."""
        self.order(step, next(iter(vectors.values())).size)
        messages = {name: self.contribute(name, vectors[name], step) for name in names}
        for name, message in messages.items():
            self.check(name, message, step)
        return messages


def expected(vectors: dict[str, Words], names: list[str], modulus: int) -> Words:
    """The plain sum modulo a power of two."""
    total = np.zeros_like(vectors[names[0]])
    for name in names:
        total += vectors[name]
    return total & np.uint64(modulus - 1)
