"""What was gathered of some borrowers: who is asked for again where, and what stays missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.desk.answers import Absence
from server.desk.partners.tally import Tally, joined
from tests.server.desk.models import served_model

PARTIES = ("lessor", "platform", "telecom")
MODEL = served_model(PARTIES).served
COUNT = 12
UNKNOWN = st.dictionaries(
    st.sampled_from(PARTIES), st.lists(st.booleans(), min_size=COUNT, max_size=COUNT)
)


def tally_of(unknown: dict[str, list[bool]]) -> Tally:
    """A tally of borrowers whom some parties do not know."""
    tally = Tally(MODEL, COUNT)
    for party, flags in unknown.items():
        tally.mark_unknown(party, np.arange(COUNT), np.array(flags))
    return tally


@given(UNKNOWN, st.sets(st.sampled_from(PARTIES)), st.sets(st.integers(0, COUNT - 1), min_size=1))
def test_groups_are_by_who_may_know_them(
    unknown: dict[str, list[bool]], answering: set[str], members: set[int]
) -> None:
    """Each borrower is in one group, with just those answering parties that may know it."""
    tally = tally_of(unknown)
    groups = tally.groups(np.array(sorted(members)), frozenset(answering))
    found = {int(place): parties for parties, places in groups.items() for place in places}
    assert sum(map(len, groups.values())) == len(members)
    assert found == {
        place: frozenset(p for p in answering if not unknown.get(p, [False] * COUNT)[place])
        for place in members
    }


@given(UNKNOWN, st.sets(st.sampled_from(PARTIES)))
def test_parties_that_nobody_misses_have_not_failed(
    unknown: dict[str, list[bool]], failed: set[str]
) -> None:
    """A failure counts where somebody is scored without the party though it may know them."""
    tally = tally_of(unknown)
    for party in failed:
        tally.failed[party] = Absence.CIRCUIT_OPEN
    main = MODEL.main
    known = tally.known_to_all(main.parties, np.arange(COUNT))
    tally.assign(np.flatnonzero(known), main, np.arange(known.sum(), dtype=np.int64))
    gathered = tally.gathered()
    for place in range(COUNT):
        variant = gathered.variants[gathered.variant[place]]
        assert variant is (main if known[place] else MODEL.alone)
        for party in main.parties:
            missed = party not in variant.parties and not unknown.get(party, [False] * COUNT)[place]
            assert not missed or party in gathered.failed
    for party, absence in gathered.failed.items():
        assert absence is (Absence.CIRCUIT_OPEN if party in failed else Absence.SILENT)
        assert not (known | np.array(unknown.get(party, [False] * COUNT))).all()


@given(UNKNOWN, st.integers(1, COUNT - 1))
def test_parts_of_a_batch_are_put_together_again(unknown: dict[str, list[bool]], at: int) -> None:
    """Two parts make the same as the whole."""
    whole = tally_of(unknown)
    points = np.arange(COUNT, dtype=np.int64)
    places = np.flatnonzero(whole.known_to_all(PARTIES, np.arange(COUNT)))
    whole.assign(places, MODEL.main, points[places])
    parts = []
    for members in (np.arange(at), np.arange(at, COUNT)):
        part = Tally(MODEL, len(members))
        for party, flags in unknown.items():
            part.mark_unknown(party, np.arange(len(members)), np.array(flags)[members])
        inside = np.flatnonzero(np.isin(members, places))
        part.assign(inside, MODEL.main, points[members[inside]])
        parts.append(part)
    expected, got = whole.gathered(), joined(MODEL, parts).gathered()
    assert got.variants == expected.variants
    assert (got.variant == expected.variant).all()
    assert (got.points == expected.points).all()
    assert got.failed == expected.failed
    assert got.unknown.keys() == expected.unknown.keys()
    for party, flags in expected.unknown.items():
        assert (got.unknown[party] == flags).all()
