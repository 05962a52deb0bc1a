"""A bank as a process of its own: orders come in and replies go out through a pipe."""

from __future__ import annotations

from multiprocessing.connection import Connection

import torch

from tests.federation.horizontal.banks import Drive, plan_of


def serve(name: str, pipe: Connection) -> None:
    """Says that an order has come, works on it, replies, and tells the test what it encoded."""
    torch.set_num_threads(1)
    drive = Drive(plan_of(rounds=2))
    while True:
        order = pipe.recv_bytes()
        pipe.send_bytes(b"has come")
        pipe.send_bytes(drive.answer(name, order))
        pipe.send_bytes(drive.state(name).slots.tobytes())
        pipe.send_bytes(drive.states[name])
