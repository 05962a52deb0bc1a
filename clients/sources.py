"""A party's own rows: what its manifest describes, read, checked and cut to consented borrowers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from clients.cell_values import TextColumn, category_text
from clients.consent import column_states, count_consents, file_states
from clients.manifest import LabelSettings, PartyManifest
from clients.series import summarise
from clients.settings_file import suggest
from clients.tables import Columns, Table, open_table, read_columns, require
from federation.alignment import ABSENT_ROW
from federation.errors import InputError
from federation.identifiers import normalise
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.vertical import plan

# The position of a borrower that a party does not know ('label-left' alignment).
ABSENT = ABSENT_ROW


class NothingToLearn(InputError):
    """A table that was read well, but has one class only or too few rows to train on."""


class SplitPart(IntEnum):
    """The part of the rows that a row belongs to."""

    TRAIN = plan.TRAINING
    VALIDATION = plan.VALIDATION
    TEST = plan.TEST


@dataclass(frozen=True)
class PartyTable:
    """One party's rows, in the order of its own source; those of a database by id.

    Attributes:
        party: the party's name.
        identifiers: the normalised ids, one a row, no two alike.
        features: the feature columns; every row is present.
        label: 1 for default and 0 for repaid, uint8, one a row; None at a feature party.
        split: a `SplitPart` a row, uint8, where the label party's table fixes the split.
        notes: what a person should know of how the rows were read, a sentence each.
    """

    party: str
    identifiers: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    label: npt.NDArray[np.uint8] | None
    split: npt.NDArray[np.uint8] | None
    notes: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self.identifiers)

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """Return the feature columns of some rows, in the order of the positions.

        Args:
            positions: uint32, row positions from 0; `ABSENT` for a borrower unknown here, whose
                value is missing and not present.
        """
        absent = positions == ABSENT
        if positions.size and not absent.all() and positions[~absent].max() >= self.row_count:
            raise ValueError(f"a position lies beyond the {self.row_count} rows of '{self.party}'")
        reach = np.where(absent, 0, positions).astype(np.int64)
        selected: list[FeatureColumn] = []
        for column in self.features:
            missing: object = np.nan if column.spec.kind is FeatureKind.NUMERIC else None
            if absent.all():
                values = np.full(len(positions), missing, dtype=column.values.dtype)
            else:
                values = column.values[reach]
                values[absent] = missing
            selected.append(FeatureColumn(column.spec, values, ~absent))
        return selected


def load_table(
    manifest: PartyManifest,
    *,
    now: datetime,
    split_column: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PartyTable:
    """Read a party's table as its manifest describes it: a file, a folder, a database.

    The source may be larger than memory: only the declared columns are kept. A database gives its
    rows in any order, so that these are sorted by id: a split by seed is the same in every run.

    Args:
        manifest: the party's own manifest.
        now: the run's time, with a time zone; a consent must hold at it.
        split_column: a column with train, validation or test in every row; the label party's
            where the federation fixes the split by a column, None otherwise.
        on_progress: told the number of rows read so far, every few thousand rows.

    Raises:
        InputError: a file, database, table or column is missing or can't be read, an id is missing
            or twice there, a value is not what the manifest says, or no row has a valid consent.
        NothingToLearn: the label has one class.
    """
    if now.tzinfo is None:
        raise ValueError("the run's time needs a time zone")
    table = open_table(manifest.source, now)
    texts = _require_columns(table, manifest, split_column)
    numeric = [spec for spec in manifest.features if spec.kind is FeatureKind.NUMERIC]
    read = read_columns(
        table,
        identifiers=manifest.id_column,
        texts=texts,
        numbers={spec.name: spec.missing_codes for spec in numeric},
        on_progress=on_progress,
    )
    if not read.row_count:
        raise InputError(f"{table.place}: has columns and no row; it needs a row a borrower")
    identifiers = normalise(
        read.identifiers,
        manifest.id_rule,
        source=f"{table.place}, column '{manifest.id_column}'",
        row_name=table.row_name,
    )
    for spec in numeric:
        _check_range(spec, read.numbers[spec.name], table)
    label = _label(manifest.label, read, table) if manifest.label else None
    split = _split(split_column, read, table) if split_column else None
    kept, notes = _consented(manifest, read, table, identifiers, now)
    features = [_feature(spec, read) for spec in manifest.features]
    features += summarise(features, manifest.series)
    if not table.keeps_order:
        rows = range(len(identifiers)) if kept is None else kept.tolist()
        kept = np.array(sorted(rows, key=identifiers.__getitem__), dtype=np.int64)
    if kept is not None:
        identifiers = [identifiers[row] for row in kept.tolist()]
        features = [FeatureColumn(c.spec, c.values[kept], c.present[kept]) for c in features]
        label = label[kept] if label is not None else None
        split = split[kept] if split is not None else None
    if label is not None and manifest.label is not None:
        _refuse_one_class(manifest.label, label, table)
    return PartyTable(
        manifest.name, tuple(identifiers), tuple(features), label, split, tuple(notes)
    )


def _require_columns(table: Table, manifest: PartyManifest, split_column: str | None) -> list[str]:
    """Check that the table has all columns; return those that are read as text."""
    require(table, manifest.id_column, f"{manifest.path}: [ids] column")
    texts: list[str] = []
    if manifest.label:
        require(table, manifest.label.column, f"{manifest.path}: [label] column")
        texts.append(manifest.label.column)
    if split_column:
        require(table, split_column, "[split] column of the federation file")
        if split_column in {manifest.id_column, *(spec.name for spec in manifest.features)} or (
            split_column in texts
        ):
            raise InputError(
                f"{manifest.path}: uses the column '{split_column}', which fixes the split, for "
                "something else too; it can be one only"
            )
        texts.append(split_column)
    if manifest.consent and manifest.consent.file is None:
        for key, column in (
            ("valid_until_column", manifest.consent.valid_until_column),
            ("purpose_column", manifest.consent.purpose_column),
        ):
            if column is not None:
                require(table, column, f"{manifest.path}: [consent] {key}")
                texts.append(column)
    for spec in manifest.features:
        require(table, spec.name, f"{manifest.path}: a column of [features]")
    texts.extend(s.name for s in manifest.features if s.kind is FeatureKind.CATEGORICAL)
    return texts


def _feature(spec: FeatureSpec, read: Columns) -> FeatureColumn:
    """Return one feature's values; declared codes become missing."""
    present = np.ones(read.row_count, dtype=np.bool_)
    if spec.kind is FeatureKind.NUMERIC:
        return FeatureColumn(spec, read.numbers[spec.name], present)
    column = read.texts[spec.name]
    codes = {category_text(str(code)) for code in spec.missing_codes}
    lookup = np.empty(len(column.distinct) + 1, dtype=object)  # the last one is for missing
    lookup[:-1] = [None if text in codes else text for text in column.distinct]
    return FeatureColumn(spec, lookup[column.index], present)


