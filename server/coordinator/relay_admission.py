"""Who a stream belongs to: read from its TLS certificate and metadata, before it says a word."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc

from federation.errors import ProtocolError
from federation.identity.certificates import certified_party
from federation.identity.party_key import PartyPublicKey
from federation.session.relay_messages import VERSIONS_KEY, one_line, read_versions

log = logging.getLogger("veilscore.coordinator")

# At most so many lines of refused streams in a minute: nobody fills the coordinator's disk.
LINES_A_MINUTE = 10


class Admission:
    """Tells parties of one session from strangers.

    Args:
        session: the session's id.
        pins: the parties' public keys, by name.
    """

    def __init__(self, session: str, pins: Mapping[str, PartyPublicKey]) -> None:
        """Nothing is refused yet."""
        self._session = session
        self._pins = dict(pins)
        self._lock = threading.Lock()
        self._minute = -1
        self._lines = 0

    def identify(self, context: grpc.ServicerContext) -> tuple[str, frozenset[int]]:
        """The party that opened a stream, and the versions of the protocol that it offers.

        Raises:
            ProtocolError: one sentence why the stream is refused.
        """
        proved: Mapping[str, Any] = context.auth_context()  # lists, whatever the stubs say
        shown = proved.get("x509_pem_cert", ())
        if len(shown) != 1:
            raise ProtocolError("it showed no certificate")
        party = certified_party(shown[0], self._session, self._pins)
        offers = [value for key, value in context.invocation_metadata() if key == VERSIONS_KEY]
        if len(offers) != 1:
            raise ProtocolError(f"{party} does not say once which versions it speaks")
        return party, read_versions(str(offers[0]))

    def refuse(
        self, context: grpc.ServicerContext, code: grpc.StatusCode, sentence: str
    ) -> NoReturn:
        """End a stream with a sentence, and log it in one line; does not return."""
        self._log(context.peer(), sentence)
        context.abort(code, sentence)

    def _log(self, peer: str, sentence: str) -> None:
        minute = int(time.monotonic() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._lines = minute, 0
            self._lines += 1
            lines = self._lines
        if lines <= LINES_A_MINUTE:
            more = "; more of this minute are not logged" if lines == LINES_A_MINUTE else ""
            log.warning("refused a stream from %s: %s%s", peer, one_line(sentence, 300), more)
