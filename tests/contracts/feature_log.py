"""A small log of the contracts' events, written by hand and indexed by the indexer's own code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import sqlalchemy as sa
from eth_utils.address import to_checksum_address

from contracts.features import cut_of
from contracts.features.computing import SupplierFeatures, features_of
from contracts.features.facts import Facts
from contracts.features.reading import read_facts
from contracts.index.decoding import Event
from contracts.units import Address
from simulations.supply_chain_index import write_events

CUT = date(2026, 1, 1)
CUT_AT = int(cut_of(CUT))
DAY = 86_400
_ZERO_HASH = "0x" + 64 * "0"


def account(name: str) -> Address:
    """An address that a name always has."""
    return Address(to_checksum_address(name.encode().ljust(20, b"\0")[:20]))


POOL, BANK = account("pool"), account("bank")
CONTRACTS = {
    name: account(name) for name in ("registry", "pool", "attestations", "orders", "anchor")
}


def days_before(days: float) -> int:
    """Unix seconds so many days before the cut."""
    return CUT_AT - round(days * DAY)


def due_on(days: float) -> int:
    """The last second of the day that lies so many days before the cut."""
    return (days_before(days) // DAY + 1) * DAY - 1


class Log:
    """Events in any order of time; `events` gives them in the chain's order."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, list[tuple[str, str, dict[str, object]]]]] = []
        self._next = 1
        self._claims: dict[int, tuple[str, int]] = {}  # debtor, due date
        self._left: dict[int, int] = {}

    def _tell(self, at: int, *events: tuple[str, str, dict[str, object]]) -> None:
        self._steps.append((at, len(self._steps), list(events)))

    def _new(self, debtor: str, due: int, face: int) -> int:
        number, self._next = self._next, self._next + 1
        self._claims[number] = (debtor, due)
        self._left[number] = face
        return number

    def confirm(
        self, debtor: str, supplier: str, face: int, at: int, due: int, token: str = "token"
    ) -> int:
        """An invoice; returns its leaf."""
        number = self._new(debtor, due, face)
        arguments: dict[str, object] = {
            "id": str(number),
            "debtor": account(debtor),
            "supplier": account(supplier),
            "token": account(token),
            "face": str(face),
            "dueDate": str(due),
            "disputeUntil": str(at),
            "shippedAt": "0",
            "fingerprint": f"0x{number:064x}",
            "documentHash": _ZERO_HASH,
            "order": "0",
        }
        self._tell(at, ("registry", "ReceivableConfirmed", arguments))
        return number

    def split(self, leaf: int, faces: Sequence[int], holders: Sequence[str], at: int) -> list[int]:
        """Children of a leaf."""
        debtor, due = self._claims[leaf]
        children = [self._new(debtor, due, face) for face in faces]
        arguments: dict[str, object] = {
            "parent": str(leaf),
            "children": [str(child) for child in children],
            "faces": [str(face) for face in faces],
            "holders": [account(holder) for holder in holders],
        }
        self._tell(at, ("registry", "ReceivableSplit", arguments))
        return children

    def merge(self, leaves: Sequence[int], holder: str, at: int) -> int:
        """One leaf of several."""
        face = sum(self._left[leaf] for leaf in leaves)
        merged = self._new(*self._claims[leaves[0]], face)
        parents = [str(leaf) for leaf in leaves]
        arguments: dict[str, object] = {
            "merged": str(merged),
            "parents": parents,
            "face": str(face),
            "holder": account(holder),
        }
        self._tell(at, ("registry", "ReceivableMerged", arguments))
        return merged

    def transfer(self, leaf: int, giver: str, taker: str, at: int) -> None:
        """A leaf changes hands whole."""
        arguments: dict[str, object] = {
            "from": account(giver),
            "to": account(taker),
            "tokenId": str(leaf),
        }
        self._tell(at, ("registry", "Transfer", arguments))

    def _registry(self, at: int, name: str, leaf: int, **arguments: object) -> None:
        self._tell(at, ("registry", name, {"id": str(leaf), **arguments}))

    def pay(self, leaf: int, amount: int, at: int, payee: str = "someone") -> None:
        """A payment; the last one settles."""
        self._left[leaf] -= amount
        left = self._left[leaf]
        payer = account(self._claims[leaf][0])
        self._registry(
            at,
            "ReceivablePaid",
            leaf,
            payer=payer,
            holder=account(payee),
            amount=str(amount),
            remaining=str(left),
        )
        if not left:
            self._registry(at, "ReceivableSettled", leaf)

    def dispute(self, leaf: int, at: int) -> None:
        """The debtor disputes a leaf."""
        debtor = account(self._claims[leaf][0])
        self._registry(at, "ReceivableDisputed", leaf, debtor=debtor, reason=_ZERO_HASH)

    def credit(self, leaf: int, amount: int, at: int, *, settles_dispute: bool = False) -> None:
        """A credit note, perhaps one that settles a dispute."""
        self._left[leaf] -= amount
        if settles_dispute:
            self._registry(at, "DisputeSettled", leaf, credited=str(amount))
        left = str(self._left[leaf])
        self._registry(at, "ReceivableCredited", leaf, amount=str(amount), remaining=left)

    def cancel(self, leaf: int, at: int) -> None:
        """The holder cancels an invoice."""
        self._registry(at, "ReceivableCancelled", leaf)

    def finance(self, leaf: int, supplier: str, principal: int, at: int) -> None:
        """The pool takes a leaf for a loan."""
        self.transfer(leaf, supplier, "pool", at)
        arguments: dict[str, object] = {
            "id": str(leaf),
            "bank": BANK,
            "supplier": account(supplier),
            "debtor": account(self._claims[leaf][0]),
            "principal": str(principal),
            "discount": "1",
            "rateBps": "500",
            "dueDate": str(self._claims[leaf][1]),
            "nonce": str(leaf),
            "recourse": False,
        }
        self._tell(at, ("pool", "ReceivableFinanced", arguments))

    def loan(self, name: str, leaf: int, at: int, **amounts: int) -> None:
        """Any other event of a loan, such as LoanRepaid."""
        shown = {key: str(value) for key, value in amounts.items()}
        self._tell(at, ("pool", name, {"id": str(leaf), "bank": BANK, **shown}))

    def events(self, until: int | None = None) -> list[Event]:
        """All events, or those before a time; a block a second."""
        found: list[Event] = []
        log = 0
        for at, _, told in sorted(self._steps, key=lambda step: step[:2]):
            log = log if found and found[-1].block_number == at else 0
            if until is not None and at >= until:
                break
            for contract, name, arguments in told:
                found.append(Event(at, log, _ZERO_HASH, at, contract, name, None, arguments))
                log += 1
        return found

    def index(self, path: Path, until: int | None = None, head: int | None = None) -> Path:
        """Index the events; `head` is the time of the last block."""
        events = self.events(until)
        reached = max(events[-1].at if events else 0, CUT_AT) if head is None else head
        write_events(events, CONTRACTS, (reached, reached), path)
        return path


def facts_of(path: Path, as_of: date = CUT, token: Address | None = None) -> Facts:
    """Facts of an index."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        facts = read_facts(connection, cut_of(as_of), token=token)
    engine.dispose()
    return facts


def features_at(path: Path, as_of: date = CUT) -> SupplierFeatures:
    """All features of an index's suppliers."""
    return features_of(facts_of(path, as_of))


def value(features: SupplierFeatures, supplier: str, name: str) -> float:
    """One feature of one account, or of a firm."""
    names = features.suppliers
    row = names.index(account(supplier) if account(supplier) in names else supplier)
    return float(features.columns[name][row])
