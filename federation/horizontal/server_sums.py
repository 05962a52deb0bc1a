"""One step of a horizontal run at the coordinator: contributions in, masks off, a total out.

Everybody asked contributes; who contributed is asked for the shares that take the masks off the sum
(Bonawitz et al., 'Practical Secure Aggregation', CCS 2017).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message

from federation.errors import BlamedError, PartyFailure, ProtocolError
from federation.horizontal.server_assembly import Assembly
from federation.horizontal.server_banks import Banks
from federation.horizontal.server_events import Keep, Note, Replies, Step
from federation.proto.horizontal_pb2 import Contribute, Contributed, Unmask, Unmasked
from federation.proto.secure_sum_pb2 import MaskedTotal, UnmaskShares

# An order that brings news.
News = TypeVar("News", Contribute, Unmask)


class Sums:
    """Orders a run's sums, one after the other.

    Args:
        banks: who is in the run.
        assembly: what they were given.
    """

    def __init__(self, banks: Banks, assembly: Assembly) -> None:
        """Nothing is ordered yet."""
        self._banks = banks
        self._assembly = assembly

    def contributions(
        self, step: int, participants: list[str], sampled: bool
    ) -> Generator[Step, Replies, dict[str, Message]]:
        """What the participants answer when they are asked for a step's contribution."""
        order = Contribute(step=step, participants=participants, sampled=sampled)
        enough = self._banks.fewest(participants)
        return (yield from self._ask(order, participants, "contribution", step, enough))

    def catch_up(self, banks: list[str]) -> Generator[Step, Replies, dict[str, Message]]:
        """Give banks the totals that they lack, and ask nothing of them."""
        order = Contribute(step=self._banks.kept.next_step)
        return (yield from self._ask(order, banks, "end"))

    def _ask(
        self,
        order: News,
        whom: Sequence[str],
        what: str,
        step: int | None = None,
        enough: int | None = None,
    ) -> Generator[Step, Replies, dict[str, Message]]:
        """The replies to one order, which brings every bank what it has not been told yet."""
        orders: dict[str, Message] = {}
        for bank in whom:
            own = type(order)()
            own.CopyFrom(order)
            self._assembly.add_news(bank, own)
            orders[bank] = own
        replies = yield from self._banks.ask(orders, what, step, enough)
        for bank in replies:
            self._assembly.told(bank)
        return replies

    def same_again(self, contributed: Mapping[str, Contributed]) -> list[str]:
        """Whose sum of the round that these contribute to was unmasked already; [] if none was.

        Banks help with one sum of a round only. If nothing came of it, it is tried again.
        """
        phase, number, names = self._banks.kept.released
        for reply in contributed.values():
            return list(names) if (reply.phase, reply.round) == (phase, number) else []
        return []

    def total(
        self, step: int, participants: list[str], replies: dict[str, Contributed]
    ) -> Generator[Step, Replies, MaskedTotal | None]:
        """Check what came, have the masks taken off, add; None if too few banks are left."""
        banks, sums = self._banks, self._assembly.sums
        yield from banks.keep_majority(
            replies,
            lambda reply: (
                reply.phase,
                reply.round,
                reply.model_digest,
                reply.contribution.slots,
            ),
            "model",
        )
        if len(replies) < banks.fewest(participants):
            return None
        first = next(iter(replies.values()))
        sums.order(step, participants, first.contribution.slots)
        for bank, reply in list(replies.items()):
            try:
                sums.check(bank, step, reply.contribution)
            except ProtocolError as error:
                del replies[bank]
                yield from banks.exclude(bank, str(error))
        survivors = sorted(replies)
        if len(survivors) < banks.fewest(participants):
            return None
        again = self.same_again(replies)
        if again and again != survivors:
            yield Note("discarded", f"the sum of round {first.round + 1} is tried again")
            return None
        banks.kept = replace(
            banks.kept, released=(first.phase, first.round, tuple(survivors)), next_step=step + 1
        )
        yield Keep(banks.kept)
        shares = yield from self._shares(step, participants, survivors)
        contributions = {bank: reply.contribution for bank, reply in replies.items()}
        bound = first.model_digest.encode()
        total = None
        while total is None:
            try:
                total = sums.add(step, contributions, shares, bound)
            except BlamedError as error:
                if error.party not in shares:
                    raise
                del shares[error.party]
                yield from banks.exclude(error.party, str(error))
            except (ProtocolError, PartyFailure) as error:
                yield Note("sum", f"step {step} could not be summed: {error}")
                return None
        for bank in sorted(sums.faulty):
            yield from banks.exclude(bank, f"gave shares in step {step} that do not fit")
        banks.kept = replace(banks.kept, secure_sum=sums.to_bytes())
        return total

    def _shares(
        self, step: int, participants: list[str], survivors: list[str]
    ) -> Generator[Step, Replies, dict[str, UnmaskShares]]:
        """What takes the masks off; who did not answer is asked again, as long as it is needed."""
        banks = self._banks
        # All banks of the block hold shares; the survivors are many enough, but for a sample.
        holders = survivors if len(survivors) >= banks.fewest() else list(banks.present)
        shares: dict[str, UnmaskShares] = {}
        for _ in range(banks.limits.tries):
            whom = [bank for bank in holders if bank not in shares and bank in banks.present]
            lacking = banks.fewest() - len(shares)
            if lacking <= 0 or not whom:
                break
            order = Unmask(step=step, participants=participants, survivors=survivors)
            answers = yield from self._ask(order, whom, "shares", step, lacking)
            for bank, reply in answers.items():
                if isinstance(reply, Unmasked):
                    shares[bank] = reply.shares
                else:
                    yield from banks.exclude(bank, f"sent no shares in step {step}")
        return shares
