"""A bank's side of a horizontal run: answers the coordinator's orders one by one, without I/O.

Between two orders everything it knows is in its `BankState`. The coordinator never sees a model:
every bank opens the same encrypted total, applies the same server optimiser to it (FedOpt; Reddi et
al., ICLR 2021), and so holds the same weights, bit for bit. Every sum is bound to a digest of what
the banks have in common, so that banks which were given different totals have no sum together.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from federation.aggregation.client import SecureSumClient
from federation.errors import BlamedError, InputError, ProtocolError
from federation.horizontal.client_state import (
    FINISHED,
    STATISTICS,
    UPDATE,
    BankState,
)
from federation.horizontal.common_state import common_digest
from federation.horizontal.contribution import Contributor, Spend
from federation.horizontal.messages import decode_order, encode_reply, reply_kind
from federation.horizontal.opening import open_total
from federation.horizontal.plan import HorizontalPlan
from federation.horizontal.rows import BankRows
from federation.identity import Voucher
from federation.neural.weights import digest
from federation.privacy import Event, Unit
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

RUN_KEY = "run key"


class HorizontalBank:
    """One bank in one run.

    Args:
        plan: what the banks agreed on.
        bank, run: names.
        rows: reads the bank's table; called only when rows are needed.
        state: its checkpoint of this run, if it has one.
        spend: called with a privacy event before anything it covers leaves; it enters the event
            in the ledger, or raises where the budget has no room.
        check_budget: called before the run starts with all events that it may come to.
        software: name and version, for other banks' messages.
        voucher: signs this bank's run key and checks the others', which the coordinator relays;
            None only where all banks run in one process.
    """

    def __init__(
        self,
        plan: HorizontalPlan,
        bank: str,
        run: str,
        rows: Callable[[], BankRows],
        state: BankState | None = None,
        spend: Spend = lambda event, unit, what: None,
        check_budget: Callable[[list[tuple[Event, Unit]]], None] = lambda planned: None,
        software: str = "veilscore",
        voucher: Voucher | None = None,
    ) -> None:
        """Nothing is read yet."""
        self.plan = plan
        self.bank = bank
        self.run = run
        self.state = state
        self._contributor = Contributor(plan, bank, rows, spend)
        self._check_budget = check_budget
        self._software = software
        self._voucher = voucher

    def answer(self, data: bytes) -> tuple[str, bytes]:
        """The kind of the reply to one order, and the reply.

        `state` must be kept before the reply leaves.

        Raises:
            ProtocolError: the order is not one that this bank follows.
            InputError: the bank's own rows or checkpoint don't serve; it says which.
        """
        order = decode_order(data, self.run, self.bank)
        body = getattr(order, order.WhichOneof("body") or "")
        try:
            reply = self._reply(body)
        except BlamedError as error:
            if error.party == self.bank or error.party not in self.plan.banks:
                raise
            reply = Declined(reason=str(error), blames=error.party)
        return reply_kind(reply), encode_reply(order, reply)

    def _reply(self, body: Message) -> Message:
        if isinstance(body, Join):
            return self._join(body)
        if self.state is None:
            raise ProtocolError(
                f"{self.bank} was given an order of run '{self.run}', which it has not joined"
            )
        self._check_plan(self.state)
        if isinstance(body, Setup):
            return self._set_up(self.state, body)
        if isinstance(body, Contribute):
            return self._contribute(self.state, body)
        if isinstance(body, Unmask):
            return self._unmask(self.state, body)
        raise ProtocolError(f"{self.bank} has no answer to this order")

    def _check_plan(self, state: BankState) -> None:
        """At every order: with other settings, less might be protected than at the first."""
        if state.plan_digest != self.plan.digest:
            raise InputError(
                f"the checkpoint of run '{self.run}' is of another plan than the federation file "
                "and the manifest now give; take the changes back, or start a new run"
            )

    def _join(self, body: Join) -> Joined:
        # New keys only while nothing was contributed: no sum may be asked for twice.
        if self.state is None or (body.afresh and self.state.opened < 0 and not self._has_slots):
            self._contributor.check()
            noise_multiplier = self._contributor.noise_multiplier()
            self._check_budget(self._contributor.planned_events(noise_multiplier))
            secure_sum = SecureSumClient.start(self.bank, self.run)
            self.state = BankState(
                self.run,
                self.bank,
                self.plan.digest,
                secure_sum.to_bytes(),
                phase=STATISTICS,
                noise_multiplier=noise_multiplier,
            )
        self._check_plan(self.state)
        public_key = (
            self.state.public_key or SecureSumClient.from_bytes(self.state.secure_sum).public_key
        )
        return Joined(
            plan_digest=self.plan.digest,
            public_key=public_key,
            opened=self.state.opened,
            software=self._software,
            signature=b""
            if self._voucher is None
            else self._voucher.sign(RUN_KEY, self.run, public_key),
        )

    @property
    def _has_slots(self) -> bool:
        return self.state is not None and bool(self.state.slots_of)

    def _set_up(self, state: BankState, body: Setup) -> Ready:
        unknown = set(body.public_keys) - set(self.plan.banks)
        if unknown or self.bank not in body.public_keys:
            raise ProtocolError(
                f"the coordinator's roster is {', '.join(sorted(body.public_keys))}; the plan of "
                f"{self.bank} is with {', '.join(self.plan.banks)}"
            )
        secure_sum = SecureSumClient.from_bytes(state.secure_sum)
        # Later the roster can't change, and a bank that has lost its keys must not hold others up.
        if self._voucher is not None and not secure_sum.has_agreed:
            self._voucher.check_all(RUN_KEY, self.run, body.public_keys, body.signatures)
        secure_sum.agree(dict(body.public_keys), self._fewest(len(body.public_keys)))
        ready = Ready()
        if body.make_key:
            ready.key.CopyFrom(secure_sum.make_key(self.plan.scheme))
        elif body.HasField("key"):
            secure_sum.take_key(body.key)
        ready.preparation.CopyFrom(
            secure_sum.prepare(body.first_step, body.steps, self._dropouts(body), body.members)
        )
        state.secure_sum = secure_sum.to_bytes()
        return ready

    def _fewest(self, roster: int) -> int:
        """Contributions that a sum must have; the banks' shares of noise count on no fewer."""
        if self.plan.client_epsilon is None:
            return self.plan.minimum_banks
        return max(self.plan.minimum_banks, roster - self.plan.dropouts)

    def _dropouts(self, body: Setup) -> int:
        """How many of a block's members may be missing: fewer once some have left for good."""
        gone = len(body.public_keys) - len(body.members)
        return max(0, self.plan.dropouts - gone)

    def _contribute(
        self, state: BankState, body: Contribute
    ) -> Contributed | NeedEveryone | Finished:
        if state.phase == FINISHED:  # its keys are gone
            return _finished(state)
        secure_sum = self._take_news(state, body)
        if state.phase == FINISHED:
            return _finished(state)
        # Noise is shared out among the roster: a sample of it would have too little.
        never_sampled = state.phase != UPDATE or self.plan.client_epsilon is not None
        if not body.participants or (body.sampled and never_sampled):
            return NeedEveryone(step=body.step, phase=state.phase)
        # Before anything is computed, and entered in the ledger, for a step that can't be.
        secure_sum.check_step(body.step, list(body.participants))
        slots = self._contributor.slots(state, secure_sum)
        common = common_digest(state)
        secure_sum.bind(common.encode())
        contribution = secure_sum.contribute(body.step, list(body.participants), slots)
        state.secure_sum = secure_sum.to_bytes()
        return Contributed(
            step=body.step,
            phase=state.phase,
            model_digest=common,
            contribution=contribution,
            round=state.rounds,
        )

    def _take_news(self, state: BankState, body: Contribute | Unmask) -> SecureSumClient:
        """Take what comes with an order: the others' masks, and the totals since the last one."""
        secure_sum = SecureSumClient.from_bytes(state.secure_sum)
        if body.preparations:
            secure_sum.take_preparations(dict(body.preparations))
        for total in body.totals:
            if total.step >= body.step:
                raise ProtocolError(f"the total of step {total.step} came with step {body.step}")
            if total.step > state.opened and state.phase != FINISHED:
                secure_sum.bind(common_digest(state).encode())
                open_total(self.plan, state, secure_sum, total)
        state.secure_sum = secure_sum.to_bytes()
        return secure_sum

    def _unmask(self, state: BankState, body: Unmask) -> Unmasked:
        """Help with the one sum of this phase and round that masks are taken off.

        With two sums of the same contributions, of different banks, a coordinator that works
        together with one bank would have their difference.
        """
        over = ProtocolError(f"step {body.step} is over at {self.bank}")
        if state.phase == FINISHED:
            raise over
        secure_sum = self._take_news(state, body)
        if state.phase == FINISHED or body.step <= state.opened:
            raise over
        bare = Unmask(step=body.step, participants=body.participants, survivors=body.survivors)
        order = bare.SerializeToString(deterministic=True)
        if order == state.unmask_order:
            return Unmasked.FromString(state.unmask_reply)
        survivors = list(body.survivors)
        if state.released and state.released != survivors:
            raise ProtocolError(
                f"{self.bank} has helped to open the sum of {', '.join(state.released)} in this "
                "round; it does not help to open another one"
            )
        shares = secure_sum.unmask(body.step, list(body.participants), survivors)
        reply = Unmasked(step=body.step, shares=shares)
        state.secure_sum = secure_sum.to_bytes()
        state.released = survivors
        state.unmask_order, state.unmask_reply = order, reply.SerializeToString()
        return reply


def _finished(state: BankState) -> Finished:
    return Finished(model_digest=digest(state.weights), rounds=state.rounds)
