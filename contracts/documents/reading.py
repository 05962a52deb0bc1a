"""Files and folders in, drafts and a review list out; nothing is lost between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from contracts.documents.checking import checked_draft
from contracts.documents.csv_source import looks_like_csv, read_csv
from contracts.documents.draft import (
    DocumentBatch,
    ReceivableDraft,
    ReviewCode,
    ReviewItem,
)
from contracts.documents.errors import DocumentsError, Unclear
from contracts.documents.fingerprint import NetworkSalt
from contracts.documents.json_source import read_json
from contracts.documents.limits import Limits
from contracts.documents.mapping import ColumnMapping
from contracts.documents.stated import StatedDocument
from contracts.documents.text_source import decoded
from contracts.units import Digest

Progress = Callable[[int, int], None]
_PDF_HEAD = 1024  # a PDF may begin with other bytes, up to so many


def read_batch(
    paths: Sequence[Path],
    salt: NetworkSalt,
    limits: Limits,
    mapping: ColumnMapping,
    today: date | None,
    progress: Progress | None,
) -> DocumentBatch:
    """See `contracts.documents.read_documents`."""
    files = document_files(paths, limits)
    day = today or datetime.now(UTC).date()
    batch = _Batch()
    for index, file in enumerate(files):
        if progress:
            progress(index, len(files))
        for outcome in _read_file(file, salt, limits, mapping, day):
            batch.add(outcome)
    if progress:
        progress(len(files), len(files))
    return DocumentBatch(tuple(batch.drafts), tuple(batch.review))


def document_files(paths: Sequence[Path], limits: Limits) -> list[Path]:
    """The files named, and those in the folders named, each once; hidden ones of folders are left.

    Raises:
        DocumentsError: a path is not there, there is no file at all, or there are too many.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            own = [
                file
                for file in inside
                # A link to nothing is listed too: its document is missing, and somebody must know.
                if (file.is_file() or (file.is_symlink() and not file.exists()))
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
        elif path.is_file():
            own = [path]
        else:
            raise DocumentsError(f"{path}: there is no such file or folder; name documents")
        for file in own:
            found.setdefault(file.resolve(), file)
    if not found:
        raise DocumentsError("there is no document to read; name files, or folders that hold some")
    if len(found) > limits.files:
        raise DocumentsError(
            f"there are {len(found)} files, and {limits.files} is the limit; name fewer"
        )
    return list(found.values())


class _Batch:
    """Puts every document into one of the two lists."""

    def __init__(self) -> None:
        self.drafts: list[ReceivableDraft] = []
        self.review: list[ReviewItem] = []
        self._first: dict[Digest, ReceivableDraft] = {}

    def add(self, outcome: ReceivableDraft | ReviewItem) -> None:
        if isinstance(outcome, ReviewItem):
            self.review.append(outcome)
            return
        first = self._first.setdefault(outcome.fingerprint, outcome)
        if first is outcome:
            self.drafts.append(outcome)
            return
        self.review.append(
            ReviewItem(
                outcome.source,
                f"its seller, number '{outcome.number}' and year are those of '{first.number}' in "
                f"{first.source}, which stays; one {outcome.kind} is presented once, so remove the "
                "copy, or have the seller tell the two apart",
                ReviewCode.DUPLICATE,
            )
        )


def _read_file(
    file: Path, salt: NetworkSalt, limits: Limits, mapping: ColumnMapping, today: date
) -> Iterator[ReceivableDraft | ReviewItem]:
    source = str(file)
    try:
        data = _bytes(file, limits)
        digest = Digest(hashlib.sha256(data).digest())
        for one in _stated(data, source, limits, mapping):
            if isinstance(one, ReviewItem):
                yield one
                continue
            try:
                yield checked_draft(one, digest, salt, limits, today)
            except Unclear as unclear:
                yield ReviewItem(one.source, unclear.reason, unclear.code)
    except Unclear as unclear:
        yield ReviewItem(source, unclear.reason, unclear.code)


def _bytes(file: Path, limits: Limits) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(limits.file_bytes + 1)
    except OSError as error:
        raise Unclear(
            ReviewCode.FILE,
            f"it cannot be read ({error.strerror}); make it readable for this process",
        ) from None
    if len(data) > limits.file_bytes:
        raise Unclear(
            ReviewCode.LIMIT, f"it is larger than {limits.file_bytes} bytes, the limit; split it"
        )
    if not data.strip():
        raise Unclear(ReviewCode.FILE, "it is empty; ask for the original file")
    return data


def _stated(
    data: bytes, source: str, limits: Limits, mapping: ColumnMapping
) -> Iterator[StatedDocument | ReviewItem]:
    """What the file's documents say; which format it is, its content tells and not its name."""
    if b"%PDF-" in data[:_PDF_HEAD]:
        from contracts.documents.pdf_source import embedded_xml
        from contracts.documents.xml_source import read_xml

        name, content = embedded_xml(data, limits)
        yield read_xml(content, f"{source}, attachment {name}", limits)
        return
    # Of a text in UTF-16 every second byte is 0.
    start = data[:200].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    if start.startswith(b"<"):
        from contracts.documents.xml_source import read_xml

        yield read_xml(data, source, limits)
    elif start.startswith((b"{", b"[")):
        yield from read_json(data, source, limits)
    elif looks_like_csv(_head(data, mapping), mapping):
        yield from read_csv(data, source, mapping, limits)
    else:
        raise Unclear(
            ReviewCode.FILE,
            "it is no document of a known format; it must be UBL or CII XML, a Factur-X PDF, JSON, "
            "or CSV with a header in which the column 'number' stands (or as a mapping file says)",
        )


def _head(data: bytes, mapping: ColumnMapping) -> str:
    """The text, if it is one; otherwise the encoding's sentence is the better reason."""
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ""
    return decoded(data, mapping.encoding)
