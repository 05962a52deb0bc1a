"""A bank that takes alerts by webhook: one signed HTTPS POST of JSON for each version of an alert.

`Idempotency-Key` is the message's id (alert and version): the receiver stores it once, however
often it comes. A status of 2xx is the receipt. Statuses that say that this very message is wrong
refuse it; after all others, and without an answer, it is sent again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from federation.proto.alerts_pb2 import Alert as DeskAlert
from federation.record_chain import canonical_json
from iot.aemp.credential import CredentialInvalid, read_secret
from iot.alerts.delivery import Answer, BankUnavailable
from iot.alerts.webhook_signature import HEADER, signature_header
from iot.units import Millis

LEAST_SECRET_SIGNS: Final = 32
_REFUSING: Final = frozenset({400, 409, 413, 415, 422})


@dataclass(frozen=True)
class WebhookSettings:
    """Where alerts are posted to.

    Attributes:
        url: with https; no user, query or fragment.
        secret: file of at least 32 signs that the bank has too, mode 0600. Read anew at each
            attempt, so that it is changed without a restart.
        authority: certificate file to trust instead of the system's authorities.
        seconds: for connecting, and for each piece of an answer.
    """

    url: str
    secret: Path
    authority: Path | None = None
    seconds: float = 10.0


class Webhook:
    """A bank, as `iot.alerts.delivery` wants it.

    Args:
        settings: where.
        now: the clock, for the signature.

    Raises:
        BankUnavailable: the address, the secret or the authority's file can't be used.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        now: Callable[[], Millis] = lambda: Millis(time.time_ns() // 1_000_000),
    ) -> None:
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        extra = parts.username or parts.password or parts.query or parts.fragment
        if parts.scheme != "https" or not self._host or extra:
            raise BankUnavailable(
                "The webhook's address must be https://, a host and a path, without a user, a "
                "query or a fragment."
            )
        self._settings = settings
        self._now = now
        self._secret()
        cafile = None if settings.authority is None else str(settings.authority)
        try:
            context = ssl.create_default_context(cafile=cafile)
        except OSError:  # what is no certificate is an OSError too
            raise BankUnavailable(
                f"'{settings.authority}' can't be used as the webhook's authority; it must be a "
                "PEM file of certificates."
            ) from None
        # A proxy out of the environment, or a redirect, would be told what only the bank should be.
        self._http = httpx.Client(
            verify=context, timeout=settings.seconds, trust_env=False, follow_redirects=False
        )

    def report(self, messages: Sequence[bytes]) -> list[Answer]:
        """Post alerts, one after the other; what comes after one without an answer is not sent."""
        secret = self._secret()
        return [self._post(DeskAlert.FromString(message), secret) for message in messages]

    def close(self) -> None:
        self._http.close()

    def _post(self, alert: DeskAlert, secret: bytes) -> Answer:
        body = webhook_body(alert)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": alert.id,
            HEADER: signature_header(secret, self._now(), body),
        }
        try:
            # The answer's body is not read: the status says all, and it could be of any length.
            with self._http.stream(
                "POST", self._settings.url, content=body, headers=headers
            ) as response:
                status = response.status_code
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise BankUnavailable(f"The webhook at {self._host} did not answer: {kind}.") from None
        if 200 <= status < 300:
            return Answer(True, "")
        if status in _REFUSING:
            return Answer(False, f"The webhook at {self._host} refused it with status {status}.")
        raise BankUnavailable(f"The webhook at {self._host} answered status {status}.")

    def _secret(self) -> bytes:
        try:
            secret = read_secret(self._settings.secret)
        except CredentialInvalid as error:
            raise BankUnavailable(str(error)) from None
        if len(secret) < LEAST_SECRET_SIGNS:
            raise BankUnavailable(
                f"The secret {self._settings.secret} has {len(secret)} signs; at least "
                f"{LEAST_SECRET_SIGNS} are needed."
            )
        return secret.encode()


def webhook_body(alert: DeskAlert) -> bytes:
    """The JSON of one message: the fields of `veilscore.alerts.v1.Alert`, kinds by name."""
    content = {
        "id": alert.id,
        "source": alert.source,
        "borrower": alert.borrower,
        "kind": DeskAlert.Kind.Name(alert.kind),
        "severity": DeskAlert.Severity.Name(alert.severity),
        "observed_ms": alert.observed_ms,
        "detail": alert.detail,
        "subject": alert.subject,
    }
    return canonical_json(content).encode()
