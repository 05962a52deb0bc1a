"""What debtors, banks and suppliers do about money: pay, lend, write off, buy back, order."""

from __future__ import annotations

from simulations.story_receivables import confirm, settle_if_done
from simulations.story_teller import DAY, StoryLoan, StoryOrder, Teller


def pay(book: Teller) -> None:
    """A debtor pays a leaf, in part or whole, to whoever holds it."""
    identifier = book.some(free=False)
    if identifier is None:
        return
    leaf = book.state.leaves[identifier]
    leaf.whole = False
    amount = leaf.remaining
    if book.random.random() < 0.3:
        amount = book.random.randint(1, leaf.remaining)
    leaf.remaining -= amount
    book.tell(
        "registry",
        "ReceivablePaid",
        id=identifier,
        payer=leaf.debtor,
        holder=leaf.holder,
        amount=amount,
        remaining=leaf.remaining,
    )
    settled = settle_if_done(book, identifier)
    if leaf.holder == book.pool:
        to_loan(book, identifier, amount, lives=not settled)


def to_loan(book: Teller, identifier: int, amount: int, lives: bool) -> None:
    """The pool passes a payment on to a loan."""
    loan = book.state.loans[identifier]
    if loan.state == "written_off":
        got = min(amount, loan.principal)
        book.tell(
            "pool",
            "LoanRecovered",
            id=identifier,
            bank=loan.bank,
            amount=got,
            residual=amount - got,
        )
    else:
        interest = min(amount, book.random.randrange(0, 50))
        got = min(amount - interest, loan.principal)
        book.tell(
            "pool",
            "LoanRepaid",
            id=identifier,
            bank=loan.bank,
            fee=0,
            interest=interest,
            principal=got,
            residual=amount - interest - got,
        )
    loan.principal -= got
    if not loan.principal:
        loan_ends(book, identifier, lives)


def loan_ends(book: Teller, identifier: int, lives: bool) -> None:
    """Nothing is owed on a loan any more."""
    loan = book.state.loans.pop(identifier)
    book.tell("pool", "LoanSettled", id=identifier, bank=loan.bank)
    if lives:
        book.state.leaves[identifier].holder = loan.supplier
        book.move(book.pool, loan.supplier, identifier)


def finance(book: Teller, identifier: int | None = None, bank: str = "", claim: int = 0) -> None:
    """A bank lends on a leaf."""
    identifier = book.some() if identifier is None else identifier
    if identifier is None:
        return
    leaf = book.state.leaves[identifier]
    if leaf.due <= book.now or leaf.remaining < 10:
        return
    loan = StoryLoan(
        bank=bank or book.random.choice(book.banks),
        supplier=leaf.holder,
        principal=leaf.remaining * book.random.randrange(50, 90) // 100,
    )
    book.state.loans[identifier] = loan
    leaf.whole = False
    book.tell(
        "pool",
        "ReceivableFinanced",
        id=identifier,
        bank=loan.bank,
        supplier=loan.supplier,
        debtor=leaf.debtor,
        principal=loan.principal,
        discount=loan.principal // 100,
        rateBps=800,
        dueDate=leaf.due,
        nonce=book.random.randrange(2**64),
        recourse=book.random.random() < 0.5,
    )
    book.tell(
        "attestations",
        "AttestationConsumed",
        bank=loan.bank,
        subject=loan.supplier,
        claim=claim or identifier,
        consumer=book.pool,
        scoreBand=3,
    )
    book.move(leaf.holder, book.pool, identifier)
    leaf.holder = book.pool


def repurchase(book: Teller) -> None:
    """A supplier pays a loan off."""
    if not book.state.loans:
        return
    identifier = book.random.choice(list(book.state.loans))
    loan = book.state.loans[identifier]
    book.tell(
        "pool",
        "LoanRepurchased",
        id=identifier,
        supplier=loan.supplier,
        amount=loan.principal,
    )
    loan_ends(book, identifier, identifier in book.state.leaves)


def worsen(book: Teller) -> None:
    """A loan that is overdue goes into default, or is written off."""
    candidates = [key for key, loan in book.state.loans.items() if loan.state != "written_off"]
    if not candidates:
        return
    identifier = book.random.choice(candidates)
    loan = book.state.loans[identifier]
    values = {"id": identifier, "bank": loan.bank}
    if loan.state == "open":
        loan.state = "defaulted"
        book.tell("pool", "LoanDefaulted", principal=loan.principal, **values)
    else:
        loan.state = "written_off"
        book.tell("pool", "LoanWrittenOff", loss=loan.principal, **values)


def order(book: Teller) -> None:
    """One order goes from acceptance to its first draw, or to its invoice, or is paid back."""
    if not book.state.orders or book.random.random() < 0.4:
        accept(book)
        return
    identifier = book.random.choice(list(book.state.orders))
    order = book.state.orders.pop(identifier)
    if book.random.random() < 0.5:
        leaf = confirm(book, identifier, order.supplier, order.buyer)
        book.tell(
            "orders",
            "OrderConverted",
            order=identifier,
            receivable=leaf,
            retired=order.principal,
        )
        retire(book, identifier, order)
        finance(book, leaf, order.bank, identifier)
        return
    book.tell("orders", "OrderDefaulted", order=identifier, principal=order.principal)
    book.tell("orders", "OrderPaidBack", order=identifier, principal=order.principal)
    retire(book, identifier, order)


def retire(book: Teller, identifier: int, order: StoryOrder) -> None:
    """The pool books an advance as paid back."""
    book.tell(
        "pool",
        "OrderRetired",
        order=identifier,
        bank=order.bank,
        amount=order.principal,
        released=order.principal,
    )


def accept(book: Teller) -> None:
    """An order is accepted, and its first draw made."""
    book.state.last_order += 1
    identifier = book.state.last_order
    order = StoryOrder(
        bank=book.random.choice(book.banks),
        supplier=book.random.choice(book.suppliers),
        buyer=book.random.choice(book.debtors),
        value=book.random.randrange(10_000, 10_000_000),
    )
    book.state.orders[identifier] = order
    order.principal = order.value // 4
    values = {"order": identifier, "supplier": order.supplier}
    book.tell(
        "orders",
        "OrderAccepted",
        buyer=order.buyer,
        value=order.value,
        deliverBy=book.now + 30 * DAY,
        fingerprint=book.random.randbytes(32),
        **values,
    )
    book.tell(
        "orders",
        "FacilityOpened",
        order=identifier,
        bank=order.bank,
        facility=order.value // 2,
        rateBps=900,
    )
    book.tell("orders", "DeliverySigned", order=identifier, deliveredValue=order.value // 2)
    book.tell(
        "orders",
        "Drawn",
        order=identifier,
        amount=order.principal,
        principal=order.principal,
    )
    book.tell(
        "pool",
        "OrderAdvanced",
        bank=order.bank,
        debtor=order.buyer,
        amount=order.principal,
        **values,
    )
