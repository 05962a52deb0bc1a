"""The simulated supply chain as events of the contracts, in the chain's order.

Every event has the arguments that the contracts' interfaces give it. A financed claim goes to the
pool and, once the loan is paid, back to its supplier. Late interest and fees are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from eth_utils.address import to_checksum_address

from contracts.index.decoding import Event
from simulations.supply_chain import NEVER, Flags, Integers, SupplyChain, SupplyChainPlan

BLOCK_SECONDS = 12
FIRST_BLOCK = 1_000
CHAIN_ID = 31_337
_CONTRACTS = ("registry", "pool", "attestations", "orders", "anchor")
_ZERO_HASH = "0x" + 64 * "0"


@dataclass(frozen=True)
class Accounts:
    """Addresses of everybody, EIP-55.

    Attributes:
        suppliers, debtors: by their numbers.
        bank, token: the one that lends, and the deposit token.
        contracts: by short name.
    """

    suppliers: tuple[str, ...]
    debtors: tuple[str, ...]
    bank: str
    token: str
    contracts: dict[str, str]


def accounts_of(chain: SupplyChain) -> Accounts:
    """Draw the addresses; the same plan gives the same ones."""
    rng = np.random.default_rng((chain.plan.seed, 20))
    suppliers, debtors = len(chain.firms.tier), len(chain.firms.debtor_quality)
    parties = suppliers + debtors
    count = parties + 2 + len(_CONTRACTS)
    raw = rng.bytes(20 * count)
    found = tuple(str(to_checksum_address(raw[20 * n : 20 * n + 20])) for n in range(count))
    return Accounts(
        found[:suppliers],
        found[suppliers:parties],
        found[parties],
        found[parties + 1],
        dict(zip(_CONTRACTS, found[parties + 2 :], strict=True)),
    )


def last_block(plan: SupplyChainPlan) -> tuple[int, int]:
    """The number and time of the last block before the plan's end."""
    number = (plan.until - 1 - plan.begin) // BLOCK_SECONDS
    return FIRST_BLOCK + number, plan.begin + number * BLOCK_SECONDS


def chain_events(chain: SupplyChain, accounts: Accounts) -> tuple[Iterator[Event], int]:
    """Return all events before the plan's end, in order, and how many there are."""
    claims = chain.claims
    happenings: list[tuple[Integers, Integers, int]] = []  # claims, times, which step

    def happens(step: int, claim: Integers, at: Integers) -> None:
        happenings.append((claim, at, step))

    every = np.arange(len(claims.face), dtype=np.int64)

    def where(at: Integers) -> Integers:
        picked: Integers = every[at != NEVER]
        return picked

    roots = where(np.where(claims.parent < 0, claims.made, NEVER))
    happens(_CONFIRM, roots, claims.made[roots])
    for number, times in (
        (_SPLIT, claims.split_at),
        (_PASS, claims.passed_at),
        (_DISPUTE, claims.disputed_at),
        (_CREDIT, claims.credited_at),
        (_CANCEL, claims.cancelled_at),
        (_FINANCE, claims.financed_at),
        (_PAY_FIRST, claims.paid_at[:, 0]),
        (_PAY_REST, claims.paid_at[:, 1]),
        (_DEFAULT, claims.defaulted_at),
        (_WRITE_OFF, claims.written_off_at),
    ):
        picked = where(times)
        happens(number, picked, times[picked])
    claim = np.concatenate([each[0] for each in happenings])
    at = np.concatenate([each[1] for each in happenings])
    step = np.concatenate([np.full(len(each[0]), each[2]) for each in happenings])
    block = (at - chain.plan.begin) // BLOCK_SECONDS
    kept: Flags = at < chain.plan.until
    claim, block, step = claim[kept], block[kept], step[kept]
    order = np.lexsort((claim, step, block))
    writer = _Writer(chain, accounts)
    counted = int(np.bincount(step, minlength=len(_EVENTS))[: len(_EVENTS)] @ np.array(_EVENTS))
    return writer.events(block[order], step[order], claim[order]), counted


