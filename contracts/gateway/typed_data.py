"""EIP-712 typed data: what debtors, buyers and banks sign, bound to one chain and contract.

The digest is the contract's own (`ScoreAttestation.digest`); a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak

from contracts.gateway.errors import ValueRefused
from contracts.gateway.solidity_values import checked_address, struct_fields, to_abi
from contracts.gateway.structs import (
    Attestation,
    Confirmation,
    Delivery,
    DisputeSettlement,
    PurchaseOrder,
)
from contracts.units import Address, Digest

DOMAIN_NAMES = {
    Confirmation: "veilscore ReceivableRegistry",
    DisputeSettlement: "veilscore ReceivableRegistry",
    Attestation: "veilscore ScoreAttestation",
    PurchaseOrder: "veilscore OrderFinancing",
    Delivery: "veilscore OrderFinancing",
}
VERSION = "1"
_DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
Signed = Confirmation | DisputeSettlement | Attestation | PurchaseOrder | Delivery


@dataclass(frozen=True)
class TypedData:
    """A struct to sign, with the chain and contract it is for.

    Attributes:
        message: the struct.
        chain_id: of the chain it holds on, and on no other.
        contract: the verifying contract.
    """

    message: Signed
    chain_id: int
    contract: Address

    def document(self) -> dict[str, Any]:
        """The EIP-712 JSON document, as wallets show it (byte strings stay bytes)."""
        kind = type(self.message)
        if kind not in DOMAIN_NAMES:
            raise ValueRefused(f"{kind.__name__} is not among what veilscore's contracts sign.")
        described = struct_fields(kind)
        values = to_abi(self.message)
        return {
            "types": {
                "EIP712Domain": _DOMAIN_TYPE,
                kind.__name__: [
                    {"name": field.solidity_name, "type": field.solidity} for field in described
                ],
            },
            "primaryType": kind.__name__,
            "domain": {
                "name": DOMAIN_NAMES[kind],
                "version": VERSION,
                "chainId": self.chain_id,
                "verifyingContract": checked_address(self.contract, "The verifying contract"),
            },
            "message": {
                field.solidity_name: value for field, value in zip(described, values, strict=True)
            },
        }

    def signable(self) -> SignableMessage:
        """The message as eth-account signs it."""
        return encode_typed_data(full_message=self.document())

    def digest(self) -> Digest:
        """The 32 bytes that are signed: keccak256 of 0x1901, domain separator and struct hash."""
        signable = self.signable()
        return Digest(keccak(b"\x19" + signable.version + signable.header + signable.body))


def signer_of(data: TypedData, signature: bytes) -> Address:
    """The account whose key made `signature` over `data`.

    Raises:
        ValueRefused: the signature is not 65 bytes of r, s, v, or malleable (high s).
    """
    from eth_account import Account

    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueRefused("A signature must be 65 bytes, r, s and v of 27 or 28.")
    if int.from_bytes(signature[32:64]) > _HALF_ORDER:
        raise ValueRefused("The signature's s is in the upper half, which contracts refuse.")
    try:
        recovered = Account.recover_message(data.signable(), signature=signature)
    except Exception as error:  # eth-keys raises BadSignature, ValidationError and more
        raise ValueRefused("The signature is not one over this message.") from error
    return checked_address(recovered, "The signer")


_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1 (EIP-2)."""
