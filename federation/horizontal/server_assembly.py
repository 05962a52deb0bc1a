"""The coordinator gets a run's banks together: their roster, their key, and masks by the block."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from google.protobuf.message import Message

from federation.aggregation.server import SecureSumServer
from federation.errors import ProtocolError
from federation.horizontal.server_banks import Banks
from federation.horizontal.server_events import Keep, Replies, Step
from federation.proto.horizontal_pb2 import Contribute, Join, Joined, Ready, Setup, Unmask

PLAN = "plan or schema (federation file, [features] with units, bounds and categories, release)"


class Assembly:
    """What the banks were given so that they can add up, and what each still lacks of it.

    Args:
        banks: who is in the run.
        given: all banks that this process knows.
    """

    def __init__(self, banks: Banks, given: list[str]) -> None:
        """Nobody has joined yet."""
        self._banks = banks
        self._given = set(given)
        self._server: SecureSumServer | None = None
        self._opened: dict[str, int] = {}
        self._block_start = 0
        self._unsent: set[str] = set()

    @property
    def sums(self) -> SecureSumServer:
        """The run's sums, once the banks have joined."""
        if self._server is None:
            raise ValueError("the banks have not joined yet")
        return self._server

    def assemble(self) -> Generator[Step, Replies, None]:
        """Find out who takes part, and give them one key."""
        banks = self._banks
        if banks.kept.secure_sum:
            yield from self._return()
            return
        while True:
            # New keys each time: of a run without a transcript, banks have nothing to go on with.
            joined = yield from self._joined(afresh=True)
            keys = {bank: reply.public_key for bank, reply in joined.items()}
            signatures = {bank: reply.signature for bank, reply in joined.items()}
            banks.kept = replace(banks.kept, public_keys=keys, signatures=signatures)
            self._server = SecureSumServer.start(banks.run, keys)
            if (yield from self._share_key()):
                banks.kept = replace(banks.kept, secure_sum=self.sums.to_bytes())
                yield Keep(banks.kept)
                return
            # Somebody fell silent over the keys: once more without them.
            banks.kept = replace(banks.kept, prepared_until=0)

    def _joined(self, afresh: bool) -> Generator[Step, Replies, dict[str, Joined]]:
        banks = self._banks
        replies = yield from banks.ask(
            {bank: Join(afresh=afresh) for bank in banks.present}, "join"
        )
        joined = {b: r for b, r in replies.items() if isinstance(r, Joined)}
        for bank in [bank for bank in banks.present if bank not in joined]:
            yield from banks.exclude(bank, "did not answer in time")
        yield from banks.keep_majority(joined, lambda reply: reply.plan_digest, PLAN)
        for bank in [bank for bank, reply in joined.items() if len(reply.public_key) != 32]:
            yield from banks.exclude(bank, "sent no X25519 key")
        joined = {bank: joined[bank] for bank in banks.present}
        self._opened = {bank: reply.opened for bank, reply in joined.items()}
        return joined

    def _return(self) -> Generator[Step, Replies, None]:
        """The banks of a run that was stopped come back."""
        banks, kept = self._banks, self._banks.kept
        banks.present = sorted(bank for bank in kept.public_keys if bank not in banks.excluded)
        for bank in [bank for bank in banks.present if bank not in self._given]:
            yield from banks.exclude(bank, "did not come back")
        joined = yield from self._joined(afresh=False)
        last = kept.totals[-1].step if kept.totals else -1
        for bank, reply in joined.items():
            if reply.public_key != kept.public_keys[bank]:
                yield from banks.exclude(bank, "has lost its keys of this run")
            elif reply.opened > last:
                yield from banks.exclude(bank, "is ahead of the coordinator's transcript")
        banks.refuse_too_few()
        self._server = SecureSumServer.from_bytes(kept.secure_sum)
        # The steps that were under way are not tried again: their masks may be half used.
        banks.use_up(max(kept.next_step, kept.prepared_until - 1))

    def _share_key(self) -> Generator[Step, Replies, bool]:
        """The first bank by name makes the key, all others take it; False: somebody did not."""
        banks = self._banks
        leader = min(banks.present)
        replies = yield from banks.ask({leader: self._setup(make_key=True)}, "keys")
        reply = replies.get(leader)
        if not isinstance(reply, Ready) or not reply.HasField("key"):
            yield from banks.exclude(leader, "made no key in time")
            return False
        try:
            self.sums.take_key(reply.key)
        except ProtocolError as error:
            yield from banks.exclude(leader, str(error))
            return False
        return (yield from self.prepare(reply))

    def _setup(self, make_key: bool = False) -> Setup:
        return Setup(
            public_keys=self._banks.kept.public_keys,
            signatures=self._banks.kept.signatures,
            make_key=make_key,
            members=self._banks.present,
            first_step=self._banks.kept.next_step,
            steps=self._banks.limits.block_steps,
        )

    def prepare(self, leader: Ready | None = None) -> Generator[Step, Replies, bool]:
        """Collect the banks' preparations of a block of steps; False: somebody did not prepare.

        With the leader's reply, its key goes to the others too.
        """
        banks, setup = self._banks, self._setup()
        until = setup.first_step + setup.steps
        banks.kept = replace(banks.kept, prepared_until=until)
        if banks.kept.secure_sum:  # written before a bank prepares, which it does once
            yield Keep(banks.kept)
        ready: dict[str, Message] = {}
        if leader is not None:
            setup.key.CopyFrom(leader.key)
            ready[min(banks.present)] = leader
        asked = [bank for bank in banks.present if bank not in ready]
        ready |= yield from banks.ask(dict.fromkeys(asked, setup), "masks")
        if any(reply.blames not in banks.present for reply in banks.spared.values()):
            return False  # not the fault of those who did not prepare
        for bank in list(banks.present):
            reply = ready.get(bank)
            try:
                if not isinstance(reply, Ready):
                    raise ProtocolError("prepared no masks in time")
                self.sums.take_preparation(bank, reply.preparation)
            except ProtocolError as error:
                yield from banks.exclude(bank, str(error))
        self._block_start = setup.first_step
        self._unsent = set(banks.present)
        return set(banks.present) == set(setup.members)

    def add_news(self, bank: str, order: Contribute | Unmask) -> None:
        """Add to an order the masks and totals that this bank has not been told yet."""
        if bank in self._unsent:
            for peer, shares in self.sums.preparations_for(bank, self._block_start).items():
                if peer in self._banks.present:
                    order.preparations[peer].CopyFrom(shares)
        order.totals.extend(
            total for total in self._banks.kept.totals if total.step > self._opened.get(bank, -1)
        )

    def told(self, bank: str) -> None:
        """Note that a bank has answered an order with news."""
        self._unsent.discard(bank)
        if self._banks.kept.totals:
            self._opened[bank] = self._banks.kept.totals[-1].step
