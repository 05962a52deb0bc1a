"""Who a party is: one long-term key that its peers pin, and the certificates made with it."""

from federation.identity.party_key import PartyKey, PartyPublicKey, check_pins
from federation.identity.vouching import Voucher

__all__ = ["PartyKey", "PartyPublicKey", "Voucher", "check_pins"]
