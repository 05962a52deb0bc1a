"""Sends calls: tried first, signed and stored before they go out, once for each client reference.

The steps of `submit`, of which each may be the last before a crash:
tried (eth_call and gas estimate) → stored (nonce taken, signed, journal committed) → sent → mined
→ confirmed. Until 'stored' nothing happened; from then on the same reference goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.errors import (
    ChainError,
    FeeOverCap,
    NodeDown,
    NodeGarbled,
    NodeLied,
    NodeRefused,
    NodeSlow,
    NotMinedInTime,
    OutcomeUnknown,
    SubmissionCancelled,
)
from contracts.gateway.fees import Fee, Policy, first_fee, gas_limit, raised_fee
from contracts.gateway.keystore import Signer
from contracts.gateway.receipts import Receipt, check_parties
from contracts.gateway.signed import (
    decoded,
    node_has_it,
    nonce_taken,
    refused_when_mined,
    reorganised,
    sign_attempt,
)
from contracts.gateway.submissions import (
    Attempt,
    Journal,
    State,
    Submission,
    checked_reference,
    same_call,
)

_LOOKS_BEFORE_TAKEN = 5
Result = TypeVar("Result")


class Sender:
    """One account that sends; all its sends go through one journal."""

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        journal: Path,
        policy: Policy | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`step` is told each step's name as it is done, to show progress."""
        self.chain, self.signer, self.policy = chain, signer, policy or Policy()
        self.address = signer.address
        self.journal = Journal(journal, f"{chain.chain_id}:{chain.genesis.hex()}", self.address)
        self._step = step

    def dry_run(self, call: Call) -> bytes:
        """What the call would return if it were sent now; costs nothing.

        Raises:
            ContractRefusal: the contract would refuse it.
        """
        return self.chain.call(call, self.address, "pending")

    def submit(self, call: Call, reference: str) -> Receipt:
        """Send a call once and wait for its confirmations; the same reference finds it again.

        Raises:
            ContractRefusal: the contract refuses; nothing was sent and the reference is free.
            ReferenceReused: the reference stands for another call.
            OutcomeUnknown: the node went away; try again with the same reference.
            TransactionReverted: it was mined and refused; a new try needs a new reference.
            SubmissionError, ChainError: see there; try again with the same reference.
        """
        return self.wait(self.send(call, reference).reference)

    def send(self, call: Call, reference: str) -> Submission:
        """As `submit`, without waiting for a block; `wait` does that."""
        checked_reference(reference)
        digest = call.digest(self.chain.chain_id, self.address)
        found = self.journal.find(reference)
        if found is not None:
            same_call(found, digest)
            self._after_storing(found, lambda: self.repair(found.nonce))
            return self.journal.get(reference)
        self.repair()
        self.dry_run(call)
        gas = gas_limit(self.chain.estimate(call, self.address), call.name, self.policy)
        fee = first_fee(*self._prices(), self.policy)
        self._step("tried")
        stored = self.journal.reserve(
            reference,
            digest,
            call.name,
            call.to,
            self.chain.nonce(self.address, "pending"),
            lambda nonce: self._sign(nonce, call.to, call.data, gas=gas, fee=fee),
        )
        self._step("stored")
        self._after_storing(stored, lambda: self._broadcast(stored))
        return self.journal.get(reference)

    def wait(self, reference: str) -> Receipt:
        """Wait until a sent submission has its confirmations.

        After a reorganisation the same signed transaction is sent again.

        Raises:
            NotMinedInTime, NonceTaken, TransactionReverted, SubmissionCancelled, OutcomeUnknown,
            TransactionVanished, TransactionMoved: see there.
        """
        submission = self.journal.get(reference)
        return self._after_storing(submission, lambda: self._wait(submission))

    def repair(self, up_to: int | None = None) -> list[str]:
        """Send again what the chain has not, in order of nonces, so that none is in another's way.

        Closes the gap that a crash between storing and sending leaves, and what a reorganisation
        dropped. Returns the references.
        """
        sent = []
        for submission in self.journal.from_nonce(self.chain.nonce(self.address)):
            if up_to is None or submission.nonce <= up_to:
                self._broadcast(submission)
                sent.append(submission.reference)
        return sent

    def raise_fee(self, reference: str) -> Submission:
        """Replace a waiting transaction by itself with a higher fee.

        Raises:
            FeeOverCap: the higher fee would be over the cap.
        """
        submission = self.journal.get(reference)
        last = self.journal.attempts(submission)[-1]
        return self._replace(submission, last, *decoded(last.raw), last.cancels)

    def cancel(self, reference: str) -> None:
        """Replace a waiting transaction by an empty one to ourselves, and wait for either.

        Raises:
            TransactionReverted, FeeOverCap: see there. Where the submission itself was mined
            first, it is simply confirmed: look at its state.
        """
        submission = self.journal.get(reference)
        if self._mined(submission) is None:
            last = self.journal.attempts(submission)[-1]
            self._replace(
                submission, replace(last, gas=max(last.gas, 21_000)), self.address, b"", True
            )
        try:
            self.wait(reference)
        except SubmissionCancelled:
            return

    def _replace(
        self, submission: Submission, last: Attempt, to: Any, data: bytes, cancels: bool
    ) -> Submission:
        fee = raised_fee(Fee(last.fee, last.tip), *self._prices(), self.policy)
        attempt = self._sign(submission.nonce, to, data, gas=last.gas, fee=fee, cancels=cancels)
        self.journal.add_attempt(submission, attempt)
        self._step("stored")
        self._after_storing(submission, lambda: self._broadcast(submission))
        return self.journal.get(submission.reference)

    def _prices(self) -> tuple[int, int]:
        """Base fee and tip of now."""
        return self.chain.header("latest").base_fee, self.chain.priority_fee()

    def _sign(self, nonce: int, to: Any, data: bytes, **how: Any) -> Attempt:
        return sign_attempt(self.signer, self.chain.chain_id, nonce, to, data, **how)

    def _broadcast(self, submission: Submission) -> None:
        """Hand the newest attempt to the node; it may have it already."""
        attempt = self.journal.attempts(submission)[-1]
        try:
            given = self.chain.send_raw(attempt.raw)
        except NodeRefused as error:
            if not node_has_it(str(error)):
                raise NodeRefused(
                    f"{error} The submission {submission.reference!r} ({submission.name}) is "
                    "signed and stored; try again with the same reference, or cancel it."
                ) from error
        else:
            if given != attempt.tx_hash:
                raise NodeLied(
                    f"{self.chain.node}: took 0x{attempt.tx_hash.hex()} and says that it is "
                    f"0x{given.hex()}."
                )
        self._step("sent")
        if submission.state is State.STORED:
            self.journal.record(submission.reference, State.SENT)

    def _mined(self, submission: Submission) -> tuple[Attempt, Receipt] | None:
        """Which attempt a block has, if one has."""
        for attempt in reversed(self.journal.attempts(submission)):
            receipt = self.chain.receipt(attempt.tx_hash)
            if receipt is not None:
                to = self.address if attempt.cancels else submission.contract
                check_parties(receipt, self.address, to)  # type: ignore[arg-type]
                return attempt, receipt
        return None

    def _wait(self, submission: Submission) -> Receipt:
        started = raised = time.monotonic()
        taken = 0
        trouble: ChainError | None = None
        before: Receipt | None = None
        while True:
            found = self._mined(submission)
            now = found[1] if found else None
            changed = reorganised(before, now)
            trouble = changed or trouble
            is_new = found is not None and (before is None or changed is not None)
            before = now
            if found is not None:
                if is_new:
                    self._step("mined")
                if self.chain.head() - found[1].block_number + 1 >= self.policy.confirmations:
                    return self._finish(submission, *found)
                if is_new:
                    self._note(submission, *found, State.MINED)
            elif changed is not None or self._missing(submission):
                self.repair(submission.nonce)
            elif self._is_taken(submission.nonce):
                taken += 1
                if taken >= _LOOKS_BEFORE_TAKEN:
                    raise nonce_taken(submission, self.address)
            waited = time.monotonic() - started
            if waited > self.policy.deadline:
                raise trouble or NotMinedInTime(
                    f"{submission.reference!r} ({submission.name}) has not its "
                    f"{self.policy.confirmations} blocks after {self.policy.deadline:g} seconds; "
                    "wait on with the same reference, raise its fee, or cancel it."
                )
            if found is None and self._is_stuck(raised):
                raised = time.monotonic()
                with suppress(FeeOverCap):  # then it waits on with the fee that it has
                    self.raise_fee(submission.reference)
            time.sleep(self.policy.poll)

    def _is_stuck(self, since: float) -> bool:
        after = self.policy.raise_after
        return after is not None and time.monotonic() - since > after

    def _is_taken(self, nonce: int) -> bool:
        """Whether a transaction that has its confirmations, and is not ours, has the nonce."""
        deep = self.policy.confirmations - 1
        at = max(self.chain.head() - deep, 0) if deep else None
        return self.chain.nonce(self.address, "latest" if at is None else at) > nonce

    def _missing(self, submission: Submission) -> bool:
        """Whether the journal says mined and the chain has it not: reorganised since."""
        current = self.journal.get(submission.reference)
        if current.state not in (State.STORED, State.SENT):
            self.journal.record(submission.reference, State.SENT)
            return True
        return False

    def _finish(self, submission: Submission, attempt: Attempt, receipt: Receipt) -> Receipt:
        if attempt.cancels:
            self._note(submission, attempt, receipt, State.CANCELLED)
            raise SubmissionCancelled(
                f"{submission.reference!r} ({submission.name}) was cancelled and had no effect."
            )
        if not receipt.succeeded:
            self._note(submission, attempt, receipt, State.REVERTED)
            raise refused_when_mined(self.chain, self.address, submission, attempt, receipt)
        self._note(submission, attempt, receipt, State.CONFIRMED)
        self._step("confirmed")
        return receipt

    def _note(self, s: Submission, attempt: Attempt, receipt: Receipt, state: State) -> None:
        number, block = receipt.block_number, receipt.block_hash
        self.journal.record(s.reference, state, attempt.tx_hash, number, block)

    def _after_storing(self, submission: Submission, action: Callable[[], Result]) -> Result:
        """Run what may fail after signing, and say that the outcome is open where it is."""
        try:
            return action()
        except (NodeDown, NodeSlow, NodeGarbled) as error:
            raise OutcomeUnknown(
                f"{error} {submission.reference!r} ({submission.name}) is signed and may be on its "
                "way; run again with the same reference, which can't send it twice."
            ) from error
