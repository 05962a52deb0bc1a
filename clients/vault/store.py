"""One party's vault: its privacy ledger over all runs, and what left it in each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from clients.vault.chain_file import (
    ChainFile,
    checked_entries,
    locked,
    unchanging,
    written_end,
)
from clients.vault.kept_files import KeptFiles
from clients.vault.private_files import write_private
from federation.errors import InputError
from federation.privacy.events import Event, Unit
from federation.privacy.history import PrivacyHistory, check_run
from federation.privacy.ledger import (
    Expenditure,
    expenditure_body,
    expenditures,
    history_of,
)
from federation.record_chain import Entry, Head
from federation.session.machine import Sent
from federation.session.wire import RUN_NAME


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

    @property
    def kept(self) -> KeptFiles:
        """What is kept between sessions to save work."""
        return KeptFiles(self.home / "kept")

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
        # Or entries that another run makes meanwhile would look like ones made by hand.
        with unchanging(self.ledger_path):
            end = written_end(self._ledger_end_path)
            return checked_entries(ChainFile(self.ledger_path), end)

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
        with locked(self.ledger_path) as ledger:
            if not ledger.entries and not self._ledger_end_path.exists():
                self._write_end(Head())  # so that its absence later shows
            entries = checked_entries(ledger, written_end(self._ledger_end_path))
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
