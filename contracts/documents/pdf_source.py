"""Factur-X and ZUGFeRD: the invoice is the XML file inside the PDF.

Only that XML is read. The printed page is a picture for people; that the two say the same is for
the sender to warrant, and nothing here compares them.
"""

from __future__ import annotations

import logging
from io import BytesIO

from pypdf import PdfReader, apply_configuration
from pypdf.errors import LimitReachedError

from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.limits import Limits

# What the standards call it, in small letters.
_NAMES = frozenset({"factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml", "order-x.xml"})

logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)


def embedded_xml(data: bytes, limits: Limits) -> tuple[str, bytes]:
    """The name and content of the invoice inside a PDF.

    Raises:
        Unclear: the PDF is damaged or encrypted, holds no such file or several, or it is too large.
    """
    most = limits.attachment_bytes
    try:
        with apply_configuration(
            zlib_maximum_output_length=most,
            lzw_maximum_output_length=most,
            run_length_maximum_output_length=most,
            maximum_declared_stream_length=limits.file_bytes,
        ):
            found = _attachments(data)
    except Unclear:
        raise
    except LimitReachedError:
        raise _too_large(most) from None
    except Exception:  # of a damaged file pypdf may raise nearly anything
        raise Unclear(
            ReviewCode.FILE, "it is a damaged or truncated PDF; ask for the original file"
        ) from None
    if not found:
        raise Unclear(
            ReviewCode.TYPE,
            "it is a PDF without an invoice inside; it must be Factur-X or ZUGFeRD 2, which embed "
            "factur-x.xml, since a printed page alone is not read",
        )
    if len(found) > 1:
        raise Unclear(
            ReviewCode.TYPE,
            f"it is a PDF with {len(found)} invoices inside ({', '.join(n for n, _ in found)}); "
            "which one counts is unclear, so there must be one",
        )
    if len(found[0][1]) > most:
        raise _too_large(most)
    return found[0]


def _attachments(data: bytes) -> list[tuple[str, bytes]]:
    reader = PdfReader(BytesIO(data))
    if reader.is_encrypted:
        raise Unclear(ReviewCode.FILE, "it is an encrypted PDF; ask for one without a password")
    found = []
    for attachment in reader.attachment_list:
        if attachment.name.casefold() in _NAMES:
            found.append((attachment.name, attachment.content))
    return found


def _too_large(most: int) -> Unclear:
    return Unclear(
        ReviewCode.LIMIT,
        f"the invoice inside the PDF is larger than {most} bytes, the limit; no invoice is",
    )
