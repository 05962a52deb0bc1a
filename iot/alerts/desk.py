"""The bank's desk over gRPC with mutual TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from federation.proto.alerts_pb2 import Acknowledgement
from federation.proto.alerts_pb2 import Alert as DeskAlert
from iot.alerts.delivery import Answer, BankUnavailable

_METHOD: Final = "/veilscore.alerts.v1.AlertService/Report"
_SECONDS: Final = 20.0


@dataclass(frozen=True)
class DeskSettings:
    """Where the desk is, and the certificate that the bank issued to the lessor.

    Attributes:
        address: host:port.
        authority: of the desk's certificate, PEM.
        certificate, key: the lessor's, PEM; the key's file has mode 0600.
    """

    address: str
    authority: Path
    certificate: Path
    key: Path


class Desk:
    """A bank, as `iot.alerts.delivery` wants it.

    Raises:
        BankUnavailable: a file can't be read, or the key may be read by others.
    """

    def __init__(self, settings: DeskSettings) -> None:
        if settings.key.exists() and settings.key.stat().st_mode & 0o077:
            raise BankUnavailable(f"'{settings.key}' may be read by others: give it mode 0600.")
        try:
            credentials = grpc.ssl_channel_credentials(
                settings.authority.read_bytes(),
                settings.key.read_bytes(),
                settings.certificate.read_bytes(),
            )
        except OSError as error:
            raise BankUnavailable(
                f"'{error.filename}' can't be read ({error.strerror}); it must be a PEM file."
            ) from None
        self._address = settings.address
        self._channel = grpc.secure_channel(settings.address, credentials)
        self._report: Any = self._channel.stream_stream(_METHOD)

    def report(self, messages: Sequence[bytes]) -> list[Answer]:
        """Report alerts; the desk answers one by one, after it has stored each."""
        try:
            replies = [
                Acknowledgement.FromString(reply)
                for reply in self._report(iter(messages), timeout=_SECONDS)
            ]
        except grpc.RpcError as error:
            code = error.code().name if isinstance(error, grpc.Call) else "no answer"
            raise BankUnavailable(f"The desk at {self._address} did not answer: {code}.") from None
        except DecodeError:
            raise BankUnavailable(f"The desk at {self._address} answered unreadably.") from None
        wanted = [DeskAlert.FromString(message).id for message in messages]
        if [reply.id for reply in replies] != wanted:
            raise BankUnavailable(f"The desk at {self._address} left alerts unanswered.")
        return [Answer(reply.stored, reply.refusal) for reply in replies]

    def close(self) -> None:
        self._channel.close()
