"""Every format gives the same draft of the same trade, and the shipped examples are clear."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from contracts.documents import (
    ColumnMapping,
    DocumentKind,
    DocumentsError,
    ReceivableDraft,
    ReviewCode,
    read_documents,
    read_mapping,
)
from tests.contracts.documents.samples import (
    BUYER,
    EXAMPLES,
    SALT,
    SELLER,
    TODAY,
    cii,
    factur_x,
    only_draft,
    only_review,
    plain,
    read,
    ubl,
)

MAPPED = EXAMPLES.parent / "examples_mapped"
ORDER = (EXAMPLES / "order-ubl.xml").read_text("utf-8")
HEADER = (
    "number;issue_date;due_date;currency;seller_name;seller_tax_id;buyer_name;buyer_tax_id;"
    "net;tax;gross;payable;line_net;quantity;price;tax_rate"
)
ROW = f"A-1;2026-02-16;2026-04-17;EUR;S;{SELLER};B;{BUYER};10,50;2,00;12,50;12,50;{{}}"


def comparable(draft: ReceivableDraft) -> dict[str, Any]:
    """What does not depend on the file."""
    fields = dataclasses.asdict(draft)
    return {key: fields[key] for key in fields if key not in ("source", "document_hash")}


def test_every_format_gives_the_same_draft(tmp_path: Path) -> None:
    """UBL, CII, the PDF and JSON of one invoice differ in nothing but the file."""
    contents: list[Any] = [ubl(), cii(), factur_x(), cii("extended"), plain()]
    drafts = [only_draft(read(tmp_path, content)) for content in contents]
    for draft in drafts:
        assert comparable(draft) == comparable(drafts[0])
    draft = drafts[0]
    assert (draft.face, draft.net, draft.tax, draft.lines) == (143011, 131001, 22010, 3)
    assert draft.kind is DocumentKind.INVOICE
    assert (draft.seller_tax_id, draft.buyer_tax_id) == (SELLER, BUYER)
    assert draft.buyer_name == "Ressorts du Rhône SA"
    assert draft.issue_date == date(2026, 2, 2)
    assert draft.due_date == date(2026, 4, 3)
    assert draft.shipment_date == date(2026, 1, 30)
    assert draft.order_reference == "PO-77"


def test_the_document_hash_is_the_file_s(tmp_path: Path) -> None:
    """Of a PDF the whole PDF is hashed, not the XML inside."""
    pdf = factur_x()
    draft = only_draft(read(tmp_path, pdf))
    assert draft.document_hash == hashlib.sha256(pdf).digest()
    assert draft.source.endswith("a, attachment factur-x.xml")


def test_names_of_files_mean_nothing(tmp_path: Path) -> None:
    """A PDF named .csv, XML named .json and JSON named .pdf are read for what they are."""
    for content, name in ((factur_x(), "x.csv"), (ubl(), "x.json"), (plain(), "x.pdf")):
        only_draft(read(tmp_path, content, name))


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_xml_in_the_encoding_that_it_declares(tmp_path: Path, encoding: str) -> None:
    """Encodings that XML declares are honoured."""
    text = ubl().decode().replace("UTF-8", encoding)
    draft = only_draft(read(tmp_path, text.encode(encoding)))
    assert draft.buyer_name == "Ressorts du Rhône SA"


def test_the_examples_are_clear() -> None:
    """Who tries the examples sees drafts only."""
    batch = read_documents([EXAMPLES], SALT, today=TODAY)
    assert not batch.review
    assert len(batch.drafts) == 8
    assert {draft.kind for draft in batch.drafts} == set(DocumentKind)


def test_the_mapped_example_is_clear() -> None:
    """An ERP's own column names, decimal commas and German dates, by way of the mapping file."""
    mapping = read_mapping(MAPPED / "erp-mapping.toml")
    batch = read_documents([MAPPED / "erp-export.csv"], SALT, mapping=mapping, today=TODAY)
    draft = only_draft(batch)
    assert (draft.number, draft.face, draft.tax) == ("4711", 148810, 23760)
    assert draft.due_date == date(2026, 4, 19)


