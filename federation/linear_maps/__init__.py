"""Private linear maps: one party holds a matrix D, the other vectors v, one of them learns D·v.

Two implementations behind one interface (`interface.py`): `lattice` (fast, from 4,096 borrowers on)
and `elgamal` (ristretto255, for few borrowers and as the cross-check).
"""

from federation.linear_maps.choice import feature_side, label_side, scheme_for
from federation.linear_maps.interface import Direction, FeatureSide, LabelSide
from federation.linear_maps.kept import KeptFeatureMap, KeptLabelMap
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.sent_bins import without_fullest
from federation.linear_maps.widths import full_width_bytes, message_bytes

__all__ = [
    "Direction",
    "FeatureSide",
    "KeptFeatureMap",
    "KeptLabelMap",
    "LabelSide",
    "OneHotMatrix",
    "feature_side",
    "full_width_bytes",
    "label_side",
    "message_bytes",
    "scheme_for",
    "without_fullest",
]
