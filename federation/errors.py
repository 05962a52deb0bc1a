"""Errors that a person reads: one sentence that says what, where, and what would be right."""

from __future__ import annotations


class VeilscoreError(Exception):
    """Root of every error that veilscore raises on purpose; its text is one clear sentence."""


class InputError(VeilscoreError):
    """A file, row, column, field or setting is wrong; the command ends with exit status 2."""


class ProtocolError(VeilscoreError):
    """A message is not what the protocol allows at this point; the session ends everywhere."""


class BlamedError(ProtocolError):
    """A protocol error that is one party's doing; `party` is its name, which the text has too."""

    def __init__(self, party: str, sentence: str) -> None:
        """Who, and what they did."""
        super().__init__(sentence)
        self.party = party


class NoRoomError(InputError):
    """The noise budget of a private linear map has no room for this input."""


class PartyFailure(VeilscoreError):
    """Another party of the session failed, left, or never came."""
