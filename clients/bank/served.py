"""The served model that a label party keeps of a training, for its scoring desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from clients.manifest import PartyManifest
from clients.pins import Identity
from federation.schema import FeatureColumn
from federation.scoring import ServedModel
from federation.vertical.label_party import TrainingResult


def served_name(training: str) -> str:
    """The file that a training's served model is kept in."""
    return f"served-{training}.json"


def served_model(
    training: TrainingResult,
    run: str,
    session: str,
    manifest: PartyManifest,
    identity: Identity,
    columns: Sequence[FeatureColumn],
    label_privacy: str,
) -> ServedModel:
    """What a desk needs to answer with this training.

    Args:
        training: over bins, with its variants.
        run, session: ids.
        manifest: the label party's.
        identity: whose pins answer for the feature parties.
        columns: the label party's features.
        label_privacy: how the labels were protected, with unit and history.
    """
    used = {b.feature for variant in training.variants for b in variant.part.binnings}
    partners = training.variants[0].parties
    return ServedModel(
        run=run,
        session=session,
        training=training.settings.name,
        label_party=manifest.name,
        identifier_rule=manifest.id_rule,
        pins={party: identity.pins[party] for party in partners},
        features=tuple(column.spec for column in columns if column.spec.name in used),
        variants=training.variants,
        development=training.development,
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        label_privacy=label_privacy,
    )
