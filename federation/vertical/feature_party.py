"""A feature party's side of a vertical session."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from federation.additive.feature_party import FeaturePartyFit
from federation.additive.model_part import ModelPart
from federation.alignment import GroupWorkers, feature_party_alignment
from federation.alignment.kept import KeptAlignment, ids_digest, resumed_feature_alignment
from federation.boosting.acceptance import Acceptance
from federation.boosting.feature_party import BoostedFeatureFit
from federation.boosting.model_part import BoostedPart
from federation.boosting.owner_feature import OwnerFeatureFit
from federation.boosting.settings import BoostedSettings
from federation.errors import ProtocolError
from federation.identity import Voucher
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Closing
from federation.schema import FeatureColumn
from federation.session.machine import Receive, Send, Step
from federation.session.store import KeptStore, NoStore
from federation.split.part import NetworkPart
from federation.split.settings import Sequences, SplitSettings
from federation.vertical.agreement import introduce
from federation.vertical.boosted_feature import train_boosted
from federation.vertical.borrowers import BinnedRows, BorrowerTable
from federation.vertical.fallbacks import Fallbacks
from federation.vertical.feature_trainings import FeatureTrainings, Prepared
from federation.vertical.kept_alignments import keep, offered
from federation.vertical.kept_maps import MapKeeper
from federation.vertical.plan import SessionPlan, check_fallbacks, check_partners
from federation.vertical.trainings import OverBins, bin_key

if TYPE_CHECKING:  # torch is imported by a split training only
    from federation.split.feature_party import SplitFeatureFit


@dataclass(frozen=True)
class FeatureSessionResult:
    """What a feature party holds after a session.

    Attributes:
        aligned: number of aligned rows; `present`, how many of them it knows.
        label_party_ids: how many ids the label party has.
        parts: its model part of each fit: of each training, and of the fallbacks it takes part in.
        encoders: its frozen encoder of each fit of a blind training.
        fits: how each fit went.
        omitted_features: features with a single bin, left out of the models over bins.
        max_bins: most bins a feature has in each training over bins; fewer than asked for where
            exact sums over so few borrowers allow no more.
    """

    aligned: int
    present: int
    label_party_ids: int
    parts: Mapping[str, ModelPart | NetworkPart | BoostedPart]
    encoders: Mapping[str, NetworkPart]
    fits: Mapping[str, FeaturePartyFit | SplitFeatureFit | BoostedFeatureFit | OwnerFeatureFit]
    omitted_features: tuple[str, ...]
    max_bins: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict)


def feature_party_session(
    table: BorrowerTable,
    party: str,
    label_party: str,
    session: str,
    group: GroupWorkers,
    software: str,
    clock: Callable[[], float] = time.perf_counter,
    partners: tuple[str, ...] | None = None,
    fallbacks: Fallbacks | None = None,
    sequences: Sequences = (),
    voucher: Voucher | None = None,
    store: KeptStore | None = None,
    cores: int = 1,
    acceptance: Acceptance | None = None,
) -> Generator[Step, object, FeatureSessionResult]:
    """The whole session.

    Args:
        table: this party's rows.
        party, label_party: names.
        session: the session's id; a plan for another one is refused.
        group: blinds ids; closed by the caller.
        software: name and version, for the other side's error messages.
        clock: seconds, for the stages' durations.
        partners: all feature parties that this one agreed to train with; a plan with others is
            refused (a missing one would unmask partial scores). None: whomever the plan names.
        fallbacks: which sets of feature parties this one agreed may get fits of their own. None:
            whichever the plan asks for.
        sequences: monthly sequences among the features, by name, the oldest month first.
        voucher: signs this party's mask key and checks the others'; None only where all parties
            run in one process.
        store: where alignments and maps are kept for later sessions; None keeps nothing.
        cores: threads that make a map's hint.
        acceptance: what this party agreed to disclose in boosted trainings; None: whatever the plan
            asks for.
    """
    store = store or NoStore()
    seconds: dict[str, float] = {}
    masks = PairwiseMasks(party)
    kept = offered(store, table.identifiers, label_party)
    body = yield from introduce(
        label_party, len(table.features), software, masks, session, voucher, tuple(kept)
    )
    plan, noise_bound = SessionPlan.from_json(body.plan_json, session, party)
    if plan.label_party != label_party:
        raise ProtocolError(f"the plan names {plan.label_party} as label party, not {label_party}")
    check_partners(plan.feature_parties, partners)
    check_fallbacks(plan.fallbacks, fallbacks)
    if acceptance is not None:
        boosted = [one for one in plan.trainings if isinstance(one, BoostedSettings)]
        acceptance.check_all(boosted, party)
    if set(body.mask_public_keys) != set(plan.feature_parties):
        raise ProtocolError("the plan's mask keys are not those of its feature parties")
    masks.agree(session, body.mask_public_keys)

    started = clock()
    resumed = kept.get(body.kept_alignment)
    if resumed is not None and resumed.mode != plan.alignment:
        raise ProtocolError(
            f"the plan goes on with an alignment of mode '{resumed.mode}', but its own mode is "
            f"'{plan.alignment}'"
        )
    if resumed is not None:
        aligned = yield from resumed_feature_alignment(resumed, label_party)
    else:
        aligned = yield from feature_party_alignment(
            table.identifiers, label_party, group, plan.domain, plan.alignment
        )
        made = KeptAlignment(
            session,
            label_party,
            plan.alignment,
            ids_digest(table.identifiers),
            aligned.rows,
            aligned.label_party_ids,
        )
        keep(store, made)
    seconds["alignment"] = clock() - started
    own = FeatureTrainings(
        table,
        table.rows(aligned.rows),
        aligned.rows,
        aligned.parts,
        sequences,
        party,
        label_party,
        plan,
        masks,
        MapKeeper(store, body.kept_alignment or session, noise_bound),
        cores,
    )
    started = clock()
    prepared: dict[str, Prepared] = {}
    binned_as: dict[str, BinnedRows] = {}
    parts: dict[str, ModelPart | NetworkPart | BoostedPart] = {}
    fits: dict[str, FeaturePartyFit | SplitFeatureFit | BoostedFeatureFit | OwnerFeatureFit] = {}
    for one in plan.fits:
        settings = one.training
        if party not in one.parties:
            continue
        if isinstance(settings, OverBins) and bin_key(settings) not in prepared:
            key = bin_key(settings)
            prepared[key] = yield from own.prepare(settings, key)
            seconds["set-up"] = seconds.get("set-up", 0.0) + clock() - started
            started = clock()
        part: ModelPart | NetworkPart | BoostedPart
        fit: FeaturePartyFit | SplitFeatureFit | BoostedFeatureFit | OwnerFeatureFit
        if isinstance(settings, SplitSettings):
            fit = yield from own.train_split(settings)
            part = fit.part
        elif isinstance(settings, BoostedSettings):
            part, fit, binned_as[one.name] = yield from train_boosted(own, settings)
        else:
            part, fit = yield from own.train_over_bins(one, prepared[bin_key(settings)])
        yield Send(label_party, "closing", Closing(model_digest=part.digest))
        yield Receive(label_party, "closing")
        parts[one.name], fits[one.name] = part, fit
        seconds[f"training '{one.name}'"] = clock() - started
        started = clock()
    own.keep(prepared)
    by_name = {
        one.name: prepared[bin_key(one.training)]
        for one in plan.fits
        if isinstance(one.training, OverBins) and party in one.parties
    }
    return FeatureSessionResult(
        aligned=len(aligned.parts),
        present=int(aligned.present.sum()),
        label_party_ids=aligned.label_party_ids,
        parts=parts,
        encoders={n: r.encoder for n, r in by_name.items() if r.encoder is not None},
        fits=fits,
        omitted_features=_omitted(own.columns, list(by_name.values()), list(binned_as.values())),
        max_bins={
            training.name: by_name[training.name].binned.max_bins
            for training in plan.trainings
            if training.name in by_name
        }
        | {name: binned.max_bins for name, binned in binned_as.items()},
        seconds=seconds,
    )


def _omitted(
    columns: list[FeatureColumn], prepared: list[Prepared], boosted: list[BinnedRows]
) -> tuple[str, ...]:
    """Declared features without two bins in any training that was to bin them."""
    binned = [*boosted, *(ready.binned for ready in prepared if ready.declared)]
    used = {binning.feature for one in binned for binning in one.binnings}
    return tuple(c.spec.name for c in columns if binned and c.spec.name not in used)
