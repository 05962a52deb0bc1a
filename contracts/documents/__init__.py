"""Structured invoices and orders become receivable drafts; what is unclear goes to a review list.

Read are UBL 2.1 (Invoice, Order), EN 16931 in both syntaxes (UBL, CII), Factur-X and ZUGFeRD 2
PDFs, and JSON and CSV of an ERP; `examples/` has one of each text format. The extra `documents`
has the libraries. This module and the fingerprint need none of them.

    salt = NetworkSalt.from_file(Path("network.salt"))
    batch = read_documents([Path("inbox")], salt)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from contracts.documents.draft import (
    DocumentBatch,
    DocumentKind,
    ReceivableDraft,
    ReviewCode,
    ReviewItem,
)
from contracts.documents.errors import DocumentsError
from contracts.documents.fingerprint import NetworkSalt, fingerprint
from contracts.documents.limits import Limits
from contracts.documents.mapping import ColumnMapping, read_mapping

__all__ = [
    "ColumnMapping",
    "DocumentBatch",
    "DocumentKind",
    "DocumentsError",
    "Limits",
    "NetworkSalt",
    "ReceivableDraft",
    "ReviewCode",
    "ReviewItem",
    "fingerprint",
    "read_documents",
    "read_mapping",
]

_DEFAULT_LIMITS = Limits()
_DEFAULT_MAPPING = ColumnMapping()


def read_documents(
    paths: Sequence[Path],
    salt: NetworkSalt,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    mapping: ColumnMapping = _DEFAULT_MAPPING,
    today: date | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DocumentBatch:
    """Read documents, whose content tells the format and not their names.

    Args:
        paths: files, and folders (with those inside, without hidden files).
        salt: the network's, for the fingerprints.
        limits: what a document may ask of the reader.
        mapping: what a CSV export calls its columns.
        today: the day to judge dates by; None: today in UTC.
        progress: is told how many files are done, of how many.

    Returns:
        every document in exactly one of the two lists. Of two with one fingerprint the first is
        the draft.

    Raises:
        DocumentsError: a path is not there, no file is found, or too many are; or the extra
            `documents` is not installed. A document never raises.
    """
    try:
        from contracts.documents.reading import read_batch
    except ModuleNotFoundError as error:
        raise DocumentsError(
            f"reading documents needs the package '{error.name}'; install the extra: "
            "pip install 'veilscore[documents]'"
        ) from None
    return read_batch(paths, salt, limits, mapping, today, progress)
