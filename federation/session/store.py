"""What a party keeps between sessions, as bytes under names: the vault on disk, or memory."""

from __future__ import annotations

from typing import Protocol


class KeptStore(Protocol):
    """Bytes by kind and name; what is not there any more is made anew."""

    def names(self, kind: str) -> list[str]:
        """Names of what is kept of a kind, the latest first."""

    def read(self, kind: str, name: str) -> bytes | None:
        """What is kept under a name, or None."""

    def take(self, kind: str, name: str) -> bytes | None:
        """Read it and keep it no longer.

        What may serve one session at a time is kept again after each, so that a session that broke
        off leaves nothing behind to go on with.
        """

    def write(self, kind: str, name: str, data: bytes) -> None:
        """Keep it; what has the same name goes."""


class MemoryStore:
    """Keeps in memory, for tests and notebooks."""

    def __init__(self) -> None:
        """Empty."""
        self._kept: dict[tuple[str, str], bytes] = {}

    def names(self, kind: str) -> list[str]:
        """As in `KeptStore`."""
        return [name for of_kind, name in reversed(self._kept) if of_kind == kind]

    def read(self, kind: str, name: str) -> bytes | None:
        """As in `KeptStore`."""
        return self._kept.get((kind, name))

    def take(self, kind: str, name: str) -> bytes | None:
        """As in `KeptStore`."""
        return self._kept.pop((kind, name), None)

    def write(self, kind: str, name: str, data: bytes) -> None:
        """As in `KeptStore`."""
        self._kept.pop((kind, name), None)
        self._kept[kind, name] = data


class NoStore:
    """Keeps nothing."""

    def names(self, kind: str) -> list[str]:
        """None of any kind."""
        return []

    def read(self, kind: str, name: str) -> bytes | None:
        """Nothing."""
        return None

    def take(self, kind: str, name: str) -> bytes | None:
        """Nothing."""
        return None

    def write(self, kind: str, name: str, data: bytes) -> None:
        """Forget it."""
