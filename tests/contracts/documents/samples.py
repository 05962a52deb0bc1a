"""One small, correct trade in every format, for tests to read or to spoil.

Springs from Munich to Lyon: two rates of tax, a price per hundred, allowances and a charge on lines
and document, a prepayment. Net 1310.01, tax 220.10, payable 1430.11 EUR.
"""

from __future__ import annotations

import copy
import json
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from facturx import generate_cii_xml, generate_from_binary, generate_ubl_xml
from pypdf import PdfWriter

from contracts.documents import (
    DocumentBatch,
    Limits,
    NetworkSalt,
    ReceivableDraft,
    ReviewItem,
    read_documents,
)

TODAY = date(2026, 3, 1)
SALT = NetworkSalt(bytes(range(32)))
SELLER, BUYER = "DE136695976", "FR83404833048"
CHINESE_SELLER = "91110000600037341L"
EXAMPLES = Path(__file__).parents[3] / "contracts" / "documents" / "examples"

_ADDRESS = {"addr_l1": "Werkstr. 1", "postcode": "80331", "city": "München", "country_code": "DE"}
_LINES: list[dict[str, Any]] = [
    {
        "BT-126": "1",
        "BT-129": "10",
        "BT-130": "C62",
        "BT-131": "1000.00",
        "BT-146": "100.00",
        "BT-151": "S",
        "BT-152": "19",
        "BT-153": "Tellerfeder",
    },
    {
        "BT-126": "2",
        "BT-129": "3",
        "BT-130": "KGM",
        "BT-131": "100.01",
        "BT-146": "33.335",
        "BT-151": "S",
        "BT-152": "19",
        "BT-153": "Draht",
    },
    {
        "BT-126": "3",
        "BT-129": "400",
        "BT-130": "C62",
        "BT-131": "240.00",
        "BT-146": "62.50",
        "BT-149": "100",
        "BT-151": "S",
        "BT-152": "7",
        "BT-153": "Katalog",
        "BG-27": [{"amount": "10.00", "reason": "Rabatt"}],
    },
]
_TERMS: dict[str, Any] = {
    "BT-1": "INV-0012",
    "BT-2": date(2026, 2, 2),
    "BT-3": "380",
    "BT-5": "EUR",
    "BT-9": date(2026, 4, 3),
    "BT-13": "PO-77",
    "BT-20": "60 days net",
    "BT-24": "urn:cen.eu:en16931:2017",
    "BT-72": date(2026, 1, 30),
    "BT-106": "1340.01",
    "BT-107": "50.00",
    "BT-108": "20.00",
    "BT-109": "1310.01",
    "BT-110": "220.10",
    "BT-112": "1530.11",
    "BT-113": "100.00",
    "BT-115": "1430.11",
    "BG-4": {"name": "Muster Federn GmbH", "vat_identifier": SELLER, **_ADDRESS},
    "BG-7": {"name": "Ressorts du Rhône SA", "vat_identifier": BUYER, **_ADDRESS},
    "BG-20": [{"amount": "50.00", "reason": "x", "vat_category_code": "S", "vat_rate": "19"}],
    "BG-21": [{"amount": "20.00", "reason": "y", "vat_category_code": "S", "vat_rate": "19"}],
    "BG-23": [
        {"BT-116": "1070.01", "BT-117": "203.30", "BT-118": "S", "BT-119": "19"},
        {"BT-116": "240.00", "BT-117": "16.80", "BT-118": "S", "BT-119": "7"},
    ],
    "BG-25": _LINES,
}


def terms(**changes: Any) -> dict[str, Any]:
    """The business terms of the invoice; `BT_9=None` leaves one out."""
    changed = copy.deepcopy(_TERMS) | {key.replace("_", "-"): v for key, v in changes.items()}
    return {key: value for key, value in changed.items() if value is not None}


def ubl(**changes: Any) -> bytes:
    """The invoice as UBL 2.1."""
    return bytes(generate_ubl_xml(terms(**changes), level="en16931", check_schematron=None))


def cii(level: str = "en16931", **changes: Any) -> bytes:
    """The invoice as CII."""
    return bytes(generate_cii_xml(terms(**changes), level=level, check_schematron=None))


def factur_x(xml: bytes | None = None) -> bytes:
    """A PDF of one blank page with the invoice inside."""
    page = BytesIO()
    writer = PdfWriter()
    writer.add_blank_page(width=595, height=842)
    writer.write(page)
    return bytes(
        generate_from_binary(page.getvalue(), xml or cii(), check_schematron=False, lang="en")
    )


def plain(**changes: Any) -> dict[str, Any]:
    """The invoice as an ERP's JSON would have it, before it is written."""
    return {
        "kind": "invoice",
        "number": "INV-0012",
        "issue_date": "2026-02-02",
        "due_date": "2026-04-03",
        "shipment_date": "2026-01-30",
        "order_reference": "PO-77",
        "currency": "EUR",
        "seller": {"name": "Muster Federn GmbH", "tax_id": SELLER},
        "buyer": {"name": "Ressorts du Rhône SA", "tax_id": BUYER},
        "lines": [
            {"net": "1000.00", "quantity": 10, "price": 100, "tax_rate": 19},
            {"net": "100.01", "quantity": 3, "price": "33.335", "tax_rate": 19},
            {
                "net": "240.00",
                "quantity": 400,
                "price": "62.50",
                "price_quantity": 100,
                "allowances": ["10.00"],
                "tax_rate": 7,
            },
        ],
        "allowances": [{"amount": "50.00", "tax_rate": 19}],
        "charges": [{"amount": "20.00", "tax_rate": 19}],
        "totals": {
            "lines": "1340.01",
            "net": "1310.01",
            "tax": "220.10",
            "gross": "1530.11",
            "prepaid": "100.00",
            "payable": "1430.11",
        },
        **changes,
    }


def simple(net: str, tax: str, gross: str, rate: str = "19", **changes: Any) -> dict[str, Any]:
    """A JSON invoice of one line."""
    return plain(
        lines=[{"net": net, "tax_rate": rate}],
        allowances=[],
        charges=[],
        totals={"net": net, "tax": tax, "gross": gross, "payable": gross},
        **changes,
    )


def read(
    folder: Path, content: bytes | str | dict[str, Any] | list[Any], name: str = "a", **options: Any
) -> DocumentBatch:
    """Write one file, and read it on `TODAY`."""
    data = content if isinstance(content, bytes | str) else json.dumps(content)
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_documents([file], SALT, **{"today": TODAY, "limits": Limits(), **options})


def only_draft(batch: DocumentBatch) -> ReceivableDraft:
    """The one draft of a batch without anything for review."""
    assert not batch.review, batch.review
    (draft,) = batch.drafts
    return draft


def only_review(batch: DocumentBatch) -> ReviewItem:
    """The one item for review of a batch without drafts."""
    assert not batch.drafts, batch.drafts
    (item,) = batch.review
    return item