def test_an_order_in_ubl(tmp_path: Path) -> None:
    """An order has no due date; the day delivery is asked for is its shipment date."""
    draft = only_draft(read(tmp_path, ORDER))
    assert draft.kind is DocumentKind.ORDER
    assert (draft.number, draft.face, draft.net, draft.tax) == ("PO-77", 121380, 102000, 19380)
    assert draft.due_date is None
    assert draft.shipment_date == date(2026, 1, 30)
    assert (draft.seller_tax_id, draft.buyer_tax_id) == (SELLER, BUYER)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("193.80", "193.81", ReviewCode.TAX),
        (">1000.00</cbc:LineExt", ">1000.01</cbc:LineExt", ReviewCode.TOTALS),
        ("<cbc:ChargeIndicator>true", "<cbc:ChargeIndicator>false", ReviewCode.TOTALS),
        ("<cbc:ChargeIndicator>true", "<cbc:ChargeIndicator>yes", ReviewCode.FIELD),
        ('PayableAmount currencyID="EUR"', 'PayableAmount currencyID="USD"', ReviewCode.CURRENCY),
        ("<cbc:ID>PO-77</cbc:ID>", "", ReviewCode.FIELD),
        ("<cbc:ID>PO-77</cbc:ID>", "<cbc:ID>A</cbc:ID><cbc:ID>B</cbc:ID>", ReviewCode.FIELD),
        ("<cbc:ID>PO-77</cbc:ID>", "<cbc:ID><cbc:x>1</cbc:x></cbc:ID>", ReviewCode.FORMAT),
        ("2026-01-30", "2026-01-01", ReviewCode.DATE),
    ],
)
def test_an_order_that_is_unclear(tmp_path: Path, old: str, new: str, code: ReviewCode) -> None:
    """Orders are checked like invoices, though without a schema."""
    assert old in ORDER
    assert only_review(read(tmp_path, ORDER.replace(old, new))).code is code


def test_an_order_with_allowance_flags_in_digits(tmp_path: Path) -> None:
    """XML knows 1 for true, and so does an invoice's charge."""
    only_draft(read(tmp_path, ORDER.replace("Indicator>true<", "Indicator>1<")))
    invoice = ubl().decode()
    for text, digit in (("false", "0"), ("true", "1")):
        assert f"Indicator>{text}<" in invoice
        invoice = invoice.replace(f"Indicator>{text}<", f"Indicator>{digit}<")
    assert only_draft(read(tmp_path, invoice)).face == 143011


