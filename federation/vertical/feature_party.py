"""A feature party's side of a vertical session."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block, Codes
from federation.additive.feature_party import FeaturePartyFit, send_partial_scores, train
from federation.additive.model_part import ModelPart
from federation.alignment import GroupWorkers, feature_party_alignment
from federation.errors import InputError, ProtocolError
from federation.linear_maps import Direction, FeatureSide, feature_side, scheme_for
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Closing, MapSeed
from federation.quantisation import RESIDUAL_SCALE
from federation.session.machine import Progress, Receive, Send, Step, expect
from federation.vertical.agreement import introduce
from federation.vertical.borrowers import BinnedRows, BorrowerTable, most_exact_sums
from federation.vertical.plan import TEST, SessionPlan, check_partners


@dataclass(frozen=True)
class FeatureSessionResult:
    """What a feature party holds after a session.

    Attributes:
        aligned: number of aligned rows; `present`, how many of them it knows.
        label_party_ids: how many ids the label party has.
        parts: its model part of each training.
        fits: how each training went.
        omitted_features: features with a single bin, left out of the model.
        max_bins: most bins a feature has in each training; fewer than asked for where exact sums
            over so few borrowers allow no more.
    """

    aligned: int
    present: int
    label_party_ids: int
    parts: Mapping[str, ModelPart]
    fits: Mapping[str, FeaturePartyFit]
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
    """
    seconds: dict[str, float] = {}
    masks = PairwiseMasks(party)
    body = yield from introduce(label_party, len(table.features), software, masks)
    plan, noise_bound = SessionPlan.from_json(body.plan_json, session, party)
    if plan.label_party != label_party:
        raise ProtocolError(f"the plan names {plan.label_party} as label party, not {label_party}")
    check_partners(plan.feature_parties, partners)
    if set(body.mask_public_keys) != set(plan.feature_parties):
        raise ProtocolError("the plan's mask keys are not those of its feature parties")
    masks.agree(session, body.mask_public_keys)

    started = clock()
    aligned = yield from feature_party_alignment(
        table.identifiers, label_party, group, plan.domain, plan.alignment
    )
    seconds["alignment"] = clock() - started
    started = clock()
    columns = table.rows(aligned.rows)
    borrowers = int((aligned.parts != TEST).sum())
    scheme = scheme_for(borrowers)

    prepared: dict[int, _Prepared] = {}
    parts: dict[str, ModelPart] = {}
    fits: dict[str, FeaturePartyFit] = {}
    for settings in plan.trainings:
        if settings.bins not in prepared:
            yield Progress("set-up", 0.1, "binning")
            most_sums = most_exact_sums(borrowers) if plan.exact_at(settings.bins) else None
            binned = BinnedRows.of(columns, aligned.parts, settings.bins, most_sums)
            if binned.max_bins < settings.bins:
                words = f"{binned.max_bins} bins a feature instead of {settings.bins}: exact sums"
                yield Progress("set-up", 0.2, f"{words} allow {most_sums} sums")
            context = plan.map_context(party, settings.bins)
            prepared[settings.bins] = yield from _prepare(
                binned,
                aligned.rows[aligned.parts != TEST],
                label_party,
                scheme,
                noise_bound,
                context,
            )
            seconds["set-up"] = seconds.get("set-up", 0.0) + clock() - started
            started = clock()
        ready = prepared[settings.bins]
        fit = yield from train(
            ready.block,
            ready.omitted,
            ready.side,
            masks,
            label_party,
            settings.name,
            settings.max_rounds,
        )
        test_scores = ready.block.scores(fit.weights, ready.binned.test)
        yield send_partial_scores(test_scores, masks, label_party, settings.name, "test")
        part = ready.binned.model_part(party, session, settings.name, fit.weights)
        yield Send(label_party, "closing", Closing(model_digest=part.digest))
        yield Receive(label_party, "closing")
        parts[settings.name], fits[settings.name] = part, fit
        seconds[f"training '{settings.name}'"] = clock() - started
        started = clock()
    used = {binning.feature for ready in prepared.values() for binning in ready.binned.binnings}
    return FeatureSessionResult(
        aligned=len(aligned.parts),
        present=int(aligned.present.sum()),
        label_party_ids=aligned.label_party_ids,
        parts=parts,
        fits=fits,
        omitted_features=tuple(c.spec.name for c in columns if c.spec.name not in used),
        max_bins={t.name: prepared[t.bins].binned.max_bins for t in plan.trainings},
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Prepared:
    """What trainings with the same number of bins share: the own bins and the map."""

    binned: BinnedRows
    block: Block
    omitted: Codes
    side: FeatureSide


def _prepare(
    binned: BinnedRows,
    places: npt.NDArray[np.uint32],
    label_party: str,
    scheme: str,
    noise_bound: int,
    context: bytes,
) -> Generator[Step, object, _Prepared]:
    """Set the map up with the label party."""
    if not binned.binnings:
        raise InputError(
            "no feature of this party has two bins that hold enough training borrowers each; "
            "check the features' missing codes and categories, or align more borrowers"
        )
    block = Block(binned.terms(), binned.fit, places)
    matrix, omitted = block.one_hot()
    side = feature_side(scheme, matrix, Direction.TO_OWNER, RESIDUAL_SCALE, noise_bound, context)
    yield Send(label_party, "map_offer", side.offer())
    seed = yield from expect(label_party, MapSeed)
    for hint_block in side.accept(seed):
        yield Send(label_party, "hint_block", hint_block)
        done = (hint_block.first_row + hint_block.rows) / matrix.rows
        yield Progress("set-up", 0.2 + 0.8 * done, f"hint row {hint_block.first_row:,}")
    return _Prepared(binned, block, omitted, side)
