"""Contributions: what partners answer, what the bank reads of it, and what neither accepts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.additive.model_part import ModelPart
from federation.binning import Binning
from federation.errors import InputError, ProtocolError
from federation.identity import PartyKey
from federation.proto.contribution_pb2 import (
    ContributionReply,
    ContributionRequest,
    ReasonsRequest,
)
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring.borrower_index import BorrowerIndex
from federation.scoring.contribution import (
    MOST_BORROWERS,
    Answer,
    AnsweredVariant,
    AnswerPolicy,
    AnswerRefused,
    Contribution,
    NonceWindow,
    RefusalKind,
    build_request,
    combine,
    new_nonce,
    read_reply,
)
from federation.scoring.masks import AnswerMasks, borrower_blocks
from federation.scoring.points import LOG_ODDS_A_POINT, MOST_POINTS, Calibration
from federation.scoring.reason_table import ReasonTable, points_lost
from federation.scoring.served_model import ServedVariant
from federation.scoring.tags import TAG_BYTES, tag_key, tags

BANK = PartyKey(bytes([99]) * 32)
NAMES = ("core", "lessor", "platform")
KEYS = {name: PartyKey(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}
PINS = {name: key.public for name, key in KEYS.items()}
NOW = 1_800_000_000_000
SESSION = "session"
POLICY = AnswerPolicy(feature_parties=3)
# The same each time: a sum of masks of one borrower is small by chance once in 10,000 times.
NONCE = NOW.to_bytes(8, "little") + bytes(8)


def variant(name: str, parties: Sequence[str]) -> ServedVariant:
    """As the bank holds it; its part is not looked at here."""
    part = ModelPart("bank", SESSION, name, 0.0, (), (), (), ())
    return ServedVariant(name, tuple(parties), part, Calibration(), None, 0)


@dataclass
class Partner:
    """One partner with its borrowers' points, and the bank's key of its tags."""

    name: str
    points: dict[str, int]
    variants: tuple[ServedVariant, ...]
    policy: AnswerPolicy = POLICY

    def __post_init__(self) -> None:
        """Build the answer side."""
        self.key = tag_key(BANK, PINS[self.name], SESSION, "bank", self.name)
        own = tag_key(KEYS[self.name], BANK.public, SESSION, "bank", self.name)
        index, order = BorrowerIndex.of(
            tags(own, self.points), borrower_blocks(SESSION, self.points)
        )
        points = np.array(list(self.points.values()), dtype=np.int32)[order]
        self.side = Contribution(
            SESSION,
            AnswerMasks(self.name, KEYS[self.name], PINS, SESSION),
            index,
            [AnsweredVariant(one.name, one.parties, points, "digest") for one in self.variants],
            self.policy,
            NOW - 5,
            NonceWindow(),
        )

    def request(
        self, asked: ServedVariant, ids: Sequence[str], nonce: bytes
    ) -> ContributionRequest:
        """The bank's question."""
        return build_request(SESSION, asked, nonce, tags(self.key, ids))

    def answer(self, asked: ServedVariant, ids: Sequence[str], nonce: bytes) -> Answer:
        """Asked, answered, read."""
        reply = self.side.answer(self.request(asked, ids, nonce), NOW)
        return read_reply(ContributionReply.FromString(reply.SerializeToString()), asked, len(ids))


POINTS = st.integers(-MOST_POINTS, MOST_POINTS)
IDS = [f"firm {number}" for number in range(12)]
KNOWN = st.dictionaries(st.sampled_from(IDS), POINTS, min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), KNOWN, min_size=1),
    st.lists(st.sampled_from(IDS), min_size=1, max_size=20),
)
def test_the_sum_of_answers_is_the_sum_of_points(
    known: dict[str, dict[str, int]], asked: list[str]
) -> None:
    """Exactly, of borrowers that all parties know; others are marked and count 0."""
    exact = variant("exact", sorted(known))
    partners = [Partner(name, points, (exact,)) for name, points in known.items()]
    nonce = new_nonce(NOW)
    answers = [one.answer(exact, asked, nonce) for one in partners]
    for partner, answer in zip(partners, answers, strict=True):
        assert answer.known.tolist() == [one in partner.points for one in asked]
        assert not answer.points[~answer.known].any()
    everywhere = [one for one in asked if all(one in p.points for p in partners)]
    expected = [sum(p.points[one] for p in partners) if one in everywhere else 0 for one in asked]
    assert combine(answers).tolist() == expected


