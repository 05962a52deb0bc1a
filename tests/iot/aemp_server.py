"""A maker's server over real TLS, which pages, fails, dawdles and lies as a test tells it to."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from iot.broker.certificates import broker_certificate


@dataclass(frozen=True)
class Answer:
    """What a path answers: `pause_seconds` lie between the pieces of the body."""

    body: bytes = b""
    status: int = 200
    media: str = "application/xml"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int = 1
    pause_seconds: float = 0.0


@dataclass
class MakersServer:
    """Answers by path; of several answers to a path each is given once, the last for ever."""

    authority: Path
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.requests]


@contextmanager
def makers_server(folder: Path) -> Iterator[MakersServer]:
    files = broker_certificate(folder, ["127.0.0.1"])
    state = MakersServer(files.authority)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            state.requests.append((self.command, self.path, dict(self.headers), body))
            queued = state.answers.get(self.path, [Answer(status=404)])
            answer = queued.pop(0) if len(queued) > 1 else queued[0]
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            size = -(-len(answer.body) // answer.pieces) or 1
            try:
                for start in range(0, len(answer.body), size):
                    self.wfile.write(answer.body[start : start + size])
                    self.wfile.flush()
                    time.sleep(answer.pause_seconds)
            except OSError:
                return  # the client had enough, which is what some tests are about

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(files.certificate, files.key)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
