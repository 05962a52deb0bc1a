"""A slow network link for benchmarks: forwards TCP with a bit rate and a delay, each way.

In a process of its own, between a party and the relay. What flows through it is the same TLS as
without it; the kernel's own emulation (netem) is not there on every machine.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

READ_BYTES = 64 * 1024
# What may be on its way: as much as a router would queue, beyond what the link itself holds.
QUEUED_SECONDS = 0.2


@dataclass(frozen=True)
class Link:
    """What a link can do.

    Attributes:
        megabits: a second, each way.
        delay: seconds, one way; half of a round trip.
    """

    megabits: float
    delay: float


@contextmanager
def slow_link(address: str, link: Link) -> Iterator[str]:
    """Forward to `address` (host:port); gives the address to use instead.

    The process ends with the context.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_forward_all, args=(address, link, sender), daemon=True)
    process.start()
    try:
        if not receiver.poll(30):
            raise TimeoutError("the link did not come up within 30 s")
        yield f"127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()


def _forward_all(address: str, link: Link, port: Connection) -> None:
    asyncio.run(_serve(address, link, port))


async def _serve(address: str, link: Link, port: Connection) -> None:
    host, _, number = address.rpartition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(number))
        await asyncio.gather(_one_way(reader, far_writer, link), _one_way(far_reader, writer, link))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=READ_BYTES)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
    """Every chunk leaves when the ones before it have passed, and arrives a delay later."""
    loop = asyncio.get_running_loop()
    bytes_a_second = link.megabits * 1e6 / 8
    in_flight = max(1, int((link.delay + QUEUED_SECONDS) * bytes_a_second / READ_BYTES))
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(in_flight)

    async def deliver() -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def take() -> None:
        free = loop.time()  # when the link has passed all that came so far
        while chunk := await reader.read(READ_BYTES):
            free = max(free, loop.time()) + len(chunk) / bytes_a_second
            await chunks.put((free + link.delay, chunk))
        await chunks.put((loop.time(), b""))

    try:
        await asyncio.gather(deliver(), take())
    except ConnectionError:
        writer.close()