def test_a_single_answer_shows_nothing_of_the_points() -> None:
    """The same points, masked afresh with each nonce: no two answers agree anywhere."""
    exact = variant("exact", ("core", "lessor"))
    partner = Partner("core", dict.fromkeys(IDS, 7), (exact,))
    answers = [partner.answer(exact, IDS, new_nonce(NOW)) for _ in range(5)]
    words = np.concatenate([answer.points for answer in answers])
    assert np.unique(words).size == words.size


def test_a_bank_that_asks_one_partner_about_nobody_reads_nothing() -> None:
    """The attack that masks bound to the nonce alone would allow: the sum must stay masked."""
    exact = variant("exact", ("core", "lessor"))
    core = Partner("core", {"firm 1": 42}, (exact,))
    lessor = Partner("lessor", {"firm 1": 1, "firm 2": 2}, (exact,))
    target = core.answer(exact, ["firm 1"], NONCE)
    nobody = lessor.answer(exact, ["nobody"], NONCE)
    other = Partner("lessor", lessor.points, (exact,)).answer(exact, ["firm 2"], NONCE)
    assert not nobody.known[0]
    assert combine([target, nobody]).tolist() == [0]
    left = (target.points + nobody.points).view(np.int32)
    assert abs(int(left[0])) > MOST_POINTS * 2
    with pytest.raises(ProtocolError, match="masks do not cancel"):
        combine([target, other])


def test_answers_to_different_questions_do_not_add_up() -> None:
    """Other nonces, or another variant: masks stay on the sum, and it is refused."""
    exact, pair = variant("exact", ("core", "lessor")), variant("pair", ("core", "lessor"))
    partners = [Partner(name, dict.fromkeys(IDS, 1), (exact, pair)) for name in exact.parties]
    one = partners[0].answer(exact, IDS, bytes(new_nonce(NOW)))
    with pytest.raises(ProtocolError, match="do not add up"):
        combine([one, partners[1].answer(exact, IDS, new_nonce(NOW))])
    nonce = new_nonce(NOW)
    one = partners[0].answer(exact, IDS, nonce)
    with pytest.raises(ProtocolError, match="do not add up"):
        combine([one, partners[1].answer(pair, IDS, nonce)])


EXACT = variant("exact", NAMES)
ALONE = variant("exact~core", ("core",))


def refused(change: dict[str, object], policy: AnswerPolicy | None = None) -> AnswerRefused:
    """What a changed request is refused with."""
    partner = Partner("core", {"firm 1": 3}, (EXACT, ALONE), policy or POLICY)
    request = partner.request(EXACT, ["firm 1"], new_nonce(NOW))
    for field, value in change.items():
        request.ClearField(field)  # type: ignore[arg-type]
        if isinstance(value, list | tuple):
            getattr(request, field).extend(value)
        else:
            setattr(request, field, value)
    with pytest.raises(AnswerRefused) as caught:
        partner.side.answer(request, NOW)
    return caught.value


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"version": 2}, RefusalKind.MALFORMED),
        ({"session": "another"}, RefusalKind.NOT_SERVED),
        ({"variant": "another"}, RefusalKind.NOT_SERVED),
        ({"parties": ["core"]}, RefusalKind.MALFORMED),
        ({"parties": ["core", "platform", "lessor"]}, RefusalKind.MALFORMED),
        ({"parties": []}, RefusalKind.MALFORMED),
        ({"tags": b""}, RefusalKind.MALFORMED),
        ({"tags": bytes(17)}, RefusalKind.MALFORMED),
        ({"tags": bytes(TAG_BYTES * (MOST_BORROWERS + 1))}, RefusalKind.MALFORMED),
        ({"nonce": b""}, RefusalKind.MALFORMED),
        ({"nonce": bytes(16)}, RefusalKind.MALFORMED),
        ({"nonce": new_nonce(NOW - 61_000)}, RefusalKind.MALFORMED),
        ({"nonce": new_nonce(NOW + 61_000)}, RefusalKind.MALFORMED),
        ({"nonce": b"\xff" * 16}, RefusalKind.MALFORMED),
    ],
)
def test_what_a_partner_refuses(change: dict[str, object], kind: RefusalKind) -> None:
    """Each with its kind; the full variant is never answered as if this party were alone."""
    assert refused(change).kind is kind


