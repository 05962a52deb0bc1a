"""What a bank does with an opened total: scaling, the server optimiser's step, early stopping.

Everything here follows from the totals alone, so that all banks reach the same state, bit for bit.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from federation.aggregation.client import SecureSumClient
from federation.errors import BlamedError, InputError, ProtocolError
from federation.horizontal.client_noise import ClientNoise
from federation.horizontal.client_state import (
    CALIBRATION,
    EVALUATION,
    FINISHED,
    STATISTICS,
    UPDATE,
    BankState,
    Weights,
)
from federation.horizontal.plan import EVALUATION_BINS, HorizontalPlan
from federation.horizontal.update_vector import (
    FIGURES,
    FIRST_RANGE,
    Figures,
    decode_update,
    next_range,
    statistics_bounds,
)
from federation.neural.calibration import BINS, calibrated, fit
from federation.neural.evaluation import EarlyStopping, auc_ks
from federation.neural.models import build
from federation.neural.scaling import Scaling
from federation.neural.server_optimiser import ServerOptimiser, ServerState
from federation.neural.weights import flatten
from federation.proto.secure_sum_pb2 import MaskedTotal

Vector = npt.NDArray[np.float64]
# Totals in a row without a use, after which a bank gives the run up.
MOST_DISCARDED = 3


def open_total(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> None:
    """Decrypt one total and take the step that follows from it.

    A total that can't be used (some bank encoded what no honest one can) is discarded at all banks
    alike, and the phase goes on as it was: the banks contribute the same once more.

    Raises:
        ProtocolError: the total was damaged, comes after the end, or is one too many without use.
    """
    steps = {
        STATISTICS: _open_statistics,
        UPDATE: _open_update,
        CALIBRATION: _open_calibration_counts,
        EVALUATION: _open_test_counts,
    }
    if state.phase not in steps:
        raise ProtocolError(f"step {total.step} has a total, but training has ended")
    try:
        steps[state.phase](plan, state, secure_sum, total)
    except BlamedError:
        raise
    except (ProtocolError, InputError) as error:
        _discard(state, error)
    else:
        state.step_done()
    state.opened = total.step


def _discard(state: BankState, error: Exception) -> None:
    if state.phase in (CALIBRATION, EVALUATION):  # the model is there: what is left is not a run
        state.step_done()
        state.phase = FINISHED
        return
    state.discarded += 1
    if state.discarded >= MOST_DISCARDED:
        raise ProtocolError(
            f"{state.discarded} sums in a row were of no use, the last since {error}: a bank does "
            "not contribute what the protocol makes, or the coordinator gave banks other totals"
        ) from error


def _open_statistics(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> None:
    low, high = statistics_bounds(plan.schema, plan.is_private)
    layout = secure_sum.layout(len(low), fields=1)
    banks = len(total.survivors)
    slots = secure_sum.open(total.step, total, layout.slots)
    sums = layout.dequantise(layout.unpack(slots, banks, total.step), low, high, banks)
    if plan.is_private:
        scaling = Scaling.from_public_bounds(plan.schema)
    else:
        scaling = Scaling.from_sums(plan.schema, sums[1:])
    if sums[0] < 0.5:
        raise ProtocolError(f"the banks' training rows in step {total.step} sum to none")
    state.total_rows = float(np.rint(sums[0]))
    state.scaling = json.dumps(scaling.to_json())
    state.weights = flatten(build(plan.settings, plan.schema))
    state.best_weights = state.weights
    state.optimiser = ServerOptimiser(plan.settings).init(len(state.weights)).to_bytes()
    state.remainder = np.zeros(len(state.weights))
    state.update_range = min(FIRST_RANGE, plan.settings.update_norm_bound)
    state.phase = UPDATE


def _open_update(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> None:
    mean = _mean_update(plan, state, secure_sum, total)
    if state.bank in total.survivors and state.next_remainder.size:
        state.remainder = state.next_remainder
    optimiser = ServerOptimiser(plan.settings)
    after, state.weights = optimiser.apply(
        ServerState.from_bytes(state.optimiser), state.weights, mean
    )
    state.optimiser = after.to_bytes()
    state.rounds += 1
    _stop(plan, state, optimiser.final(after, state.weights))


def _mean_update(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> Vector:
    """The banks' mean update (p,), weighted by their rows; notes what else the total tells."""
    parameters, banks = len(state.weights), len(total.survivors)
    if plan.client_epsilon is not None:
        layout = secure_sum.layout(parameters, fields=2)
        slots = secure_sum.open(total.step, total, layout.slots)
        noise = ClientNoise(plan, layout)
        return noise.decode(slots, banks, total.step)
    layout = secure_sum.layout(FIGURES + parameters, fields=2)
    slots = secure_sum.open(total.step, total, layout.slots)
    figures, update = decode_update(layout, slots, banks, total.step, state.update_range)
    if figures.share <= 0:
        raise ProtocolError(f"the banks' shares in step {total.step} sum to {figures.share:g}")
    state.update_range = next_range(figures, state.update_range, plan.settings.update_norm_bound)
    if plan.stops_early:
        _judge(state, figures, plan.settings.patience)
    return update / figures.share


def _judge(state: BankState, figures: Figures, patience: int) -> None:
    """Validation losses are those of the weights which the round started from."""
    loss = figures.validation_loss / figures.share
    training = figures.training_loss / figures.share
    state.curve.append({"round": state.rounds + 1, "training_loss": training})
    if state.rounds == 0:  # the first weights know nothing
        return
    state.curve[-2]["validation_loss"] = loss
    seen = EarlyStopping(patience, state.rounds - 1, state.best_round, state.best_loss).after(loss)
    if seen.best_round == state.rounds:
        state.best_weights = state.weights
    state.best_round, state.best_loss, state.stale = seen.best_round, seen.best_loss, seen.stops


def _stop(plan: HorizontalPlan, state: BankState, final: Weights) -> None:
    """End the training where its rounds are over or the validation loss no longer falls."""
    if state.rounds < plan.settings.rounds and not state.stale:
        return
    state.weights = state.best_weights if state.stale else final
    if plan.calibration_noise is not None:
        state.phase = CALIBRATION
    else:
        # Counts of test borrowers would be exact: under privacy they stay at each bank.
        state.phase = FINISHED if plan.is_private else EVALUATION


def _open_calibration_counts(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> None:
    layout = secure_sum.layout(2 * BINS, fields=1)
    slots = secure_sum.open(total.step, total, layout.slots)
    banks = len(total.survivors)
    sums = layout.unpack(slots, banks, total.step)
    if plan.calibration_noise is None:
        raise ValueError("this run is not calibrated")
    slope, intercept = fit(
        plan.calibration_noise.decode(sums, banks), plan.calibration_noise.deviation(banks)
    )
    state.calibration = {"slope": slope, "intercept": intercept}
    state.weights = calibrated(plan.settings, plan.schema, state.weights, slope, intercept)
    state.phase = FINISHED


def _open_test_counts(
    plan: HorizontalPlan, state: BankState, secure_sum: SecureSumClient, total: MaskedTotal
) -> None:
    layout = secure_sum.layout(2 * EVALUATION_BINS, fields=1)
    slots = secure_sum.open(total.step, total, layout.slots)
    counts = layout.unpack(slots, len(total.survivors), total.step).astype(np.int64)
    auc, ks = auc_ks(counts)
    state.evaluation = {"auc": auc, "ks": ks, "rows": float(counts.sum())}
    state.phase = FINISHED
