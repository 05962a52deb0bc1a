"""Errors of this room: each says in one sentence what is wrong, where, and what would be right."""

from __future__ import annotations

from federation.errors import VeilscoreError


class ContractsError(VeilscoreError):
    """Anything that the receivables room refuses; its text is one sentence for the user."""
