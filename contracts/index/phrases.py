"""Events in a person's words: amounts in the token's decimals, times in UTC, short ids."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from contracts.index.decoding import Event
from contracts.index.event_numbers import FIRST_ORDER
from contracts.index.snapshot import TokenWords

_PHRASES: Final[Mapping[str, str]] = {
    "ReceivableConfirmed": "receivable {id} confirmed: {debtor} owes {supplier} {face}, "
    "due {dueDate}",
    "ReceivableSplit": "receivable {parent} split into {children}",
    "ReceivableMerged": "receivables {parents} merged into {merged}: {face}",
    "ReceivableDisputed": "receivable {id} disputed by {debtor}",
    "DisputeWithdrawn": "receivable {id}: dispute withdrawn",
    "DisputeSettled": "receivable {id}: dispute settled, {credited} given up",
    "ReceivableCredited": "receivable {id}: {amount} given up, {remaining} left",
    "ReceivableCancelled": "receivable {id} cancelled",
    "ReceivablePaid": "receivable {id}: {payer} paid {amount} to {holder}, {remaining} left",
    "ReceivableSettled": "receivable {id} settled",
    "Transfer": "receivable {tokenId} passed from {from} to {to}",
    "DebtorAdmitted": "debtor {debtor} admitted: {admitted}",
    "TokenAdmitted": "token {token} admitted: {admitted}",
    "PoolAdmitted": "pool {pool} admitted",
    "BankAdmitted": "bank {bank} admitted up to {limit}",
    "Deposited": "bank {bank} paid {amount} in",
    "Withdrawn": "bank {bank} took {amount} out",
    "ReceivableFinanced": "receivable {id} financed: {bank} lends {supplier} {principal} less "
    "{discount}, due {dueDate}",
    "LoanRepaid": "loan {id}: {bank} gets {principal} and {interest} interest, {fee} fee",
    "LoanSettled": "loan {id} settled",
    "LoanRepurchased": "loan {id}: {supplier} bought it back for {amount}",
    "LoanDefaulted": "loan {id} in default: {principal} open at {bank}",
    "LoanWrittenOff": "loan {id} written off: {bank} lost {loss}",
    "LoanRecovered": "loan {id}: {bank} recovered {amount}",
    "OrderAccepted": "order {order} accepted: {supplier} delivers {value} to {buyer} by "
    "{deliverBy}",
    "FacilityOpened": "order {order}: {bank} opens a facility of {facility}",
    "DeliverySigned": "order {order}: {deliveredValue} delivered so far",
    "Drawn": "order {order}: {amount} drawn, {principal} open",
    "OrderPaidBack": "order {order}: {principal} paid back and {interest} interest",
    "OrderConverted": "order {order} became receivable {receivable}, {retired} retired",
    "OrderDefaulted": "order {order} in default: {principal} open",
    "OrderLost": "order {order} written off: {loss} lost",
    "OrderLapsed": "order {order} lapsed",
    "AttestationConsumed": "score {scoreBand} of {bank} for {subject} used on claim {claim}",
    "AttestationRevoked": "{bank} voided attestation {nonce}",
    "SignerAuthorised": "{bank} lets {signer} attest until {notAfter}",
    "SignerRevoked": "{bank} withdrew signer {signer}",
    "Anchored": "{account} anchored {digest} in stream {stream}",
    "PaymentHeld": "{amount} held, since it could not be delivered",
    "Paused": "{contract} paused by {account}",
    "Unpaused": "{contract} goes on, by {account}",
}
_QUIET: Final = frozenset({"Approval", "ApprovalForAll", "OrderAdvanced", "OrderRetired"})
_TIMES: Final = frozenset({"dueDate", "deliverBy", "notAfter"})
_MONEY: Final = frozenset(
    {
        *("amount", "credited", "deliveredValue", "discount", "facility", "face", "fee"),
        *("interest", "limit", "loss", "principal", "remaining", "retired", "value"),
    }
)
_ORDERS: Final = frozenset({"order", "claim"})
_ZERO = "0x" + 40 * "0"


def describe(event: Event, token: TokenWords | None) -> str | None:
    """One line on an event, or None of one that another event of its transaction tells better.

    Args:
        event: the event.
        token: of its amounts; None shows minor units.
    """
    arguments = event.arguments
    if event.name in _QUIET or (
        event.name == "Transfer" and _ZERO in (arguments.get("from"), arguments.get("to"))
    ):
        return None
    shown = {name: _shown(name, value, token) for name, value in arguments.items()}
    phrase = _PHRASES.get(event.name)
    if phrase is None:
        words = ", ".join(f"{name} {value}" for name, value in shown.items())
        text = f"{event.contract}: {event.name} ({words})"
    else:
        text = phrase.format_map({**shown, "contract": event.contract})
    return f"{utc(event.at)}  {text}"


def utc(at: int) -> str:
    """A time of the chain, to the second."""
    return _datetime(at).strftime("%Y-%m-%d %H:%M:%SZ")


def day(at: int) -> str:
    """The day of a time of the chain."""
    return _datetime(at).strftime("%Y-%m-%d")


def _datetime(at: int) -> datetime:
    # uint40 reaches beyond what a calendar does.
    return datetime.fromtimestamp(min(at, 253_402_300_799), UTC)


def money(amount: int, token: TokenWords | None) -> str:
    """An amount with the token's decimals and symbol, without a detour over floats."""
    if token is None:
        return f"{amount:,} minor units"
    whole, part = divmod(abs(amount), 10**token.decimals)
    digits = f".{part:0{token.decimals}d}" if token.decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{digits} {token.symbol}".rstrip()


def short(digits: str) -> str:
    """An address or hash, shortened as 0x1234…abcd."""
    return digits if len(digits) <= 13 else f"{digits[:6]}…{digits[-4:]}"


def order_name(identifier: int) -> str:
    """A claim's number; of a purchase order P and its number above 2**128."""
    return f"P{identifier - FIRST_ORDER}" if identifier > FIRST_ORDER else str(identifier)


def _shown(name: str, value: Any, token: TokenWords | None) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(name, item, token) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text.startswith("0x"):
        return short(text)
    if name in _TIMES:
        return day(int(text))
    if name in _MONEY:
        return money(int(text), token)
    return order_name(int(text)) if name in _ORDERS else text
