"""Client-level differential privacy: each bank's share of the noise on the sum of updates.

Every bank clips its update to an L2 norm, rounds it to integers and adds discrete Gaussian noise;
the sum of the shares protects each bank's whole data set from whoever sees the totals, other banks
included (Kairouz, Liu, Steinke, ICML 2021). A bank knows its own share, and some may drop out: only
the other contributions that are certain count. All banks weigh the same here, and no figure but the
update is summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from federation.aggregation.layout import VectorLayout
from federation.errors import InputError
from federation.horizontal.plan import HorizontalPlan
from federation.privacy import (
    DistributedGaussian,
    discrete_gaussian_vector,
    release_noise_for_clients,
)

Vector = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
# Noise beyond so many standard deviations is cut: 1e-15 a coordinate.
TAIL = 8.0


@dataclass(frozen=True)
class ClientNoise:
    """The noise of one run, the same at all banks.

    Attributes:
        plan: of the run; `client_epsilon` is set.
        layout: of the update's p values, for all banks of the roster.
    """

    plan: HorizontalPlan
    layout: VectorLayout

    @property
    def honest(self) -> int:
        """Shares of the noise that are certain to be in a sum and unknown to a bank that looks."""
        return max(self.plan.minimum_banks, self.layout.clients - self.plan.dropouts) - 1

    @cached_property
    def scale(self) -> float:
        """Integers a unit of update: as fine as a field allows for the update and the noise."""
        half = self.layout.levels // 2
        coarse = self._sigma(half / 2)  # the noise's multiple hardly depends on the scale
        multiple = coarse / (half / 2)
        return half / (self._norm_bound * (1 + TAIL * multiple))

    @cached_property
    def sigma(self) -> int:
        """Of each bank's share, in integers."""
        return self._sigma(self._norm_bound * self.scale)

    @property
    def event(self) -> DistributedGaussian:
        """What one round costs."""
        return DistributedGaussian(
            self._integer_norm(self._norm_bound * self.scale),
            float(self.sigma),
            self.honest,
            self.layout.length,
        )

    @property
    def record_event(self) -> DistributedGaussian:
        """What one round costs a single borrower's record.

        With the record or without it, the bank's update lies within the norm bound: the two are at
        most twice the bound apart.
        """
        return replace(self.event, clip_norm=2 * self.event.clip_norm)

    def encode(self, delta: Vector) -> Words:
        """The slots of an update (p,) whose norm is within the bound, with this bank's share."""
        integers = np.rint(delta * self.scale).astype(np.int64)
        noisy = integers + discrete_gaussian_vector(self.sigma, self.layout.length)
        half = self.layout.levels // 2
        shifted = np.clip(noisy + half, 0, self.layout.levels)
        return self.layout.pack(shifted.astype(np.uint64))

    def decode(self, slots: Words, banks: int, step: int) -> Vector:
        """The mean (p,) of so many banks' updates, with their noise."""
        sums = self.layout.unpack(slots, banks, step).astype(np.int64)
        half = self.layout.levels // 2
        mean: Vector = (sums - banks * half) / (self.scale * banks)
        return mean

    @property
    def _norm_bound(self) -> float:
        return self.plan.settings.update_norm_bound

    def _integer_norm(self, norm: float) -> float:
        """Rounding moves each coordinate by at most a half."""
        return norm + math.sqrt(self.layout.length) / 2

    def _sigma(self, norm: float) -> int:
        if self.plan.client_epsilon is None:
            raise ValueError("no client-level privacy is asked for")
        if self.honest < 1:
            raise InputError(
                "privacy.client_epsilon needs two certain contributions at least, since a bank "
                "knows its own noise; raise aggregation.minimum_clients"
            )
        return release_noise_for_clients(
            self.plan.client_epsilon,
            self.plan.client_delta,
            self.plan.settings.rounds,
            self.honest,
            self._integer_norm(norm),
            self.layout.length,
        )
