"""A call that encrypted scoring declines: which status, which field, and what would be right."""

from __future__ import annotations

import grpc

from federation.errors import VeilscoreError
from server.desk.failures import Failure


class Declined(VeilscoreError):
    """One wrong field.

    Attributes:
        code: gRPC's status.
        field: its name in the request.
    """

    def __init__(self, code: grpc.StatusCode, field: str, sentence: str) -> None:
        """What the caller is told."""
        super().__init__(f"{field}: {sentence}")
        self.code = code
        self.field = field
        self.sentence = sentence

    @property
    def failure(self) -> Failure:
        """As the call ends with."""
        return Failure(self.code, str(self), ((self.field, self.sentence),))


def wrong(field: str, sentence: str) -> Declined:
    """INVALID_ARGUMENT."""
    return Declined(grpc.StatusCode.INVALID_ARGUMENT, field, sentence)


def not_now(field: str, sentence: str) -> Declined:
    """FAILED_PRECONDITION: right in itself, but not what this desk is ready for."""
    return Declined(grpc.StatusCode.FAILED_PRECONDITION, field, sentence)


def too_many(field: str, sentence: str) -> Declined:
    """RESOURCE_EXHAUSTED."""
    return Declined(grpc.StatusCode.RESOURCE_EXHAUSTED, field, sentence)
