"""Which variant to ask for, of those that the parties serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from federation.scoring import ServedModel, ServedVariant
from server.desk.partners.link import Link

# How long a variant is left aside whose parties' answers did not add up.
UNSOUND_SECONDS = 60.0
_MOST_REMEMBERED = 1024


class Chooser:
    """Picks the best variant that can be answered at present.

    Args:
        model: whose variants.
        links: to its feature parties; a party without one never answers.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        model: ServedModel,
        links: Mapping[str, Link],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """All variants are sound so far."""
        self._model = model
        self._links = links
        self._clock = clock
        self._unsound: dict[str, float] = {}
        self._chosen: dict[tuple[frozenset[str], tuple[bool, ...]], ServedVariant] = {}

    def best(self, answering: frozenset[str]) -> ServedVariant:
        """The best variant with these feature parties, or the label party alone."""
        usable = tuple(self._usable(variant) for variant in self._model.variants)
        key = (answering, usable)
        chosen = self._chosen.get(key)
        if chosen is None:
            kept = [one for one, use in zip(self._model.variants, usable, strict=True) if use]
            chosen = replace(self._model, variants=tuple(kept)).best_with(answering)
            if len(self._chosen) >= _MOST_REMEMBERED:
                self._chosen.clear()
            self._chosen[key] = chosen
        return chosen

    def others_can_answer(self, variant: ServedVariant, answering: frozenset[str]) -> bool:
        """Whether, if any one party of a variant fails, there is another to ask for."""
        return any(self.best(answering - {party}).parties for party in variant.parties)

    def serves_all(self, party: str) -> bool:
        """Whether a party serves every variant that it is in."""
        link, session = self._links[party], self._model.session
        return all(
            link.serves(session, variant.name)
            for variant in self._model.variants
            if party in variant.parties
        )

    def leave_aside(self, variant: ServedVariant) -> bool:
        """Its parties' answers did not add up; whether that is news."""
        now = self._clock()
        news = self._unsound.get(variant.name, 0.0) <= now
        self._unsound[variant.name] = now + UNSOUND_SECONDS
        return news

    def _usable(self, variant: ServedVariant) -> bool:
        if self._unsound.get(variant.name, 0.0) > self._clock():
            return False
        return all(
            party in self._links and self._links[party].serves(self._model.session, variant.name)
            for party in variant.parties
        )