def test_a_credit_note_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Money owed the other way is no receivable."""
    item = only_review(read(tmp_path, ubl(BT_3="381", BT_9=None)))
    assert item.code is ReviewCode.TYPE
    assert "credit note" in item.reason


@pytest.mark.parametrize("code", ["381", "384", "386", "389", "393"])
def test_types_of_invoice_that_are_no_claim(tmp_path: Path, code: str) -> None:
    """Credit, corrected, prepayment, self-billed and factored invoices go to review."""
    item = only_review(read(tmp_path, cii(BT_3=code)))
    assert item.code is ReviewCode.TYPE
    assert code in item.reason


def test_profiles_without_lines_go_to_review(tmp_path: Path) -> None:
    """Factur-X MINIMUM and BASIC WL cannot be checked."""
    minimum = cii().replace(b"urn:cen.eu:en16931:2017", b"urn:factur-x.eu:1p0:minimum")
    for level, xml in (("minimum", minimum), ("basicwl", cii("basicwl"))):
        item = only_review(read(tmp_path, xml))
        assert item.code is ReviewCode.TOTALS
        assert level.upper() in item.reason


def test_csv_with_semicolon_and_decimal_comma(tmp_path: Path) -> None:
    """Delimiter and decimal sign are found out."""
    draft = only_draft(read(tmp_path, f"{HEADER}\n{ROW.format('10,50;3;3,5;19')}\n"))
    assert (draft.face, draft.net, draft.tax) == (1250, 1050, 200)


def test_csv_from_a_spreadsheet_in_utf_16(tmp_path: Path) -> None:
    """Tabs and UTF-16 are what a spreadsheet calls Unicode text."""
    text = f"{HEADER}\r\n{ROW.format('10,50;3;3,5;19')}\r\n".replace(";", "\t")
    assert only_draft(read(tmp_path, text.encode("utf-16"))).face == 1250


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ("10,50;3;3.5;19", ReviewCode.AMOUNT, "points and commas"),
        ("10,50;1.000;3,5;19", ReviewCode.AMOUNT, "points and commas"),
        ("10,50;3;3,5;19;more", ReviewCode.FORMAT, "17 cells"),
        ('"10,50;3;3,5;19', ReviewCode.FORMAT, "quote"),
        ("10,50;3;;19", ReviewCode.FIELD, "the price of line 1"),
        ("10,50 EUR;3;3,5;19", ReviewCode.AMOUNT, "plain number"),
        ("10,50;3;3,5;", ReviewCode.TAX, "no rate"),
    ],
)
def test_csv_that_is_unclear(tmp_path: Path, rows: str, code: ReviewCode, words: str) -> None:
    """Each is one sentence with the place."""
    item = only_review(read(tmp_path, f"{HEADER}\n{ROW.format(rows)}\n"))
    assert item.code is code
    assert words in item.reason


def test_the_mark_of_utf_8_is_no_text(tmp_path: Path) -> None:
    """Spreadsheets and editors put it in front; the first column keeps its name."""
    text = f"{HEADER}\n{ROW.format('10,50;3;3,5;19')}\n"
    only_draft(read(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    only_draft(read(tmp_path, b"\xef\xbb\xbf" + json.dumps(plain()).encode()))
    only_draft(read(tmp_path, b"\xef\xbb\xbf" + ubl()))


def test_csv_of_several_documents_in_any_order(tmp_path: Path) -> None:
    """Rows of one number are one document; a row that contradicts spoils only its own."""
    good = ROW.replace("10,50;2,00;12,50;12,50", "10,50;2,00;12,50;12,50").format("5,25;;;19")
    other = good.replace("A-1", "B-1")
    wrong = good.replace("A-1", "C-1")
    rows = [good, other, wrong, good, other, wrong.replace("2026-04-17", "2026-04-18")]
    batch = read(tmp_path, "\n".join([HEADER, *rows]))
    assert [draft.number for draft in batch.drafts] == ["A-1", "B-1"]
    assert [draft.lines for draft in batch.drafts] == [2, 2]
    (item,) = batch.review
    assert item.source.endswith("a, lines 4 to 7")
    assert "'due_date'" in item.reason


def test_csv_rows_without_a_number_are_not_lost(tmp_path: Path) -> None:
    """Each stands for itself in the review list."""
    row = ROW.format("10,50;3;3,5;19")
    batch = read(tmp_path, "\n".join([HEADER, row, row.replace("A-1", ""), row.replace("A-1", "")]))
    assert len(batch.drafts) == 1
    assert [item.source[-6:] for item in batch.review] == ["line 3", "line 4"]


def test_csv_with_commas_takes_no_decimal_comma_unasked(tmp_path: Path) -> None:
    """In a comma-delimited file '1,234' looks like thousands, so it needs the mapping file."""
    text = f"{HEADER}\n{ROW.format('10,50;3;3,5;19')}\n"
    quoted = "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(";")) for line in text.splitlines()
    )
    assert only_review(read(tmp_path, quoted)).code is ReviewCode.AMOUNT
    only_draft(read(tmp_path, quoted, mapping=ColumnMapping(decimal=",")))


def test_csv_without_a_needed_column(tmp_path: Path) -> None:
    """The sentence names the missing ones."""
    item = only_review(read(tmp_path, "number;net\n1;2\n"))
    assert item.code is ReviewCode.FORMAT
    assert "issue_date, currency" in item.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[columns]\nnummer = 'x'", "unknown key 'nummer'"),
        ("[column]\nnumber = 'x'", r"unknown table \[column\]"),
        ("[csv]\ndecimal = ';'", "'decimal'"),
        ("[csv]\ndates = 'DD.MM'", "'dates'"),
        ("[csv]\nencoding = 'latin-99'", "'encoding'"),
        ("[columns]\nkind = 'x'\n[values]\nkind = 'y'", "'kind' a column and a value"),
        ("[columns", "is no TOML"),
    ],
)
def test_mapping_files_that_are_wrong(tmp_path: Path, text: str, words: str) -> None:
    """A wrong mapping file stops before anything is read."""
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    with pytest.raises(DocumentsError, match=words):
        read_mapping(file)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"knid": "invoice"}, ReviewCode.FORMAT, "'knid'"),
        ({"kind": "credit_note"}, ReviewCode.TYPE, "'credit_note'"),
        ({"lines": {}}, ReviewCode.FORMAT, "must be a list"),
        ({"lines": []}, ReviewCode.TOTALS, "no lines"),
        ({"seller": "me"}, ReviewCode.FORMAT, "JSON object"),
        ({"number": True}, ReviewCode.FORMAT, "text or a number"),
        ({"number": None}, ReviewCode.FIELD, "number"),
        ({"number": "--"}, ReviewCode.FIELD, "neither letter nor digit"),
        ({"number": "A\u202e12"}, ReviewCode.FIELD, "invisible"),
        ({"number": "9" * 201}, ReviewCode.FIELD, "201 characters"),
    ],
)
def test_json_that_is_unclear(
    tmp_path: Path, change: dict[str, Any], code: ReviewCode, words: str
) -> None:
    """Unknown keys, other types and unprintable text are refused."""
    item = only_review(read(tmp_path, plain(**change)))
    assert item.code is code
    assert words in item.reason


def test_json_numbers_never_become_floats(tmp_path: Path) -> None:
    """Seventeen digits and cents survive, which a float has no room for."""
    text = (
        '{"kind": "invoice", "number": "1", "issue_date": "2026-02-02", "due_date": "2026-03-02",'
        f'"currency": "EUR", "seller": {{"name": "S", "tax_id": "{SELLER}"}},'
        f'"buyer": {{"name": "B", "tax_id": "{BUYER}"}},'
        '"lines": [{"net": 12345678901234567.89, "tax_rate": 0}],'
        '"totals": {"net": 12345678901234567.89, "tax": 0, "gross": 12345678901234567.89,'
        '"payable": 12345678901234567.89}}'
    )
    assert only_draft(read(tmp_path, text)).face == 1234567890123456789
