"""What of a lending decision stands in an attestation, in the contract's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, InvalidOperation

from contracts.units import BasisPoints
from federation.errors import InputError
from server.desk.attestations.settings import Consumer
from server.desk.decisions import Decision

WHOLE = 10_000
_MOST_RATE = 2**16 - 1
_MOST_BAND = 2**8 - 1
_MOST_DAYS = 36_500
_YEAR_DAYS = 365


@dataclass(frozen=True)
class AttestedTerms:
    """Terms as the contract reads them.

    Attributes:
        score_band: the grade's place in the policy, 1 the safest.
        advance_cap_bps: the policy's advance rate, rounded down.
        rate_bps: of an order, the policy's annual rate; of a receivable, the discount rate that
            comes to it over the tenor. Rounded down: no yearly cost is above the policy's.
        recourse: whether the supplier stands in.
    """

    score_band: int
    advance_cap_bps: BasisPoints
    rate_bps: BasisPoints
    recourse: bool


def attested_terms(decision: Decision, consumer: Consumer) -> AttestedTerms:
    """The terms of an approval.

    The pool takes its rate r' of the advance at once, order financing takes interest in arrears.
    Who gets 1 − r'·t for 1 after t years pays r' / (1 − r'·t) a year, so that r' = r / (1 + r·t) is
    the policy's r for the tenor t, and less for a shorter time.

    Raises:
        InputError: the policy's decision lacks a term, or one is beyond what the contract takes.
    """
    share = _number(decision.terms, "advance_rate")
    rate = _number(decision.terms, "annual_rate")
    recourse = decision.terms.get("recourse")
    cap = int((share * WHOLE).to_integral_value(ROUND_FLOOR))
    if consumer is Consumer.POOL:
        days = _number(decision.terms, "tenor_days", _MOST_DAYS)
        rate /= 1 + rate * days / _YEAR_DAYS
    bps = int((rate * WHOLE).to_integral_value(ROUND_FLOOR))
    if not 1 <= cap <= WHOLE:
        raise _wrong("advance_rate", "from 0.0001 to 1")
    if not 0 <= bps <= _MOST_RATE:
        raise _wrong("annual_rate", f"from 0 to {Decimal(_MOST_RATE) / WHOLE}")
    if recourse not in ("0", "1"):
        raise _wrong("recourse", "0 or 1")
    if not 1 <= decision.band <= _MOST_BAND:
        raise InputError(
            f"the policy's decision has no grade from 1 to {_MOST_BAND}; an attestation needs one"
        )
    return AttestedTerms(decision.band, BasisPoints(cap), BasisPoints(bps), recourse == "1")


def _number(terms: Mapping[str, str], name: str, most: int = 100) -> Decimal:
    try:
        number = Decimal(terms.get(name, ""))
    except InvalidOperation:
        raise _wrong(name, "a decimal number") from None
    # Within what any share or rate is, so that no product takes the memory.
    if not number.is_finite() or not 0 <= number <= most:
        raise _wrong(name, f"a decimal number from 0 to {most}")
    return number


def _wrong(name: str, right: str) -> InputError:
    return InputError(
        f"the policy's decision has no term '{name}' that an attestation could hold; it must be "
        f"{right}: use a product that advances a share of a claim"
    )
