"""What the report of several banks shows: plain frozen values, as in `figures`.

Every text is shown as text. An ε that a bank's history has is a `PrivacySpend`, which carries its
unit of privacy and its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from federation.errors import InputError
from federation.metrics import Estimate
from federation.report.figures import (
    ModelCurves,
    ModelRow,
    PartyDisclosure,
    PrivacySpend,
    StageSeconds,
)


@dataclass(frozen=True)
class BankResult:
    """One bank that took part to the end.

    Attributes:
        name: of the bank.
        training_borrowers, test_borrowers: its own.
        test_default_rate: share of its test borrowers that defaulted; None without any.
        federated, alone: AUC on its own test borrowers, of the federated network and of a network
            trained on its own borrowers only; None where it was not or can't be measured.
        gain: paired difference of the two.
        notes: how its rows were read, in sentences.
    """

    name: str
    training_borrowers: int
    test_borrowers: int
    test_default_rate: float | None = None
    federated: Estimate | None = None
    alone: Estimate | None = None
    gain: Estimate | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A bank that did not take part to the end, and why."""

    bank: str
    reason: str


@dataclass(frozen=True)
class BankWork:
    """What the run cost one bank.

    Attributes:
        bank: its name.
        process_id: of the process that answered its last order.
        seconds: it worked on the run.
        memory_mb: most memory that process held.
        bytes_sent, bytes_received: as the coordinator counted them.
    """

    bank: str
    process_id: int
    seconds: float
    memory_mb: float
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class LossRound:
    """Mean log-loss over all banks in one round; no validation loss after the last one."""

    round: int
    training: float
    validation: float | None = None


@dataclass(frozen=True)
class Course:
    """How the training went.

    Attributes:
        rounds, most_rounds: that took place, and that were allowed.
        losses: by round; empty where none were summed.
        sentence: how it ended, or why there are no losses.
        settings: name and value of what the banks agreed on.
        clipped: rounds in which a bank's update was clipped to the norm bound, by bank.
    """

    rounds: int
    most_rounds: int
    losses: tuple[LossRound, ...]
    sentence: str
    settings: tuple[tuple[str, str], ...]
    clipped: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class AggregationTerms:
    """How updates were added up.

    Attributes:
        terms: name and value of each parameter.
        parameters: of the model.
        update_bytes: of one bank's encrypted update of one round.
    """

    terms: tuple[tuple[str, str], ...]
    parameters: int
    update_bytes: int


@dataclass(frozen=True)
class BankLedgerLine:
    """Entries of a bank's ledger of one run that differ in their round only.

    Attributes:
        first, last: lines of the ledger, from 1, of the first and the last of these entries.
        entries: how many they are.
        since: when the first was entered, in UTC.
        run: that they belong to.
        entry: what was released, in words.
        unit: of privacy.
        privacy: of the bank's whole history for this unit, up to the last of these lines; None
            where no ε bounds it.
    """

    first: int
    last: int
    entries: int
    since: datetime
    run: str
    entry: str
    unit: str
    privacy: PrivacySpend | None


@dataclass(frozen=True)
class BankLedger:
    """A bank's privacy ledger over all runs.

    Attributes:
        bank: its name.
        lines: see there; oldest first.
        totals: a sentence for each unit of privacy: the whole history's ε, or that it has none.
    """

    bank: str
    lines: tuple[BankLedgerLine, ...]
    totals: tuple[str, ...]


@dataclass(frozen=True)
class BanksReport:
    """Everything that the report of a horizontal run shows.

    Attributes:
        title, run_id: name of the report and of the run.
        created: when the run ended, UTC and aware.
        data_note: where the data comes from.
        simulated: True marks the report as SIMULATED at its head.
        network: the model, in a few words.
        guarantees: of this run, for the model; empty: no differential privacy.
        models: rows of the headline table.
        curves: models to draw; the federated one first.
        banks: who took part to the end.
        within: all of them together, with AUC within banks: over pairs of borrowers of one bank.
        left_out: who did not.
        test_default_rate: share of all banks' test borrowers that defaulted.
        sent: each bank's disclosure log, counted; `learned` and the rest are empty there.
        sides: 'every bank' and the coordinator, and what each learned.
        messages: that the coordinator and the banks exchanged.
        course: of the training.
        aggregation: how updates were added up.
        ledgers: of the banks.
        stages: seconds by stage.
        work: of each bank.
    """

    title: str
    run_id: str
    created: datetime
    data_note: str
    simulated: bool
    network: str
    guarantees: tuple[PrivacySpend, ...]
    models: tuple[ModelRow, ...]
    curves: tuple[ModelCurves, ...]
    banks: tuple[BankResult, ...]
    within: BankResult
    left_out: tuple[LeftOut, ...]
    test_default_rate: float
    sent: tuple[PartyDisclosure, ...]
    sides: tuple[PartyDisclosure, ...]
    messages: int
    course: Course
    aggregation: AggregationTerms
    ledgers: tuple[BankLedger, ...]
    stages: tuple[StageSeconds, ...]
    work: tuple[BankWork, ...]

    def __post_init__(self) -> None:
        """Refuse a time without its zone: UTC is written beside it."""
        lines = (line for ledger in self.ledgers for line in ledger.lines)
        for moment in (self.created, *(line.since for line in lines)):
            offset = moment.utcoffset()
            if offset is None or offset.total_seconds() != 0:
                raise InputError(f"report: time {moment.isoformat()} must be aware and in UTC")

    @property
    def test_borrowers(self) -> int:
        """Of all banks."""
        return sum(bank.test_borrowers for bank in self.banks)
