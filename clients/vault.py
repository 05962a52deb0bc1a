"""A party's vault: its privacy ledger, disclosure logs and model parts, on its own disk.

Directories are 0700 and files 0600. Records are appended and flushed to the disk before the message
they are about leaves; whole files are written beside and renamed, so that none is half-written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from federation.additive.model_part import ModelPart
from federation.errors import InputError
from federation.privacy.accountant import LabelRelease
from federation.privacy.ledger import LabelHistory, release_body
from federation.record_chain import Entry, Head, read_chain
from federation.session.machine import Sent


def write_private(path: Path, data: bytes) -> None:
    """Write a whole file, mode 0600, by way of a temporary one in the same directory."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class ChainFile:
    """A record chain in a file, one entry a line."""

    def __init__(self, path: Path) -> None:
        """Read and verify what is there.

        Raises:
            InputError: a line was changed, dropped or inserted.
        """
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self._head, self._entries = read_chain(lines, str(path))

    @property
    def entries(self) -> list[Entry]:
        """All entries, in order."""
        return list(self._entries)

    @property
    def head(self) -> Head:
        """Where the chain ends."""
        return self._head

    def append(self, body: Mapping[str, Any], durable: bool = True) -> Entry:
        """Add one entry; on return it is on the disk (or, not durable, with the system)."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._head, entry = self._head.append(body)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(entry.line() + "\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        self._entries.append(entry)
        return entry


class Vault:
    """One party's vault.

    Args:
        home: its directory; made when something is first written.
    """

    def __init__(self, home: Path) -> None:
        """Nothing is read or written yet."""
        self.home = home

    @property
    def ledger_path(self) -> Path:
        """The privacy ledger, over all runs."""
        return self.home / "ledger.jsonl"

    def disclosures_path(self, run: str) -> Path:
        """What left this party in one run."""
        return self.home / "disclosures" / f"{run}.jsonl"

    def disclosure_log(self, run: str, session: str) -> DisclosureLog:
        """The disclosure log of one run."""
        return DisclosureLog(ChainFile(self.disclosures_path(run)), run, session)

    def label_history(self, dataset: str) -> LabelHistory:
        """All releases of these labels so far."""
        return LabelHistory.of(ChainFile(self.ledger_path).entries, dataset)

    def enter_release(
        self, release: LabelRelease, dataset: str, budget: float | None, delta: float
    ) -> LabelHistory:
        """Enter a release in the ledger before it happens; refuse it where the budget is short.

        Raises:
            InputError: the budget has no room; nothing was entered.
        """
        ledger = ChainFile(self.ledger_path)
        history = LabelHistory.of(ledger.entries, dataset)
        history.check_budget(release, budget, delta)
        stamp = {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        ledger.append(release_body(release, dataset) | stamp)
        return history.after(release)


class DisclosureLog:
    """Every message that leaves a party in one run: kind, bytes, to whom, when."""

    def __init__(self, chain: ChainFile, run: str, session: str) -> None:
        """Append to a chain that may hold earlier sessions of the run."""
        self._chain = chain
        self._run = run
        self._session = session

    @property
    def path(self) -> Path:
        """The chain's file."""
        return self._chain.path

    def enter(self, sent: Sent) -> None:
        """One message; called before it leaves."""
        self._chain.append(
            {
                "run": self._run,
                "session": self._session,
                "kind": sent.kind,
                "bytes": sent.size_bytes,
                "to": sent.recipient,
                "sequence": sent.sequence,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
            durable=False,
        )


def save_part(path: Path, part: ModelPart) -> None:
    """Write a model part."""
    write_private(path, part.to_json().encode() + b"\n")


def load_part(path: Path) -> ModelPart:
    """Read a model part.

    Raises:
        InputError: the file is missing or not a model part.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no model part; train first") from error
    except ValueError as error:
        raise InputError(f"{path}: not an additive model part (it is not JSON)") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not an additive model part (it holds no object)")
    return ModelPart.from_json(content, str(path))
