"""A horizontal run's banks as the coordinator sees them: asked, silent, or left out by name."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message

from federation.errors import PartyFailure, ProtocolError
from federation.horizontal.messages import decode_reply, encode_order
from federation.horizontal.server_events import (
    Ask,
    Limits,
    Note,
    Replies,
    Step,
    Transcript,
)
from federation.proto.horizontal_pb2 import Declined

Body = TypeVar("Body", bound=Message)
MOST_WORDS = 600  # of a reason that a bank gives


class Banks:
    """Who is still in the run.

    Args:
        run: its id.
        banks: all that may take part.
        limits: the coordinator's.
        kept: what was written down before; it goes on being changed here, by all parts of the run.

    Attributes:
        present: banks that are in.
        excluded: banks that were left out, and why.
        silent: orders that a bank did not answer in time, by bank.
        spared: banks whose refusal at the last order was another bank's fault.
        ended: training has; whoever leaves now leaves no sum short.
    """

    def __init__(self, run: str, banks: list[str], limits: Limits, kept: Transcript) -> None:
        """Nobody is asked yet."""
        self.run = run
        self.limits = limits
        self.kept = kept
        self.excluded = dict(kept.excluded)
        self.present = [bank for bank in banks if bank not in self.excluded]
        self.silent: Counter[str] = Counter()
        self.spared: dict[str, Declined] = {}
        self.ended = False
        self._silent_in_a_row: Counter[str] = Counter()
        self._sequence = secrets.randbits(40) << 16  # no order of an earlier process is repeated

    def fewest(self, participants: Sequence[str] = ()) -> int:
        """Contributions that a sum needs, of a sample; of all banks, and shares, without one."""
        asked = len(self.kept.public_keys)
        if participants and len(participants) < len(self.present):
            asked = len(participants)
        return max(self.limits.minimum_banks, asked - self.limits.dropouts)

    def use_up(self, step: int) -> None:
        """No order is for this step again, nor for one before it."""
        self.kept = replace(self.kept, next_step=step + 1, excluded=dict(self.excluded))

    def ask(
        self,
        bodies: Mapping[str, Message],
        what: str,
        step: int | None = None,
        enough: int | None = None,
    ) -> Generator[Step, Replies, dict[str, Message]]:
        """Send orders; returns the bodies of the replies that can be read, by bank.

        With `enough` replies to be had without them, banks that were silent are not waited for.
        """
        self._sequence += 1
        orders = {
            bank: encode_order(self.run, bank, self._sequence, body)
            for bank, body in bodies.items()
        }
        what = what if step is None else f"{what}, step {step}"
        awaited = frozenset(bank for bank in bodies if not self._silent_in_a_row[bank])
        if enough is None or len(awaited) < min(enough, len(bodies)):
            awaited = frozenset(bodies)
        answers = yield Ask(orders, what, awaited)
        replies: dict[str, Message] = {}
        refused: dict[str, Declined] = {}
        for bank in bodies:
            if bank not in answers:
                yield from self._note_silence(bank, what, bank in awaited)
                continue
            self._silent_in_a_row[bank] = 0
            try:
                reply = decode_reply(answers[bank], self.run, bank, self._sequence)
            except ProtocolError as error:
                yield from self.exclude(bank, str(error))
                continue
            body = getattr(reply, reply.WhichOneof("body") or "")
            if isinstance(body, Declined):
                refused[bank] = body
            else:
                replies[bank] = body
        yield from self._judge(refused)
        return replies

    def _judge(self, refused: dict[str, Declined]) -> Generator[Step, Replies, None]:
        """Leave out who declined, or the bank that two or more of them blame, and spare them."""
        self.spared = {}
        blamed = Counter(reply.blames for bank, reply in refused.items() if reply.blames != bank)
        culprits = [bank for bank in list(self.present) if blamed[bank] >= 2]
        for culprit in culprits:
            why = next(reply.reason for reply in refused.values() if reply.blames == culprit)
            yield from self.exclude(culprit, why[:MOST_WORDS])
        for bank, reply in refused.items():
            if reply.blames in culprits:
                self.spared[bank] = reply
            else:
                yield from self.exclude(bank, f"declined: {reply.reason[:MOST_WORDS]}")

    def _note_silence(self, bank: str, what: str, awaited: bool) -> Generator[Step, Replies, None]:
        self.silent[bank] += 1
        self._silent_in_a_row[bank] += awaited
        yield Note("silence", f"no answer in time ({what})", bank)
        if self._silent_in_a_row[bank] >= self.limits.tries:
            yield from self.exclude(bank, f"did not answer {self.limits.tries} orders in a row")

    def exclude(self, bank: str, reason: str) -> Generator[Step, Replies, None]:
        """Leave a bank out for good.

        Raises:
            PartyFailure: too few are left.
        """
        if bank not in self.present:
            return
        self.present.remove(bank)
        self.excluded[bank] = reason
        yield Note("left out", reason, bank)
        if not self.ended:
            self.refuse_too_few()

    def refuse_too_few(self) -> None:
        """Raise PartyFailure where fewer banks are left than a sum needs."""
        if len(self.present) < self.fewest():
            reasons = "; ".join(f"{bank}: {reason}" for bank, reason in self.excluded.items())
            raise PartyFailure(
                f"{len(self.present)} banks are left and at least {self.fewest()} must "
                f"contribute ({reasons})"
            )

    def keep_majority(
        self,
        replies: dict[str, Body],
        key: Callable[[Body], object],
        what: str,
    ) -> Generator[Step, Replies, None]:
        """Leave out whoever's reply differs from most others'; a tie ends the run."""
        replies_of = {bank: key(reply) for bank, reply in replies.items()}
        counts = Counter(replies_of.values()).most_common()
        if len(counts) > 1 and counts[0][1] == counts[1][1]:
            raise PartyFailure(
                f"the banks do not agree on their {what}, and no majority has the same: "
                f"{', '.join(sorted(replies))} must have the same federation file, feature "
                "declarations and release of veilscore"
            )
        for bank, value in replies_of.items():
            if value != counts[0][0]:
                del replies[bank]
                yield from self.exclude(bank, f"has another {what} than the other banks")
