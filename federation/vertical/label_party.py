"""The label party's side of a vertical session."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.additive.label_noise import LabelNoise
from federation.additive.label_party import LabelPartyFit
from federation.additive.model_part import ModelPart
from federation.alignment import (
    GroupWorkers,
    LabelAlignment,
    announce_rows,
    label_party_alignment,
)
from federation.alignment.kept import (
    KeptAlignment,
    announce_parts,
    ids_digest,
    resumed_label_alignment,
)
from federation.boosting.model_part import BoostedPart
from federation.boosting.results import BoostedLabelFit
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError, ProtocolError
from federation.linear_maps import scheme_for
from federation.proto.session_pb2 import Closing
from federation.scoring import Development, ServedVariant
from federation.session.machine import Progress, Send, Step, expect
from federation.session.store import KeptStore, NoStore
from federation.split.part import NetworkPart
from federation.split.settings import Sequences
from federation.vertical.agreement import collect_hellos, send_plan
from federation.vertical.boosted_label import train_boosted
from federation.vertical.borrowers import BorrowerTable
from federation.vertical.fallbacks import fits_of
from federation.vertical.kept_alignments import choose, keep, offered
from federation.vertical.kept_maps import MapKeeper
from federation.vertical.label_trainings import LabelTrainings, Prepared
from federation.vertical.plan import TEST, TRAINING, VALIDATION, SessionPlan
from federation.vertical.trainings import (
    OverBins,
    Training,
    bin_key,
    map_settings,
    total_features,
)

if TYPE_CHECKING:  # torch is imported by a split training only
    from federation.split.label_party import SplitLabelFit

NO_MAP = "none"
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingResult:
    """One training as the label party sees it.

    Attributes:
        settings: of the training.
        fit: rounds, scores, and how the labels were protected.
        part: the label party's model part.
        part_digests: every party's part, for lineage.
        test_scores: log-odds of the test borrowers.
        seconds: from the bins to the test scores, fallbacks not counted.
        variants: as they are served, itself first, the label party alone last; none of a split
            training.
        fallbacks: exchanges with the partners of each fallback, by its name.
        development: histograms of the borrowers of the fit, by what they are of.
        alone_test_scores: log-odds of the test borrowers under the label party alone; None of a
            split training.
    """

    settings: Training
    fit: LabelPartyFit | SplitLabelFit | BoostedLabelFit
    part: ModelPart | NetworkPart | BoostedPart
    part_digests: Mapping[str, str]
    test_scores: Vector
    seconds: float
    variants: tuple[ServedVariant, ...] = ()
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    development: Mapping[str, Development] = field(default_factory=dict)
    alone_test_scores: Vector | None = None


@dataclass(frozen=True)
class LabelSessionResult:
    """What the label party holds after a session.

    Attributes:
        aligned: number of aligned borrowers; `counts` by part.
        partner_ids: how many ids each feature party has.
        scheme: the private linear map that was used; 'none' where all trainings were split ones.
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
    sequences: Sequences = (),
    store: KeptStore | None = None,
) -> Generator[Step, object, LabelSessionResult]:
    """The whole session.

    Args:
        table: the label party's rows, labels among them.
        plan: what the parties are asked to agree on.
        group: blinds ids; closed by the caller.
        run: the run's name in the ledger.
        clock: seconds, for the stages' durations.
        sequences: monthly sequences among the features, by name, the oldest month first.
        store: where alignments and maps are kept for later sessions; None keeps nothing.
    """
    store = store or NoStore()
    labels = table.label
    if labels is None:
        raise InputError(f"the label party '{plan.label_party}' has no label column")
    partners = plan.feature_parties
    seconds: dict[str, float] = {}
    started = clock()

    features, kept = yield from _agree(table, plan, store)
    noise_bound = _noise_bound(plan, features)
    seconds["agreement"] = clock() - started

    started = clock()
    if kept is None:
        alignment = yield from label_party_alignment(
            table.identifiers, partners, plan.alignment, group, plan.domain
        )
    else:
        words = f"the alignment of session {kept.session} goes on: no id has changed since"
        yield Progress("alignment", 1.0, words)
        alignment = resumed_label_alignment(kept)
    # The cut is made in the label party's own row order, so that it is the same whatever random
    # order the alignment drew.
    in_table = np.sort(alignment.rows)
    fixed = None if table.split is None else table.split[in_table]
    parts_in_table = plan.split.parts(labels[in_table], fixed)
    parts = parts_in_table[np.searchsorted(in_table, alignment.rows)]
    # Which borrowers validate is nobody else's business.
    announced = np.where(parts == TEST, TEST, TRAINING).astype(np.uint8)
    if kept is None:
        yield from announce_rows(alignment, announced)
        keep(store, _kept(table, plan, alignment))
    else:
        yield from announce_parts(kept, announced)
    seconds["alignment"] = clock() - started

    started = clock()
    row_labels = labels[alignment.rows]
    in_fit, test_labels = parts != TEST, row_labels[parts == TEST]
    own = LabelTrainings(
        table.rows(alignment.rows),
        alignment.rows,
        parts,
        row_labels[in_fit].astype(np.float64),
        sequences,
        plan,
        features,
        MapKeeper(store, kept.session if kept else plan.session, noise_bound),
        run,
    )
    prepared: dict[str, Prepared] = {}
    results = []
    for settings in plan.trainings:
        if isinstance(settings, OverBins) and bin_key(settings) not in prepared:
            key = bin_key(settings)
            prepared[key] = yield from own.prepare(settings, key)
            seconds["set-up"] = seconds.get("set-up", 0.0) + clock() - started
            started = clock()
        if not isinstance(settings, OverBins):
            fit: SplitLabelFit | BoostedLabelFit
            if isinstance(settings, BoostedSettings):
                boosted = yield from train_boosted(own, settings, clock)
                fit, set_up = boosted, boosted.seconds["set-up"]
                seconds["set-up"] = seconds.get("set-up", 0.0) + set_up
                started += set_up
            else:
                fit = yield from own.train_split(settings)
            digests = yield from _close_training(partners, plan.label_party, fit.part.digest)
            took = clock() - started
            results.append(TrainingResult(settings, fit, fit.part, digests, fit.test_scores, took))
        else:
            ready = prepared[bin_key(settings)]
            results.append((yield from _train_over_bins(own, settings, ready, test_labels, clock)))
            took = results[-1].seconds
        seconds[f"training '{settings.name}'"] = took
        if results[-1].fallbacks:
            seconds[f"fallbacks of '{settings.name}'"] = clock() - started - took
        started = clock()
    own.keep(prepared)
    alone = results[0].alone_test_scores
    if alone is None:
        alone = own.alone(plan.trainings[0]).test_scores
    seconds["label party alone"] = clock() - started
    return LabelSessionResult(
        aligned=len(parts),
        counts={
            name: int((parts == value).sum())
            for value, name in enumerate(("training", "validation", "test"))
        },
        partner_ids=alignment.partner_ids,
        shared=alignment.shared_ids,
        scheme=scheme_for(int(in_fit.sum())) if prepared else NO_MAP,
        features=features,
        test_rows=alignment.rows[parts == TEST],
        test_labels=test_labels,
        alone_test_scores=alone,
        trainings=tuple(results),
        seconds=seconds,
    )


