"""HTTP/1.1 connections of the gateway: whose certificate it is, and how long things may take.

uvicorn keeps the TLS connection to itself, so the protocol here hands the peer's certificate to the
application by the TLS extension of ASGI (https://asgi.readthedocs.io/en/latest/specs/tls.html).
It comes from the connection itself and never from a header, which any caller could send.

uvicorn sets no time for a request to arrive. Here headers, the whole of a request with its reply,
and what is left of a body after its refusal each have one; the idle time is uvicorn's own.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 5.0
REQUEST_SECONDS = 30.0
REFUSED_BODY_SECONDS = 2.0
MOST_CONNECTIONS = 256
_TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class GatewayConnection(H11Protocol):
    """One connection."""

    header_seconds = HEADER_SECONDS
    request_seconds = REQUEST_SECONDS
    refused_body_seconds = REFUSED_BODY_SECONDS
    most_connections = MOST_CONNECTIONS

    _timer: asyncio.TimerHandle | None = None
    _waits_for: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TLS is up: keep the peer's certificate for all requests that follow."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.abort()
            return
        extension, inner = tls_extension(transport), self.app

        async def with_tls(scope: Any, receive: Any, send: Any) -> None:
            extensions = {**(scope.get("extensions") or {}), "tls": extension}
            await inner({**scope, "extensions": extensions}, receive, send)

        self.app = with_tls
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: the clock goes by what they complete."""
        super().data_received(data)
        if not self.transport.is_closing():
            self._look()

    def on_response_complete(self) -> None:
        """A reply is out: what is left of its request, the next one, or idle time."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._look()

    def send_400_response(self, msg: str) -> None:
        """Bytes that are no HTTP: say so where a reply may still begin, and hang up."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The application may have this request's head; what it answers goes nowhere now.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        status = HTTPStatus.BAD_REQUEST
        body = json.dumps(
            {
                "type": "about:blank",
                "title": status.phrase,
                "status": int(status),
                "detail": "the request is not valid HTTP/1.1",
            }
        ).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        reply = h11.Response(
            status_code=int(status), headers=headers, reason=status.phrase.encode()
        )
        for event in (reply, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        """Set the clock for what the connection waits for now, if that is something new."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            waits_for: object = cycle
            seconds = self.request_seconds
        elif self.conn.their_state is h11.SEND_BODY:
            waits_for, seconds = (cycle, "rest"), self.refused_body_seconds
        elif cycle is None or self.timeout_keep_alive_task is None:
            # uvicorn ends its idle time at the first byte, and sets no other.
            waits_for, seconds = (cycle, "headers"), self.header_seconds
        else:
            self._stop()
            return
        if waits_for != self._waits_for:
            self._stop()
            self._waits_for = waits_for
            self._timer = self.loop.call_later(seconds, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._waits_for = None, None

    def _too_slow(self) -> None:
        self.transport.abort()


def tls_extension(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """The ASGI TLS extension of a connection; without TLS it has no certificate."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(tls.version() or "") if tls is not None else None,
        "cipher_suite": None,
    }
