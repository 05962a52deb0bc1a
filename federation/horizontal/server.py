"""The coordinator's side of a horizontal run: orders steps, adds ciphertexts, holds no model.

A generator without I/O: it yields `Ask` (orders to send; it is sent back the replies that came in
time), `Note` (for people) and `Keep` (what a later process needs to go on from here). It can't
decrypt: it is never given a key. Whoever sends what can't be used is left
out by name and the run goes on, while enough banks are left.

The order of a step: everybody asked contributes; who contributed is asked for the shares that take
the masks off the sum (Bonawitz et al., 'Practical Secure Aggregation', CCS 2017); the total goes
out with the next order. What a step is about (scaling, update, evaluation) the banks decide.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from google.protobuf.message import Message

from federation.aggregation.messages import BlamedError
from federation.aggregation.server import SecureSumServer
from federation.errors import PartyFailure, ProtocolError
from federation.horizontal.messages import decode_reply, encode_order
from federation.proto.horizontal_pb2 import (
    Contribute,
    Contributed,
    Declined,
    Finished,
    Join,
    Joined,
    NeedEveryone,
    Ready,
    Setup,
    Unmask,
    Unmasked,
)
from federation.proto.secure_sum_pb2 import MaskedTotal, UnmaskShares

Body = TypeVar("Body", bound=Message)
UPDATE = "update"
MOST_WORDS = 300  # of a reason that a bank gives


@dataclass(frozen=True)
class Ask:
    """Send each bank its order; the replies that come in time are sent back.

    Attributes:
        orders: by bank.
        what: they ask for, in words.
        awaited: banks whose replies are worth waiting for. The others were silent before: what they
            reply is taken if it comes while these are waited for.
    """

    orders: Mapping[str, bytes]
    what: str
    awaited: frozenset[str]


@dataclass(frozen=True)
class Note:
    """Something that people should see."""

    stage: str
    detail: str
    bank: str = ""


@dataclass(frozen=True)
class Transcript:
    """What the coordinator must remember to go on after it was stopped: nothing in it is secret.

    Attributes:
        run: its id.
        public_keys: of the banks of the roster.
        secure_sum: the state of the sums, as bytes; b"" before there is a key.
        totals: of every step that was summed.
        next_step: steps below it are used up.
        excluded: banks that were left out, and why.
        prepared_until: steps below it may have masks at some bank already.
        released: the last sum that banks were asked to unmask: phase, round and whose.
    """

    run: str
    public_keys: Mapping[str, bytes] = field(default_factory=dict)
    secure_sum: bytes = b""
    totals: tuple[MaskedTotal, ...] = ()
    next_step: int = 0
    excluded: Mapping[str, str] = field(default_factory=dict)
    prepared_until: int = 0
    released: tuple[str, int, tuple[str, ...]] = ("", 0, ())


@dataclass(frozen=True)
class Keep:
    """Write this down before going on."""

    transcript: Transcript


Step = Ask | Note | Keep
Replies = Mapping[str, bytes]


@dataclass(frozen=True)
class Limits:
    """The coordinator's settings.

    Attributes:
        minimum_banks: fewer contributions are never summed.
        dropouts: banks that may fall silent in a step.
        sample_share: share of the banks that are asked for an update, (0, 1].
        most_steps: a run of more steps is stopped.
        block_steps: steps whose masks are prepared at once.
        tries: steps in a row that may fail, and orders in a row that a bank may be waited for in
            vain.
    """

    minimum_banks: int = 3
    dropouts: int = 1
    sample_share: float = 1.0
    most_steps: int = 1000
    block_steps: int = 64
    tries: int = 3


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as the coordinator knows it.

    Attributes:
        banks: that finished.
        model_digest: which all of them hold.
        rounds: of training that they counted.
        steps: that were summed.
        excluded: banks that were left out, and why.
        silent: steps that a bank did not answer in time, by bank.
    """

    banks: tuple[str, ...]
    model_digest: str
    rounds: int
    steps: int
    excluded: Mapping[str, str]
    silent: Mapping[str, int]


