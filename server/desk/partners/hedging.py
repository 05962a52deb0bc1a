"""How long to wait for a partner, and when to ask it a second time. Pure: numbers in, numbers out.

Hedged requests (Dean and Barroso, 'The Tail at Scale', CACM 2013): where an answer takes longer
than nearly all before it, the same request goes out again over another connection, and the first
answer counts. What it costs the partner is bounded by a budget, so that one that is merely slow is
not asked everything twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

# Waiting less is no use: the clock and the event loop are no finer than this under load.
LEAST_DELAY_SECONDS = 0.003
# Answers take about as long as the desk's own queue where it is busy: a hedge must not answer that.
DELAY_OVER_P95 = 1.5
LEAST_KNOWN = 20
# Of an attempt's time, while too little is known of the partner.
DELAY_SHARE_AT_FIRST = 0.35
# A hedge that has less than this share of the attempt left comes too late.
LEAST_SHARE_LEFT = 0.2
# What the later attempts keep of the time, at least and at most, where others can still be asked.
LATER_SHARE = (0.25, 0.5)
LATER_OVER_P95 = 4.0
# What the gathering keeps for itself, of the time that it was given.
MARGIN_SHARE = 0.1
LEAST_MARGIN_SECONDS = 0.002
MOST_MARGIN_SECONDS = 0.1


class Latencies:
    """How long a partner's latest answers took.

    Args:
        kept: how many.
        every: after how many new ones the quantile is taken anew.
    """

    def __init__(self, kept: int = 256, every: int = 16) -> None:
        """Nothing is known yet."""
        self._latest: deque[float] = deque(maxlen=kept)
        self._every = every
        self._since = 0
        self._p95: float | None = None

    def add(self, seconds: float) -> None:
        """One more; where no answer came, how long it was waited for."""
        self._latest.append(seconds)
        self._since += 1
        if len(self._latest) >= LEAST_KNOWN and (self._p95 is None or self._since >= self._every):
            ascending = sorted(self._latest)
            self._p95 = ascending[int(0.95 * (len(ascending) - 1))]
            self._since = 0

    @property
    def p95(self) -> float | None:
        """Seconds that 95 % of the latest answers were within; None: too few are known."""
        return self._p95


class HedgeBudget:
    """How often a partner may be asked twice: a bucket that fills with every request.

    Args:
        share: of all requests.
        most: that may be saved up for a bad moment.
    """

    def __init__(self, share: float = 0.02, most: float = 5.0) -> None:
        """Full."""
        self._share = share
        self._most = most
        self._saved = most

    def earn(self) -> None:
        """One more request was made."""
        self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """Whether one may be made twice; if so, it is paid."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


def hedge_delay(p95: float | None, attempt_seconds: float) -> float | None:
    """After how many seconds without an answer to ask again; None: not in this attempt.

    Args:
        p95: of the partner's answers, in seconds, if known.
        attempt_seconds: how long the attempt lasts.
    """
    delay = DELAY_SHARE_AT_FIRST * attempt_seconds if p95 is None else DELAY_OVER_P95 * p95
    delay = max(delay, LEAST_DELAY_SECONDS)
    return delay if delay <= (1 - LEAST_SHARE_LEFT) * attempt_seconds else None


def attempt_seconds(left: float, may_ask_others: bool, others_p95: Iterable[float | None]) -> float:
    """How much of the time that is left one attempt may take.

    Args:
        left: seconds until the answer must be there.
        may_ask_others: whether, if it fails, there are others to ask without the one that failed.
        others_p95: of the answers of those, where known: the time to keep for them.
    """
    if not may_ask_others:
        return left
    known = [p95 for p95 in others_p95 if p95 is not None]
    least, most = (share * left for share in LATER_SHARE)
    keep = max(least, min(LATER_OVER_P95 * max(known), most)) if known else most
    return left - keep


def working_seconds(seconds: float) -> float:
    """What of the given time there is for asking: a margin is kept, so that the answer is there."""
    margin = min(max(MARGIN_SHARE * seconds, LEAST_MARGIN_SECONDS), MOST_MARGIN_SECONDS)
    return max(seconds - margin, 0.0)
