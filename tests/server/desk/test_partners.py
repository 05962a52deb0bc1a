"""The desk asks its partners over real mutual TLS, and gets what the offline path computes."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import numpy as np
import numpy.typing as npt
import pytest

from federation.scoring import ServedVariant
from server.desk.answers import Absence, Contributors, Gathered
from server.desk.partners import LinkPool, Outcome, PartnerAddress, PartnerLinks
from server.desk.partners.gathering import BORROWERS_A_REQUEST
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model
from tests.server.desk.partner_sides import (
    LONG,
    Conduct,
    Seen,
    Terms,
    answering,
    linked,
)

PARTIES = ("lessor", "platform")


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of a bank and two feature parties."""
    return served_model(PARTIES)


def offline(made: HandMade, variant: ServedVariant) -> npt.NDArray[np.int64]:
    """The feature parties' points of all borrowers, as made offline."""
    points: npt.NDArray[np.int64] = made.points(variant) - made.own_points(variant)
    return points


def assert_offline(made: HandMade, gathered: Gathered, numbers: npt.NDArray[np.intp]) -> None:
    """Each borrower's points are its variant's, to the last one."""
    expected = np.stack([offline(made, variant)[numbers] for variant in gathered.variants])
    assert (gathered.points == expected[gathered.variant, np.arange(len(numbers))]).all()


