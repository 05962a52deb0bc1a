"""What a vault keeps between sessions to save work: alignments and maps, each a file.

They are secret like the tables they come from. Whoever deletes them loses time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from pathlib import Path

from clients.vault.private_files import write_private

# A training on other bins or another split makes another map; old ones go.
MOST_OF_A_KIND = 8


class KeptFiles:
    """A `KeptStore` in a folder.

    Args:
        folder: made when something is first kept.
        most: of a kind; the oldest goes when there are more.
        peers: between whom it was made; what was made between others is not found (see `among`).
    """

    def __init__(self, folder: Path, most: int = MOST_OF_A_KIND, peers: bytes = b"") -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._most = most
        self._peers = b"\0" + hashlib.sha256(peers).hexdigest().encode()

    def among(self, peers: bytes) -> KeptFiles:
        """What is kept with these very peers: another party of the same name gets none of it."""
        return KeptFiles(self._folder, self._most, peers)

    def names(self, kind: str) -> list[str]:
        """Names of what is kept, the latest first; what can't be read is left out."""
        found = []
        for path in reversed(self._by_age(kind)):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                heading = file.readline().rstrip(b"\n")
                if heading.endswith(self._peers):
                    found.append(heading.removesuffix(self._peers).decode("utf-8", "replace"))
        return found

    def read(self, kind: str, name: str) -> bytes | None:
        """What is kept under a name, or None where it is not there or was damaged."""
        try:
            return self._data(self._path(kind, name).read_bytes(), name)
        except FileNotFoundError:
            return None

    def take(self, kind: str, name: str) -> bytes | None:
        """Read it and keep it no longer."""
        path = self._path(kind, name)
        # Renamed before it is read: of two processes one has it, and only as it is now.
        taken = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.rename(taken)
        except FileNotFoundError:
            return None
        with taken.open("rb") as file:
            taken.unlink()  # at once: who is stopped while reading leaves nothing behind
            return self._data(file.read(), name)

    def write(self, kind: str, name: str, data: bytes) -> None:
        """Keep it, and let the oldest of the kind go."""
        content = b"\n".join((self._heading(name), _checksum(data), data))
        write_private(self._path(kind, name), content)
        for path in self._by_age(kind)[: -self._most]:
            path.unlink(missing_ok=True)

    def _data(self, content: bytes, name: str) -> bytes | None:
        try:
            heading, checksum, data = content.split(b"\n", 2)
        except ValueError:
            return None
        if heading != self._heading(name) or checksum != _checksum(data):
            return None
        return data

    def _by_age(self, kind: str) -> list[Path]:
        """All files of a kind, the oldest first; another process may take some meanwhile."""
        aged = []
        for path in (self._folder / kind).glob("*.kept"):
            with contextlib.suppress(FileNotFoundError):
                aged.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(aged)]

    def _heading(self, name: str) -> bytes:
        return name.encode() + self._peers

    def _path(self, kind: str, name: str) -> Path:
        # Names hold what others chose: only their digest becomes a file's name.
        digest = hashlib.sha256(self._heading(name)).hexdigest()
        return self._folder / kind / f"{digest[:32]}.kept"


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
