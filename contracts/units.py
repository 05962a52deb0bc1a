"""Units of the room, as types: what is an amount can't be passed where an identifier belongs.

Amounts are whole minor units of a deposit token (cents, fen), never floats. Times on chain are
whole seconds since 1970 in UTC.
"""

from __future__ import annotations

from typing import NewType

TokenMinor = NewType("TokenMinor", int)
"""An amount in minor units of a deposit token; at most 2**96 - 1 on chain."""

ReceivableId = NewType("ReceivableId", int)
"""The number of one receivable (an ERC-721 token id of the registry), from 1 on."""

OrderId = NewType("OrderId", int)
"""The number of one financed purchase order, from 1 on."""

BasisPoints = NewType("BasisPoints", int)
"""Hundredths of a percent: 10,000 are the whole."""

UnixSeconds = NewType("UnixSeconds", int)
"""Seconds since 1970-01-01T00:00:00Z."""

BlockNumber = NewType("BlockNumber", int)
"""The height of a block."""

Address = NewType("Address", str)
"""An account or contract, 0x and 40 hex digits with EIP-55 checksum."""

Digest = NewType("Digest", bytes)
"""32 bytes: a hash, a fingerprint, a model digest."""
