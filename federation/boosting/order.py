"""Bin codes sent to the label party once, as they are or locally perturbed; it grows trees alone.

Perturbed, every code is kept with probability e^ε/(e^ε + B - 1) and else replaced by one of the
others, each as likely: k-ary randomised response (Kairouz, Bonawitz, Ramage, ICML 2016), ε-local
differential privacy of each code. A borrower's codes in all features cost ε times their number.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout
from federation.boosting.feature_party import BoostedFeatureFit
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_messages import read_model
from federation.errors import ProtocolError
from federation.linear_maps.randomness import uniform_residues
from federation.privacy.events import Event, Exact, RandomisedResponse
from federation.proto.session_pb2 import BinCodes, TreeOrder
from federation.session.machine import Progress, Send, Step, expect

Codes = npt.NDArray[np.uint8]
AnyCodes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
# Above the rounding of a float's probability as a 64-bit threshold; costs nothing measurable.
_MARGIN = 1 << 12


def perturbed(codes: Codes, bins: int, epsilon: float) -> Codes:
    """Codes below `bins` after k-ary randomised response, from the system's randomness."""
    change = (bins - 1) / (math.exp(epsilon) + bins - 1)
    # rounded up, so that a code is never replaced more rarely than ε asks for
    threshold = math.ceil(change * 2.0**64) + _MARGIN
    words = uniform_residues(codes.size, 64)
    # 53 bits modulo less than 256: no value is likelier than another by more than 2^-45
    steps = 1 + uniform_residues(codes.size, 53) % np.uint64(bins - 1)
    moved = (codes.astype(np.uint64) + steps) % np.uint64(bins)
    replaced = words < np.uint64(threshold)
    return np.where(replaced, moved.astype(np.uint8), codes).astype(np.uint8)


def record_event(epsilon: float | None, features: int) -> Event:
    """What is given away about a borrower's record by what depends on so many of its bin codes.

    Args:
        epsilon: of each code's perturbation; None: none of them is perturbed.
        features: whose codes were drawn.
    """
    return Exact() if epsilon is None else RandomisedResponse(epsilon * features)


def send_codes(
    fit: AnyCodes, test: AnyCodes, layout: BinLayout, label_party: str, epsilon: float | None
) -> Generator[Step, object, None]:
    """Send every feature's codes.

    Args:
        fit: of the borrowers of the fit (features, n).
        test: of the test borrowers (features, t).
        layout: bins of the features.
        label_party: its name.
        epsilon: of each code's perturbation; None sends them as they are.
    """
    for place, feature in enumerate(layout.features):
        both = fit[place].astype(np.uint8), test[place].astype(np.uint8)
        if epsilon is not None:
            both = (
                perturbed(both[0], feature.bins, epsilon),
                perturbed(both[1], feature.bins, epsilon),
            )
        body = BinCodes(feature=place, fit=both[0].tobytes(), test=both[1].tobytes())
        yield Send(label_party, "bin_codes", body)
        yield Progress("set-up", (place + 1) / len(layout.features), "bin codes")


def receive_codes(
    party: str, layout: BinLayout, fit: int, test: int
) -> Generator[Step, object, tuple[Codes, Codes]]:
    """A partner's codes of the fit (features, n) and of the test (features, t).

    Raises:
        ProtocolError: another feature, number of borrowers, or a code beyond the feature's bins.
    """
    count = len(layout.features)
    codes = np.empty((count, fit), dtype=np.uint8), np.empty((count, test), dtype=np.uint8)
    for place, feature in enumerate(layout.features):
        message = yield from expect(party, BinCodes)
        if (message.feature, len(message.fit), len(message.test)) != (place, fit, test):
            raise ProtocolError(
                f"{party} sent codes of feature {message.feature} for {len(message.fit)} and "
                f"{len(message.test)} borrowers; feature {place} for {fit} and {test} is right"
            )
        for target, data in zip(codes, (message.fit, message.test), strict=True):
            target[place] = np.frombuffer(data, dtype=np.uint8)
            if target[place].size and int(target[place].max()) >= feature.bins:
                raise ProtocolError(f"{party} sent a code beyond the bins of feature {place}")
        yield Progress("set-up", (place + 1) / count, f"bin codes of {party}")
    return codes


def take_model(
    layout: BinLayout, label_party: str, party: str, settings: BoostedSettings
) -> Generator[Step, object, BoostedFeatureFit]:
    """The own splits of the model that the label party grew from the codes.

    Raises:
        ProtocolError: another order, or splits that can't be.
    """
    order = yield from expect(label_party, TreeOrder)
    if order.WhichOneof("order") != "model":
        raise ProtocolError(
            f"{label_party} sent an order of another kind, although it has all bin codes; the "
            "model's splits are right"
        )
    splits = read_model(order.model, layout, label_party, party, settings)
    return BoostedFeatureFit(splits, int(order.tree), 0, 0, 0)
