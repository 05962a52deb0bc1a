"""One spelling for what different systems write differently: document numbers and tax ids."""

from __future__ import annotations

import re
import unicodedata

_DIGIT_OR_WORD = re.compile(r"[0-9]+|[^\W\d_]+|[^\W_]")
_TAX_ID_SEPARATORS = re.compile(r"[\s./‐-―-]+")


def compact_tax_id(text: str) -> str:
    """A tax id in capital letters, without white space, points, hyphens and slashes."""
    return _TAX_ID_SEPARATORS.sub("", _capitals(text))


def canonical_number(number: str) -> str:
    """A document's number in the form that fingerprints compare; the empty text if nothing is left.

    Unicode NFKC, capital letters, digits of all scripts as 0-9, no separators, no leading zeros in
    any group of digits: 'INV-0012', 'inv 12' and 'Inv/12' become 'INV12'. Where two groups of
    digits meet, one hyphen stays, so that '1-11' and '11-1' (branch and running number) remain two
    documents. The function is idempotent.
    """
    groups = _DIGIT_OR_WORD.findall(_capitals(number))
    text = ""
    for group in groups:
        group = (group.lstrip("0") or "0") if group[0] in "0123456789" else group
        meets = text[-1:].isdecimal() and group[0].isdecimal()
        text += f"-{group}" if meets else group
    return text


def _capitals(text: str) -> str:
    """NFKC, capitals and ASCII digits; repeated until nothing changes, as each may undo another."""
    while True:
        folded = unicodedata.normalize("NFKC", text).upper()
        folded = "".join(
            str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in folded
        )
        if folded == text:
            return text
        text = folded
