"""Secure sums: clients add up integer vectors that nobody, the server included, sees one by one.

`client` and `server` are the two ends, `layout` says how numbers lie in a vector's slots,
`sum_ciphers` has the two ciphers. A client masks its vector (`masks`) with secrets that are shared
for the case that somebody drops out (`preparation`, `shamir`), and encrypts it (`seal_ring`, which
alone loads TenSEAL, when a cipher is first used).
"""

from federation.aggregation.client import SecureSumClient
from federation.aggregation.layout import Quantised, VectorLayout
from federation.aggregation.messages import read_message
from federation.aggregation.server import SecureSumServer
from federation.aggregation.sum_ciphers import SCHEMES, SumCipher, sum_cipher
from federation.errors import BlamedError

__all__ = [
    "SCHEMES",
    "BlamedError",
    "Quantised",
    "SecureSumClient",
    "SecureSumServer",
    "SumCipher",
    "VectorLayout",
    "read_message",
    "sum_cipher",
]
