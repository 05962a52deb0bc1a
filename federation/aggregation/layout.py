"""How a vector of numbers lies in the slots of a secure sum: quantised, packed, and back.

A slot holds an integer modulo 2^k. With two fields a slot, it holds x + radix·y with radix ² ≤ 2^k;
each field must hold the sum of every client's integer, so the integers go up to
(radix - 1) / clients. Packing of quantised gradients this way: Zhang et al., 'BatchCrypt' (USENIX
ATC 2020), section 4, here without sign bits because the quantiser is affine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, ProtocolError

Integers = npt.NDArray[np.uint64]
Vector = npt.NDArray[np.float64]
# A public range of values: one number for all of them, or one a value.
Bound = float | Vector
FIELDS = (1, 2)


@dataclass(frozen=True)
class Quantised:
    """What a client encodes of its values.

    Attributes:
        integers: 0 to the layout's `levels` (length,).
        clipped: how many values lay outside the range and were moved to its edge.
        low, step: value = low + step · integer.
    """

    integers: Integers
    clipped: int
    low: Bound
    step: Bound

    def encoded(self) -> Vector:
        """The numbers that the integers stand for (length,); values less these are the remainder.

        A client that adds the remainder to its next update loses nothing to rounding or clipping
        in the long run (error feedback: Karimireddy et al. 2019, algorithm 2).
        """
        result: Vector = self.integers * np.float64(1.0)
        result *= self.step
        result += self.low
        return result


@dataclass(frozen=True)
class VectorLayout:
    """The place of `length` values in slots modulo `modulus`, summed over at most `clients`.

    Attributes:
        length: values.
        modulus: of the cipher's values.
        clients: the most whose values are summed.
        fields: values a slot: 2 for updates, 1 for counts.
        largest: what one client may encode at most, for counts; 0 takes all the room there is.

    Raises:
        InputError: the clients' sum does not fit; the sentence says what would.
    """

    length: int
    modulus: int
    clients: int
    fields: int = 2
    largest: int = 0

    def __post_init__(self) -> None:
        """Check that a sum of all clients fits a field."""
        if self.length < 1 or self.clients < 1 or self.fields not in FIELDS or self.largest < 0:
            raise ValueError("a layout has values, clients, and one or two fields a slot")
        room = self.radix - 1
        if self.clients * max(self.largest, 2) > room:
            raise InputError(
                f"{self.clients} clients' values of up to {max(self.largest, 2)} do not fit the "
                f"{math.log2(self.radix):.1f} bits of a field: at most "
                f"{room // max(self.largest, 2)} clients, or values of up to "
                f"{room // self.clients}, would"
            )

    @property
    def radix(self) -> int:
        """What a field counts modulo."""
        return self.modulus if self.fields == 1 else math.isqrt(self.modulus)

    @property
    def levels(self) -> int:
        """The largest integer that one client may encode; even, so that zero is a level."""
        return self.largest or (self.radix - 1) // self.clients // 2 * 2

    @property
    def slots(self) -> int:
        """Slots that the vector takes."""
        return -(-self.length // self.fields)

    def quantise(
        self,
        values: npt.NDArray[np.floating],
        low: Bound,
        high: Bound,
        generator: np.random.Generator | None = None,
    ) -> Quantised:
        """Values (length,) as integers, rounded to the nearest, or stochastically by `generator`.

        Args:
            values: finite numbers.
            low, high: the public range, below and above; values outside are moved to its edge.
            generator: of stochastic rounding, which is unbiased but twice as far off.

        Raises:
            InputError: a value is NaN or infinite.
        """
        scaled = np.array(values, dtype=np.float64)
        if scaled.shape != (self.length,):
            raise ValueError(f"{scaled.shape} values where the layout holds ({self.length},)")
        least, most = scaled.min(), scaled.max()  # NaN if there is one
        if not (math.isfinite(least) and math.isfinite(most)):
            bad = np.flatnonzero(~np.isfinite(scaled))
            raise InputError(
                f"{bad.size} of {self.length} values to be summed are not finite numbers, value "
                f"{bad[0]} the first; NaN or infinity can't be encoded"
            )
        if not np.all(np.less(low, high)):
            raise ValueError("a range must have its low end below its high end")
        step = np.subtract(high, low) / self.levels
        if not np.all(np.isfinite(step)):
            raise ValueError("a range must be finite")
        clipped = 0
        if not (np.all(least >= low) and np.all(most <= high)):
            clipped = int(np.count_nonzero((scaled < low) | (scaled > high)))
            np.clip(scaled, low, high, out=scaled)
        scaled -= low
        scaled /= step
        if generator is not None:
            scaled += generator.random(self.length)
            np.floor(scaled, out=scaled)
        else:
            np.rint(scaled, out=scaled)
        # Division may end half a unit beyond the last level.
        np.clip(scaled, 0, self.levels, out=scaled)
        return Quantised(scaled.astype(np.uint64), clipped, low, step)

    def pack(self, integers: Integers) -> Integers:
        """Integers (length,), each 0 to `levels`, as (slots,)."""
        if integers.shape != (self.length,) or integers.dtype != np.uint64:
            raise ValueError(f"integers must be uint64 ({self.length},)")
        if integers.max() > self.levels:
            raise ValueError(f"integers must be at most {self.levels}")
        packed = integers[: self.slots].copy()
        # The first half in the lower fields, the second in the upper ones: whole runs, not strides.
        rest = integers[self.slots :]
        packed[: rest.size] += rest * np.uint64(self.radix)
        return packed

    def unpack(self, total: Integers, count: int, step: int) -> Integers:
        """The sums (length,) of `count` clients' integers from the sum of their slots (slots,).

        Raises:
            ProtocolError: a field holds more than so many honest clients can have encoded. (Less
                than that proves nothing: a client may lie within the range.)
        """
        if total.shape != (self.slots,) or not 1 <= count <= self.clients:
            raise ValueError(f"a total of {total.shape} slots and {count} clients")
        if self.fields == 1:
            fields = total
        else:
            radix = np.uint64(self.radix)
            upper = total // radix
            fields = np.concatenate([total - upper * radix, upper])
        if fields.max() > count * self.levels or fields[self.length :].any():
            raise ProtocolError(f"a client encoded values out of range in step {step}")
        return fields[: self.length]

    def dequantise(self, sums: Integers, low: Bound, high: Bound, count: int) -> Vector:
        """The sum (length,) of `count` clients' values, from `unpack` and the same range."""
        result: Vector = sums * np.float64(1.0)
        result *= np.subtract(high, low) / self.levels
        result += np.multiply(low, count)
        return result