(
    _CONFIRM,
    _SPLIT,
    _PASS,
    _DISPUTE,
    _CREDIT,
    _CANCEL,
    _FINANCE,
    _PAY_FIRST,
    _PAY_REST,
    _DEFAULT,
    _WRITE_OFF,
) = range(11)
# About how many events a step has, to show progress by.
_EVENTS = (2, 4, 1, 1, 2, 2, 2, 3, 3, 1, 1)


class _Writer:
    """Turns steps into events, one transaction a step."""

    def __init__(self, chain: SupplyChain, accounts: Accounts) -> None:
        self._chain, self._accounts = chain, accounts
        claims, invoices = chain.claims, chain.invoices
        self._ids = [0] * len(claims.face)
        self._next = 1
        self._block = self._log = self._at = 0
        # Plain lists: reading single numbers of arrays is slow.
        self._invoice = claims.invoice.tolist()
        self._face, self._credit = claims.face.tolist(), claims.credit.tolist()
        self._holder, self._owner = claims.holder.tolist(), claims.owner.tolist()
        self._principal, self._discount = claims.principal.tolist(), claims.discount.tolist()
        self._paid = claims.paid.tolist()
        self._supplier, self._debtor = invoices.supplier.tolist(), invoices.debtor.tolist()
        self._due = invoices.due.tolist()
        self._is_disputed = (claims.disputed_at != NEVER).tolist()
        order = np.argsort(claims.parent, kind="stable")
        children = order[claims.parent[order] >= 0]
        self._children: dict[int, list[int]] = {}
        for child, parent in zip(children.tolist(), claims.parent[children].tolist(), strict=True):
            self._children.setdefault(parent, []).append(child)
        self._open: dict[int, int] = {}  # principal of loans that are not settled, by claim

    def events(self, blocks: Integers, steps: Integers, claims: Integers) -> Iterator[Event]:
        """Write all events."""
        todo: tuple[Callable[[int], Iterator[Event]], ...] = (
            self._confirm,
            self._split,
            self._pass,
            self._dispute,
            self._give_credit,
            self._cancel,
            self._finance,
            lambda claim: self._pay(claim, 0),
            lambda claim: self._pay(claim, 1),
            self._default,
            self._write_off,
        )
        begin = self._chain.plan.begin
        for block, step, claim in zip(
            blocks.tolist(), steps.tolist(), claims.tolist(), strict=True
        ):
            if FIRST_BLOCK + block != self._block:
                self._block, self._log = FIRST_BLOCK + block, 0
                self._at = begin + block * BLOCK_SECONDS
            self._transaction = f"0x{(self._block << 24) + self._log:064x}"
            yield from todo[step](claim)

    def _event(self, contract: str, name: str, claim: str | None, **arguments: object) -> Event:
        log, self._log = self._log, self._log + 1
        return Event(
            self._block, log, self._transaction, self._at, contract, name, claim, arguments
        )

    def _registry(self, name: str, claim: int, **arguments: object) -> Event:
        token = str(self._ids[claim])
        return self._event("registry", name, token, id=token, **arguments)

    def _pool(self, name: str, claim: int, **arguments: object) -> Event:
        token = str(self._ids[claim])
        return self._event("pool", name, token, id=token, bank=self._accounts.bank, **arguments)

    def _moved(self, claim: int, giver: str, taker: str) -> Event:
        token = str(self._ids[claim])
        arguments = {"from": giver, "to": taker, "tokenId": token}
        return self._event("registry", "Transfer", token, **arguments)

    def _new_id(self, claim: int) -> str:
        number = self._next
        self._ids[claim], self._next = number, number + 1
        return str(number)

    def _debtor_of(self, claim: int) -> str:
        debtor: int = self._debtor[self._invoice[claim]]
        return self._accounts.debtors[debtor]

    def _supplier_of(self, claim: int) -> str:
        owner: int = self._owner[claim]
        return self._accounts.suppliers[owner]

    def _confirm(self, claim: int) -> Iterator[Event]:
        token = self._new_id(claim)
        invoice = self._invoice[claim]
        yield self._event(
            "registry",
            "ReceivableConfirmed",
            token,
            id=token,
            debtor=self._debtor_of(claim),
            supplier=self._accounts.suppliers[self._supplier[invoice]],
            token=self._accounts.token,
            face=str(self._face[claim]),
            dueDate=str(self._due[invoice]),
            disputeUntil=str(self._at + 5 * 86_400),
            shippedAt="0",
            fingerprint=f"0x{invoice + 1:064x}",
            documentHash=f"0x{invoice + 1:064x}",
            order="0",
        )

    def _split(self, claim: int) -> Iterator[Event]:
        children = self._children[claim]
        suppliers = self._accounts.suppliers
        yield self._event(
            "registry",
            "ReceivableSplit",
            str(self._ids[claim]),
            parent=str(self._ids[claim]),
            children=[self._new_id(child) for child in children],
            faces=[str(self._face[child]) for child in children],
            holders=[suppliers[self._holder[child]] for child in children],
        )

    def _pass(self, claim: int) -> Iterator[Event]:
        giver = self._accounts.suppliers[self._holder[claim]]
        yield self._moved(claim, giver, self._supplier_of(claim))

    def _dispute(self, claim: int) -> Iterator[Event]:
        debtor = self._debtor_of(claim)
        yield self._registry("ReceivableDisputed", claim, debtor=debtor, reason=_ZERO_HASH)

    def _give_credit(self, claim: int) -> Iterator[Event]:
        credit = str(self._credit[claim])
        if self._is_disputed[claim]:
            yield self._registry("DisputeSettled", claim, credited=credit)
        left = str(self._face[claim] - self._credit[claim])
        yield self._registry("ReceivableCredited", claim, amount=credit, remaining=left)

    def _cancel(self, claim: int) -> Iterator[Event]:
        yield self._registry("ReceivableCancelled", claim)

    def _finance(self, claim: int) -> Iterator[Event]:
        supplier = self._supplier_of(claim)
        yield self._moved(claim, supplier, self._accounts.contracts["pool"])
        self._open[claim] = self._principal[claim]
        yield self._pool(
            "ReceivableFinanced",
            claim,
            supplier=supplier,
            debtor=self._debtor_of(claim),
            principal=str(self._principal[claim]),
            discount=str(self._discount[claim]),
            rateBps="600",
            dueDate=str(self._due[self._invoice[claim]]),
            nonce=str(self._ids[claim]),
            recourse=False,
        )

    def _pay(self, claim: int, part: int) -> Iterator[Event]:
        amount = self._paid[claim][part]
        left = self._face[claim] - self._credit[claim] - sum(self._paid[claim][: part + 1])
        is_pledged, owed = claim in self._open, self._open.get(claim, 0)
        holder = self._accounts.contracts["pool"] if is_pledged else self._supplier_of(claim)
        yield self._registry(
            "ReceivablePaid",
            claim,
            payer=self._debtor_of(claim),
            holder=holder,
            amount=str(amount),
            remaining=str(left),
        )
        if not left:
            yield self._registry("ReceivableSettled", claim)
        if not is_pledged:
            return
        principal = min(owed, amount)
        yield self._pool(
            "LoanRepaid",
            claim,
            fee="0",
            interest="0",
            principal=str(principal),
            residual=str(amount - principal),
        )
        self._open[claim] = owed - principal
        if principal == owed:
            del self._open[claim]
            yield self._pool("LoanSettled", claim)
            if left:
                pool = self._accounts.contracts["pool"]
                yield self._moved(claim, pool, self._supplier_of(claim))

    def _default(self, claim: int) -> Iterator[Event]:
        if claim in self._open:
            yield self._pool("LoanDefaulted", claim, principal=str(self._open[claim]))

    def _write_off(self, claim: int) -> Iterator[Event]:
        if claim in self._open:
            yield self._pool("LoanWrittenOff", claim, loss=str(self._open[claim]))
