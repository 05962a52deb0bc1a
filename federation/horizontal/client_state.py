"""What a bank keeps between two orders of a run; it lies in its vault and holds secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from federation.errors import InputError

FORMAT = "veilscore horizontal state 1"
Weights = npt.NDArray[np.float32]

STATISTICS, UPDATE, FINISHED = "statistics", "update", "finished"
CALIBRATION, EVALUATION = "calibration", "evaluation"


@dataclass
class BankState:
    """One bank's side of one run.

    Attributes:
        run, bank: whose.
        plan_digest: of the plan it joined with; a checkpoint of another plan is refused.
        secure_sum: the keys and masks, as bytes.
        phase: what the next contribution is about.
        opened: last step whose total was opened; -1: none.
        rounds: updates opened so far.
        total_rows: training rows of all banks; 0: not known yet.
        scaling: as JSON; "" before the statistics.
        weights, optimiser: of the model and the server's step.
        remainder: what rounding and clipping took off this bank's updates, for its next one.
        next_remainder: the remainder once the contribution under way is in a sum.
        slots, slots_of: that contribution, and the phase and round it is of. If its step fails, the
            next one takes the same: nothing is computed, or spent, twice.
        released: whose contributions to this phase and round this bank has helped to unmask.
        unmask_order, unmask_reply: the last ones, for the coordinator that missed the reply.
        discarded: totals in a row that were of no use.
        public_key: kept when training has ended and the secrets are gone.
        best_weights, best_loss, best_round: by validation loss, where it is known.
        stale: whether the validation loss has stopped falling.
        update_range: of the next update.
        noise_multiplier: of DP-SGD, fixed for the run.
        clipped: rounds in which this bank's update was clipped to the norm bound.
        seconds: that this bank worked on the run.
        curve: figures of every round, for the record.
        calibration: slope and intercept of the final log-odds, where they were summed.
        evaluation: AUC and KS of the final model over all banks' test rows, if it was summed.
    """

    run: str
    bank: str
    plan_digest: str
    secure_sum: bytes
    phase: str = STATISTICS
    opened: int = -1
    rounds: int = 0
    total_rows: float = 0.0
    scaling: str = ""
    weights: Weights = field(default_factory=lambda: np.zeros(0, np.float32))
    best_weights: Weights = field(default_factory=lambda: np.zeros(0, np.float32))
    optimiser: bytes = b""
    remainder: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    next_remainder: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    slots: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    slots_of: str = ""
    released: list[str] = field(default_factory=list)
    unmask_order: bytes = b""
    unmask_reply: bytes = b""
    discarded: int = 0
    public_key: bytes = b""
    best_loss: float = float("inf")
    best_round: int = 0
    stale: bool = False
    update_range: float = 0.0
    noise_multiplier: float = 0.0
    clipped: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    calibration: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, float] = field(default_factory=dict)

    def step_done(self) -> None:
        """Forget what belongs to one phase and round only."""
        self.slots, self.slots_of = np.zeros(0, np.uint64), ""
        self.next_remainder = np.zeros(0)
        self.released, self.discarded = [], 0

    def forget_secrets(self, public_key: bytes) -> None:
        """Once training has ended: no sum will be asked for again."""
        self.step_done()
        self.public_key, self.secure_sum = public_key, b""
        self.unmask_order = self.unmask_reply = self.optimiser = b""
        self.remainder = np.zeros(0)

    def to_bytes(self) -> bytes:
        """For the vault: safetensors with the small values in the metadata."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        scalars: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                arrays[name] = value
            elif isinstance(value, bytes):
                arrays[name] = np.frombuffer(value, np.uint8)
            else:
                scalars[name] = value
        return save(arrays, {"format": FORMAT, "state": json.dumps(scalars)})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> BankState:
        """Back from the vault.

        Raises:
            InputError: `where` does not hold such a state.
        """
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            if header["format"] != FORMAT:
                raise ValueError(header["format"])
            values: dict[str, Any] = json.loads(header["state"])
            for name, array in load(data).items():
                values[name] = array.tobytes() if array.dtype == np.uint8 else array
            return cls(**values)
        except Exception as error:  # safetensors raises its own kinds
            raise InputError(
                f"{where}: not the checkpoint of a horizontal run; without it this bank can't go "
                "on with the run: start a new one"
            ) from error