def test_most_borrowers_are_answered_at_once() -> None:
    """The largest batch there may be."""
    partner = Partner("core", {"firm 1": 3}, (ALONE,))
    answer = partner.answer(ALONE, ["firm 1", "firm 2"] * (MOST_BORROWERS // 2), new_nonce(NOW))
    assert answer.points.sum() == 3 * MOST_BORROWERS // 2
    assert answer.known.sum() == MOST_BORROWERS // 2


def test_a_partner_answers_alone_only_where_its_policy_says_so() -> None:
    """Unmasked points are its own decision; what is refused is not offered."""
    closed = AnswerPolicy(feature_parties=3, alone=False)
    change = {"variant": "exact~core", "parties": ["core"]}
    assert refused(change, closed).kind is RefusalKind.POLICY
    partner = Partner("core", {"firm 1": 3}, (EXACT, ALONE), closed)
    assert [one.name for one in partner.side.offered()] == ["exact"]
    opened = Partner("core", {"firm 1": 3}, (EXACT, ALONE))
    assert [one.name for one in opened.side.offered()] == ["exact", "exact~core"]
    assert opened.answer(ALONE, ["firm 1"], new_nonce(NOW)).points.tolist() == [3]


def test_the_only_partner_of_a_model_answers_whatever_the_policy() -> None:
    """'alone' is about models with several partners."""
    policy = AnswerPolicy(feature_parties=1, alone=False)
    partner = Partner("core", {"firm 1": -3}, (variant("exact", ("core",)),), policy)
    answer = partner.answer(variant("exact", ("core",)), ["firm 1"], new_nonce(NOW))
    assert combine([answer]).tolist() == [-3]


def test_only_unmasked_points_may_be_kept() -> None:
    """A masked answer serves once."""
    policy = AnswerPolicy(3, cache_seconds=30)
    partner = Partner("core", {"firm 1": 3}, (EXACT, ALONE), policy)
    assert partner.answer(EXACT, ["firm 1"], new_nonce(NOW)).cache_seconds == 0
    alone = partner.answer(ALONE, ["firm 1"], new_nonce(NOW))
    assert (alone.cache_seconds, alone.as_of_ms) == (30, NOW - 5)


def test_the_same_request_again_has_the_same_answer() -> None:
    """A hedged retry; but the nonce serves no other request, kind of request or reading."""
    partner = Partner("core", {"firm 1": 3}, (EXACT, ALONE))
    nonce = new_nonce(NOW)
    request = partner.request(EXACT, ["firm 1"], nonce)
    assert partner.side.answer(request, NOW) == partner.side.answer(request, NOW + 1000)
    for other in (partner.request(EXACT, ["firm 2"], nonce), partner.request(ALONE, ["x"], nonce)):
        with pytest.raises(AnswerRefused, match="was used for another request"):
            partner.side.answer(other, NOW)
    tag = tags(partner.key, ["firm 1"])
    with pytest.raises(AnswerRefused, match="was used for another request"):
        partner.side.reasons(
            ReasonsRequest(version=1, session=SESSION, variant="exact", nonce=nonce, tag=tag), NOW
        )
    window = NonceWindow()
    assert window.admit(nonce, b"digest", 1, NOW)
    assert not window.admit(nonce, b"digest", 1, NOW)
    with pytest.raises(AnswerRefused, match="before this party read its table again"):
        window.admit(nonce, b"digest", 2, NOW)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-70_000, 70_000), st.integers(0, 5_000)), max_size=60))
