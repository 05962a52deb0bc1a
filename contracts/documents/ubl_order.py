"""Orders in UBL 2.1, as Peppol BIS Ordering 3 uses them.

No kept library reads them, and they are few fields. Amounts of tax stand there as a total only, so
`totals` computes the breakdown from the lines' rates.
"""

from __future__ import annotations

from lxml import etree

from contracts.documents.amounts import shown
from contracts.documents.draft import DocumentKind, ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.stated import (
    StatedAdjustment,
    StatedDocument,
    StatedLine,
    StatedParty,
    StatedTotals,
)

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_NAMESPACES = {
    "cac": f"{_UBL}CommonAggregateComponents-2",
    "cbc": f"{_UBL}CommonBasicComponents-2",
}


def ubl_order(root: etree._Element, source: str) -> StatedDocument:
    """Read a UBL 2.1 order.

    Raises:
        Unclear: a field stands there more than once, or not as text, or amounts have several
            currencies.
    """
    currency = _text(root, "cbc:DocumentCurrencyCode")
    for element in root.iterfind(".//*[@currencyID]"):
        if element.get("currencyID") != currency:
            raise Unclear(
                ReviewCode.CURRENCY,
                f"the amount in element {etree.QName(element).localname} at line "
                f"{element.sourceline} is in '{shown(element.get('currencyID'))}', but the order "
                f"in '{shown(currency)}'; it must be in one currency",
            )
    total = "cac:AnticipatedMonetaryTotal/cbc:"
    delivery = "cac:Delivery/cac:RequestedDeliveryPeriod/cbc:EndDate"
    return StatedDocument(
        kind=DocumentKind.ORDER,
        source=source,
        number=_text(root, "cbc:ID"),
        issue_date=_text(root, "cbc:IssueDate"),
        due_date=None,
        payment_terms=None,
        shipment_date=_text(root, delivery) or _text(root, "cac:Delivery/cbc:LatestDeliveryDate"),
        order_reference=None,
        currency=currency,
        seller=_party(root, "cac:SellerSupplierParty/cac:Party/"),
        buyer=_party(root, "cac:BuyerCustomerParty/cac:Party/"),
        lines=tuple(
            _line(item, f"line {index}")
            for index, item in enumerate(
                root.iterfind("cac:OrderLine/cac:LineItem", _NAMESPACES), start=1
            )
        ),
        totals=StatedTotals(
            lines=_text(root, total + "LineExtensionAmount"),
            allowances=_text(root, total + "AllowanceTotalAmount"),
            charges=_text(root, total + "ChargeTotalAmount"),
            net=_text(root, total + "TaxExclusiveAmount"),
            tax=_text(root, "cac:TaxTotal/cbc:TaxAmount"),
            gross=_text(root, total + "TaxInclusiveAmount"),
            prepaid=_text(root, total + "PrepaidAmount"),
            rounding=_text(root, total + "PayableRoundingAmount"),
            payable=_text(root, total + "PayableAmount"),
        ),
        allowances=_adjustments(root, False),
        charges=_adjustments(root, True),
    )


def _text(element: etree._Element, path: str) -> str | None:
    """The one text at a path; None where there is none."""
    found = element.findall(path, _NAMESPACES)
    if any(len(one) for one in found):
        raise Unclear(
            ReviewCode.FORMAT,
            f"element {path.rpartition(':')[2]} holds elements; it must hold text",
        )
    texts = {(one.text or "").strip() for one in found}
    if len(texts) > 1:
        raise Unclear(
            ReviewCode.FIELD,
            f"element {path.rpartition(':')[2]} stands there {len(found)} times, and not alike; "
            "which one counts is unclear, so it must stand there once",
        )
    return texts.pop() or None if texts else None


def _party(root: etree._Element, path: str) -> StatedParty:
    name = _text(root, path + "cac:PartyLegalEntity/cbc:RegistrationName")
    tax_id = _text(root, path + "cac:PartyTaxScheme/cbc:CompanyID")
    return StatedParty(
        name=name or _text(root, path + "cac:PartyName/cbc:Name"),
        tax_id=tax_id or _text(root, path + "cac:PartyLegalEntity/cbc:CompanyID"),
    )


def _line(item: etree._Element, place: str) -> StatedLine:
    return StatedLine(
        place=place,
        net=_text(item, "cbc:LineExtensionAmount"),
        quantity=_text(item, "cbc:Quantity"),
        price=_text(item, "cac:Price/cbc:PriceAmount"),
        price_quantity=_text(item, "cac:Price/cbc:BaseQuantity"),
        tax_category=_text(item, "cac:Item/cac:ClassifiedTaxCategory/cbc:ID"),
        tax_rate=_text(item, "cac:Item/cac:ClassifiedTaxCategory/cbc:Percent"),
        allowances=tuple(one.amount for one in _adjustments(item, False)),
        charges=tuple(one.amount for one in _adjustments(item, True)),
    )


def _adjustments(element: etree._Element, is_charge: bool) -> tuple[StatedAdjustment, ...]:
    found = []
    for index, one in enumerate(element.iterfind("cac:AllowanceCharge", _NAMESPACES), start=1):
        flag = _text(one, "cbc:ChargeIndicator")
        if flag not in ("true", "false", "1", "0"):
            raise Unclear(
                ReviewCode.FIELD,
                f"allowance or charge {index} does not say which of the two it is; ChargeIndicator "
                "must be true or false",
            )
        if (flag in ("true", "1")) is is_charge:
            found.append(
                StatedAdjustment(
                    place=f"{'charge' if is_charge else 'allowance'} {index}",
                    amount=_text(one, "cbc:Amount"),
                    tax_category=_text(one, "cac:TaxCategory/cbc:ID"),
                    tax_rate=_text(one, "cac:TaxCategory/cbc:Percent"),
                )
            )
    return tuple(found)
