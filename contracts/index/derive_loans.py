"""What the pool's events do to loans: pure functions of book and event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.index.book import Book, Loan, LoanStatus
from contracts.index.decoding import Event
from contracts.index.event_numbers import amount, out_of_place, within
from contracts.index.movements import Movement, MovementKind, movement


def _loan(book: Book, event: Event) -> Loan:
    identifier = amount(event, "id")
    loan = book.loans.get(identifier)
    if loan is None:
        raise out_of_place(event, f"there is no loan on receivable {identifier}")
    book.touched_loans.add(identifier)
    return loan


def _of_loan(
    book: Book,
    event: Event,
    kind: MovementKind,
    loan: Loan,
    amount: int,
    extra: int | None = None,
    *,
    actor: str | None = None,
    counterparty: str | None = None,
) -> list[Movement]:
    leaf = book.leaves.get(loan.id)
    if leaf is None:
        raise out_of_place(event, f"receivable {loan.id} is not known")
    return [
        movement(
            event,
            kind,
            root=leaf.root,
            leaf=loan.id,
            debtor=loan.debtor,
            supplier=loan.supplier,
            actor=actor,
            counterparty=counterparty,
            bank=loan.bank,
            amount=amount,
            extra=extra,
        )
    ]


def _financed(book: Book, event: Event) -> list[Movement]:
    principal = amount(event, "principal")
    loan = Loan(
        id=amount(event, "id"),
        bank=event.text("bank"),
        supplier=event.text("supplier"),
        debtor=event.text("debtor"),
        principal=principal,
        open_principal=principal,
        discount=amount(event, "discount"),
        due_date=amount(event, "dueDate"),
        financed_at=event.at,
        status=LoanStatus.OPEN,
        recourse=bool(event.arguments["recourse"]),
    )
    before = book.loans.get(loan.id)
    if before is not None and before.status != LoanStatus.SETTLED:
        raise out_of_place(event, f"the loan on receivable {loan.id} is {before.status}")
    book.loans[loan.id] = loan
    book.touched_loans.add(loan.id)
    return _of_loan(
        book,
        event,
        MovementKind.FINANCED,
        loan,
        principal,
        loan.discount,
        actor=loan.supplier,
        counterparty=loan.bank,
    )


def _repaid(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    principal = amount(event, "principal")
    if principal > loan.open_principal:
        raise out_of_place(event, f"only {loan.open_principal} are open on receivable {loan.id}")
    loan.open_principal -= principal
    extra = within(event, "interest", event.number("fee") + event.number("interest"))
    return _of_loan(
        book, event, MovementKind.REPAID, loan, principal, extra, counterparty=loan.bank
    )


def _loan_settled(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    loan.open_principal = 0
    loan.status = LoanStatus.SETTLED
    return _of_loan(book, event, MovementKind.LOAN_SETTLED, loan, 0, counterparty=loan.bank)


def _repurchased(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    released, loan.open_principal = loan.open_principal, 0
    return _of_loan(
        book,
        event,
        MovementKind.REPURCHASED,
        loan,
        amount(event, "amount"),
        released,
        actor=loan.supplier,
        counterparty=loan.bank,
    )


def _defaulted(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    loan.status = LoanStatus.DEFAULTED
    return _of_loan(
        book,
        event,
        MovementKind.DEFAULTED,
        loan,
        amount(event, "principal"),
        actor=loan.bank,
        counterparty=loan.supplier,
    )


def _written_off(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    loan.status = LoanStatus.WRITTEN_OFF
    loan.open_principal = 0
    return _of_loan(
        book,
        event,
        MovementKind.WRITTEN_OFF,
        loan,
        amount(event, "loss"),
        actor=loan.bank,
        counterparty=loan.supplier,
    )


def _recovered(book: Book, event: Event) -> list[Movement]:
    loan = _loan(book, event)
    return _of_loan(
        book,
        event,
        MovementKind.RECOVERED,
        loan,
        amount(event, "amount"),
        amount(event, "residual"),
        counterparty=loan.bank,
    )


HANDLERS: Final[dict[str, Callable[[Book, Event], list[Movement]]]] = {
    "ReceivableFinanced": _financed,
    "LoanRepaid": _repaid,
    "LoanSettled": _loan_settled,
    "LoanRepurchased": _repurchased,
    "LoanDefaulted": _defaulted,
    "LoanWrittenOff": _written_off,
    "LoanRecovered": _recovered,
}
