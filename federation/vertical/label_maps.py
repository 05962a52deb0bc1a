"""Maps of one key at the label party, one with every feature party: kept ones, or new ones."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

from federation.errors import ProtocolError
from federation.linear_maps import Direction, LabelSide, label_side, scheme_for
from federation.proto.session_pb2 import HintBlock, MapOffer, MapSeed
from federation.quantisation import RESIDUAL_SCALE
from federation.session.machine import Progress, Send, Step, expect
from federation.vertical.kept_maps import MapKeeper
from federation.vertical.plan import SessionPlan


@dataclass(frozen=True)
class MapRules:
    """What the maps of a key may be.

    Attributes:
        key: of the bins, or of a training's pairs.
        columns: borrowers of the fit.
        queries: most that each feature party's map will be asked.
        features: most features, or pairs, of each: the label noise is calibrated to them.
        most_sums: most rows that each may send; None where the sums are not exact.
        pairs: whether these are maps of pairs, which a feature party may have none of.
    """

    key: str
    columns: int
    queries: Mapping[str, int]
    features: Mapping[str, int]
    most_sums: int | None
    pairs: bool = False

    def check(self, party: str, offer: MapOffer) -> None:
        """Refuse an offer beyond them.

        Raises:
            ProtocolError: names the party, what it offers, and what is allowed.
        """
        most = self.features[party]
        if offer.features > most:
            limit = f"pairs, but the plan allows {most}"
            if not self.pairs:
                limit = f"features, but declared {most}"
            raise ProtocolError(f"{party} offers a map of {offer.features} {limit}")
        if self.most_sums is not None and offer.rows_sent > self.most_sums:
            raise ProtocolError(
                f"{party} offers {offer.rows_sent} sums over {self.columns} borrowers; exact "
                f"sums allow {self.most_sums}"
            )


@dataclass(frozen=True)
class LabelMaps:
    """Ready maps.

    Attributes:
        sides: with each feature party; None with one that has no pair.
        rows: that each partner's matrix has.
        features: that have rows in it.
    """

    sides: Mapping[str, LabelSide | None]
    rows: Mapping[str, int]
    features: Mapping[str, int]

    def kept_by(self, keeper: MapKeeper, key: str) -> None:
        """Put the maps away for later sessions."""
        for party, side in _there(self.sides):
            keeper.keep_label_side(_name(party, key), side, self.features[party])


def set_up_maps(
    plan: SessionPlan, keeper: MapKeeper, rules: MapRules
) -> Generator[Step, object, LabelMaps]:
    """Take every feature party's offer, and the hints of the maps that are new."""
    sides: dict[str, LabelSide | None] = {}
    rows: dict[str, int] = {}
    features: dict[str, int] = {}
    for party in plan.feature_parties:
        sides[party], offer = yield from _map(plan, keeper, rules, party)
        rows[party], features[party] = int(offer.rows_sent), int(offer.features)
    yield from take_hints(dict(_there(sides)), rows, len(sides))
    what = "cells of partners' pairs" if rules.pairs else "bins of partners"
    yield Progress("set-up", 1.0, f"{sum(rows.values())} {what} are ready")
    return LabelMaps(sides, rows, features)


def take_hints(
    sides: Mapping[str, LabelSide], rows: Mapping[str, int], parties: int
) -> Generator[Step, object, None]:
    """Take the hints of maps that are not ready, each of so many rows, party after party."""
    for place, (party, side) in enumerate(sides.items()):
        while not side.ready:
            block = yield from expect(party, HintBlock)
            side.take_hint(block)
            taken = (block.first_row + block.rows) / rows[party]
            done = 0.2 + 0.8 * (place + taken) / parties
            yield Progress("set-up", done, f"hint of {party}")


def _map(
    plan: SessionPlan, keeper: MapKeeper, rules: MapRules, party: str
) -> Generator[Step, object, tuple[LabelSide | None, MapOffer]]:
    """The kept map that a partner offers, if it is kept here too, or the start of a new one."""
    context = plan.map_context(keeper.alignment, party, rules.key)
    offer = yield from expect(party, MapOffer)
    rules.check(party, offer)
    if rules.pairs and not offer.features and not offer.rows_sent:
        return None, offer
    if offer.kept_map:
        name, queries = _name(party, rules.key), rules.queries[party]
        resumed = keeper.label_side(name, offer, rules.columns, context, queries)
        yield Send(party, "map_seed", MapSeed(kept=resumed is not None))
        if resumed is not None:
            return resumed, offer
        offer = yield from expect(party, MapOffer)
        rules.check(party, offer)
    side = label_side(
        scheme_for(rules.columns),
        rules.columns,
        Direction.TO_OWNER,
        RESIDUAL_SCALE,
        keeper.noise_bound,
        context,
    )
    yield Send(party, "map_seed", side.accept(offer))
    return side, offer


def _there(sides: Mapping[str, LabelSide | None]) -> Iterator[tuple[str, LabelSide]]:
    return ((party, side) for party, side in sides.items() if side is not None)


def _name(party: str, key: str) -> str:
    return f"{party}\0{key}"
