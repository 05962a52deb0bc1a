"""What a caller reads where the scoring desk gave no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from federation.errors import InputError, VeilscoreError


class FieldsRefused(InputError):
    """The desk says which fields of a request are wrong; `fields` maps each to what would be right.

    Raised where the request never went, too; then the sentence is this module's own.
    """

    def __init__(self, sentence: str, fields: Mapping[str, str]) -> None:
        """The desk's sentence, and what it says of each field."""
        super().__init__(sentence)
        self.fields = dict(fields)


class DeskUnavailable(VeilscoreError):
    """The desk gave no answer; `status` is gRPC's name for why, such as 'DEADLINE_EXCEEDED'."""

    def __init__(self, status: str, sentence: str) -> None:
        """What gRPC says, and one sentence."""
        super().__init__(sentence)
        self.status = status


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """gRPC's status of a call that failed."""
    code = error.code() if isinstance(error, grpc.Call) else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def told(error: grpc.RpcError) -> VeilscoreError:
    """What a person reads of gRPC's error."""
    code = code_of(error)
    details = (error.details() if isinstance(error, grpc.Call) else "") or "it says no more"
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return FieldsRefused(f"the desk refused the request: {details}", _fields(error))
    whose = {
        grpc.StatusCode.NOT_FOUND: "the desk knows no such thing",
        grpc.StatusCode.UNAUTHENTICATED: "the desk does not know this caller",
        grpc.StatusCode.PERMISSION_DENIED: "the desk does not allow this caller to ask that",
        grpc.StatusCode.FAILED_PRECONDITION: "the desk is not set up for this",
        grpc.StatusCode.UNIMPLEMENTED: "the desk does not offer this",
        grpc.StatusCode.OUT_OF_RANGE: "the desk refused the request",
    }
    if code in whose:
        return InputError(f"{whose[code]}: {details}")
    return DeskUnavailable(code.name, f"the desk gave no answer ({code.name}): {details}")


def _fields(error: grpc.RpcError) -> dict[str, str]:
    """What a status' details say of each field; empty where they can't be read."""
    try:
        from google.rpc import error_details_pb2, status_pb2
    except ImportError:  # comes with the 'desk' extra; the sentence names the fields too
        return {}
    trailing: Any = error.trailing_metadata() if isinstance(error, grpc.Call) else None
    found: dict[str, str] = {}
    for key, value in trailing or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            status = status_pb2.Status.FromString(value)
            for packed in status.details:
                wrong = error_details_pb2.BadRequest()
                if packed.Unpack(wrong):
                    found |= {one.field: one.description for one in wrong.field_violations}
        except ValueError:  # DecodeError is one
            continue
    return found
