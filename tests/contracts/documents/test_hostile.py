"""Files from strangers: bombs, truncated and disguised files; none raises, none is lost."""

from __future__ import annotations

import socket
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter

from contracts.documents import Limits, ReviewCode, read_documents
from tests.contracts.documents.samples import (
    SALT,
    cii,
    factur_x,
    only_draft,
    only_review,
    plain,
    read,
    simple,
    ubl,
)

LAUGHS = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
BOMB = f'<!DOCTYPE Invoice [<!ENTITY l0 "lol">{LAUGHS}]>'
in_a_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def with_doctype(doctype: str, value: str) -> bytes:
    """The UBL invoice with a document type, and something else for its number."""
    text = ubl().decode()
    start = text.index("<Invoice")
    return (text[:start] + doctype + text[start:].replace("INV-0012", value)).encode()


def test_billion_laughs(tmp_path: Path) -> None:
    """Three gigabytes of laughter take less than 50 MB here, and go to review."""
    tracemalloc.start()
    item = only_review(read(tmp_path, with_doctype(BOMB, "&l9;")))
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    assert item.code is ReviewCode.FORMAT


def test_billion_laughs_in_an_attribute(tmp_path: Path) -> None:
    """Entities of attributes are expanded by parsers in another place."""
    bomb = with_doctype(BOMB, "INV").replace(b'currencyID="EUR"', b'currencyID="&l9;"', 1)
    assert only_review(read(tmp_path, bomb)).code is ReviewCode.FORMAT


@pytest.mark.parametrize("kind", ["file", "http", "parameter", "dtd"])
def test_external_entities(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is read, no connection is opened, and no content appears anywhere."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    secret = tmp_path / "secret"
    secret.write_text("TOP-SECRET-77")
    doctype = {
        "file": f'<!DOCTYPE Invoice [<!ENTITY x SYSTEM "file://{secret}">]>',
        "http": '<!DOCTYPE Invoice [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>',
        "parameter": f'<!DOCTYPE Invoice [<!ENTITY % p SYSTEM "file://{secret}"> %p;]>',
        "dtd": f'<!DOCTYPE Invoice SYSTEM "file://{secret}">',
    }[kind]
    value = "&x;" if kind in ("file", "http") else "INV-1"
    batch = read(tmp_path, with_doctype(doctype, value))
    assert only_review(batch).code is ReviewCode.FORMAT
    assert "TOP-SECRET" not in repr(batch)


def test_a_harmless_document_type_goes_to_review_too(tmp_path: Path) -> None:
    """No invoice needs one."""
    item = only_review(read(tmp_path, with_doctype("<!DOCTYPE Invoice>", "INV-1")))
    assert "DOCTYPE" in item.reason


def test_a_comment_does_not_cut_a_value(tmp_path: Path) -> None:
    """What stands behind a comment belongs to the number and to the amount."""
    xml = ubl().replace(b"INV-0012", b"INV<!-- x -->-00<?pi?>12")
    assert only_draft(read(tmp_path, xml)).number == "INV-0012"


def test_deep_xml(tmp_path: Path) -> None:
    """Depth is limited before anything walks down."""
    for depth in (100, 100_000):
        xml = b"<a>" * depth + b"</a>" * depth
        item = only_review(read(tmp_path, xml))
        assert item.code in (ReviewCode.LIMIT, ReviewCode.FORMAT)


@pytest.mark.parametrize(
    ("xml", "code", "words"),
    [
        (ubl()[:-200], ReviewCode.FORMAT, "cut short"),
        (b"<html><body/></html>", ReviewCode.TYPE, "'html'"),
        (b"<Invoice/>", ReviewCode.TYPE, "no known namespace"),
        (b"<x:Invoice xmlns:x='urn:evil'/>", ReviewCode.TYPE, "no known namespace"),
        (ubl().replace(b"InvoiceTypeCode", b"InvoiceTypo"), ReviewCode.FORMAT, "schema"),
        (cii().replace(b"ram:LineTotalAmount", b"ram:Total"), ReviewCode.FORMAT, "schema"),
        (ubl().replace("ô".encode(), b"\xf4"), ReviewCode.FORMAT, "encoding"),
        (ubl().replace(b"2026-04-03", b"2026-04-31"), ReviewCode.FORMAT, "schema"),
    ],
)
def test_xml_that_is_none(tmp_path: Path, xml: bytes, code: ReviewCode, words: str) -> None:
    """Cut, of another kind, not valid by its schema, or in another encoding than declared."""
    item = only_review(read(tmp_path, xml))
    assert item.code is code
    assert words in item.reason


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_pdf(tmp_path: Path, share: float) -> None:
    """Wherever it is cut, it goes to review."""
    pdf = factur_x()
    only_review(read(tmp_path, pdf[: int(len(pdf) * share)]))


def pdf_with(*attachments: tuple[str, bytes], password: str | None = None) -> bytes:
    """A blank page with files inside."""
    writer = PdfWriter()
    writer.add_blank_page(width=100, height=100)
    for name, content in attachments:
        writer.add_attachment(name, content)
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdfs_without_one_readable_invoice(tmp_path: Path) -> None:
    """None inside, another file inside, two inside, encrypted: each has its sentence."""
    cases = [
        (pdf_with(), "without an invoice"),
        (pdf_with(("notes.xml", ubl())), "without an invoice"),
        (pdf_with(("factur-x.xml", cii()), ("xrechnung.xml", cii())), "2 invoices"),
        (pdf_with(("factur-x.xml", cii()), password="x"), "encrypted"),
        (pdf_with(("factur-x.xml", b"no XML")), "well-formed"),
    ]
    for pdf, words in cases:
        assert words in only_review(read(tmp_path, pdf)).reason
    only_draft(read(tmp_path, pdf_with(("Factur-X.xml", cii()), ("notes.txt", b"hello"))))


def test_a_pdf_whose_attachment_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """Unpacking stops at the limit: 200 MB of blanks in 200 kB go to review."""
    pdf = pdf_with(("factur-x.xml", b"MARK" * 100))
    reader = PdfReader(BytesIO(pdf))
    writer = PdfWriter(clone_from=reader)
    (attachment,) = writer.attachment_list
    stream = attachment._embedded_file
    packed = zlib.compress(b" " * 200_000_000, 9)
    out = BytesIO()
    writer.write(out)
    raw = out.getvalue()
    old = bytes(stream._data)
    assert old in raw
    bomb = raw.replace(old, packed)
    bomb = bomb.replace(b"/Length %d" % len(old), b"/Filter /FlateDecode /Length %d" % len(packed))
    tracemalloc.start()
    item = only_review(read(tmp_path, bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert item.code is ReviewCode.LIMIT
    assert peak < 60_000_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"PK\x03\x04 zipped", "no document of a known format"),
        (b"Dear Sir or Madam,\nplease pay.", "no document of a known format"),
        ("Rechnung für Ärzte".encode("latin-1"), "no utf-8 text"),
        (b"\x00\x01\x02\x03", "no document of a known format"),
        (b'{"kind": "invoice"', "no JSON"),
        (b"[" * 100_000, "too deep"),
        (b"[]", "empty list"),
        (b'{"a": NaN}', "NaN"),
        (b'{"kind": "invoice", "kind": "order"}', "'kind' twice"),
        (b"[1, null]", "JSON object"),
    ],
)
def test_files_that_are_no_documents(tmp_path: Path, content: bytes, words: str) -> None:
    """Each has a sentence that says what would be right."""
    batch = read(tmp_path, content)
    assert not batch.drafts
    assert words in batch.review[0].reason


