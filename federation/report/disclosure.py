"""What left each party, what each side learned, and the privacy ledger."""

from __future__ import annotations

from collections.abc import Sequence

from federation.report.figures import LedgerLine, PartyDisclosure
from federation.report.headline import size
from federation.report.markup import Html, bullets, element, row, table

_HONEST_BUT_CURIOUS = (
    "These statements hold for parties that follow the protocol and try to learn what they can "
    "from what they receive (honest but curious). A party that departs from the protocol can "
    "learn more: malicious parties are out of scope; budgets and bin-size floors slow them down, "
    "they do not stop them."
)


def sent_section(parties: Sequence[PartyDisclosure]) -> Html:
    """Messages and bytes that left each party, by kind and recipient."""
    numeric = (3, 4, 5)
    rows = []
    for party in parties:
        if not party.sent:
            continue
        for line in party.sent:
            rows.append(
                row(
                    (
                        party.party,
                        line.kind,
                        line.recipient,
                        f"{line.messages:,}",
                        f"{line.size_bytes:,}",
                        size(line.size_bytes),
                    ),
                    numeric,
                )
            )
        total = sum(line.size_bytes for line in party.sent)
        messages = sum(line.messages for line in party.sent)
        rows.append(
            row(
                (f"{party.party}, all", "", "", f"{messages:,}", f"{total:,}", size(total)),
                numeric,
                class_="total",
            )
        )
    header = ("Party", "message", "to", "messages", "bytes", "size")
    return element(
        "section",
        element("h2", "What left each party"),
        element(
            "p",
            "Every message that a party sent in this session, counted from its own disclosure "
            "log, with its size in bytes.",
        ),
        table(header, rows, numeric)
        if rows
        else element("p", "No disclosure log came with this run."),
        id="sent",
    )


def learned_section(
    parties: Sequence[PartyDisclosure], direction: str, caveat: str = _HONEST_BUT_CURIOUS
) -> Html:
    """In plain sentences, what each side came to know and what it could work out."""
    return element(
        "section",
        element("h2", "What each side learned"),
        element("p", direction),
        element("div", *(_party(party) for party in parties), class_="cards"),
        element("p", caveat, class_="hint"),
        id="learned",
    )


def _party(party: PartyDisclosure) -> Html:
    blocks = (
        ("It was told", party.learned),
        ("It could work out", party.could_reconstruct),
        ("It never saw", party.never_saw),
    )
    parts = [element("h3", party.party, element("span", party.part, class_="part"))]
    for title, sentences in blocks:
        if sentences:
            parts += [element("h4", title), bullets(sentences)]
    return element("article", *parts)


def ledger_section(lines: Sequence[LedgerLine]) -> Html:
    """The privacy ledger; every ε stands with its unit of privacy and its history."""
    rows = [
        row(
            (
                element("span", f"{line.recorded:%Y-%m-%d %H:%M:%S}", class_="moment figure"),
                line.party,
                line.entry,
                "no ε follows from this" if line.privacy is None else str(line.privacy),
            )
        )
        for line in lines
    ]
    unbounded = all(line.privacy is None for line in lines)
    note = (
        "No differential-privacy guarantee was bought in this run: what its outputs say about a "
        "borrower is limited by what each side was told above, not by an ε."
        if unbounded
        else "An ε bounds only the data that its unit of privacy names, over the history beside "
        "it. Guarantees with different units are never added up."
    )
    return element(
        "section",
        element("h2", "Privacy ledger"),
        element("p", note),
        *([table(("Recorded (UTC)", "party", "entry", "guarantee"), rows)] if rows else []),
        id="ledger",
    )
