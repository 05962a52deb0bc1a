"""XML from strangers: parsed without entities, documents types, network or great depth."""

from __future__ import annotations

from lxml import etree

from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.limits import Limits
from contracts.documents.stated import StatedDocument

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CII_INVOICE = "{urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100}CrossIndustryInvoice"
_REFUSED = {
    f"{{{_UBL}CreditNote-2}}CreditNote": (
        "it is a credit note, by which money is owed the other way; it lowers a receivable and is "
        "none: have the debtor's claim settled against the invoice that it names"
    ),
    "{urn:ferd:CrossIndustryDocument:invoice:1p0}CrossIndustryDocument": (
        "it is ZUGFeRD 1.0, which came before EN 16931; ask for ZUGFeRD 2 (Factur-X), UBL 2.1 or "
        "CII"
    ),
    "{urn:un:unece:uncefact:data:SCRDMCCBDACIOMessageStructure:100}SCRDMCCBDACIOMessageStructure": (
        "it is an Order-X order; orders are read as UBL 2.1, JSON or CSV"
    ),
}


def read_xml(data: bytes, source: str, limits: Limits) -> StatedDocument:
    """Read a UBL 2.1 invoice or order, or a CII invoice.

    Args:
        data: the XML document, in any encoding that it declares.
        source: names it in the draft.
        limits: on depth; the size was checked before.

    Raises:
        Unclear: not well-formed, unsafe, of another kind, or not valid.
    """
    root = _safe_root(data, limits)
    if root.tag in _REFUSED:
        raise Unclear(ReviewCode.TYPE, _REFUSED[root.tag])
    if root.tag == f"{{{_UBL}Invoice-2}}Invoice":
        from contracts.documents.en16931 import ubl_invoice

        return ubl_invoice(root, source, limits)
    if root.tag == _CII_INVOICE:
        from contracts.documents.en16931 import cii_invoice

        return cii_invoice(root, source, limits)
    if root.tag == f"{{{_UBL}Order-2}}Order":
        from contracts.documents.ubl_order import ubl_order

        return ubl_order(root, source)
    name = etree.QName(root).localname
    raise Unclear(
        ReviewCode.TYPE,
        f"its root element is '{name[:40]}', of no known namespace; it must be a UBL 2.1 Invoice "
        "or Order, or a CrossIndustryInvoice (CII)",
    )


def _safe_root(data: bytes, limits: Limits) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        # A comment inside a value would cut it in two.
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        raise Unclear(
            ReviewCode.FORMAT,
            f"it is no well-formed XML{where}, is cut short, or is in another encoding than it "
            "declares; ask for the original file",
        ) from None
    information = root.getroottree().docinfo
    if information.doctype or information.internalDTD is not None:
        raise Unclear(
            ReviewCode.FORMAT,
            "it declares a document type (DOCTYPE), which invoices have no need of and attacks "
            "use; ask for the file without it",
        )
    level: list[etree._Element] = [root]
    for _ in range(limits.xml_depth):
        level = [child for element in level for child in element]
        if not level:
            return root
    raise Unclear(
        ReviewCode.LIMIT,
        f"its elements lie more than {limits.xml_depth} deep in each other; no invoice does",
    )
