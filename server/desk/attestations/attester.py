"""Checks what was decided against what is claimed, and signs it for the contract."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.gateway import keystore
from contracts.gateway.errors import GatewayError
from contracts.gateway.keystore import Signer
from contracts.gateway.solidity_values import moment
from contracts.gateway.structs import Attestation
from contracts.gateway.typed_data import TypedData
from contracts.units import Digest
from federation.errors import InputError
from federation.scoring.rows import FieldErrors
from server.desk.attestations.accounts import AccountsFile
from server.desk.attestations.claims import FinancedClaim
from server.desk.attestations.nonces import Nonces
from server.desk.attestations.settings import AttestationSettings
from server.desk.attestations.terms import attested_terms
from server.desk.deciding import Decided

APPROVED = "approve"
BACKDATED_SECONDS = 30
"""`issued_at` is so much before now: what counts is the time of a chain's block, which may lag."""


@dataclass(frozen=True)
class Signed:
    """An attestation, what it is signed for, and its signature (65 bytes)."""

    data: TypedData
    attestation: Attestation
    signature: bytes
    digest: Digest


@dataclass(frozen=True)
class Withheld:
    """Nothing was signed; why, in a sentence."""

    why: str


class Attester:
    """Signs for one bank.

    Args:
        settings: of [attestations].
        clock: the time in seconds since 1970.

    Raises:
        InputError: key, password, accounts or nonces can't be used.
    """

    def __init__(
        self, settings: AttestationSettings, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the key, which takes a second, and the files."""
        self._settings, self._clock = settings, clock
        self._signer = _signer(settings.keystore, settings.password_file)
        self._accounts = AccountsFile(settings.accounts)
        scope = f"{settings.chain_id}:{settings.contract}:{settings.bank}"
        self._nonces = Nonces(settings.nonces, scope)

    @property
    def signer(self) -> Signer:
        """The scoring key; it shows its address only."""
        return self._signer

    def check_product(self, product: str, claim: FinancedClaim) -> None:
        """Refuse a product that is not attested for this contract (FieldErrors)."""
        allowed = self._settings.products[claim.consumer]
        if product not in allowed:
            known = ", ".join(f"'{one}'" for one in sorted(allowed)) or "none"
            raise FieldErrors(
                [("decide.product", f"is not attested for '{claim.consumer}'; these are: {known}")]
            )

    def attest(self, decided: Decided, claim: FinancedClaim) -> Signed | Withheld:
        """Sign a decision for a claim; it waits for the disk.

        Raises:
            FieldErrors: the account is not the borrower's.
            InputError: what an operator must put right.
        """
        if not self._accounts.is_of(claim.account, decided.borrower, decided.identifier_rule):
            raise FieldErrors([("claim.account", "is no account of this borrower at the bank")])
        if decided.decision.decision != APPROVED:
            return Withheld(f"the decision is '{decided.decision.decision}'")
        if decided.answer.degraded and not self._settings.degraded:
            return Withheld(
                "the score lacks a party that should have answered; apply again when it does"
            )
        terms = attested_terms(decided.decision, claim.consumer)
        issued = int(self._clock()) - BACKDATED_SECONDS
        # The number first, and on the disk: no signature without one, none with an old one.
        attestation = Attestation(
            bank=self._settings.bank,
            consumer=self._settings.consumers[claim.consumer],
            subject=claim.account,
            claim=claim.number,
            model_digest=Digest(bytes.fromhex(decided.answer.digest)),
            score_band=terms.score_band,
            advance_cap_bps=terms.advance_cap_bps,
            rate_bps=terms.rate_bps,
            recourse=terms.recourse,
            nonce=self._nonces.take(),
            issued_at=moment(issued),
            expiry=moment(issued + self._settings.validity_seconds),
        )
        data = TypedData(attestation, self._settings.chain_id, self._settings.contract)
        return Signed(data, attestation, self._signer.sign_typed(data), data.digest())

    def close(self) -> None:
        """Close the files."""
        self._nonces.close()


def _signer(path: Path, password: Path) -> Signer:
    try:
        return keystore.load(path, keystore.password_from_file(password))
    except GatewayError as error:
        raise InputError(f"[attestations] of desk.toml: {error}") from None
