"""Errors of this folder."""

from __future__ import annotations

from contracts.documents.draft import ReviewCode
from contracts.errors import ContractsError


class DocumentsError(ContractsError):
    """What the person who calls got wrong: a path, the salt's file, the mapping file."""


class Unclear(ContractsError):
    """One document (or file) is not clear enough to become a draft; the rest of the batch goes on.

    Attributes:
        code: what kind of thing is unclear.
        reason: the sentence, without the document's source.
    """

    def __init__(self, code: ReviewCode, reason: str) -> None:
        """What kind, and the sentence."""
        super().__init__(reason)
        self.code = code
        self.reason = reason
