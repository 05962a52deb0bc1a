"""Refusals of ScoreAttestation and AuditAnchor."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.units import Address, BasisPoints, Digest

__all__ = [
    "AlreadyAnchored",
    "AttestationExpired",
    "AttestationNotYetValid",
    "AttestationSignatureInvalid",
    "BandOutOfRange",
    "CapOutOfRange",
    "LifetimeTooLong",
    "NonceUsed",
    "NotAfterPassed",
    "PreviousMismatch",
    "SignerAlreadyRevoked",
    "SignerExpired",
    "SignerUnknown",
    "WrongConsumer",
    "ZeroDigest",
]


class AttestationExpired(ContractRefusal, solidity="AttestationExpired(uint40 expiry)"):
    """The attestation is too old."""

    expiry: datetime
    sentence = "The attestation expired at {expiry}; ask the bank for a new one."


class AttestationNotYetValid(ContractRefusal, solidity="AttestationNotYetValid(uint40 issuedAt)"):
    """The attestation is from the future."""

    issued_at: datetime
    sentence = (
        "The attestation is dated {issued_at}, later than the chain's clock; check the clock "
        "of its signer."
    )


class BandOutOfRange(ContractRefusal, solidity="BandOutOfRange(uint8 scoreBand)"):
    """The score band is none."""

    score_band: int
    sentence = "The score band is {score_band}; bands are from 1 (best) to 255."


class CapOutOfRange(ContractRefusal, solidity="CapOutOfRange(uint16 advanceCapBps)"):
    """The advance cap is over the whole."""

    advance_cap_bps: BasisPoints
    sentence = "The attestation's advance cap of {advance_cap_bps} is over 100.00%."


class LifetimeTooLong(ContractRefusal, solidity="LifetimeTooLong(uint256 lifetime)"):
    """The attestation is meant to live too long."""

    lifetime: int
    sentence = (
        "The attestation lives {lifetime} seconds, longer than the contract allows (MAX_LIFETIME)."
    )


class NonceUsed(ContractRefusal, solidity="NonceUsed(address bank, uint64 nonce)"):
    """The attestation was used or revoked."""

    bank: Address
    nonce: int
    sentence = "Attestation {nonce} of {bank} was used or revoked; ask the bank for a new one."


class NotAfterPassed(ContractRefusal, solidity="NotAfterPassed(uint40 notAfter)"):
    """A signer's end is past."""

    not_after: datetime
    sentence = "The signer's end {not_after} is past; it must be in the future."


class AttestationSignatureInvalid(ContractRefusal, solidity="SignatureInvalid()"):
    """The signature is none."""

    sentence = "The attestation's signature is malformed."


class SignerAlreadyRevoked(
    ContractRefusal,
    solidity="SignerAlreadyRevoked(address bank, address signer)",
):
    """The signer was revoked for good."""

    bank: Address
    signer: Address
    sentence = "The signer {signer} of {bank} was revoked, which is for good; authorise a new key."


class SignerExpired(
    ContractRefusal,
    solidity="SignerExpired(address bank, address signer, uint40 notAfter)",
):
    """The signer's time is over."""

    bank: Address
    signer: Address
    not_after: datetime
    sentence = "The signer {signer} of {bank} could sign until {not_after}; authorise a new one."


class SignerUnknown(ContractRefusal, solidity="SignerUnknown(address bank, address signer)"):
    """The signer is not the bank's."""

    bank: Address
    signer: Address
    sentence = (
        "{signer}, who signed these terms, is no authorised signer of {bank}: the "
        "attestation was altered, is for another chain or contract, or the bank must "
        "authorise that key."
    )


class WrongConsumer(ContractRefusal, solidity="WrongConsumer(address expected, address caller)"):
    """The attestation is for another contract."""

    expected: Address
    caller: Address
    sentence = "The attestation is for the contract {expected}, not for {caller}."


class AlreadyAnchored(ContractRefusal, solidity="AlreadyAnchored(bytes32 digest)"):
    """The digest is anchored."""

    digest: Digest
    sentence = "The digest {digest} is anchored already in this stream."


class PreviousMismatch(ContractRefusal, solidity="PreviousMismatch(bytes32 given, bytes32 head)"):
    """The anchor does not extend the stream's head."""

    given: Digest
    head: Digest
    sentence = "The stream's head is {head}, not {given}; extend the head."


class ZeroDigest(ContractRefusal, solidity="ZeroDigest()"):
    """The digest is 0."""

    sentence = "The digest is 0; there is nothing to anchor."
