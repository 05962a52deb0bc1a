"""Contributions that a partner lets the desk keep for a while. Pure: the clock is passed in.

Only unmasked ones: where two or more parties answer, each one's words are masked anew in every
request and mean nothing alone. Keys are tags, so no id is kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MOST_ENTRIES = 100_000
# Whatever a partner allows: nobody's score shall stand on yesterday's contribution.
MOST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """One borrower's contribution to one variant.

    Attributes:
        points: of the variant's only feature party.
        known: whether that party knows the borrower.
        since: when it came, in the clock's seconds.
        until: when it must be forgotten.
    """

    points: int
    known: bool
    since: float
    until: float


class ContributionCache:
    """The latest contributions, by variant and tag, forgotten in the order of their last use.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        """Empty."""
        self._most = most
        self._kept: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def find(self, variant: str, tag: bytes, now: float) -> Kept | None:
        """What is kept of a borrower and may still be used."""
        key = (variant, tag)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept

    def keep(
        self, variant: str, tag: bytes, points: int, known: bool, seconds: float, now: float
    ) -> None:
        """Keep a contribution for as long as its party allows; 0 seconds: not at all."""
        if seconds <= 0:
            return
        key = (variant, tag)
        self._kept[key] = Kept(points, known, now, now + min(seconds, MOST_SECONDS))
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, variant: str) -> None:
        """Forget a variant's contributions: its party's part of it has changed."""
        for key in [key for key in self._kept if key[0] == variant]:
            del self._kept[key]