def coordinate(
    run: str,
    banks: Iterable[str],
    limits: Limits,
    transcript: Transcript | None = None,
    sample: Callable[[list[str], int], list[str]] | None = None,
) -> Generator[Step, Replies, Outcome]:
    """One run with these banks.

    Args:
        run: its id.
        banks: all that the federation file names.
        limits: see there.
        transcript: of the same run, if it was stopped before its end.
        sample: chooses so many of the banks for an update; by default by the system's randomness.

    Raises:
        PartyFailure: too few banks are left; one sentence with the reasons.
    """
    if sample is None:
        sample = secrets.SystemRandom().sample
    return (yield from _Run(run, sorted(banks), limits, transcript, sample).go())


class _Run:
    """The state of one run."""

    def __init__(
        self,
        run: str,
        banks: list[str],
        limits: Limits,
        transcript: Transcript | None,
        sample: Callable[[list[str], int], list[str]],
    ) -> None:
        self.run = run
        self.limits = limits
        self.sample = sample
        self.kept = transcript or Transcript(run)
        self.excluded = dict(self.kept.excluded)
        self.banks = [bank for bank in banks if bank not in self.excluded]
        self.sequence = secrets.randbits(40) << 16  # no order of an earlier process is repeated
        self.opened: dict[str, int] = {}
        self.given = set(banks)
        self.ended = False
        self.silent: Counter[str] = Counter()
        self.silent_in_a_row: Counter[str] = Counter()
        self.server: SecureSumServer | None = None
        self.never_sampled = False
        self.block_start = 0
        self.unsent: set[str] = set()
        self.spared: dict[str, Declined] = {}

    def go(self) -> Generator[Step, Replies, Outcome]:
        """From the first order to the last reply."""
        yield from self._assemble()
        if self.kept.totals:  # of an earlier process: had the banks come to the end?
            replies = yield from self._catch_up(self.banks)
            finished = {b: r for b, r in replies.items() if isinstance(r, Finished)}
            if len(finished) >= self._fewest():
                return (yield from self._end(finished))
        failed = 0
        phase = ""
        everyone = True
        exactly: list[str] = []  # whose contributions must be in the next sum, and no others
        while True:
            step = self.kept.next_step
            if step >= self.limits.most_steps:
                raise PartyFailure(f"the banks had not finished after {step} steps; see their logs")
            if step >= self.kept.prepared_until and not (yield from self._prepare()):
                self._use_up(self.kept.prepared_until - 1)  # without those who fell silent, afresh
                continue
            self._refuse_to_lack(exactly)
            sampled = phase == UPDATE and not everyone and not exactly
            participants = exactly or (self._sampled() if sampled else list(self.banks))
            replies = yield from self._contributions(step, participants, sampled)
            yield from self._keep_majority(
                replies, lambda reply: type(reply).__name__, "stage of the run"
            )
            kind = next(iter(replies.values()), None)
            few = len(replies) < self._fewest(participants)
            if isinstance(kind, Finished) and not few:
                return (yield from self._end(replies))
            if isinstance(kind, NeedEveryone) and not few:
                # Nobody has contributed to this step: the banks agree on what it is about.
                everyone = True
                self.never_sampled = self.never_sampled or kind.phase == UPDATE
                self._use_up(step)
                continue
            contributed = {b: r for b, r in replies.items() if isinstance(r, Contributed)}
            total = yield from self._total(step, participants, contributed)
            if total is None:
                failed += 1
                if failed >= self.limits.tries:
                    raise PartyFailure(
                        f"{failed} steps in a row could not be summed: fewer than "
                        f"{self._fewest(participants)} banks answered in time"
                    )
                exactly = self._same_again(contributed)
                self._use_up(step)
                yield Keep(self.kept)
            else:
                failed = 0
                exactly = []
                phase = next(iter(contributed.values())).phase
                everyone = self.limits.sample_share >= 1 or self.never_sampled
                self.kept = replace(self.kept, totals=(*self.kept.totals, total))
                self._use_up(step)
                yield Keep(self.kept)
                yield Note(phase, f"step {step}: {len(contributed)} banks")

    def _same_again(self, contributed: Mapping[str, Contributed]) -> list[str]:
        """Whose sum of the round that these contribute to was unmasked already; [] if none was.

        Banks help with one sum of a round only. If nothing came of it, it is tried again.
        """
        phase, number, names = self.kept.released
        for reply in contributed.values():
            return list(names) if (reply.phase, reply.round) == (phase, number) else []
        return []

    def _refuse_to_lack(self, names: list[str]) -> None:
        gone = sorted(set(names) - set(self.banks))
        if gone:
            raise PartyFailure(
                f"the sum of {', '.join(names)} came to nothing and can't be tried again without "
                f"{', '.join(f'{bank} ({self.excluded.get(bank)})' for bank in gone)}: two sums of "
                "the same contributions would show the difference; start a new run"
            )

    def _fewest(self, participants: Sequence[str] = ()) -> int:
        """Contributions that a sum needs, of a sample; of all banks, and shares, without one."""
        asked = len(self.kept.public_keys)
        if participants and len(participants) < len(self.banks):
            asked = len(participants)
        return max(self.limits.minimum_banks, asked - self.limits.dropouts)

    def _use_up(self, step: int) -> None:
        self.kept = replace(self.kept, next_step=step + 1, excluded=dict(self.excluded))

    def _sampled(self) -> list[str]:
        wanted = max(
            # A product such as 0.7 * 10 can lie a hair above the whole number that it stands for.
            self.limits.minimum_banks,
            math.ceil(self.limits.sample_share * len(self.banks) - 1e-9),
        )
        return sorted(self.sample(self.banks, min(wanted, len(self.banks))))

    # The roster and the keys.

    def _assemble(self) -> Generator[Step, Replies, None]:
        """Find out who takes part, and give them one key."""
        if self.kept.secure_sum:
            yield from self._return()
            return
        while True:
            # New keys each time: of a run without a transcript, banks have nothing to go on with.
            joined = yield from self._joined(afresh=True)
            keys = {bank: reply.public_key for bank, reply in joined.items()}
            self.kept = replace(self.kept, public_keys=keys)
            self.server = SecureSumServer.start(self.run, keys)
            if (yield from self._share_key()):
                self.kept = replace(self.kept, secure_sum=self.server.to_bytes())
                yield Keep(self.kept)
                return
            # Somebody fell silent over the keys: once more without them.
            self.kept = replace(self.kept, prepared_until=0)

    def _joined(self, afresh: bool) -> Generator[Step, Replies, dict[str, Joined]]:
        replies = yield from self._ask({bank: Join(afresh=afresh) for bank in self.banks}, "join")
        joined = {b: r for b, r in replies.items() if isinstance(r, Joined)}
        for bank in [bank for bank in self.banks if bank not in joined]:
            yield from self._exclude(bank, "did not answer in time")
        yield from self._keep_majority(joined, lambda reply: reply.plan_digest, "plan or schema")
        for bank in [bank for bank, reply in joined.items() if len(reply.public_key) != 32]:
            yield from self._exclude(bank, "sent no X25519 key")
        joined = {bank: joined[bank] for bank in self.banks}
        self.opened = {bank: reply.opened for bank, reply in joined.items()}
        return joined

    def _return(self) -> Generator[Step, Replies, None]:
        """The banks of a run that was stopped come back."""
        self.banks = sorted(bank for bank in self.kept.public_keys if bank not in self.excluded)
        for bank in [bank for bank in self.banks if bank not in self.given]:
            yield from self._exclude(bank, "did not come back")
        joined = yield from self._joined(afresh=False)
        last = self.kept.totals[-1].step if self.kept.totals else -1
        for bank, reply in joined.items():
            if reply.public_key != self.kept.public_keys[bank]:
                yield from self._exclude(bank, "has lost its keys of this run")
            elif reply.opened > last:
                yield from self._exclude(bank, "is ahead of the coordinator's transcript")
        self._refuse_too_few()
        self.server = SecureSumServer.from_bytes(self.kept.secure_sum)
        # The steps that were under way are not tried again: their masks may be half used.
        self._use_up(max(self.kept.next_step, self.kept.prepared_until - 1))

    def _share_key(self) -> Generator[Step, Replies, bool]:
        """The first bank by name makes the key, all others take it; False: somebody did not."""
        leader = min(self.banks)
        replies = yield from self._ask({leader: self._setup(make_key=True)}, "keys")
        reply = replies.get(leader)
        if not isinstance(reply, Ready) or not reply.HasField("key"):
            yield from self._exclude(leader, "made no key in time")
            return False
        try:
            self._sums.take_key(reply.key)
        except ProtocolError as error:
            yield from self._exclude(leader, str(error))
            return False
        return (yield from self._prepare(reply))

    def _setup(self, make_key: bool = False) -> Setup:
        return Setup(
            public_keys=self.kept.public_keys,
            make_key=make_key,
            members=self.banks,
            first_step=self.kept.next_step,
            steps=self.limits.block_steps,
        )

    def _prepare(self, leader: Ready | None = None) -> Generator[Step, Replies, bool]:
        """Collect the banks' preparations of a block of steps; False: somebody did not prepare.

        With the leader's reply, its key goes to the others too.
        """
        setup = self._setup()
        until = setup.first_step + setup.steps
        self.kept = replace(self.kept, prepared_until=until)
        if self.kept.secure_sum:  # written before a bank prepares, which it does once
            yield Keep(self.kept)
        ready: dict[str, Message] = {}
        if leader is not None:
            setup.key.CopyFrom(leader.key)
            ready[min(self.banks)] = leader
        asked = [bank for bank in self.banks if bank not in ready]
        ready |= yield from self._ask(dict.fromkeys(asked, setup), "masks")
        if any(reply.blames not in self.banks for reply in self.spared.values()):
            return False  # not the fault of those who did not prepare
        for bank in list(self.banks):
            reply = ready.get(bank)
            try:
                if not isinstance(reply, Ready):
                    raise ProtocolError("prepared no masks in time")
                self._sums.take_preparation(bank, reply.preparation)
            except ProtocolError as error:
                yield from self._exclude(bank, str(error))
        self.block_start = setup.first_step
        self.unsent = set(self.banks)
        return set(self.banks) == set(setup.members)

    @property
    def _sums(self) -> SecureSumServer:
        if self.server is None:
            raise ValueError("the banks have not joined yet")
        return self.server

    # One step.

    def _contributions(
        self, step: int, participants: list[str], sampled: bool
    ) -> Generator[Step, Replies, dict[str, Message]]:
        orders: dict[str, Message] = {}
        for bank in participants:
            order = Contribute(step=step, participants=participants, sampled=sampled)
            self._add_news(bank, order)
            orders[bank] = order
        return (
            yield from self._ask(orders, "contribution", step, enough=self._fewest(participants))
        )

    def _catch_up(self, banks: list[str]) -> Generator[Step, Replies, dict[str, Message]]:
        """Give banks the totals that they lack, and ask nothing of them."""
        orders: dict[str, Message] = {}
        for bank in banks:
            order = Contribute(step=self.kept.next_step)
            self._add_news(bank, order)
            orders[bank] = order
        return (yield from self._ask(orders, "end"))

    def _add_news(self, bank: str, order: Contribute | Unmask) -> None:
        """What this bank has not been told yet."""
        if bank in self.unsent:
            for peer, shares in self._sums.preparations_for(bank, self.block_start).items():
                if peer in self.banks:
                    order.preparations[peer].CopyFrom(shares)
        order.totals.extend(
            total for total in self.kept.totals if total.step > self.opened.get(bank, -1)
        )

    def _told(self, bank: str) -> None:
        self.unsent.discard(bank)
        if self.kept.totals:
            self.opened[bank] = self.kept.totals[-1].step

    def _total(
        self, step: int, participants: list[str], replies: dict[str, Contributed]
    ) -> Generator[Step, Replies, MaskedTotal | None]:
        """Check what came, have the masks taken off, add; None if too few banks are left."""
        yield from self._keep_majority(
            replies,
            lambda reply: (
                reply.phase,
                reply.round,
                reply.model_digest,
                reply.contribution.slots,
            ),
            "model",
        )
        if len(replies) < self._fewest(participants):
            return None
        first = next(iter(replies.values()))
        self._sums.order(step, participants, first.contribution.slots)
        for bank, reply in list(replies.items()):
            try:
                self._sums.check(bank, step, reply.contribution)
            except ProtocolError as error:
                del replies[bank]
                yield from self._exclude(bank, str(error))
        survivors = sorted(replies)
        if len(survivors) < self._fewest(participants):
            return None
        again = self._same_again(replies)
        if again and again != survivors:
            yield Note("discarded", f"the sum of round {first.round + 1} is tried again")
            return None
        self.kept = replace(
            self.kept, released=(first.phase, first.round, tuple(survivors)), next_step=step + 1
        )
        yield Keep(self.kept)
        shares = yield from self._shares(step, participants, survivors)
        contributions = {bank: reply.contribution for bank, reply in replies.items()}
        total = None
        while total is None:
            try:
                total = self._sums.add(step, contributions, shares)
            except BlamedError as error:
                if error.party not in shares:
                    raise
                del shares[error.party]
                yield from self._exclude(error.party, str(error))
            except (ProtocolError, PartyFailure) as error:
                yield Note("sum", f"step {step} could not be summed: {error}")
                return None
        for bank in sorted(self._sums.faulty):
            yield from self._exclude(bank, f"gave shares in step {step} that do not fit")
        self.kept = replace(self.kept, secure_sum=self._sums.to_bytes())
        return total

    def _shares(
        self, step: int, participants: list[str], survivors: list[str]
    ) -> Generator[Step, Replies, dict[str, UnmaskShares]]:
        """What takes the masks off; who did not answer is asked again, as long as it is needed."""
        # All banks of the block hold shares; the survivors are many enough, but for a sample.
        holders = survivors if len(survivors) >= self._fewest() else list(self.banks)
        shares: dict[str, UnmaskShares] = {}
        for _ in range(self.limits.tries):
            orders: dict[str, Message] = {}
            for bank in [bank for bank in holders if bank not in shares and bank in self.banks]:
                order = Unmask(step=step, participants=participants, survivors=survivors)
                self._add_news(bank, order)
                orders[bank] = order
            lacking = self._fewest() - len(shares)
            if lacking <= 0 or not orders:
                break
            answers = yield from self._ask(orders, "shares", step, enough=lacking)
            for bank, reply in answers.items():
                if isinstance(reply, Unmasked):
                    shares[bank] = reply.shares
                else:
                    yield from self._exclude(bank, f"sent no shares in step {step}")
        return shares

    def _end(self, replies: Mapping[str, Message]) -> Generator[Step, Replies, Outcome]:
        """All banks take the last totals, whether they were asked for a contribution or not."""
        self.ended = True
        late = [bank for bank in self.banks if bank not in replies]
        if late:
            replies = {**replies, **(yield from self._catch_up(late))}
        finished = {b: r for b, r in replies.items() if isinstance(r, Finished)}
        for bank in [bank for bank in self.banks if bank not in finished]:
            yield from self._exclude(bank, "did not come to the end")
        yield from self._keep_majority(
            finished, lambda reply: (reply.model_digest, reply.rounds), "final model"
        )
        first = next(iter(finished.values()))
        yield Keep(replace(self.kept, excluded=dict(self.excluded)))
        yield Note("finished", f"{len(finished)} banks hold the same model")
        return Outcome(
            tuple(sorted(finished)),
            first.model_digest,
            first.rounds,
            len(self.kept.totals),
            dict(self.excluded),
            dict(self.silent),
        )

    # Asking and leaving out.

    def _ask(
        self,
        bodies: Mapping[str, Message],
        what: str,
        step: int | None = None,
        enough: int | None = None,
    ) -> Generator[Step, Replies, dict[str, Message]]:
        """Send orders; returns the bodies of the replies that can be read, by bank.

        With `enough` replies to be had without them, banks that were silent are not waited for.
        """
        self.sequence += 1
        orders = {
            bank: encode_order(self.run, bank, self.sequence, body) for bank, body in bodies.items()
        }
        what = what if step is None else f"{what}, step {step}"
        awaited = frozenset(bank for bank in bodies if not self.silent_in_a_row[bank])
        if enough is None or len(awaited) < min(enough, len(bodies)):
            awaited = frozenset(bodies)
        answers = yield Ask(orders, what, awaited)
        replies: dict[str, Message] = {}
        refused: dict[str, Declined] = {}
        for bank in bodies:
            if bank not in answers:
                yield from self._note_silence(bank, what, bank in awaited)
                continue
            self.silent_in_a_row[bank] = 0
            try:
                reply = decode_reply(answers[bank], self.run, bank, self.sequence)
            except ProtocolError as error:
                yield from self._exclude(bank, str(error))
                continue
            body = getattr(reply, reply.WhichOneof("body") or "")
            if isinstance(body, Declined):
                refused[bank] = body
            else:
                replies[bank] = body
                if isinstance(bodies[bank], Contribute | Unmask):
                    self._told(bank)
        yield from self._judge(refused)
        return replies

    def _judge(self, refused: dict[str, Declined]) -> Generator[Step, Replies, None]:
        """Leave out who declined, or the bank that two or more of them blame, and spare them."""
        self.spared = {}
        blamed = Counter(reply.blames for bank, reply in refused.items() if reply.blames != bank)
        culprits = [bank for bank in list(self.banks) if blamed[bank] >= 2]
        for culprit in culprits:
            why = next(reply.reason for reply in refused.values() if reply.blames == culprit)
            yield from self._exclude(culprit, why[:MOST_WORDS])
        for bank, reply in refused.items():
            if reply.blames in culprits:
                self.spared[bank] = reply
            else:
                yield from self._exclude(bank, f"declined: {reply.reason[:MOST_WORDS]}")

    def _note_silence(self, bank: str, what: str, awaited: bool) -> Generator[Step, Replies, None]:
        self.silent[bank] += 1
        self.silent_in_a_row[bank] += awaited
        yield Note("silence", f"no answer in time ({what})", bank)
        if self.silent_in_a_row[bank] >= self.limits.tries:
            yield from self._exclude(bank, f"did not answer {self.limits.tries} orders in a row")

    def _exclude(self, bank: str, reason: str) -> Generator[Step, Replies, None]:
        if bank not in self.banks:
            return
        self.banks.remove(bank)
        self.excluded[bank] = reason
        yield Note("left out", reason, bank)
        if not self.ended:
            self._refuse_too_few()

    def _refuse_too_few(self) -> None:
        if len(self.banks) < self._fewest():
            reasons = "; ".join(f"{bank}: {reason}" for bank, reason in self.excluded.items())
            raise PartyFailure(
                f"{len(self.banks)} banks are left and at least {self._fewest()} must "
                f"contribute ({reasons})"
            )

    def _keep_majority(
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
                yield from self._exclude(bank, f"has another {what} than the other banks")
