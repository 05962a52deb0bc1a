"""The coordinator's side of a horizontal run: orders steps, adds ciphertexts, holds no model.

A generator without I/O: it yields `Ask` (orders to send; it is sent back the replies that came in
time), `Note` (for people) and `Keep` (what a later process needs to go on from here). It can't
decrypt: it is never given a key. Whoever sends what can't be used is left
out by name and the run goes on, while enough banks are left.

Here are the steps one after the other: `server_assembly` brings the banks together, `server_sums`
makes the sum of a step, `server_banks` asks and leaves out. A total goes out with the next order.
What a step is about (scaling, update, evaluation) the banks decide.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace

from google.protobuf.message import Message

from federation.errors import PartyFailure
from federation.horizontal.server_assembly import Assembly
from federation.horizontal.server_banks import Banks
from federation.horizontal.server_events import (
    Ask,
    Keep,
    Limits,
    Note,
    Outcome,
    Replies,
    Step,
    Transcript,
)
from federation.horizontal.server_sums import Sums
from federation.proto.horizontal_pb2 import Contributed, Finished, NeedEveryone

__all__ = ["Ask", "Keep", "Limits", "Note", "Outcome", "Step", "Transcript", "coordinate"]

UPDATE = "update"  # the phase that takes samples


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
    given = sorted(banks)
    state = Banks(run, given, limits, transcript or Transcript(run))
    return (yield from _Run(state, given, sample).go())


class _Run:
    """The course of one run."""

    def __init__(
        self, banks: Banks, given: list[str], sample: Callable[[list[str], int], list[str]]
    ) -> None:
        self.banks = banks
        self.sample = sample
        self.assembly = Assembly(banks, given)
        self.sums = Sums(banks, self.assembly)
        self.never_sampled = False

    def go(self) -> Generator[Step, Replies, Outcome]:
        """From the first order to the last reply."""
        banks = self.banks
        yield from self.assembly.assemble()
        if banks.kept.totals:  # of an earlier process: had the banks come to the end?
            replies = yield from self.sums.catch_up(banks.present)
            finished = {b: r for b, r in replies.items() if isinstance(r, Finished)}
            if len(finished) >= banks.fewest():
                return (yield from self._end(finished))
        failed = 0
        phase = ""
        everyone = True
        exactly: list[str] = []  # whose contributions must be in the next sum, and no others
        while True:
            step = banks.kept.next_step
            if step >= banks.limits.most_steps:
                raise PartyFailure(f"the banks had not finished after {step} steps; see their logs")
            if step >= banks.kept.prepared_until and not (yield from self.assembly.prepare()):
                banks.use_up(banks.kept.prepared_until - 1)  # without who fell silent, afresh
                continue
            self._refuse_to_lack(exactly)
            sampled = phase == UPDATE and not everyone and not exactly
            participants = exactly or (self._sampled() if sampled else list(banks.present))
            replies = yield from self.sums.contributions(step, participants, sampled)
            yield from banks.keep_majority(
                replies, lambda reply: type(reply).__name__, "stage of the run"
            )
            kind = next(iter(replies.values()), None)
            few = len(replies) < banks.fewest(participants)
            if isinstance(kind, Finished) and not few:
                return (yield from self._end(replies))
            if isinstance(kind, NeedEveryone) and not few:
                # Nobody has contributed to this step: the banks agree on what it is about.
                everyone = True
                self.never_sampled = self.never_sampled or kind.phase == UPDATE
                banks.use_up(step)
                continue
            contributed = {b: r for b, r in replies.items() if isinstance(r, Contributed)}
            total = yield from self.sums.total(step, participants, contributed)
            if total is None:
                failed += 1
                if failed >= banks.limits.tries:
                    raise PartyFailure(
                        f"{failed} steps in a row could not be summed: fewer than "
                        f"{banks.fewest(participants)} banks answered in time"
                    )
                exactly = self.sums.same_again(contributed)
                banks.use_up(step)
                yield Keep(banks.kept)
            else:
                failed = 0
                exactly = []
                phase = next(iter(contributed.values())).phase
                everyone = banks.limits.sample_share >= 1 or self.never_sampled
                banks.kept = replace(banks.kept, totals=(*banks.kept.totals, total))
                banks.use_up(step)
                yield Keep(banks.kept)
                yield Note(phase, f"step {step}: {len(contributed)} banks")

    def _refuse_to_lack(self, names: list[str]) -> None:
        gone = sorted(set(names) - set(self.banks.present))
        if gone:
            reasons = ", ".join(f"{bank} ({self.banks.excluded.get(bank)})" for bank in gone)
            raise PartyFailure(
                f"the sum of {', '.join(names)} came to nothing and can't be tried again without "
                f"{reasons}: two sums of the same contributions would show the difference; start "
                "a new run"
            )

    def _sampled(self) -> list[str]:
        present, limits = self.banks.present, self.banks.limits
        wanted = max(
            # A product such as 0.7 * 10 can lie a hair above the whole number that it stands for.
            limits.minimum_banks,
            math.ceil(limits.sample_share * len(present) - 1e-9),
        )
        return sorted(self.sample(present, min(wanted, len(present))))

    def _end(self, replies: Mapping[str, Message]) -> Generator[Step, Replies, Outcome]:
        """All banks take the last totals, whether they were asked for a contribution or not."""
        banks = self.banks
        banks.ended = True
        late = [bank for bank in banks.present if bank not in replies]
        if late:
            replies = {**replies, **(yield from self.sums.catch_up(late))}
        finished = {b: r for b, r in replies.items() if isinstance(r, Finished)}
        for bank in [bank for bank in banks.present if bank not in finished]:
            yield from banks.exclude(bank, "did not come to the end")
        yield from banks.keep_majority(
            finished, lambda reply: (reply.model_digest, reply.rounds), "final model"
        )
        first = next(iter(finished.values()))
        yield Keep(replace(banks.kept, excluded=dict(banks.excluded)))
        yield Note("finished", f"{len(finished)} banks hold the same model")
        return Outcome(
            tuple(sorted(finished)),
            first.model_digest,
            first.rounds,
            len(banks.kept.totals),
            dict(banks.excluded),
            dict(banks.silent),
        )