def test_latin_1_without_a_mapping_file(tmp_path: Path) -> None:
    """A CSV file in another encoding is not misread; the sentence names the line."""
    text = (
        "number,issue_date,due_date,currency,seller_name,seller_tax_id,buyer_name,buyer_tax_id,"
        "net,tax,gross,payable,line_net,tax_rate\n"
        "A,2026-02-16,2026-04-17,EUR,Müller,DE136695976,B,FR83404833048,1,0,1,1,1,0\n"
    )
    item = only_review(read(tmp_path, text.encode("latin-1")))
    assert item.code is ReviewCode.FORMAT
    assert "line 2" in item.reason


def test_limits(tmp_path: Path) -> None:
    """Bytes, lines, documents and files: each limit has its sentence."""
    small = Limits(file_bytes=100, lines=2, documents=1, files=1)
    assert "100 bytes" in only_review(read(tmp_path, plain(), limits=small)).reason
    for content in (plain(), ubl(), cii()):
        item = only_review(read(tmp_path, content, limits=Limits(lines=2)))
        assert item.code is ReviewCode.LIMIT
        assert "3 lines" in item.reason
    item = only_review(read(tmp_path, [plain(), plain()], limits=Limits(documents=1)))
    assert item.code is ReviewCode.LIMIT
    pdf = only_review(read(tmp_path, factur_x(), limits=Limits(attachment_bytes=1000)))
    assert pdf.code is ReviewCode.LIMIT


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A link to nothing is on the review list, not lost; hidden files are left."""
    (tmp_path / "x.json").symlink_to(tmp_path / "gone")
    (tmp_path / ".hidden.json").write_text("{}")
    item = only_review(read_documents([tmp_path], SALT))
    assert item.code is ReviewCode.FILE
    assert "No such file" in item.reason


@in_a_folder
@given(st.binary(max_size=300))
def test_any_bytes_are_one_item_for_review(tmp_path: Path, content: bytes) -> None:
    """Nothing raises."""
    for head in (b"", b"%PDF-1.7\n", b"<?xml version='1.0'?>", b'[{"kind": ', b"number,net\n"):
        batch = read(tmp_path, head + content)
        assert not batch.drafts
        assert batch.review


@settings(in_a_folder, max_examples=120)
@given(st.sampled_from([ubl(), cii(), factur_x()]), st.data())
def test_a_changed_byte_never_raises(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    """A damaged document is a draft or an item for review, exactly one."""
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255))
    batch = read(tmp_path, content[:place] + bytes([byte]) + content[place + 1 :])
    assert len(batch.drafts) + len(batch.review) == 1


def test_markup_in_a_name_is_text(tmp_path: Path) -> None:
    """A name that looks like markup comes through as it stands."""
    document = simple("1", "0", "1", rate="0", buyer={"name": "[red]B", "tax_id": "FR83404833048"})
    assert only_draft(read(tmp_path, document)).buyer_name == "[red]B"
