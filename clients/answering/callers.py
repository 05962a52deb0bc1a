"""Who asks: the label party, proved by the certificate of its connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from federation.errors import ProtocolError
from federation.identity import PartyPublicKey
from federation.identity.answering import ANSWERING
from federation.identity.certificates import certified_party

# A certificate is checked in full that often; in between, by being the same bytes.
CHECK_AGAIN_SECONDS = 30.0
MOST_REMEMBERED = 64


class Callers:
    """Tells whether a connection's certificate is the label party's.

    Args:
        label_party: the one party that may ask.
        pin: its public key.
    """

    def __init__(self, label_party: str, pin: PartyPublicKey) -> None:
        """Nobody was seen yet."""
        self.label_party = label_party
        self._pins = {label_party: pin}
        self._checked: dict[bytes, float] = {}

    def check(self, auth_context: Mapping[str, object], now: float) -> None:
        """Refuse everybody else.

        Args:
            auth_context: of the call, as gRPC has it.
            now: seconds since 1970.

        Raises:
            ProtocolError: the certificate is not the label party's, or is out of date.
        """
        found = auth_context.get("x509_pem_cert")
        certificate = found[0] if isinstance(found, list | tuple) and found else b""
        if not isinstance(certificate, bytes) or not certificate:
            raise ProtocolError("the connection has no client certificate")
        if abs(now - self._checked.get(certificate, 0.0)) < CHECK_AGAIN_SECONDS:
            return
        self._checked.pop(certificate, None)
        moment = datetime.fromtimestamp(now, UTC)
        certified_party(certificate, ANSWERING, self._pins, moment)
        if len(self._checked) >= MOST_REMEMBERED:
            self._checked.clear()
        self._checked[certificate] = now
