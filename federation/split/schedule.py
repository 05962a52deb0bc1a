"""Which exchange a split training goes on from, which rows train, and when it ends.

With true labels: *search* on the training rows until the validation loss has not fallen for
`patience` exchanges; then, from the best exchange on, `joint_exchanges` more in which the
validation rows train too. With noisy labels all rows train and the number of exchanges is fixed
beforehand, so that no label decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from federation.split.settings import SplitSettings

FIXED, SEARCH, JOINT = "fixed", "search", "joint"


@dataclass(frozen=True)
class Exchange:
    """One exchange's figures.

    Attributes:
        number: from 1.
        phase: "search", "joint" or "fixed".
        training_loss: mean over the rows that train, of the label party's last local pass.
        validation_auc, validation_log_loss: NaN where validation rows train too.
    """

    number: int
    phase: str
    training_loss: float
    validation_auc: float
    validation_log_loss: float


@dataclass(frozen=True)
class Decision:
    """What follows an exchange.

    Attributes:
        stop: whether it was the last one.
        from_exchange: whose weights the next one starts from, or the model has.
        reason: in words.
    """

    stop: bool
    from_exchange: int
    reason: str


class SplitSchedule:
    """The course of one split training.

    Args:
        settings: of the training.
        validation: which borrowers of the fit are validation rows (n,).
    """

    def __init__(self, settings: SplitSettings, validation: npt.NDArray[np.bool_]) -> None:
        searching = settings.label_epsilon is None and bool(validation.any())
        self.settings = settings
        self.validation = validation
        self.phase = SEARCH if searching else FIXED
        self.exchanges: list[Exchange] = []
        self._joint_left = settings.joint_exchanges

    @property
    def rows(self) -> npt.NDArray[np.bool_]:
        """Which borrowers of the fit train now (n,)."""
        return ~self.validation if self.phase == SEARCH else np.ones_like(self.validation)

    @property
    def best(self) -> int:
        """The exchange with the lowest validation loss; the last one where none has any."""
        losses = [one.validation_log_loss for one in self.exchanges if one.phase == SEARCH]
        return int(np.argmin(losses)) + 1 if losses else len(self.exchanges)

    def judge(self, exchange: Exchange) -> Decision:
        """Take an exchange's figures, decide what follows, and change the phase if need be."""
        number = exchange.number
        self.exchanges.append(replace(exchange, phase=self.phase))
        if self.phase == FIXED:
            return Decision(number >= self.settings.exchanges, number, "the number was fixed")
        if self.phase == JOINT:
            self._joint_left -= 1
            return Decision(self._joint_left == 0, number, "validation rows train too")
        best = self.best
        room = self.settings.exchanges - self.settings.joint_exchanges
        if number < room and number - best < self.settings.patience:
            return Decision(False, number, "the validation loss may still fall")
        if self._joint_left == 0:
            return Decision(True, best, f"exchange {best} had the lowest validation loss")
        self.phase = JOINT
        return Decision(False, best, f"exchange {best} had the lowest validation loss")
