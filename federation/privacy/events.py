"""Privacy events: what was done to private data, as immutable values, before any ε is computed.

An event says which mechanism ran and with which parameters; accountants say what a history of them
is worth. As in google/dp_accounting, so that one history can be judged by several accountants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from federation.errors import InputError


class Unit(StrEnum):
    """Whom a guarantee protects. Guarantees of different units are never added up."""

    RECORD = "one borrower's record"
    LABEL = "one borrower's label"
    CLIENT = "one bank's whole data set"


RECORD, LABEL, CLIENT = Unit.RECORD, Unit.LABEL, Unit.CLIENT


@dataclass(frozen=True)
class SampledGaussian:
    """DP-SGD: a Gaussian on sums of clipped gradients of Poisson-sampled records.

    Neighbours differ by one record added or removed (Abadi et al. 2016; Mironov et al. 2019).

    Attributes:
        noise_multiplier: σ over the clipping norm.
        sampling_rate: the probability with which each record enters a step's batch.
        steps: how many steps.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int

    def __post_init__(self) -> None:
        """Refuse what no DP-SGD has."""
        _positive("noise_multiplier", self.noise_multiplier)
        if not 0 < self.sampling_rate <= 1:
            raise ValueError(f"sampling_rate must lie in (0, 1], not {self.sampling_rate}")
        _whole("steps", self.steps)

    def words(self, times: int) -> str:
        """In words, `times` such events together."""
        steps = self.steps * times
        if self.sampling_rate == 1:
            return (
                f"{_releases(steps)} with Gaussian noise of noise multiplier "
                f"{self.noise_multiplier:.4g}{_each(steps)}"
            )
        return (
            f"{steps:,} step{'s' * (steps != 1)} of DP-SGD (noise multiplier "
            f"{self.noise_multiplier:.4g}, sampling rate {self.sampling_rate:.4g})"
        )


@dataclass(frozen=True)
class GaussianRelease:
    """One release by the Gaussian or the discrete Gaussian mechanism.

    Attributes:
        rho: its zCDP parameter, Δ₂²/(2σ²) (Canonne, Kamath, Steinke 2020).
    """

    rho: float

    def __post_init__(self) -> None:
        """Refuse a negative or infinite ρ."""
        if not (self.rho >= 0 and math.isfinite(self.rho)):
            raise ValueError(f"rho must be finite and not negative, not {self.rho}")

    def words(self, times: int) -> str:
        """In words, `times` such events together."""
        return f"{_releases(times)} with discrete Gaussian noise (ρ = {self.rho:.4g}{_each(times)})"


@dataclass(frozen=True)
class DistributedGaussian:
    """One secure sum to which every contributor added its share of discrete Gaussian noise.

    Kairouz, Liu, Steinke, 'The Distributed Discrete Gaussian Mechanism for Federated Learning with
    Secure Aggregation' (ICML 2021), theorem 1. Neighbours differ in one contributor, whose vector
    becomes zero. Whoever knows some of the shares (a bank knows its own) faces only the rest.

    Attributes:
        clip_norm: the L2 norm that no contributor's integer vector exceeds, rounding included.
        sigma: of each contributor's share, in the same integer units; 1/2 at least.
        honest_contributors: whose shares are in the sum and unknown to whoever attacks.
        dimension: coordinates of the vector.
    """

    clip_norm: float
    sigma: float
    honest_contributors: int
    dimension: int

    def __post_init__(self) -> None:
        """Refuse what the theorem does not cover."""
        _positive("clip_norm", self.clip_norm)
        _positive("sigma", self.sigma)
        if self.sigma < 0.5:
            raise ValueError(f"sigma must be 0.5 at least (the theorem's condition): {self.sigma}")
        _whole("honest_contributors", self.honest_contributors)
        _whole("dimension", self.dimension)

    @property
    def correction(self) -> float:
        """τ: how far a sum of discrete Gaussians is from one discrete Gaussian."""
        exponent = -2 * (math.pi * self.sigma) ** 2
        shares = range(1, self.honest_contributors)
        return 10 * math.fsum(math.exp(exponent * k / (k + 1)) for k in shares)

    def words(self, times: int) -> str:
        """In words, `times` such events together."""
        return (
            f"{times:,} secure sum{'s' * (times != 1)} of updates with noise shares (σ = "
            f"{self.sigma / self.clip_norm:.4g} of the clipping norm from each of "
            f"{self.honest_contributors} honest contributors)"
        )


@dataclass(frozen=True)
class RandomisedResponse:
    """Labels flipped at random once, with probability 1/(1 + exp ε) each (Warner 1965).

    Whatever is computed from the flipped labels, however often, costs nothing more. It also stands
    for any other release of this pure ε, such as a record whose values were replaced at random:
    none gives more away (Kairouz, Oh, Viswanath 2015).

    Attributes:
        epsilon: pure ε of one label, or of one record.
    """

    epsilon: float

    def __post_init__(self) -> None:
        """Refuse ε that is not positive."""
        _positive("epsilon", self.epsilon)

    def words(self, times: int) -> str:
        """In words, `times` such events together."""
        return f"{_releases(times)} by randomised response (ε = {self.epsilon:.4g}{_each(times)})"


@dataclass(frozen=True)
class Exact:
    """A release without any noise: no ε bounds it."""

    def words(self, times: int) -> str:
        """In words, `times` such events together."""
        return f"{times:,} exact release{'s' * (times != 1)}"


Event = SampledGaussian | GaussianRelease | DistributedGaussian | RandomisedResponse | Exact

_MECHANISMS: dict[str, type[Event]] = {
    "sampled-gaussian": SampledGaussian,
    "gaussian": GaussianRelease,
    "distributed-gaussian": DistributedGaussian,
    "randomised-response": RandomisedResponse,
    "exact": Exact,
}
_NAMES = {kind: name for name, kind in _MECHANISMS.items()}


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as a JSON object."""
    return {"mechanism": _NAMES[type(event)], **asdict(event)}


def event_from_json(content: Mapping[str, Any], where: str) -> Event:
    """The event of a JSON object.

    Raises:
        InputError: names `where`; the mechanism is unknown or its parameters are not right.
    """
    fields = dict(content)
    name = fields.pop("mechanism", None)
    if name not in _MECHANISMS:
        raise InputError(
            f"{where}: the mechanism '{name}' is not known to this version of veilscore; "
            f"it knows {', '.join(_MECHANISMS)}"
        )
    try:
        return _MECHANISMS[name](**fields)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: not an event of the mechanism '{name}' ({error})") from error


def merged(events: Iterable[Event]) -> dict[Event, int]:
    """Equal events with how often each happened; DP-SGD counted by steps.

    The same dict, in the same order, in whatever order or portions the events came: N rounds of k
    steps are one history of N·k steps.
    """
    times: dict[Event, int] = {}
    for event in events:
        one, count = event, 1
        if isinstance(event, SampledGaussian):
            one, count = replace(event, steps=1), event.steps
        times[one] = times.get(one, 0) + count
    return dict(sorted(times.items(), key=lambda item: repr(item[0])))


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be positive and finite, not {value}")


def _whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {value}")


def _releases(times: int) -> str:
    return f"{times:,} release{'s' * (times != 1)}"


def _each(times: int) -> str:
    return " each" if times != 1 else ""
