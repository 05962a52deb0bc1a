"""The link of the benchmarks passes everything on, at its rate and after its delay."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time

from simulations.slow_link import Link, slow_link


def echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def test_what_goes_through_arrives_whole_and_not_before_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=echo, args=(server,), daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with slow_link(address, Link(megabits=80, delay=0.05)) as slow:
            port = int(slow.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as client:
                payload = os.urandom(1_000_000)
                started = time.monotonic()
                writer = threading.Thread(target=client.sendall, args=(payload,))
                writer.start()
                back = bytearray()
                while len(back) < len(payload):
                    back += client.recv(65536)
                seconds = time.monotonic() - started
                writer.join()
        thread.join(10)
    assert bytes(back) == payload
    assert seconds > 0.2  # a tenth of a second at 80 Mb/s, and two delays
    assert not multiprocessing.active_children()
