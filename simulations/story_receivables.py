"""What becomes of receivables: confirmed, passed on, split, merged, disputed, credited."""

from __future__ import annotations

from simulations.story_teller import DAY, ZERO, StoryLeaf, Teller


def confirm(book: Teller, order: int = 0, supplier: str = "", debtor: str = "") -> int:
    """An invoice is signed for."""
    if len(book.state.leaves) >= book.most_live and not order:
        return 0
    identifier = book.new_id()
    book.state.invoices += 1
    leaf = StoryLeaf(
        root=identifier,
        debtor=debtor or book.random.choice(book.debtors),
        holder=supplier or book.random.choice(book.suppliers),
        remaining=book.random.randrange(10_000, 10_000_000),
        due=book.now + book.random.randrange(1, 90) * DAY,
    )
    book.state.leaves[identifier] = leaf
    book.tell(
        "registry",
        "ReceivableConfirmed",
        id=identifier,
        debtor=leaf.debtor,
        supplier=leaf.holder,
        token=book.token,
        face=leaf.remaining,
        dueDate=leaf.due,
        disputeUntil=book.now + DAY,
        shippedAt=max(0, book.now - DAY),
        fingerprint=book.random.randbytes(32),
        documentHash=book.random.randbytes(32),
        order=order,
    )
    book.move(ZERO, leaf.holder, identifier)
    return identifier


def transfer(book: Teller) -> None:
    """A leaf is passed on."""
    identifier = book.some()
    if identifier is None:
        return
    leaf = book.state.leaves[identifier]
    taker = book.random.choice(book.suppliers)
    if taker != leaf.holder:
        book.move(leaf.holder, taker, identifier)
        leaf.holder = taker


def split(book: Teller) -> None:
    """A leaf becomes two."""
    identifier = book.some()
    if identifier is None or book.state.leaves[identifier].remaining < 1000:
        return
    parent = book.state.leaves[identifier]
    if parent.depth == 8:
        return
    del book.state.leaves[identifier]
    part = book.random.randrange(100, parent.remaining - 100)
    faces = [part, parent.remaining - part]
    holders = [parent.holder, book.random.choice(book.suppliers)]
    children = [book.new_id(), book.new_id()]
    book.move(parent.holder, ZERO, identifier)
    for child, face, holder in zip(children, faces, holders, strict=True):
        book.move(ZERO, holder, child)
        book.state.leaves[child] = StoryLeaf(
            parent.root, parent.debtor, holder, face, parent.due, parent.depth + 1, whole=False
        )
    book.tell(
        "registry",
        "ReceivableSplit",
        parent=identifier,
        children=children,
        faces=faces,
        holders=holders,
    )


def merge(book: Teller) -> None:
    """Two leaves of one invoice and holder become one."""
    found: dict[tuple[int, str], int] = {}
    for identifier, leaf in book.state.leaves.items():
        if leaf.disputed or leaf.holder == book.pool:
            continue
        other = found.setdefault((leaf.root, leaf.holder), identifier)
        if other == identifier:
            continue
        first = book.state.leaves.pop(other)
        second = book.state.leaves.pop(identifier)
        merged = book.new_id()
        face = first.remaining + second.remaining
        for gone in (other, identifier):
            book.move(first.holder, ZERO, gone)
        book.tell(
            "registry",
            "ReceivableMerged",
            merged=merged,
            parents=[other, identifier],
            face=face,
            holder=first.holder,
        )
        book.move(ZERO, first.holder, merged)
        depth = max(first.depth, second.depth)
        book.state.leaves[merged] = StoryLeaf(
            first.root, first.debtor, first.holder, face, first.due, depth, whole=False
        )
        return


def dispute(book: Teller) -> None:
    """A dispute ends, or begins."""
    for identifier, leaf in book.state.leaves.items():
        if leaf.disputed:
            leaf.disputed = False
            if book.random.random() < 0.5:
                book.tell("registry", "DisputeWithdrawn", id=identifier)
                return
            credit = book.random.randrange(0, leaf.remaining)
            book.tell("registry", "DisputeSettled", id=identifier, credited=credit)
            if credit:
                give_up(book, identifier, credit)
            return
    chosen = book.some()
    if chosen is not None:
        leaf = book.state.leaves[chosen]
        leaf.disputed = True
        book.tell("registry", "ReceivableDisputed", id=chosen, debtor=leaf.debtor)


def credit(book: Teller) -> None:
    """A holder gives up part of a leaf, or all."""
    identifier = book.some()
    if identifier is not None:
        give_up(book, identifier, book.random.randint(1, book.state.leaves[identifier].remaining))


def give_up(book: Teller, identifier: int, amount: int) -> None:
    """An amount is credited."""
    leaf = book.state.leaves[identifier]
    leaf.remaining -= amount
    book.tell(
        "registry", "ReceivableCredited", id=identifier, amount=amount, remaining=leaf.remaining
    )
    settle_if_done(book, identifier)


def settle_if_done(book: Teller, identifier: int) -> bool:
    """A leaf on which nothing is left ends."""
    leaf = book.state.leaves[identifier]
    if leaf.remaining:
        return False
    del book.state.leaves[identifier]
    book.tell("registry", "ReceivableSettled", id=identifier)
    book.move(leaf.holder, ZERO, identifier)
    return True


def cancel(book: Teller) -> None:
    """A whole invoice is cancelled."""
    identifier = book.some()
    if identifier is None or not book.state.leaves[identifier].whole:
        return
    holder = book.state.leaves.pop(identifier).holder
    book.tell("registry", "ReceivableCancelled", id=identifier)
    book.move(holder, ZERO, identifier)
