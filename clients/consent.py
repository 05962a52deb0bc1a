"""Consent: only borrowers who agreed to this purpose, and whose consent still holds, take part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from clients.cell_values import TextColumn
from clients.manifest import ConsentSettings, PartyManifest
from clients.tables import Table, open_table, read_columns, require
from federation.errors import InputError
from federation.identifiers import normalise_one


class ConsentState(IntEnum):
    """A borrower's best consent for the purpose; a greater state is the better one."""

    NONE = 0  # none at all, or none for this purpose
    UNENDED = 1  # has no end, and the manifest does not accept that
    EXPIRED = 2
    VALID = 3


@dataclass(frozen=True)
class ConsentCount:
    """How many of a table's rows may be used, and why the others may not."""

    rows: int
    valid: int
    expired: int
    unended: int
    none: int

    def reasons(self) -> str:
        """Say why rows were left out, as in '85 expired, 35 none'."""
        named = ((self.expired, "expired"), (self.unended, "without an end"), (self.none, "none"))
        return ", ".join(f"{count} {reason}" for count, reason in named if count)

    def note(self) -> str:
        """Say how many rows were left out and why."""
        left_out = self.rows - self.valid
        reasons = f" ({self.reasons()})" if left_out else ""
        return f"consent: {left_out} of {self.rows} rows left out{reasons}"


def count_consents(states: npt.NDArray[np.uint8]) -> ConsentCount:
    """Count the rows in each state."""
    counts = np.bincount(states, minlength=len(ConsentState)).tolist()
    return ConsentCount(
        rows=len(states),
        valid=counts[ConsentState.VALID],
        expired=counts[ConsentState.EXPIRED],
        unended=counts[ConsentState.UNENDED],
        none=counts[ConsentState.NONE],
    )


def column_states(
    consent: ConsentSettings,
    texts: dict[str, TextColumn],
    table: Table,
    now: datetime,
) -> npt.NDArray[np.uint8]:
    """Return the consent state of every row of a table that holds the consents itself.

    Args:
        consent: names the columns.
        texts: those columns as read from the table.
        table: the table, for the error's sentence.
        now: the run's time, with a time zone.

    Raises:
        InputError: the end of a consent is not a date.
    """
    ends = texts[consent.valid_until_column]
    by_end = np.array(
        [_state_at(end, now) for end in ends.distinct]
        + [ConsentState.VALID if consent.open_ended else ConsentState.UNENDED],
        dtype=np.int64,
    )
    states = by_end[ends.index]
    if consent.purpose_column is not None:
        # A cell may name several purposes: "credit-scoring; marketing".
        purposes = texts[consent.purpose_column]
        by_purpose = np.array(
            [
                consent.purpose.casefold() in {part.strip().casefold() for part in cell.split(";")}
                for cell in purposes.distinct
            ]
            + [False]
        )
        states = np.where(by_purpose[purposes.index], states, ConsentState.NONE)
    elif not consent.open_ended:
        # Without a purpose, an empty end is all there is to say that a borrower never agreed.
        states = np.where(states == ConsentState.UNENDED, ConsentState.NONE, states)
    wrong = np.flatnonzero(states < 0)
    if wrong.size:
        row = table.row_name(int(wrong[0]))
        raise InputError(
            f"{table.place}, column '{consent.valid_until_column}': {row} has no date "
            "where the end of a consent must be; write 2027-12-31 or 2027-12-31T18:00:00+00:00"
        )
    return states.astype(np.uint8)


def file_states(
    manifest: PartyManifest, consent: ConsentSettings, identifiers: list[str], now: datetime
) -> npt.NDArray[np.uint8]:
    """Return the consent state of every borrower, from a table with one consent a row.

    A borrower may have several rows (purposes, renewals); the best one for the purpose counts.

    Args:
        manifest: the party's manifest.
        consent: its consent settings, which name a file or database.
        identifiers: the party's normalised ids.
        now: the run's time, with a time zone.

    Raises:
        InputError: the table of consents is missing, lacks a column, or has an end that is no date.
    """
    if consent.file is None:
        raise ValueError("these consents stand in the party's own table")
    table = open_table(consent.file)
    columns = [consent.valid_until_column]
    if consent.purpose_column is not None:
        columns.append(consent.purpose_column)
    for key, column in (
        ("id_column", consent.id_column),
        ("valid_until_column", consent.valid_until_column),
        ("purpose_column", consent.purpose_column),
    ):
        if column is not None:
            require(table, column, f"{manifest.path}: [consent] {key}")
    read = read_columns(table, identifiers=consent.id_column, texts=columns)
    states = column_states(consent, dict(read.texts), table, now)
    best: dict[str, int] = {}
    for identifier, state in zip(read.identifiers, states.tolist(), strict=True):
        if identifier is not None:
            text = normalise_one(str(identifier), manifest.id_rule)
            best[text] = max(best.get(text, 0), state)
    return np.array([best.get(text, 0) for text in identifiers], dtype=np.uint8)


def _state_at(end: str, now: datetime) -> int:
    """Return the state of a consent with this end; -1 if the end is no date."""
    try:
        if len(end) <= 10:
            last_day = date.fromisoformat(end)
            # The consent holds through its last day: it ends where the next one begins.
            limit = datetime.combine(last_day + timedelta(days=1), time(), UTC)
        else:
            limit = datetime.fromisoformat(end)
            limit = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
    except OverflowError:
        return ConsentState.VALID  # 9999-12-31: the calendar has no next day
    except ValueError:
        return -1
    return ConsentState.VALID if now < limit else ConsentState.EXPIRED
