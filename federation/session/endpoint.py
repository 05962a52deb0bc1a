"""What a transport drives: one party's side of one session, without I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Endpoint(Protocol):
    """One party's side of a session; a channel moves the frames that it makes and takes.

    Each frame has at most MAX_PARCEL_BYTES bytes (federation/session/wire.py). Both iterators must
    be consumed to the end, each frame sent before the next is asked for.
    """

    @property
    def party(self) -> str:
        """This party's name."""

    @property
    def session(self) -> str:
        """The session's id."""

    @property
    def finished(self) -> bool:
        """Whether this party's protocol has come to its end."""

    @property
    def waiting_for(self) -> str:
        """In words, what this party waits for."""

    def use_version(self, version: int) -> None:
        """Run the session under this version of the protocol; called before `start`."""

    def start(self) -> Iterator[tuple[str, bytes]]:
        """Run up to the first wait; yields the frames to deliver as (recipient, frame)."""

    def receive(self, frame: bytes, sender: str) -> Iterator[tuple[str, bytes]]:
        """Take one frame that arrived from a party; yields the frames to deliver because of it.

        Raises:
            ProtocolError: the frame is not what the protocol allows here.
        """