def test_a_nonce_is_never_admitted_twice(steps: list[tuple[int, int]]) -> None:
    """However the clock goes on; and what can't come again is forgotten."""
    window, now, admitted = NonceWindow(), NOW, {}
    for number, (offset, passed) in enumerate(steps):
        now += passed
        nonce = new_nonce(now + offset)
        if abs(offset) > 60_000:
            with pytest.raises(AnswerRefused):
                window.admit(nonce, b"%d" % number, 0, now)
            continue
        assert window.admit(nonce, b"%d" % number, 0, now)
        admitted[nonce] = number
        for old in admitted:
            with pytest.raises(AnswerRefused):
                window.admit(old, b"another", 0, now)
    fresh = [n for n in admitted if int.from_bytes(n[:8], "little") // 1000 >= now // 1000 - 61]
    assert len(window) <= len(fresh) + 1
    window.admit(new_nonce(now + 200_000), b"late", 0, now + 200_000)
    assert len(window) == 1


def test_the_window_holds_so_many_nonces_and_no_more() -> None:
    """A flood is refused, not remembered."""
    window = NonceWindow(most=3)
    for _ in range(3):
        window.admit(new_nonce(NOW), b"", 0, NOW)
    with pytest.raises(AnswerRefused) as caught:
        window.admit(new_nonce(NOW), b"", 0, NOW)
    assert caught.value.kind is RefusalKind.EXHAUSTED
    assert len(window) == 3


@settings(max_examples=300)
@given(st.binary(max_size=40), st.binary(max_size=6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_reply_is_read_or_refused(
    points: bytes, known: bytes, count: int, cache_seconds: int
) -> None:
    """Whatever a partner sends: arrays of the right length, or ProtocolError."""
    reply = ContributionReply(points=points, known=known, cache_seconds=cache_seconds)
    for asked in (EXACT, ALONE):
        try:
            answer = read_reply(reply, asked, count)
        except ProtocolError:
            continue
        assert answer.points.shape == answer.known.shape == (count,)
        assert len(points) == 4 * count
        assert not answer.points[~answer.known].any()
        if asked is ALONE:
            assert np.abs(answer.points.view(np.int32).astype(np.int64)).max() <= MOST_POINTS
        else:
            assert answer.cache_seconds == 0


@pytest.mark.parametrize(
    ("points", "known"),
    [
        (b"\1\0\0\0", b"\0"),  # points of a borrower that is not known
        (b"\0\0\0\0", b"\2"),  # a mark of a borrower that was not asked for
        ((MOST_POINTS + 1).to_bytes(4, "little"), b"\1"),
        (b"\0\0\0\x80", b"\1"),  # the lowest number there is
        (b"", b""),
    ],
)
def test_replies_that_are_refused(points: bytes, known: bytes) -> None:
    """Unmasked answers about one borrower."""
    with pytest.raises(ProtocolError, match="the answer has"):
        read_reply(ContributionReply(points=points, known=known), ALONE, 1)


def test_combining_needs_answers_about_the_same_borrowers() -> None:
    """None, or of different lengths: refused."""
    one = Answer(np.zeros(1, np.uint32), np.ones(1, np.bool_))
    two = Answer(np.zeros(2, np.uint32), np.ones(2, np.bool_))
    for answers in ([], [one, two]):
        with pytest.raises(ProtocolError, match="are needed"):
            combine(answers)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), unique=True, min_size=1),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**64 - 1)), max_size=30),
    st.randoms(),
)
def test_every_tag_is_found_and_no_other(
    held: list[tuple[int, int]], others: list[tuple[int, int]], random: object
) -> None:
    """Also where tags begin alike, which a search by their first half alone would mix up."""
    made = [high.to_bytes(8, "big") + low.to_bytes(8, "big") for high, low in held]
    asked = made + [high.to_bytes(8, "big") + low.to_bytes(8, "big") for high, low in others]
    random.shuffle(asked)  # type: ignore[attr-defined]
    blocks = b"".join(os.urandom(16) for _ in made)
    index, order = BorrowerIndex.of(b"".join(made), blocks)
    rows, known = index.find(b"".join(asked))
    assert known.tolist() == [one in made for one in asked]
    places = [made[order[row]] for row in rows]
    assert all(place == one for place, one, here in zip(places, asked, known, strict=True) if here)
    found = index.blocks_of(rows[known])
    expected = [made.index(one) for one in asked if one in made]
    assert found == b"".join(blocks[16 * row : 16 * row + 16] for row in expected)


