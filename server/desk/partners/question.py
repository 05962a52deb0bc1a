"""One question about some borrowers, and the tags that name them to each party."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from federation.scoring.tags import TAG_BYTES, tags
from server.desk.partners.tally import Places, Tally

# Tags made between two looks at the event loop: others' deadlines run meanwhile.
_TAGS_AT_ONCE = 512


class Question:
    """Borrowers that are asked about together, and their tags for each party.

    Args:
        tally: of what comes in about them.
        borrowers: normalised ids.
        keys: of tags, by feature party.
        end: when the answer must be there, of the monotonic clock.
    """

    def __init__(
        self, tally: Tally, borrowers: Sequence[str], keys: Mapping[str, bytes], end: float
    ) -> None:
        """No tag is made yet."""
        self.tally = tally
        self.end = end
        self._borrowers = borrowers
        self._keys = keys
        self._tags: dict[str, bytes] = {}

    async def make_tags(self, parties: Sequence[str]) -> None:
        """Make the tags for some parties, before they are read."""
        for party in parties:
            if party in self._tags:
                continue
            made = []
            for start in range(0, len(self._borrowers), _TAGS_AT_ONCE):
                if start:
                    await asyncio.sleep(0)
                ids = self._borrowers[start : start + _TAGS_AT_ONCE]
                made.append(tags(self._keys[party], ids))
            self._tags[party] = b"".join(made)

    def tag(self, party: str, place: int) -> bytes:
        """One borrower's tag."""
        return self._tags[party][TAG_BYTES * place : TAG_BYTES * (place + 1)]

    def tags(self, party: str, places: Places) -> bytes:
        """The tags of some borrowers, in their order."""
        made = self._tags[party]
        if len(places) * TAG_BYTES == len(made):
            return made
        return np.frombuffer(made, dtype=f"V{TAG_BYTES}")[places].tobytes()
