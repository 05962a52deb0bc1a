"""The cache of unmasked contributions: how long, how many, and the latest ones only."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.desk.partners.cache import MOST_SECONDS, ContributionCache

VARIANTS = st.sampled_from(["exact~lessor", "exact~platform"])
TAGS = st.integers(0, 5).map(lambda number: bytes([number]) * 16)


def test_nothing_is_kept_where_the_partner_does_not_allow_it() -> None:
    """No seconds, no entry."""
    cache = ContributionCache()
    cache.keep("exact", b"a" * 16, 12, True, 0, now=0.0)
    assert len(cache) == 0


def test_no_partner_can_have_its_contributions_kept_for_ever() -> None:
    """An hour is the most."""
    cache = ContributionCache()
    cache.keep("exact", b"a" * 16, 12, True, 10**9, now=0.0)
    kept = cache.find("exact", b"a" * 16, MOST_SECONDS - 1)
    assert kept is not None
    assert kept.since == 0.0
    assert cache.find("exact", b"a" * 16, MOST_SECONDS) is None


class Cached(RuleBasedStateMachine):
    """Beside a list that is searched from its end."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = ContributionCache(most=4)
        self.used: list[tuple[str, bytes]] = []
        self.values: dict[tuple[str, bytes], tuple[int, bool, float, float]] = {}
        self.now = 0.0

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        variant=VARIANTS,
        tag=TAGS,
        points=st.integers(-9, 9),
        known=st.booleans(),
        seconds=st.integers(0, 4),
    )
    def keep(self, variant: str, tag: bytes, points: int, known: bool, seconds: int) -> None:
        self.cache.keep(variant, tag, points, known, seconds, self.now)
        key = (variant, tag)
        if not seconds:
            return
        self.values[key] = (points, known, self.now, self.now + seconds)
        self.used = [one for one in self.used if one != key] + [key]
        if len(self.used) > 4:
            del self.values[self.used.pop(0)]

    @rule(variant=VARIANTS, tag=TAGS)
    def find(self, variant: str, tag: bytes) -> None:
        key = (variant, tag)
        kept = self.cache.find(variant, tag, self.now)
        if key in self.values and self.now >= self.values[key][3]:
            del self.values[key]
            self.used.remove(key)
        if key not in self.values:
            assert kept is None
            return
        assert kept is not None
        assert (kept.points, kept.known, kept.since, kept.until) == self.values[key]
        self.used = [one for one in self.used if one != key] + [key]

    @rule(variant=VARIANTS)
    def forget(self, variant: str) -> None:
        self.cache.forget(variant)
        self.used = [key for key in self.used if key[0] != variant]
        self.values = {key: value for key, value in self.values.items() if key[0] != variant}

    @invariant()
    def no_more_than_allowed(self) -> None:
        assert len(self.cache) == len(self.values) <= 4


TestCached = Cached.TestCase
TestCached.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
