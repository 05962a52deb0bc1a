"""Tax ids: the country's own format and check digit, and one canonical spelling each.

The rules are python-stdnum's (LGPL 2.1 or later). It is used as it is, a separate package that
anybody may replace, as psycopg is elsewhere; nothing of it is copied or changed, so nothing of its
licence reaches our code. factur-x depends on it anyway.

A check digit says that an id is well formed. That the firm exists, and is who it says, is for the
bank to find out (VIES, the national register).
"""

from __future__ import annotations

from stdnum import vatin
from stdnum.cn import uscc
from stdnum.exceptions import InvalidChecksum, ValidationError

from contracts.documents.amounts import shown
from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.spelling import compact_tax_id

_USCC_SIGNS = 18
_SWISS_SUFFIXES = ("MWST", "TVA", "IVA", "TPV")
_NORWEGIAN_SUFFIX = "MVA"


def canonical_tax_id(text: str | None, whose: str) -> str:
    """Check a tax id and bring it into the one spelling that fingerprints use.

    Known are: VAT ids with their country's prefix (EU, GB, CH, NO, and all others whose VAT number
    python-stdnum knows), and the Chinese unified social credit code (GB 32100), with or without
    CN. The canonical form has capital letters and digits only, prefix included, except for the
    Chinese code, which has none. GR becomes EL, XI becomes GB (the same register), and Swiss and
    Norwegian suffixes go.

    Args:
        text: as the document states it.
        whose: 'seller' or 'buyer', for the sentence.

    Raises:
        Unclear: missing, of an unknown country, or its format or check digit is wrong.
    """
    compact = compact_tax_id(text or "")
    if not compact:
        raise Unclear(
            ReviewCode.TAX_ID,
            f"the {whose} has no tax id; state its VAT id with the country's prefix, or its "
            "unified social credit code",
        )
    plain = compact.removeprefix("CN")
    try:
        if len(plain) == _USCC_SIGNS and (compact != plain or plain[:1].isdigit()):
            return str(uscc.validate(plain))
        return _canonical_vat_id(compact)
    except InvalidChecksum:
        wrong = "its check digit is wrong"
    except ValidationError:
        wrong = "it is not of the form of its country, or has no country's prefix"
    raise Unclear(
        ReviewCode.TAX_ID,
        f"the {whose}'s tax id '{shown(text)}' is no valid one: {wrong}; write the VAT id with its "
        "prefix, such as DE136695976, or the unified social credit code of 18 signs",
    )


def _canonical_vat_id(compact: str) -> str:
    country = compact[:2]
    if country == "CH":
        for suffix in _SWISS_SUFFIXES:
            compact = compact.removesuffix(suffix)
        vatin.validate(compact + _SWISS_SUFFIXES[0])
        return compact
    if country == "NO":
        compact = compact.removesuffix(_NORWEGIAN_SUFFIX)
        vatin.validate(compact + _NORWEGIAN_SUFFIX)
        return compact
    valid = compact_tax_id(vatin.validate(compact))
    prefixed = valid if valid.startswith(country) else country + valid
    return {"GR": "EL", "XI": "GB"}.get(country, country) + prefixed[2:]
