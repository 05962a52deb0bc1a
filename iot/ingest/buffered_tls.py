"""A TLS socket that reads in large pieces and writes when told to.

paho reads a packet in four small pieces and writes every acknowledgement by itself. With this
socket that costs one TLS read a record and one TLS write a batch. It is handed in through
`ssl.SSLContext.sslsocket_class`, so that paho is used as it is.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

_PIECE: Final = 65_536
_MOST: Final = 4 * _PIECE


class BufferedTlsSocket(ssl.SSLSocket):
    """For a loop that calls `flush` itself, and asks `pending` before it waits. Not blocking."""

    # Instances are made inside ssl, which passes nothing through: defaults stand at the class.
    _read: bytes = b""
    _position: int = 0
    _ended: bool = False
    _unsent: bytes = b""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        position = self._position
        if position == len(self._read):
            self._read = self._all_there_is()
            self._position = position = 0
        end = position + buflen
        piece = self._read[position:end]
        self._position = position + len(piece)
        return piece

    def _all_there_is(self) -> bytes:
        """Read until the network has no more; b'' at its end, as a socket says it."""
        pieces: list[bytes] = []
        room = _MOST
        while room > 0 and not self._ended:
            try:
                piece = super().recv(_PIECE)
            except ssl.SSLWantReadError:
                if not pieces:
                    raise
                break
            self._ended = not piece
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    def pending(self) -> int:
        """Bytes that can be read without asking the network."""
        return len(self._read) - self._position + super().pending()

    def send(self, data: Any, flags: int = 0) -> int:
        """Put bytes into line; `flush` sends them."""
        self._unsent += bytes(data)
        return len(data)

    def flush(self) -> bool:
        """Send what stands in line; False where the network does not take all of it now."""
        while self._unsent:
            try:
                sent = super().send(self._unsent)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            self._unsent = self._unsent[sent:]
        return True


def buffered_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a context wrap sockets as `BufferedTlsSocket`."""
    context.sslsocket_class = BufferedTlsSocket
    return context