def test_two_borrowers_with_one_tag_are_refused() -> None:
    """Their points could not be told apart."""
    with pytest.raises(InputError, match="have the same tag"):
        BorrowerIndex.of(bytes(32), bytes(32))


def reason_table() -> ReasonTable:
    """Three features of two bins, one without a public label, two with the same."""
    names, labels = ("a", "b", "c"), ("amount", None, "amount")
    kind = FeatureKind.NUMERIC
    binnings = tuple(Binning(n, kind, (0.5,), (), 0, 0, 0, 2) for n in names)
    step = LOG_ODDS_A_POINT
    part = ModelPart(
        "core",
        SESSION,
        "exact",
        0.0,
        binnings,
        labels,
        ((0.0, 10 * step), (0.0, 90 * step), (4 * step, 0.0)),
        ((0.5, 0.5), (0.5, 0.5), (0.75, 0.25)),
    )
    values = np.array([0.0, 1.0, 1.0])
    present = np.ones(3, dtype=np.bool_)
    columns = [FeatureColumn(FeatureSpec(name, kind), values, present) for name in names]
    return ReasonTable.of(part, columns, np.array([2, 0, 1]))


def test_reasons_are_points_lost_to_the_mean_borrower() -> None:
    """Of features with a public label; those that share it add up; gains are not told."""
    table = reason_table()
    # Row 1 is the table's row 0: a loses -5, c loses 1; rows 0 and 2: a loses 5, c loses -3.
    assert table.against(0, 4) == [("amount", 2)]
    assert table.against(1, 4) == []
    assert table.against(0, 0) == []
    assert points_lost((0.0, 20 * LOG_ODDS_A_POINT), (0.25, 0.75)).tolist() == [-15, 5]


def test_reasons_are_given_where_the_policy_says_so() -> None:
    """And a borrower that is not known there has none."""
    partner = Partner("core", {"firm 1": 3, "firm 2": 4, "firm 3": 5}, (EXACT,))
    table = reason_table()
    for allowed in (False, True):
        policy = AnswerPolicy(3, reasons=allowed)
        points = np.zeros(3, dtype=np.int32)
        side = Contribution(
            SESSION,
            AnswerMasks("core", KEYS["core"], PINS, SESSION),
            partner.side.borrowers,
            [AnsweredVariant("exact", NAMES, points, "digest", table)],
            policy,
            NOW,
            NonceWindow(),
        )

        def asked(identifier: str, side: Contribution = side) -> tuple[bool, bool, list[str]]:
            request = ReasonsRequest(
                version=1,
                session=SESSION,
                variant="exact",
                nonce=new_nonce(NOW),
                tag=tags(partner.key, [identifier]),
            )
            reply = side.reasons(request, NOW)
            return reply.known, reply.given, [one.label for one in reply.reasons]

        told = [asked(identifier) for identifier in (*partner.points, "nobody")]
        assert [known for known, _, _ in told] == [True, True, True, False]
        assert all(given == allowed for _, given, _ in told)
        labels = [label for _, _, labels in told for label in labels]
        assert labels == (["amount", "amount"] if allowed else [])
