"""How asking a partner ends, and who wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import grpc

from federation.errors import VeilscoreError
from server.desk.answers import Absence
from server.desk.partners.breaker import BreakerState

# A partner's own words in our log: as much as a person needs.
MOST_DETAIL = 200


class Outcome(StrEnum):
    """How one asking of a partner ended, as it is counted."""

    ANSWERED = "answered"
    SILENT = "silent"  # no answer in time
    UNREACHABLE = "unreachable"  # no connection, a failed handshake, or the call broke off
    REFUSED = "refused"
    NOT_SERVED = "not served"  # it does not serve this variant, or its rules forbid it to this desk
    MALFORMED = "malformed"  # an answer that the protocol does not allow
    CIRCUIT_OPEN = "circuit open"  # not asked

    @property
    def absence(self) -> Absence:
        """What a caller is told of a party whose asking ended so."""
        if self in (Outcome.REFUSED, Outcome.NOT_SERVED):
            return Absence.REFUSED
        return Absence.CIRCUIT_OPEN if self is Outcome.CIRCUIT_OPEN else Absence.SILENT


class PartnerFailed(VeilscoreError):
    """A partner gave no answer that counts."""

    def __init__(self, party: str, outcome: Outcome, detail: str = "") -> None:
        """Who, how, and the partner's own words if it gave any."""
        words = f" ({detail!r})" if detail else ""
        super().__init__(f"partner {party}: {outcome}{words}")
        self.party = party
        self.outcome = outcome


@dataclass(frozen=True)
class PartnerHooks:
    """Who is told of what; called on the event loop, so each must be quick and must not raise.

    Attributes:
        on_asked: party, an `Outcome`, seconds; once for each request, hedged or not.
        on_hedged: party; a request was sent a second time.
        on_breaker: party, its breaker's new state.
        on_cached: party, how many contributions came from the cache, seconds since the oldest came.
    """

    on_asked: Callable[[str, str, float], None] = lambda party, outcome, seconds: None
    on_hedged: Callable[[str], None] = lambda party: None
    on_breaker: Callable[[str, BreakerState], None] = lambda party, state: None
    on_cached: Callable[[str, int, float], None] = lambda party, count, seconds: None


_NOT_SERVED = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED}
_REFUSALS = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
}


def failure_of(party: str, error: BaseException | None) -> PartnerFailed:
    """What an error of a call means; None and cancelled calls: the connection was taken away."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return PartnerFailed(party, Outcome.UNREACHABLE)
    code, detail = error.code(), (error.details() or "")[:MOST_DETAIL]
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return PartnerFailed(party, Outcome.SILENT)
    if code in _NOT_SERVED:
        return PartnerFailed(party, Outcome.NOT_SERVED, detail)
    if code in _REFUSALS:
        return PartnerFailed(party, Outcome.REFUSED, f"{code.name}: {detail}")
    return PartnerFailed(party, Outcome.UNREACHABLE, f"{code.name}: {detail}")
