"""A party's vault: its privacy ledger, disclosure logs and model parts, on its own disk.

Directories are 0700 and files 0600. Records are appended and flushed to the disk before the message
they are about leaves; whole files are written beside and renamed, so that none is half-written.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from federation.additive.model_part import ModelPart
from federation.errors import InputError
from federation.privacy.events import Event, Unit
from federation.privacy.history import PrivacyHistory, check_run
from federation.privacy.ledger import (
    Expenditure,
    expenditure_body,
    expenditures,
    history_of,
)
from federation.record_chain import Entry, Head, read_chain
from federation.session.machine import Sent
from federation.split.part import SUFFIX, NetworkPart

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _make_private(directory: Path) -> None:
    """Make a directory and those above it that are missing, each 0700."""
    if not directory.is_dir():
        _make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Write a whole file, mode 0600, by way of a temporary one in the same directory."""
    _make_private(path.parent)
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
        # Not splitlines(), which also splits at line ends that JSON leaves bare in strings.
        content = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        *lines, rest = content.split("\n")
        if rest:
            raise InputError(f"{path}, line {len(lines) + 1}: the last line was cut off")
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
        _make_private(self.path.parent)
        head, entry = self._head.append(body)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(entry.line() + "\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        self._head = head
        self._entries.append(entry)
        return entry


@contextmanager
def _locked(path: Path) -> Iterator[ChainFile]:
    """A chain as it is now, with no other process in here for it meanwhile."""
    _make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield ChainFile(path)
    finally:
        os.close(descriptor)


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
        """What left this party in one run.

        Raises:
            InputError: the run's name, which the coordinator chooses, is no name of a file.
        """
        if not RUN_NAME.fullmatch(run):
            raise InputError(
                f"'{run}' is no name for a run: letters, digits, '.', '_' and '-' are right, "
                "100 at most, a letter or digit first"
            )
        return self.home / "disclosures" / f"{run}.jsonl"

    def run_folder(self, run: str) -> Path:
        """What this party must remember of a run of several messages: checkpoints, kept rows.

        Raises:
            InputError: the run's name is no name of a file.
        """
        return self.home / "runs" / self.disclosures_path(run).stem

    def disclosure_log(self, run: str, session: str) -> DisclosureLog:
        """The disclosure log of one run."""
        return DisclosureLog(ChainFile(self.disclosures_path(run)), run, session)

    def ledger(self) -> list[Entry]:
        """The privacy ledger's entries, in order.

        Raises:
            InputError: the file was changed by hand; says which line.
        """
        # The end first: an entry that another run makes meanwhile comes before its new end.
        end = _written_end(self._ledger_end_path)
        return _checked(ChainFile(self.ledger_path), end)

    def expenditures(self, unit: Unit, dataset: str) -> tuple[Expenditure, ...]:
        """What was spent of one data set so far, for one unit of privacy.

        Raises:
            InputError: the ledger was changed by hand, or is a later version's.
        """
        return expenditures(self.ledger(), unit, dataset, str(self.ledger_path))

    def history(self, unit: Unit, dataset: str) -> PrivacyHistory:
        """The history of one data set so far, for one unit of privacy; raises as expenditures."""
        return history_of(self.expenditures(unit, dataset), unit)

    def enter_event(
        self,
        event: Event,
        unit: Unit,
        dataset: str,
        run: str,
        what: str,
        budget: float | None,
        delta: float,
    ) -> PrivacyHistory:
        """Enter an event in the ledger before it happens; refuse it where the budget is short.

        Args:
            event: the mechanism and its parameters.
            unit: whom it protects.
            dataset: the name of the data in this ledger, whatever rows they hold today.
            run: the run it belongs to.
            what: in words, what is released and to whom.
            budget: ε that the whole history may reach at `delta`; None sets no limit.
            delta: of the budget; kept with the entry.

        Returns:
            The history, this event included.

        Raises:
            InputError: the budget has no room, or the ledger was changed by hand; nothing was
                entered.
        """
        # Locked, so that two runs at once can't both take what is left of the budget.
        with _locked(self.ledger_path) as ledger:
            if not ledger.entries and not self._ledger_end_path.exists():
                self._write_end(Head())  # so that its absence later shows
            entries = _checked(ledger, _written_end(self._ledger_end_path))
            spent = expenditures(entries, unit, dataset, str(self.ledger_path))
            history = history_of(spent, unit)
            check_run(history, (event,), budget, delta)
            stamp = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "delta": delta}
            ledger.append(expenditure_body(Expenditure(event, unit, run, what), dataset) | stamp)
            self._write_end(ledger.head)
        return history.after(event)

    def _write_end(self, head: Head) -> None:
        content = {"length": head.length, "digest": head.digest}
        write_private(self._ledger_end_path, json.dumps(content).encode() + b"\n")

    @property
    def _ledger_end_path(self) -> Path:
        return self.home / "ledger.head"


def _written_end(path: Path) -> Head | None:
    """The end of a chain as it was last written down; None where it never was.

    Raises:
        InputError: the file holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
        return Head(int(content["length"]), str(content["digest"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not the written-down end of a privacy ledger; restore it together with "
            "ledger.jsonl"
        ) from error


def _checked(chain: ChainFile, end: Head | None) -> list[Entry]:
    """The chain's entries, if they reach its written-down end.

    No entry follows the last one and holds its digest, so the end is kept in a file of its own. It
    is written after the entry, and lags behind where a crash came between the two.
    """
    entries = chain.entries
    if end is None:
        if entries:
            raise InputError(
                f"{chain.path}, line 1: the file ledger.head beside it, which says where the "
                "ledger ends, was taken away; restore it"
            )
        return []
    if end.length > len(entries):
        raise InputError(
            f"{chain.path}, line {len(entries) + 1}: an entry was dropped; there were {end.length}"
        )
    if end.length and end.digest != entries[end.length - 1].digest:
        raise InputError(f"{chain.path}, line {end.length}: the entry was altered")
    if len(entries) > end.length + 1:
        raise InputError(
            f"{chain.path}, line {end.length + 2}: the entry was not made by veilscore"
        )
    return entries


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

    @property
    def length(self) -> int:
        """How many messages it holds."""
        return self._chain.head.length

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


def save_model(folder: Path, training: str, part: ModelPart | NetworkPart) -> None:
    """Write what a party holds of a training: JSON over bins, safetensors of networks."""
    if isinstance(part, ModelPart):
        save_part(folder / f"model-{training}.json", part)
    else:
        write_private(folder / f"model-{training}{SUFFIX}", part.to_bytes())


def load_network(path: Path) -> NetworkPart:
    """Read a part of a neural training.

    Raises:
        InputError: the file is missing or not such a part.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no model part; train first") from error
    return NetworkPart.from_bytes(data, str(path))


def load_model(path: Path) -> tuple[ModelPart | NetworkPart, NetworkPart | None]:
    """Read what a party holds of a training: its part, and the encoder of a blind one.

    Args:
        path: of the part over bins, 'model-….json'; a network's lies beside it.

    Raises:
        InputError: there is neither, or one is damaged.
    """
    network = path.with_suffix(SUFFIX)
    if network.exists() and not path.exists():
        return load_network(network), None
    return load_part(path), load_network(network) if network.exists() else None


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
