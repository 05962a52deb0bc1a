"""A bound on how long a database may leave us waiting, whatever has become of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer


class SilenceWatch:
    """Ends a connection that gives no answer for too long.

    The server's own limit on a statement does not help where the server is stuck, and keepalives
    are answered by its kernel; so the socket is shut down here, and the wait ends with an error.

    Args:
        seconds: the longest wait for one answer.

    Attributes:
        fired: whether a connection was ended.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._connection: socket.socket | None = None
        self.fired = False

    def watch(self, descriptor: int) -> None:
        """Say which socket to shut down."""
        # A handle of our own: the number may belong to somebody else once the driver has closed it.
        self._connection = socket.socket(fileno=os.dup(descriptor))

    def close(self) -> None:
        """Let the socket go."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Bound what is done inside."""
        timer = Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _end(self) -> None:
        self.fired = True
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