def test_sums_are_those_of_the_offline_path(made: HandMade) -> None:
    """One by one, together, and in a batch of several requests."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sides = {p: await stack.enter_async_context(answering(made, p)) for p in PARTIES}
            seen = Seen()
            links = await stack.enter_async_context(linked(made, sides, seen=seen))
            for number in range(5):
                one = await links.gather([made.borrowers[number]], LONG)
                assert one.variants == (made.served.main,)
                assert one.points.tolist() == [offline(made, made.served.main)[number]]
                assert (one.failed, one.unknown) == ({}, {})
            numbers = np.arange(2 * BORROWERS_A_REQUEST + 3) % len(made.borrowers)
            many = await links.gather([made.borrowers[n] for n in numbers], LONG)
            assert many.variants == (made.served.main,)
            assert_offline(made, many, numbers)
            assert [seen.of(party, Outcome.ANSWERED) for party in PARTIES] == [5 + 3, 5 + 3]
            nobody = await links.gather([], LONG)
            assert len(nobody.points) == 0

    asyncio.run(run())


def test_many_at_once(made: HandMade) -> None:
    """Every caller gets its own borrower's points."""

    async def run() -> None:
        async with (
            answering(made, "lessor") as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            assert isinstance(links, PartnerLinks)
            as_interface: Contributors = links
            asked = [as_interface.gather([one], LONG) for one in made.borrowers]
            answers = await asyncio.gather(*asked)
        assert [int(each.points[0]) for each in answers] == offline(made, made.served.main).tolist()

    asyncio.run(run())


def test_borrowers_that_a_partner_does_not_know(made: HandMade) -> None:
    """They are asked for again at the other, together; that is no failure."""
    at_lessor, at_platform, at_both = [1, 2, 3], [10, 11], [20]

    async def run() -> None:
        seen = Seen()
        lessor, platform = Conduct(), Conduct()
        async with (
            answering(made, "lessor", Terms(unknown=at_lessor + at_both), lessor) as one,
            answering(made, "platform", Terms(unknown=at_platform + at_both), platform) as other,
            linked(made, {"lessor": one, "platform": other}, seen=seen) as links,
        ):
            gathered = await links.gather(made.borrowers, LONG)
            assert gathered.failed == {}
            assert np.flatnonzero(gathered.unknown["lessor"]).tolist() == at_lessor + at_both
            assert np.flatnonzero(gathered.unknown["platform"]).tolist() == at_platform + at_both
            used = [gathered.variants[number].parties for number in gathered.variant]
            for number, parties in enumerate(used):
                expected = set(PARTIES)
                expected -= {"lessor"} if number in at_lessor + at_both else set()
                expected -= {"platform"} if number in at_platform + at_both else set()
                assert set(parties) == expected
            assert_offline(made, gathered, np.arange(len(made.borrowers)))
            # One request for all, and one for those that only the other knows.
            assert (lessor.asked, platform.asked) == (2, 2)

    asyncio.run(run())


def test_three_partners_and_every_mixture_of_unknown_borrowers() -> None:
    """All eight are scored with just those parties that know them."""
    parties = ("lessor", "platform", "telecom")
    made = served_model(parties)
    unknown = {party: [n for n in range(8) if n >> bit & 1] for bit, party in enumerate(parties)}

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            sides = {}
            for party in parties:
                side = answering(made, party, Terms(unknown=unknown[party]))
                sides[party] = await stack.enter_async_context(side)
            links = await stack.enter_async_context(linked(made, sides))
            gathered = await links.gather(made.borrowers[:8], LONG)
        assert gathered.failed == {}
        for number in range(8):
            knowing = tuple(party for party in parties if number not in unknown[party])
            assert gathered.variants[gathered.variant[number]].parties == knowing
        assert_offline(made, gathered, np.arange(8))

    asyncio.run(run())


def test_one_partner_that_does_not_know_a_borrower_is_not_asked_again() -> None:
    """The label party scores alone, and nothing has failed."""
    made = served_model(("platform",))

    async def run() -> None:
        conduct = Conduct()
        async with (
            answering(made, "platform", Terms(unknown=[7]), conduct) as side,
            linked(made, {"platform": side}) as links,
        ):
            gathered = await links.gather([made.borrowers[7]], LONG)
            assert gathered.variants == (made.served.alone,)
            assert gathered.failed == {}
            assert gathered.unknown["platform"].tolist() == [True]
            assert conduct.asked == 1

    asyncio.run(run())


def test_contributions_are_kept_where_the_partner_allows_it() -> None:
    """What is kept is not asked for again, and its age is told; unknown borrowers too."""
    made = served_model(("platform",))

    async def run() -> None:
        conduct, seen = Conduct(), Seen()
        terms = Terms(unknown=[3], cache_seconds=600)
        async with (
            answering(made, "platform", terms, conduct) as side,
            linked(made, {"platform": side}, seen=seen) as links,
        ):
            first = await links.gather(made.borrowers[:10], LONG)
            again = await links.gather(made.borrowers[:20], LONG)
            third = await links.gather(made.borrowers[:10], LONG)
            assert conduct.asked == 2
            for gathered in (first, again, third):
                assert gathered.unknown["platform"].nonzero()[0].tolist() == [3]
                assert gathered.failed == {}
                assert_offline(made, gathered, np.arange(len(gathered.points)))
            assert [(party, count) for party, count, _ in seen.cached] == [
                ("platform", 10),
                ("platform", 10),
            ]
            assert all(0 <= age < LONG for _, _, age in seen.cached)

    asyncio.run(run())


def test_masked_contributions_are_never_kept(made: HandMade) -> None:
    """Though both partners allow it: their words are masked anew each time."""

    async def run() -> None:
        conduct = Conduct()
        terms = Terms(cache_seconds=600)
        async with (
            answering(made, "lessor", terms, conduct) as lessor,
            answering(made, "platform", terms) as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            for _ in range(3):
                gathered = await links.gather(made.borrowers[:4], LONG)
                assert_offline(made, gathered, np.arange(4))
            assert conduct.asked == 3

    asyncio.run(run())


def test_what_is_kept_outlives_the_partner_for_a_while() -> None:
    """Its borrowers are scored with it as if it were there; others without it."""
    made = served_model(("platform",))

    async def run() -> None:
        conduct = Conduct()
        async with (
            answering(made, "platform", Terms(cache_seconds=600), conduct) as side,
            linked(made, {"platform": side}) as links,
        ):
            await links.gather(made.borrowers[:3], LONG)
            conduct.delay = LONG
            kept = await links.gather(made.borrowers[:3], 0.2)
            assert kept.variants == (made.served.main,)
            assert kept.failed == {}
            mixed = await links.gather(made.borrowers[:5], 0.2)
            used = [mixed.variants[number].parties for number in mixed.variant]
            assert used == [("platform",)] * 3 + [()] * 2
            assert mixed.failed == {"platform": Absence.SILENT}
            assert_offline(made, mixed, np.arange(5))

    asyncio.run(run())


def test_reasons_of_those_that_give_them(made: HandMade) -> None:
    """By public labels, heaviest first; None of the others."""

    async def run() -> None:
        async with (
            answering(made, "lessor", Terms(reasons=True)) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            found = False
            for borrower in made.borrowers[:10]:
                reasons = await links.reasons(borrower, made.served.main, 2, LONG)
                assert reasons["platform"] is None
                given = reasons["lessor"]
                assert given is not None
                assert len(given) <= 2
                assert [one.points for one in given] == sorted(g.points for g in given)[::-1]
                assert all(one.party == "lessor" and one.label for one in given)
                found |= bool(given)
            assert found
            assert await links.reasons("nobody", made.served.main, 2, LONG) == {
                "lessor": None,
                "platform": None,
            }

    asyncio.run(run())


def test_offers_say_what_is_served(made: HandMade, caplog: pytest.LogCaptureFixture) -> None:
    """A variant that a partner does not offer is not asked of it, and the log says so once."""

    async def run() -> None:
        seen = Seen()
        async with (
            answering(made, "lessor", Terms(variants=["exact~lessor"])) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, seen=seen) as links,
        ):
            offer = links.offers()["lessor"]
            assert offer is not None
            assert offer.borrowers == len(made.borrowers)
            digest = made.parts["lessor"]["exact~lessor"].digest
            assert offer.digests == {(made.served.session, "exact~lessor"): digest}
            assert links.served() == {
                "exact": False,
                "exact~lessor": True,
                "exact~platform": True,
                "exact~bank": True,
            }
            gathered = await links.gather(made.borrowers[:5], LONG)
            assert len(gathered.variants) == 1
            assert gathered.variants[0].parties in (("lessor",), ("platform",))
            assert_offline(made, gathered, np.arange(5))
            (missing,) = set(PARTIES) - set(gathered.variants[0].parties)
            assert missing in gathered.failed
            assert len(seen.asked) == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    told = [r.getMessage() for r in caplog.records if "does not offer" in r.getMessage()]
    assert told == [
        "partner lessor does not offer: exact (session session-of-the-tests); these are not asked "
        "of it until it does"
    ]


def test_a_partner_without_an_address_is_named(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """The others answer."""

    async def run() -> None:
        async with (
            answering(made, "platform") as platform,
            linked(made, {"platform": platform}) as links,
        ):
            gathered = await links.gather(made.borrowers[:5], LONG)
            assert gathered.variants[0].parties == ("platform",)
            assert gathered.failed == {"lessor": Absence.SILENT}
            assert_offline(made, gathered, np.arange(5))

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "partner lessor has no address" in caplog.text
    assert "[partners.lessor]" in caplog.text


def test_models_share_their_links(made: HandMade) -> None:
    """One that is closed while another answers takes nothing away; no borrower is lost."""

    async def run() -> None:
        async with answering(made, "lessor") as lessor, answering(made, "platform") as platform:
            addresses = {"lessor": PartnerAddress(lessor), "platform": PartnerAddress(platform)}
            pool = LinkPool(made.keys[LABEL_PARTY], addresses)
            first, second = PartnerLinks(made.served, pool), PartnerLinks(made.served, pool)
            await asyncio.gather(first.start(LONG), second.start(LONG))
            asked = [asyncio.create_task(first.gather([one], LONG)) for one in made.borrowers[:50]]
            await asyncio.sleep(0)
            await first.close()
            for number, answer in enumerate(await asyncio.gather(*asked)):
                assert not answer.failed
                assert_offline(made, answer, np.array([number]))
            after = await second.gather(made.borrowers[:3], LONG)
            assert not after.failed
            await second.close()
            await pool.close()
            assert not any("keeper" in task.get_name() for task in asyncio.all_tasks())

    asyncio.run(run())


def test_neither_ids_nor_points_are_logged(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong."""

    async def run() -> None:
        conduct = Conduct(twist=lambda reply: reply[:-1])
        async with (
            answering(made, "lessor", conduct=conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            for borrower in made.borrowers[:8]:
                await links.gather([borrower], LONG)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "malformed" in caplog.text
    assert not any(borrower in caplog.text for borrower in made.borrowers[:8])
