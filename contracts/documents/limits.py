"""How much a document may ask of the reader, and how far its dates may reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on what comes from outside; what is over one goes to review, never into memory.

    Attributes:
        files: files in one call, those of folders counted.
        file_bytes: bytes of one file.
        attachment_bytes: bytes of the XML inside a PDF, decompressed.
        documents: documents in one JSON or CSV file.
        lines: lines of one document.
        xml_depth: elements inside each other.
        age_days: how long ago a document may have been issued.
        term_days: longest time between issue and due date.
        delivery_days: longest time between delivery and issue, either way.
    """

    files: int = 10_000
    file_bytes: int = 20_000_000
    attachment_bytes: int = 10_000_000
    documents: int = 10_000
    lines: int = 2_000
    xml_depth: int = 64
    age_days: int = 5 * 366
    term_days: int = 3 * 366
    delivery_days: int = 366
