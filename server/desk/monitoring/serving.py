"""The metrics' own port: plain HTTP on the loopback interface, for the bank's Prometheus."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from federation.errors import InputError

DEFAULT_LISTEN = "127.0.0.1:9464"
REQUEST_SECONDS = 5
MOST_AT_ONCE = 8


class MetricsServer:
    """Answers GET /metrics in threads of its own, a few at a time.

    Args:
        registry: what is served.
        listen: host and port; port 0 takes a free one. There is no TLS and no access check here:
            an address beyond loopback shows the metrics to whoever reaches it.
    """

    def __init__(self, registry: CollectorRegistry, listen: str = DEFAULT_LISTEN) -> None:
        """Listen.

        Raises:
            InputError: the address can't be listened on.
        """
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        try:
            self._server = _Server((host, int(port)), registry)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(
                f"metrics can't be served on '{listen}'; a host and a free port are right, such "
                f"as '{DEFAULT_LISTEN}'"
            ) from error
        bound = self._server.socket.getsockname()[1]
        self.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Waiting for threads on close would wait for a scraper that sends nothing.
    block_on_close = False

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        self.registry = registry
        self.room = threading.BoundedSemaphore(MOST_AT_ONCE)
        if ":" in address[0]:
            self.address_family = AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "veilscore"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND, "the metrics are at /metrics")
            return
        page = generate_latest(self.server.registry)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not logged."""
