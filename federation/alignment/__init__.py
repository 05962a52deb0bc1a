"""Alignment: which borrowers the label party and the feature parties share, and in which row order.

Private set intersection by Diffie-Hellman blinding (Meadows 1986; Huberman, Franklin and Hogg 1999;
proved in the semi-honest model by De Cristofaro and Tsudik 2010), between one label party and any
number of feature parties. The label party draws a key a, each feature party a key b; both are
fresh for every alignment and never leave their owner. With H the hash to the group:

1. The label party sends a·H(x) for each of its ids x, the same list to every partner. At the same
   time each feature party sends b·H(y) for its ids y, in an order shuffled by OS randomness.
2. Each side multiplies what arrives by its own key. The feature party returns b·(a·H(x)) in the
   order it got; the label party keeps a·(b·H(y)). Equal points are shared borrowers.
3. The label party draws a fresh row order by OS randomness and tells each feature party, for each
   row, the position in that party's own shuffled list, and the row's part (training, validation,
   test).

What each side learns, and nothing else:

- The label party: how many ids each feature party has, and which of its own ids that party has.
- A feature party: how many ids the label party has, and which of its own ids are in the aligned
  rows: under 'inner' those that *all* parties know, under 'label-left' those that the label party
  knows; the number of aligned rows, and each row's part. It learns nothing about another feature
  party beyond the intersection.
- Nobody learns an id that is not its own, or another party's file order. The coordinator, which
  carries the frames, sees blinded points only.

Limits. The proof is for parties that follow the protocol (semi-honest). Borrower ids have little
entropy (a tax number is one of some 10^9), so hashing alone would hide nothing; here a guess can be
tested only with the other side's key, hence only by *submitting* the guessed id. A party that fills
its list with invented ids does learn which of them the counterparty has: that dictionary attack is
bounded by the list length, which the counterparty sees before it answers, so agree on plausible
sizes, and look at the sizes that are logged. A party may also withhold ids of its own.

The group is prime-order (about 2^252) with 126-bit security. `federation.alignment.group` says how
ids are hashed to it (ristretto255, RFC 9496) and multiplied (X25519, RFC 7748).

Sources: C. Meadows, "A more efficient cryptographic matchmaking protocol for use in the absence of
a continuously available third party", IEEE S&P 1986. B. A. Huberman, M. Franklin and T. Hogg,
"Enhancing privacy and trust in electronic communities", EC 1999. E. De Cristofaro and G. Tsudik,
"Practical private set intersection protocols with linear complexity", FC 2010. RFC 9496
(ristretto255), RFC 7748 (X25519), RFC 9497 (separating the domains of hashed inputs).
"""

from federation.alignment.feature_party import FeatureAlignment, feature_party_alignment
from federation.alignment.group import (
    GroupWorkers,
    InProcessGroup,
    MultiProcessGroup,
    hash_to_group,
    open_group,
)
from federation.alignment.label_party import (
    LabelAlignment,
    announce_rows,
    label_party_alignment,
)
from federation.alignment.rows import ABSENT_ROW, AlignmentMode

__all__ = [
    "ABSENT_ROW",
    "AlignmentMode",
    "FeatureAlignment",
    "GroupWorkers",
    "InProcessGroup",
    "LabelAlignment",
    "MultiProcessGroup",
    "announce_rows",
    "feature_party_alignment",
    "hash_to_group",
    "label_party_alignment",
    "open_group",
]
