"""Which implementation serves a session: the lattice where it is hard, elgamal below."""

from __future__ import annotations

from federation.errors import ProtocolError
from federation.linear_maps.elgamal import SCHEME as ELGAMAL
from federation.linear_maps.elgamal import ElGamalFeatureSide, ElGamalLabelSide
from federation.linear_maps.interface import Direction, FeatureSide, LabelSide
from federation.linear_maps.lattice import SCHEME as LATTICE
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.parameters import MINIMUM_BORROWERS


def scheme_for(columns: int) -> str:
    """'lattice' from 4,096 training borrowers on, 'elgamal' below."""
    return LATTICE if columns >= MINIMUM_BORROWERS else ELGAMAL


def feature_side(
    scheme: str,
    matrix: OneHotMatrix,
    direction: Direction,
    value_bound: int,
    noise_bound: int,
    context: bytes,
    cores: int = 1,
) -> FeatureSide:
    """The feature party's side of a map; arguments as in `lattice_feature.LatticeFeatureSide`."""
    _known(scheme)
    if scheme == LATTICE:
        return LatticeFeatureSide(matrix, direction, value_bound, noise_bound, context, cores)
    return ElGamalFeatureSide(matrix, direction, value_bound, noise_bound, context)


def label_side(
    scheme: str,
    columns: int,
    direction: Direction,
    value_bound: int,
    noise_bound: int,
    context: bytes,
) -> LabelSide:
    """The label party's side of a map; arguments as in `lattice_label.LatticeLabelSide`."""
    sides: dict[str, type[LatticeLabelSide] | type[ElGamalLabelSide]] = {
        LATTICE: LatticeLabelSide,
        ELGAMAL: ElGamalLabelSide,
    }
    _known(scheme)
    return sides[scheme](columns, direction, value_bound, noise_bound, context)


def _known(scheme: str) -> None:
    if scheme not in (LATTICE, ELGAMAL):
        raise ProtocolError(f"scheme '{scheme}' is not known; '{LATTICE}' and '{ELGAMAL}' are")
