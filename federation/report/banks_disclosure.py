"""What left each bank, and the banks' privacy ledgers."""

from __future__ import annotations

from collections.abc import Sequence

from federation.report.banks_figures import BankLedger, BankLedgerLine
from federation.report.figures import PartyDisclosure
from federation.report.headline import size
from federation.report.markup import Html, element, place, row, table

DIRECTION = (
    "Banks send to the coordinator alone; it passes on keys, sealed shares and totals. A bank's "
    "update leaves it masked and encrypted, and only sums over enough banks are ever opened, by "
    "the banks."
)
CAVEAT = (
    "These statements hold for parties that follow the protocol and try to learn what they can "
    "from what they receive (honest but curious). A bank that departs from it can spoil the model "
    "or shape it to learn more of the others: malicious parties are out of scope."
)
# What a bank's messages hold, by kind.
MESSAGE_WORDS = {
    "joined": "digest of the plan, a public key of this run, software version",
    "ready": "shares of its masks, sealed for the other banks; from one bank the encryption key, "
    "wrapped for the others",
    "contributed": "its vector of a step (sums for scaling, an update, or counts), masked and "
    "encrypted; digest of the model it starts from",
    "unmasked": "shares that take the masks off a sum, never off one bank's vector",
    "need_everyone": "that a step is one for all banks",
    "declined": "one word: why it takes no further part",
    "finished": "digest of the final model, number of rounds",
}


def bank_messages_section(banks: Sequence[PartyDisclosure]) -> Html:
    """Messages and bytes that left each bank, by kind."""
    title = element("h2", "What left each bank")
    kinds = list(dict.fromkeys(line.kind for bank in banks for line in bank.sent))
    if not kinds:
        empty = element("p", "No disclosure log came with this run.")
        return element("section", title, empty, id="sent")
    numeric = tuple(range(1, len(kinds) + 2))
    rows = []
    for bank in banks:
        cells = [_cell(bank, kind) for kind in kinds]
        rows.append(row((bank.party, *cells, _cell(bank, None)), numeric))
    words = [
        element("li", element("code", kind), f": {MESSAGE_WORDS[kind]}.")
        for kind in kinds
        if kind in MESSAGE_WORDS
    ]
    return element(
        "section",
        title,
        element(
            "p",
            "Every message that a bank sent in this run, all of them to the coordinator: bytes, "
            "and below them the number of messages, from its own disclosure log.",
        ),
        table(("Bank", *kinds, "all"), rows, numeric, class_="messages"),
        *([element("ul", *words)] if words else []),
        id="sent",
    )


def _cell(bank: PartyDisclosure, kind: str | None) -> Html:
    lines = [line for line in bank.sent if kind in (None, line.kind)]
    total = sum(line.size_bytes for line in lines)
    count = sum(line.messages for line in lines)
    if not count:
        return Html("–")
    shown = f"{count:,} message{'s' * (count != 1)}"
    if kind is None:
        shown += f", {size(total)}"
    return place(f"{total:,}", element("span", shown, class_="count"))


def bank_ledgers_section(ledgers: Sequence[BankLedger]) -> Html:
    """Each bank's privacy ledger; every ε stands with its unit of privacy and its history."""
    bounded = any(line.privacy is not None for ledger in ledgers for line in ledger.lines)
    note = (
        "Every bank keeps its own ledger over all runs. An ε bounds only the data that its unit of "
        "privacy names, over the history beside it. Guarantees with different units are never "
        "added up."
        if bounded
        else "Every bank keeps its own ledger over all runs. No differential-privacy guarantee was "
        "bought: what the outputs say about a borrower is limited by what each side is told, not "
        "by an ε."
    )
    return element(
        "section",
        element("h2", "Privacy ledgers"),
        element("p", note),
        *([_ledgers_table(ledgers)] if ledgers else []),
        id="ledger",
    )


def _ledgers_table(ledgers: Sequence[BankLedger]) -> Html:
    header = (
        "Lines",
        "entries",
        "first recorded (UTC)",
        "run",
        "what was released",
        "unit of privacy",
        "guarantee of the history up to here",
    )
    rows = []
    for ledger in ledgers:
        name = element("th", ledger.bank, colspan=str(len(header)), scope="rowgroup")
        rows.append(element("tr", name, class_="group"))
        rows += [_ledger_row(line) for line in ledger.lines]
        rows += [
            element(
                "tr",
                element(
                    "td", element("span", f"Whole history: {total}."), colspan=str(len(header))
                ),
                class_="whole",
            )
            for total in ledger.totals or ("nothing was entered",)
        ]
    return table(header, rows, numeric=(1,), class_="compact ledgers")


def _ledger_row(line: BankLedgerLine) -> Html:
    lines = f"{line.first}" if line.first == line.last else f"{line.first}–{line.last}"
    return row(
        (
            element("span", lines, class_="moment figure"),
            f"{line.entries:,}",
            element("span", f"{line.since:%Y-%m-%d %H:%M:%S}", class_="moment figure"),
            line.run,
            line.entry,
            line.unit,
            "no ε bounds it" if line.privacy is None else str(line.privacy),
        ),
        numeric=(1,),
    )