def _train_over_bins(
    own: LabelTrainings,
    training: OverBins,
    ready: Prepared,
    test_labels: npt.NDArray[np.uint8],
    clock: Callable[[], float],
) -> Generator[Step, object, TrainingResult]:
    """A training, then its fallbacks, then the label party alone."""
    plan, started = own.plan, clock()
    itself, *fallbacks = fits_of(training, plan.feature_parties, plan.fallbacks)
    fit, main = yield from own.train_over_bins(itself, ready)
    digests = yield from _close_training(itself.parties, plan.label_party, main.part.digest)
    took = clock() - started
    variants = [main]
    for fallback in fallbacks:
        _, variant = yield from own.train_over_bins(fallback, ready, fit)
        yield from _close_training(fallback.parties, plan.label_party, variant.part.digest)
        variants.append(variant)
    variants.append(own.alone(training, ready))
    judges = own.parts[own.fit] == VALIDATION
    served = tuple(variant.served(own.labels, judges, test_labels) for variant in variants)
    return TrainingResult(
        training,
        fit,
        main.part,
        digests,
        main.test_scores,
        took,
        served,
        {variant.name: variant.rounds for variant in variants[1:-1]},
        main.development(plan.label_party, served[0].calibration),
        variants[-1].test_scores,
    )


def _kept(table: BorrowerTable, plan: SessionPlan, alignment: LabelAlignment) -> KeptAlignment:
    return KeptAlignment(
        plan.session,
        plan.label_party,
        plan.alignment,
        ids_digest(table.identifiers),
        alignment.rows,
        partner_ids=alignment.partner_ids,
        shared_ids=alignment.shared_ids,
    )


def _agree(
    table: BorrowerTable, plan: SessionPlan, store: KeptStore
) -> Generator[Step, object, tuple[dict[str, int], KeptAlignment | None]]:
    """Hello from everybody, then the plan to everybody.

    Returns:
        Features by party, and the kept alignment that goes on, if any.
    """
    features = {plan.label_party: len(table.features)}
    hellos = yield from collect_hellos(plan.feature_parties, plan.label_party)
    for party, hello in hellos.items():
        if not 1 <= hello.features <= 100_000:
            raise ProtocolError(f"{party} declares {hello.features} features; 1 or more are needed")
        features[party] = hello.features
    kept = choose(offered(store, table.identifiers, plan.label_party), hellos, plan.alignment)
    resumed = kept.session if kept else ""
    yield from send_plan(plan.to_json(_noise_bound(plan, features)), hellos, resumed)
    return features, kept


def _noise_bound(plan: SessionPlan, features: Mapping[str, int]) -> int:
    noises = []
    for training in plan.trainings:
        settings = map_settings(training)
        if settings is not None:
            total = total_features(training, features, plan.label_party)
            noises.append(LabelNoise.for_settings(settings, total))
    return max((noise.bound for noise in noises if noise is not None), default=0)


def _close_training(
    partners: tuple[str, ...], label_party: str, digest: str
) -> Generator[Step, object, dict[str, str]]:
    digests = {label_party: digest}
    for party in partners:
        closing = yield from expect(party, Closing)
        digests[party] = closing.model_digest
    for party in partners:
        yield Send(party, "closing", Closing(model_digest=digest))
    return digests
