"""What each training gave away, in figures and short phrases."""

from __future__ import annotations

from dataclasses import dataclass

from federation.errors import InputError
from federation.metrics import Estimate
from federation.report.roles import ModelRole


@dataclass(frozen=True)
class Rebuilt:
    """How much of one partner's bins the label party can have.

    Attributes:
        party: the partner.
        share: of the bins' entropy, 0 to 1.
        how: how that was found out, in a few words.
    """

    party: str
    share: float
    how: str

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.share <= 1:
            raise InputError(f"report: {self.share:g} is no share of bin entropy; 0 to 1 is right")


@dataclass(frozen=True)
class TrainingGiveaway:
    """What one training gave away; short phrases, since they stand beside one another.

    Attributes:
        name, role: of the model.
        auc: on the test borrowers.
        sentence: the gist.
        of_features: what the label party learned of the partners' features.
        of_labels: what the partners learned of the labels.
        numbers: how many answers, sums and bits, one phrase a line.
        rebuilt: by partner; empty where nothing came to the label party that bins can be rebuilt
            from, which `not_rebuilt` then says.
        not_rebuilt: why there is no share.
    """

    name: str
    role: ModelRole
    auc: Estimate
    sentence: str
    of_features: str
    of_labels: str
    numbers: tuple[str, ...]
    rebuilt: tuple[Rebuilt, ...] = ()
    not_rebuilt: str = ""
