"""Predicting a batch of borrowers with a trained model: one exchange with each partner.

The borrowers are aligned afresh; every partner sends the partial scores of its model part (of a
split model, the embeddings), masked against the other partners, and the label party adds its own.
It learns one number a borrower (the sum of the partners' partial scores; of a split model, the
numbers of the summed embedding; of a boosted model whose trees ask several parties, one bit for
each of a partner's splits, not masked); a partner learns which of its borrowers were scored.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.feature_party import send_partial_scores
from federation.additive.label_party import receive_partial_scores
from federation.additive.model_part import ModelPart
from federation.alignment import (
    AlignmentMode,
    GroupWorkers,
    announce_rows,
    feature_party_alignment,
    label_party_alignment,
)
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError, ProtocolError
from federation.identity import Voucher
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Closing, Plan
from federation.record_chain import canonical_json
from federation.schema import FeatureColumn
from federation.session.machine import Receive, Send, Step
from federation.split.part import NetworkPart
from federation.vertical.agreement import (
    alignment_domain,
    collect_hellos,
    introduce,
    send_plan,
)
from federation.vertical.boosted_prediction import check_parties, give_bits, receive_log_odds
from federation.vertical.borrowers import BorrowerTable
from federation.vertical.plan import TEST, check_partners

PART = "predict"
AnyPart = ModelPart | NetworkPart | BoostedPart


@dataclass(frozen=True)
class PredictionPlan:
    """What all parties of a prediction agree on.

    Attributes:
        session: its id, fresh.
        model_session, training: the model that is asked for.
        label_party, feature_parties: names.
        alignment: 'inner' or 'label-left'.
    """

    session: str
    model_session: str
    training: str
    label_party: str
    feature_parties: tuple[str, ...]
    alignment: AlignmentMode = AlignmentMode.INNER

    def to_json(self) -> str:
        """What the partners are told."""
        return canonical_json(
            {
                "prediction": {"model_session": self.model_session, "training": self.training},
                "alignment": self.alignment,
            }
        )


@dataclass(frozen=True)
class Prediction:
    """What the label party holds after a prediction.

    Attributes:
        rows: the scored borrowers' rows in its own table, ascending.
        log_odds: of default, one a row.
        shared: how many of its borrowers, scored or not, each partner knows.
    """

    rows: npt.NDArray[np.uint32]
    log_odds: npt.NDArray[np.float64]
    shared: Mapping[str, int]


def label_party_prediction(
    table: BorrowerTable, plan: PredictionPlan, part: AnyPart, group: GroupWorkers
) -> Generator[Step, object, Prediction]:
    """The label party's side.

    Args:
        table: the borrowers to score; labels are not needed.
        plan: what the parties are asked to agree on.
        part: the label party's model part.
        group: blinds ids; closed by the caller.

    Raises:
        InputError: the part is not the label party's, or needs a party that is not asked.
    """
    if isinstance(part, BoostedPart) and not part.owner_grown:
        check_parties(part, plan.feature_parties)
    hellos = yield from collect_hellos(plan.feature_parties, plan.label_party)
    yield from send_plan(plan.to_json(), hellos)
    alignment = yield from label_party_alignment(
        table.identifiers,
        plan.feature_parties,
        plan.alignment,
        group,
        alignment_domain(plan.session),
    )
    count = alignment.rows.size
    yield from announce_rows(alignment, np.full(count, TEST, dtype=np.uint8))
    columns = table.rows(alignment.rows)
    if isinstance(part, NetworkPart):
        log_odds = yield from _network_log_odds(plan, part, columns, count)
    elif isinstance(part, BoostedPart) and not part.owner_grown:
        log_odds = yield from receive_log_odds(part, columns, plan.feature_parties, count)
    else:
        partial = yield from receive_partial_scores(plan.feature_parties, PART, count)
        log_odds = partial + part.partial_scores(columns)
    for party in plan.feature_parties:
        yield Receive(party, "closing")
    for party in plan.feature_parties:
        yield Send(party, "closing", Closing(model_digest=part.digest))
    order = np.argsort(alignment.rows)
    return Prediction(alignment.rows[order], log_odds[order], alignment.shared_ids)


def feature_party_prediction(
    table: BorrowerTable,
    party: str,
    label_party: str,
    session: str,
    part: AnyPart,
    group: GroupWorkers,
    software: str,
    partners: tuple[str, ...] | None = None,
    encoder: NetworkPart | None = None,
    voucher: Voucher | None = None,
) -> Generator[Step, object, int]:
    """A feature party's side; returns how many borrowers were scored.

    Args: as for `feature_party_session`; `part` is this party's model part, and `encoder`, of a
    blind training, makes its columns.
    """
    masks = PairwiseMasks(party)
    body = yield from introduce(label_party, len(table.features), software, masks, session, voucher)
    alignment_mode = _check_plan(body, part, party)
    check_partners(tuple(body.mask_public_keys), partners)
    masks.agree(session, body.mask_public_keys)
    aligned = yield from feature_party_alignment(
        table.identifiers, label_party, group, alignment_domain(session), alignment_mode
    )
    columns = table.rows(aligned.rows)
    if isinstance(part, NetworkPart):
        from federation.split.embeddings import send_embeddings
        from federation.split.feature_party import part_embeddings

        made = part_embeddings(part, columns)
        yield from send_embeddings(made, masks, label_party, part.training, PART, 0)
    elif isinstance(part, BoostedPart) and not part.owner_grown:
        yield from give_bits(part, columns, label_party, session, len(aligned.rows))
    else:
        if encoder is not None:
            from federation.split.blind import embedding_columns

            columns = [*columns, *embedding_columns(encoder, columns)]
        scores = part.partial_scores(columns)
        yield send_partial_scores(scores, masks, label_party, part.training, PART)
    yield Send(label_party, "closing", Closing(model_digest=part.digest))
    yield Receive(label_party, "closing")
    return len(aligned.rows)


def _network_log_odds(
    plan: PredictionPlan, part: NetworkPart, columns: list[FeatureColumn], count: int
) -> Generator[Step, object, npt.NDArray[np.float64]]:
    from federation.split.embeddings import receive_embeddings
    from federation.split.label_party import part_log_odds
    from federation.split.settings import SplitSettings

    size = SplitSettings.from_json(part.settings).embedding
    embeddings = yield from receive_embeddings(plan.feature_parties, PART, 0, count, size)
    return part_log_odds(part, embeddings, columns)


def _check_plan(body: Plan, part: AnyPart, party: str) -> AlignmentMode:
    try:
        content = json.loads(body.plan_json)
        asked = content["prediction"]
        mode = content["alignment"]
        model = (str(asked["model_session"]), str(asked["training"]))
    except RecursionError as error:
        raise ProtocolError("the prediction plan can't be read: nested too deeply") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the prediction plan can't be read: {error!r}") from error
    if model != (part.session, part.training):
        raise InputError(
            f"the label party asks for the model of session '{model[0]}', training '{model[1]}', "
            f"but {party} was given its part of session '{part.session}', training "
            f"'{part.training}'; both must name the same run"
        )
    if mode not in list(AlignmentMode):
        raise ProtocolError(f"the prediction plan's alignment is '{mode}'")
    return AlignmentMode(mode)
