"""What the label party decides after every round: the penalty to try next, and when to stop.

Without label noise the penalty path is walked from strong to weak on the training fold, a round
each, warm-started; every state is judged by the log-loss of the validation fold. The declared
strength (factor 1) is kept unless another beats it by more than two standard errors of the paired
difference; then the validation borrowers join and the model is polished until it settles. With
label noise nothing may depend on labels: penalty and number of rounds are fixed beforehand, and all
borrowers train from the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.settings import AdditiveSettings

Vector = npt.NDArray[np.float64]
STANDARD_ERRORS = 2.0
# Partners that step at once do not see each other's step: what remains after a round falls by a
# factor, not by its square, so a small step must be so much smaller to mean convergence.
SEVERAL = 50


@dataclass(frozen=True)
class Round:
    """One round's figures, as the label party sees them; a figure that does not exist is NaN."""

    number: int
    training_loss: float
    validation_auc: float
    validation_log_loss: float
    step: float
    smoothness: float
    ridge: float
    polishing: bool


@dataclass(frozen=True)
class Decision:
    """Stop or go on, and with which round's weights."""

    stop: bool
    from_round: int
    reason: str


class Schedule:
    """The decisions of one training.

    Args:
        settings: what all parties agreed on.
        noisy: whether sums carry label noise.
        validation: how many validation borrowers there are.
        partners: how many feature parties step at once.
        before: rounds that were made before, of the main terms; those here are numbered on.
    """

    def __init__(
        self,
        settings: AdditiveSettings,
        noisy: bool,
        validation: int,
        partners: int = 1,
        before: int = 0,
    ) -> None:
        """Start at the strong end of the path."""
        self._before = before
        self._settings = settings
        self._tolerance = settings.tolerance if partners == 1 else settings.tolerance / SEVERAL
        self._noisy = noisy
        searches = not noisy and validation > 0 and settings.max_rounds > 2
        path = tuple(dict.fromkeys(settings.penalty_path)) if searches else (1.0,)
        self._path = path[: settings.max_rounds - 1] or (1.0,)
        self._factor = self._path[0]
        self._tried: dict[float, tuple[int, Vector]] = {}
        self.polishing = len(self._path) == 1
        self.rounds: list[Round] = []

    @property
    def next_round(self) -> int:
        """The number of the next round to judge."""
        return self._before + len(self.rounds) + 1

    @property
    def strengths(self) -> tuple[float, float]:
        """Smoothness and ridge of the current round."""
        return self._settings.smoothness * self._factor, self._settings.ridge * self._factor

    def judge(
        self,
        training_loss: float,
        validation_losses: Vector,
        validation_auc: float,
        step: float,
        fell_by: float,
    ) -> Decision:
        """Enter a round's figures and decide what comes next.

        Args:
            training_loss: mean log-loss of the borrowers that train.
            validation_losses: log-loss of every validation borrower (none: empty).
            validation_auc: their AUC, NaN without them.
            step: length of the partners' step.
            fell_by: what it took off the penalised loss, a borrower.
        """
        number = self.next_round
        validation = float(validation_losses.mean()) if validation_losses.size else math.nan
        self.rounds.append(
            Round(
                number,
                training_loss,
                validation_auc,
                validation,
                step,
                *self.strengths,
                self.polishing,
            )
        )
        if not self.polishing:
            self._tried[self._factor] = (number, validation_losses)
            return self._walk(number)
        last = len(self.rounds) >= self._settings.max_rounds
        if self._noisy:
            fixed = min(self._settings.noisy_rounds, self._settings.max_rounds)
            return Decision(
                len(self.rounds) >= fixed, number, f"{fixed} rounds were fixed beforehand"
            )
        if fell_by < self._tolerance:
            return Decision(True, number, "the training loss has settled")
        return Decision(last, number, f"the limit of {number} rounds is reached" if last else "")

    def _walk(self, number: int) -> Decision:
        """The next factor of the path, or the best one and the change to polishing."""
        place = self._path.index(self._factor)
        losses = [float(self._tried[f][1].mean()) for f in self._path[: place + 1]]
        fell = place == 0 or losses[-1] < losses[-2]
        if fell and place + 1 < len(self._path):
            self._factor = self._path[place + 1]
            return Decision(False, number, "")
        self._factor = self._choose()
        self.polishing = True
        return Decision(False, self._tried[self._factor][0], "")

    def _choose(self) -> float:
        """Factor 1 where it was tried, unless another one beats it clearly."""
        best = min(self._tried, key=lambda factor: float(self._tried[factor][1].mean()))
        if 1.0 not in self._tried or best == 1.0:
            return best
        gain = self._tried[1.0][1] - self._tried[best][1]
        error = float(np.std(gain)) / math.sqrt(gain.size)
        return best if float(gain.mean()) > STANDARD_ERRORS * error else 1.0