def _check_range(spec: FeatureSpec, values: npt.NDArray[np.float64], table: Table) -> None:
    """Refuse a value outside the declared range; NaN is in every range."""
    for limit, wrong, side in (
        (spec.minimum, values < (spec.minimum if spec.minimum is not None else -np.inf), "below"),
        (spec.maximum, values > (spec.maximum if spec.maximum is not None else np.inf), "above"),
    ):
        rows = np.flatnonzero(wrong)
        if limit is not None and rows.size:
            bound = "minimum" if side == "below" else "maximum"
            others = f" (and {rows.size - 1} more rows)" if rows.size > 1 else ""
            raise InputError(
                f"{table.place}, column '{spec.name}': {table.row_name(int(rows[0]))}{others} lies "
                f"{side} the {bound} {limit:g} of the manifest; correct the value, widen the "
                "range, or list the value under 'missing' if it is a code"
            )


def _label(settings: LabelSettings, read: Columns, table: Table) -> npt.NDArray[np.uint8]:
    """Return 1 for default and 0 for repaid."""
    column = read.texts[settings.column]
    where = f"{table.place}, column '{settings.column}'"
    missing = np.flatnonzero(column.index < 0)
    if missing.size:
        raise InputError(
            f"{where}: {table.row_name(int(missing[0]))} has no label; a borrower whose outcome "
            "is not known yet must be left out"
        )
    positive = _canonical(settings.positive)
    others = [text for text in column.distinct if text not in positive]
    negative = _canonical(settings.negative)
    if not negative and len(others) > 1:
        raise InputError(
            f"{where}: has {len(others)} values that are not 'positive' of the manifest; with "
            "more than one, list all that mean 'repaid' as 'negative', and the rest as 'positive'"
        )
    unexpected = [text for text in others if negative and text not in negative]
    if unexpected:
        row = _first_row(column, unexpected)
        raise InputError(
            f"{where}: {table.row_name(row)} has a label that is neither 'positive' nor "
            "'negative' of the manifest; correct it or list it"
        )
    is_positive = np.array([text in positive for text in column.distinct], dtype=np.uint8)
    return is_positive[column.index]


