"""What a model in a report stands for."""

from __future__ import annotations

from enum import StrEnum


class ModelRole(StrEnum):
    """What a model in the table stands for; it decides the model's colour and group."""

    FEDERATED = "federated"  # the model this run trained
    FEDERATED_PRIVATE = "federated_private"  # the same with label noise
    FEDERATED_OTHER = "federated_other"  # another kind of model that this run trained beside it
    LABEL_PARTY_ALONE = "label_party_alone"  # the label party's own features only
    BANKS_ALONE = "banks_alone"  # several banks: each one's own model on its own borrowers
    POOLED = "pooled"  # the same kind of model on pooled plaintext, for comparison
    BASELINE = "baseline"  # another kind of model on pooled plaintext, for comparison
