"""Borrower identifiers: one declared rule turns every party's spelling of an id into the same text.

Alignment compares ids exactly, so all parties of a session must normalise theirs by the same
rule. Every rule keeps leading zeros.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum

from federation.errors import InputError


class IdentifierRule(StrEnum):
    """How an id is brought into the form in which parties compare it.

    Every rule but `EXACT` starts as `STRIP` does; each one is idempotent.
    """

    EXACT = "exact"  # as it stands in the source, character by character
    STRIP = "strip"  # Unicode NFKC, no invisible characters, no outer and single inner white space
    CASEFOLD = "casefold"  # as strip, and upper and lower case are the same
    ALPHANUMERIC = "alphanumeric"  # as casefold, and only letters and digits are kept
    DIGITS = "digits"  # only the decimal digits are kept, written as 0-9


# What exports write where there is no id; under no rule is one of these a borrower.
_NO_IDENTIFIER = frozenset({"", "nan", "none", "null", "nat", "na", "n/a", "#n/a", "<na>"})


def number_row(position: int) -> str:
    """Name a row by its place in the table: the first row is 'row 1'."""
    return f"row {position + 1}"


def normalise_one(identifier: str, rule: IdentifierRule) -> str:
    """Return one id in the form of the rule; the empty text if the rule leaves nothing of it."""
    if rule is IdentifierRule.EXACT:
        return identifier
    if identifier.isascii():
        # NFKC leaves ASCII as it is, and ASCII holds no invisible format characters.
        text = " ".join(identifier.split())
    else:
        composed = _fold_compatibility(identifier)
        text = " ".join(composed.split())
    if rule is IdentifierRule.STRIP:
        return text
    if rule is IdentifierRule.DIGITS:
        return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())
    # Folding case can leave text that NFKC composes anew, so it is folded until nothing changes.
    text = _casefold(text)
    if rule is IdentifierRule.CASEFOLD:
        return text
    return _casefold("".join(sign for sign in text if sign.isalnum()))


def normalise(
    identifiers: Sequence[object],
    rule: IdentifierRule = IdentifierRule.STRIP,
    *,
    source: str = "ids",
    row_name: Callable[[int], str] = number_row,
) -> list[str]:
    """Normalise a column of borrower ids, one a row.

    Args:
        identifiers: text or whole numbers, one a row; None and NaN count as missing.
        rule: the rule that all parties of the session agreed on.
        source: what holds the ids ("bank.csv, column 'id'"), for the error's sentence.
        row_name: names a row by its position from 0, for the error's sentence.

    Returns:
        The normalised ids in the same order: none empty, no two alike.

    Raises:
        InputError: an id is missing, is not text or a whole number, has nothing left under the
            rule, or is the same as another row's. The sentence names rows, never an id.
    """
    normalised: list[str] = []
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, str):
            text = normalise_one(identifier, rule)
            if text.strip().casefold() in _NO_IDENTIFIER:
                text = ""
        else:
            text = _text_of(identifier, source, row_name(position))
        if not text.strip():
            raise InputError(_missing(identifiers, position, rule, source, row_name))
        normalised.append(text)
    if len(set(normalised)) != len(normalised):
        raise InputError(_duplicate(identifiers, normalised, rule, source, row_name))
    return normalised


def _fold_compatibility(text: str) -> str:
    """Return the text in NFKC without format characters (zero-width space, byte-order mark)."""
    while True:
        composed = unicodedata.normalize("NFKC", text)
        composed = "".join(sign for sign in composed if unicodedata.category(sign) != "Cf")
        # Taking a format character out can bring two signs together that NFKC then composes.
        if composed == text:
            return composed
        text = composed


def _casefold(text: str) -> str:
    """Return the text with case folded, in the composed form that strip gives."""
    if text.isascii():
        return text.lower()
    while True:
        folded = " ".join(_fold_compatibility(text.casefold()).split())
        if folded == text:
            return folded
        text = folded


def _text_of(identifier: object, source: str, row: str) -> str:
    """Return a whole number as its digits, a missing value as the empty text."""
    if identifier is None or identifier != identifier:  # only NaN differs from itself
        return ""
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return str(identifier)
    raise InputError(
        f"{source}: {row} holds an id of type {type(identifier).__name__}; "
        "an id must be text or a whole number"
    )


def _missing(
    identifiers: Sequence[object],
    position: int,
    rule: IdentifierRule,
    source: str,
    row_name: Callable[[int], str],
) -> str:
    """Say which row has no id."""
    identifier = identifiers[position]
    if isinstance(identifier, str) and identifier.strip().casefold() not in _NO_IDENTIFIER:
        return (
            f"{source}: the id in {row_name(position)} has nothing left under the rule "
            f"'{rule}'; give it an id, or declare a rule that keeps it"
        )
    return (
        f"{source}: {row_name(position)} has no id (it is empty or NaN); every row needs "
        "the id of its borrower"
    )


def _duplicate(
    identifiers: Sequence[object],
    normalised: Sequence[str],
    rule: IdentifierRule,
    source: str,
    row_name: Callable[[int], str],
) -> str:
    """Say which rows name the same borrower."""
    first_position: dict[str, int] = {}
    repeats: list[tuple[int, int]] = []
    for position, text in enumerate(normalised):
        earlier = first_position.setdefault(text, position)
        if earlier != position:
            repeats.append((earlier, position))
    first, second = repeats[0]
    same = identifiers[first] == identifiers[second]
    under = "" if same else f" once normalised by the rule '{rule}'"
    further = len(repeats) - 1
    more = f" ({further} more row{'s repeat' if further > 1 else ' repeats'} an id)"
    return (
        f"{source}: {row_name(first)} and {row_name(second)} have the same id{under}"
        f"{more if further else ''}; a borrower must have exactly one row"
    )
