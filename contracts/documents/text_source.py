"""Bytes of a text file to text, in the encoding it is in, or not at all."""

from __future__ import annotations

import codecs

from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(data: bytes, encoding: str = "utf-8") -> str:
    """Decode a file, whose mark of UTF-8 or UTF-16, if it has one, goes before `encoding`.

    Raises:
        Unclear: the bytes are no text in that encoding.
    """
    if data.startswith(_WIDE):
        encoding = "utf-16"
    elif data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unclear(
            ReviewCode.FORMAT,
            f"it is no {encoding} text (line {line}); save it as UTF-8, or name a CSV file's "
            "encoding in a mapping file",
        ) from None
