"""The variants of a trained model at the label party: calibrated, and measured on the test rows.

All from its own labels and what it learned in the session; none of it leaves the label party.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.label_party import LabelPartyFit
from federation.additive.model_part import ModelPart
from federation.metrics import auc
from federation.scoring import Calibration, Development, ServedVariant, to_points
from federation.scoring.calibration import fit_calibration
from federation.scoring.points import scores_of

Vector = npt.NDArray[np.float64]
# Classes of a development histogram: as many borrowers in each, as near as whole points allow.
CLASSES = 10


@dataclass(frozen=True)
class FittedVariant:
    """One fit as the label party holds it: log-odds of the fit's and the test's borrowers.

    Attributes:
        name, parties: of the fit.
        part: the label party's own.
        own, theirs: own and all feature parties' scores of the borrowers of the fit.
        own_test, theirs_test: of the test borrowers.
        rounds: exchanges with the partners.
    """

    name: str
    parties: tuple[str, ...]
    part: ModelPart
    own: Vector
    theirs: Vector
    own_test: Vector
    theirs_test: Vector
    rounds: int

    @classmethod
    def of(
        cls,
        name: str,
        parties: tuple[str, ...],
        part: ModelPart,
        fit: LabelPartyFit,
        own: Vector,
        own_test: Vector,
        theirs_test: Vector,
    ) -> FittedVariant:
        """From a fit with feature parties."""
        theirs = fit.scores - own
        return cls(name, parties, part, own, theirs, own_test, theirs_test, len(fit.rounds))

    @property
    def test_scores(self) -> Vector:
        """Log-odds of the test borrowers."""
        return self.own_test + self.theirs_test

    @property
    def points(self) -> npt.NDArray[np.int64]:
        """All parts' points of the borrowers of the fit."""
        return _points(self.own, self.theirs)

    def served(
        self,
        labels: Vector,
        judges: npt.NDArray[np.bool_],
        test_labels: npt.NDArray[np.uint8],
    ) -> ServedVariant:
        """Calibrate, and measure on the test borrowers.

        Args:
            labels: of the borrowers of the fit.
            judges: which of them calibrate; all of them where these are too few.
            test_labels: of the test borrowers.
        """
        points = self.points
        calibration = (
            fit_calibration(points[judges], labels[judges])
            or fit_calibration(points, labels)
            or Calibration()
        )
        test_points = _points(self.own_test, self.theirs_test)
        both = test_labels.size > 0 and test_labels.min() < test_labels.max()
        return ServedVariant(
            name=self.name,
            parties=tuple(sorted(self.parties)),
            part=self.part,
            calibration=calibration,
            auc=float(auc(test_labels, test_points)) if both else None,
            test_borrowers=int(test_labels.size),
        )

    def development(self, label_party: str, calibration: Calibration) -> dict[str, Development]:
        """Histograms of the borrowers of the fit, in scores and in points."""
        theirs = self.parties[0] if len(self.parties) == 1 else "partners"
        found = {
            "score": _histogram(scores_of(calibration.log_odds(self.points))),
            label_party: _histogram(to_points(self.own)),
        }
        if self.parties:
            found[theirs] = _histogram(to_points(self.theirs))
        return found


def _points(own: Vector, theirs: Vector) -> npt.NDArray[np.int64]:
    points: npt.NDArray[np.int64] = to_points(own).astype(np.int64) + to_points(theirs)
    return points


def _histogram(values: npt.NDArray[np.int32]) -> Development:
    cuts = np.quantile(values, np.arange(1, CLASSES) / CLASSES, method="inverted_cdf")
    edges = np.unique(cuts)
    edges = edges[edges < values.max(initial=0)]
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return Development(
        tuple(map(float, edges)), tuple(float(count / len(values)) for count in counts)
    )