def _refuse_one_class(settings: LabelSettings, label: npt.NDArray[np.uint8], table: Table) -> None:
    """Refuse outcomes that are all alike: nothing can be learned from them."""
    defaults = int(label.sum())
    if 0 < defaults < len(label):
        return
    shown = ", ".join(f"'{value}'" for value in settings.positive)
    what = f"all {len(label)} rows are positive ({shown})"
    if not defaults:
        what = f"none of {len(label)} rows is positive ({shown})"
    raise NothingToLearn(
        f"{table.place}, column '{settings.column}': the label has one class, {what}; it needs "
        "defaults and repaid loans, so check 'positive' in [label] of the manifest"
    )


def _split(name: str, read: Columns, table: Table) -> npt.NDArray[np.uint8]:
    """Return a `SplitPart` a row."""
    column = read.texts[name]
    names = [part.name.lower() for part in SplitPart]
    wrong = [text for text in column.distinct if text.casefold() not in names]
    if wrong or (column.index < 0).any():
        row = _first_row(column, wrong)
        hint = suggest(wrong[0], names) if wrong else "write train, validation or test"
        raise InputError(
            f"{table.place}, column '{name}': {table.row_name(row)} is not train, validation or "
            f"test; {hint}"
        )
    parts = np.array([names.index(text.casefold()) for text in column.distinct], dtype=np.uint8)
    split = parts[column.index]
    for part in (SplitPart.TRAIN, SplitPart.TEST):
        if not (split == part).any():
            raise InputError(
                f"{table.place}, column '{name}': has no row with {part.name.lower()}; a split "
                "needs rows to train on and rows to test on"
            )
    return split


def _consented(
    manifest: PartyManifest,
    read: Columns,
    table: Table,
    identifiers: list[str],
    now: datetime,
) -> tuple[npt.NDArray[np.int64] | None, list[str]]:
    """Return the positions of rows with a valid consent (None: all), and a note on the others."""
    consent = manifest.consent
    if consent is None:
        return None, []
    if consent.file is None:
        states = column_states(consent, dict(read.texts), table, now)
    else:
        states = file_states(manifest, consent, identifiers, now)
    count = count_consents(states)
    if not count.valid:
        where = consent.file.place if consent.file else table.place
        time = now.astimezone(UTC).isoformat(timespec="seconds")
        raise InputError(
            f"{where}: no row of {table.place} has a consent for the purpose '{consent.purpose}' "
            f"that holds at {time} ({count.reasons()}); renew the consents, or correct "
            "'purpose' and the columns under [consent]"
        )
    return np.flatnonzero(states == states.max()), [count.note()]


def _canonical(values: Sequence[str | float]) -> set[str]:
    """Return label values as the texts that a table's cells are compared with."""
    texts: set[str] = set()
    for value in values:
        text = category_text(str(value))
        # 'true' of the manifest is every way in which exports write a truth value.
        texts |= {text.lower(), text, text.upper()} if isinstance(value, bool) else {text}
    return texts


def _first_row(column: TextColumn, texts: list[str]) -> int:
    """Return the first row with one of these texts, or without any."""
    places = [column.distinct.index(text) for text in texts]
    return int(np.flatnonzero(np.isin(column.index, [*places, -1]))[0])
