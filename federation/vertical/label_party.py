"""The label party's side of a vertical session."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.additive.alone import alone_scores, with_intercept
from federation.additive.block import INTERCEPT, Block
from federation.additive.label_noise import LabelNoise
from federation.additive.label_party import LabelPartyFit, receive_partial_scores, train
from federation.additive.model_part import ModelPart
from federation.additive.settings import AdditiveSettings
from federation.alignment import GroupWorkers, announce_rows, label_party_alignment
from federation.errors import InputError, ProtocolError
from federation.linear_maps import Direction, LabelSide, label_side, scheme_for
from federation.proto.session_pb2 import Closing, HintBlock, MapOffer
from federation.quantisation import RESIDUAL_SCALE, RoundingDraws
from federation.schema import FeatureColumn
from federation.session.machine import Progress, Send, Step, expect
from federation.vertical.agreement import collect_hellos, send_plan
from federation.vertical.borrowers import BinnedRows, BorrowerTable, most_exact_sums
from federation.vertical.plan import TEST, TRAINING, VALIDATION, SessionPlan

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingResult:
    """One training as the label party sees it.

    Attributes:
        settings: of the training.
        fit: rounds, own weights, noise.
        part: the label party's model part.
        part_digests: every party's part, for lineage.
        test_scores: log-odds of the test borrowers.
        seconds: from the bins to the test scores.
    """

    settings: AdditiveSettings
    fit: LabelPartyFit
    part: ModelPart
    part_digests: Mapping[str, str]
    test_scores: Vector
    seconds: float


@dataclass(frozen=True)
class LabelSessionResult:
    """What the label party holds after a session.

    Attributes:
        aligned: number of aligned borrowers; `counts` by part.
        partner_ids: how many ids each feature party has.
        scheme: the private linear map that was used.
        test_rows: the test borrowers' rows in the label party's own table, in score order.
        test_labels: their labels.
        alone_test_scores: log-odds of the same model on the label party's own features only.
        trainings: one result a training.
        seconds: by stage.
    """

    aligned: int
    counts: Mapping[str, int]
    partner_ids: Mapping[str, int]
    shared: Mapping[str, int]
    scheme: str
    features: Mapping[str, int]
    test_rows: npt.NDArray[np.uint32]
    test_labels: npt.NDArray[np.uint8]
    alone_test_scores: Vector
    trainings: tuple[TrainingResult, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


def label_party_session(
    table: BorrowerTable,
    plan: SessionPlan,
    group: GroupWorkers,
    run: str,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Step, object, LabelSessionResult]:
    """The whole session.

    Args:
        table: the label party's rows, labels among them.
        plan: what the parties are asked to agree on.
        group: blinds ids; closed by the caller.
        run: the run's name in the ledger.
        clock: seconds, for the stages' durations.
    """
    labels = table.label
    if labels is None:
        raise InputError(f"the label party '{plan.label_party}' has no label column")
    partners = plan.feature_parties
    seconds: dict[str, float] = {}
    started = clock()

    features = yield from _agree(table, plan)
    total_features = sum(features.values())
    noise_bound = _noise_bound(plan, total_features)
    seconds["agreement"] = clock() - started

    started = clock()
    alignment = yield from label_party_alignment(
        table.identifiers, partners, plan.alignment, group, plan.domain
    )
    # The cut is made in the label party's own row order, so that it is the same whatever random
    # order the alignment drew.
    in_table = np.sort(alignment.rows)
    fixed = None if table.split is None else table.split[in_table]
    parts_in_table = plan.split.parts(labels[in_table], fixed)
    parts = parts_in_table[np.searchsorted(in_table, alignment.rows)]
    # Which borrowers validate is nobody else's business.
    yield from announce_rows(alignment, np.where(parts == TEST, TEST, TRAINING).astype(np.uint8))
    seconds["alignment"] = clock() - started

    started = clock()
    columns = table.rows(alignment.rows)
    row_labels = labels[alignment.rows]
    in_fit = parts != TEST
    fit_labels = row_labels[in_fit].astype(np.float64)
    borrowers = int(in_fit.sum())
    places = alignment.rows[in_fit]
    scheme = scheme_for(borrowers)
    if scheme != "lattice":
        yield Progress(
            "set-up",
            0.0,
            f"{borrowers} borrowers to train on are too few for the lattice map; elgamal serves",
        )
    prepared: dict[int, _Prepared] = {}
    results = []
    for settings in plan.trainings:
        if settings.bins not in prepared:
            prepared[settings.bins] = yield from _prepare(
                columns, parts, places, plan, settings.bins, scheme, noise_bound, features
            )
            seconds["set-up"] = seconds.get("set-up", 0.0) + clock() - started
            started = clock()
        ready = prepared[settings.bins]
        fit = yield from train(
            fit_labels,
            parts[in_fit] == VALIDATION,
            ready.block,
            ready.maps,
            ready.map_rows,
            settings,
            total_features,
            run,
            RoundingDraws(plan.split.seed, np.argsort(np.argsort(places))),
        )
        partner_test = yield from receive_partial_scores(partners, "test", int((~in_fit).sum()))
        test_codes = with_intercept(ready.binned.test)
        test_scores = ready.block.scores(fit.weights, test_codes) + partner_test
        part = ready.binned.model_part(
            plan.label_party,
            plan.session,
            settings.name,
            fit.weights[1:],
            float(fit.weights[0]),
        )
        digests = yield from _close_training(partners, part)
        results.append(TrainingResult(settings, fit, part, digests, test_scores, clock() - started))
        seconds[f"training '{settings.name}'"] = results[-1].seconds
        started = clock()
    first = plan.trainings[0]
    own = prepared[first.bins].binned
    alone = alone_scores(own.terms(), own.fit, fit_labels, own.test, first.smoothness, first.ridge)
    seconds["label party alone"] = clock() - started
    return LabelSessionResult(
        aligned=len(parts),
        counts={
            name: int((parts == value).sum())
            for value, name in enumerate(("training", "validation", "test"))
        },
        partner_ids=alignment.partner_ids,
        shared=alignment.shared_ids,
        scheme=scheme,
        features=features,
        test_rows=alignment.rows[parts == TEST],
        test_labels=row_labels[parts == TEST],
        alone_test_scores=alone,
        trainings=tuple(results),
        seconds=seconds,
    )


def _agree(table: BorrowerTable, plan: SessionPlan) -> Generator[Step, object, dict[str, int]]:
    """Hello from everybody, then the plan to everybody; returns features by party."""
    features = {plan.label_party: len(table.features)}
    hellos = yield from collect_hellos(plan.feature_parties, plan.label_party)
    for party, hello in hellos.items():
        if not 1 <= hello.features <= 100_000:
            raise ProtocolError(f"{party} declares {hello.features} features; 1 or more are needed")
        features[party] = hello.features
    yield from send_plan(plan.to_json(_noise_bound(plan, sum(features.values()))), hellos)
    return features


def _noise_bound(plan: SessionPlan, features: int) -> int:
    noises = (LabelNoise.for_settings(settings, features) for settings in plan.trainings)
    return max((noise.bound for noise in noises if noise is not None), default=0)


@dataclass(frozen=True)
class _Prepared:
    """What trainings with the same number of bins share: own bins, and a map with each partner."""

    binned: BinnedRows
    block: Block  # with the intercept as its first term
    maps: Mapping[str, LabelSide]
    map_rows: Mapping[str, int]


def _prepare(
    columns: list[FeatureColumn],
    parts: npt.NDArray[np.uint8],
    places: npt.NDArray[np.uint32],
    plan: SessionPlan,
    bins: int,
    scheme: str,
    noise_bound: int,
    features: Mapping[str, int],
) -> Generator[Step, object, _Prepared]:
    """Bin the own features and set a map up with every partner."""
    yield Progress("set-up", 0.1, "binning")
    binned = BinnedRows.of(columns, parts, bins)
    block = Block([INTERCEPT, *binned.terms()], with_intercept(binned.fit), places)
    maps: dict[str, LabelSide] = {}
    map_rows = {}
    for party in plan.feature_parties:
        offer = yield from expect(party, MapOffer)
        if offer.features > features[party]:  # the label noise is calibrated to what it declared
            raise ProtocolError(
                f"{party} offers a map of {offer.features} features, but declared {features[party]}"
            )
        if plan.exact_at(bins) and offer.rows_sent > most_exact_sums(block.borrowers):
            raise ProtocolError(
                f"{party} offers {offer.rows_sent} sums over {block.borrowers} borrowers; exact "
                f"sums allow {most_exact_sums(block.borrowers)}"
            )
        context = plan.map_context(party, bins)
        side = label_side(
            scheme, block.borrowers, Direction.TO_OWNER, RESIDUAL_SCALE, noise_bound, context
        )
        yield Send(party, "map_seed", side.accept(offer))
        maps[party], map_rows[party] = side, int(offer.rows_sent)
    for place, (party, side) in enumerate(maps.items()):
        while not side.ready:
            block_of_hint = yield from expect(party, HintBlock)
            side.take_hint(block_of_hint)
            taken = (block_of_hint.first_row + block_of_hint.rows) / map_rows[party]
            yield Progress("set-up", 0.2 + 0.8 * (place + taken) / len(maps), f"hint of {party}")
    yield Progress("set-up", 1.0, f"{sum(map_rows.values())} bins of partners are ready")
    return _Prepared(binned, block, maps, map_rows)


def _close_training(
    partners: tuple[str, ...], part: ModelPart
) -> Generator[Step, object, dict[str, str]]:
    digests = {part.party: part.digest}
    for party in partners:
        closing = yield from expect(party, Closing)
        digests[party] = closing.model_digest
    for party in partners:
        yield Send(party, "closing", Closing(model_digest=part.digest))
    return digests
