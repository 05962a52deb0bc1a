"""A bank's own table for a model that several banks train together, and the inputs they agree on.

The inputs come from the manifest alone, never from a row: names, units, declared bounds and
categories. So a bank that compares them with others gives nothing of its borrowers away.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clients.federation_file import SplitSettings
from clients.manifest import PartyManifest
from clients.series import summary_spec
from clients.sources import NothingToLearn, SplitPart, load_table
from federation.errors import InputError
from federation.horizontal.rows import BankRows
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

if TYPE_CHECKING:
    from federation.neural.schema import InputSchema

# Of each class, outside the test rows. Fewer teach a network nothing, and a bank that adds next to
# nothing would be exposed by the sum without gaining from it.
FEWEST_OF_A_CLASS = 10


def input_schema(manifest: PartyManifest, *, private: bool = False) -> InputSchema:
    """The inputs of a neural model on this bank's columns, summaries of series included.

    Columns, categories and sequences are sorted by name, so that banks that declare the same in
    another order agree.

    Args:
        manifest: the bank's own.
        private: whether the training is differentially private. Numbers are then scaled by their
            declared bounds, since bounds found in the rows would cost privacy.

    Raises:
        InputError: there is no feature, a categorical one lacks its categories, or, in a private
            training, a numeric one lacks a bound; names the file and the features.
    """
    from federation.neural.schema import (
        CategoricalInput,
        InputSchema,
        NumericInput,
        SequenceInput,
    )

    specs = [*manifest.features, *_summaries(manifest)]
    if not specs:
        raise InputError(
            f"{manifest.path}: declares no feature; a bank needs at least one, for example: "
            '[features] age = "numeric"'
        )
    _require_categories(manifest, specs)
    if private:
        _require_bounds(manifest, specs)
    try:
        return InputSchema(
            numeric=tuple(
                NumericInput(spec.name, spec.unit, spec.minimum, spec.maximum)
                for spec in sorted(specs, key=lambda spec: spec.name)
                if spec.kind is FeatureKind.NUMERIC
            ),
            categorical=tuple(
                CategoricalInput(spec.name, tuple(sorted(spec.categories)))
                for spec in sorted(specs, key=lambda spec: spec.name)
                if spec.kind is FeatureKind.CATEGORICAL
            ),
            sequences=tuple(
                SequenceInput(name, columns) for name, columns in sorted(manifest.sequences)
            ),
        )
    except InputError as error:
        raise InputError(f"{manifest.path}: {error}") from error


def load_bank_rows(manifest: PartyManifest, split: SplitSettings, *, now: datetime) -> BankRows:
    """Read a bank's table as its manifest describes it, and cut it into parts.

    Both cuts are stratified by label: they stay at the bank, so nobody learns a label from them.

    Args:
        manifest: the bank's own.
        split: of the federation file; each bank cuts its own rows by it. Where a column fixes the
            split and names no validation rows, they are cut from the training rows.
        now: the run's time, with a time zone; a consent must hold at it.

    Raises:
        InputError: the table is not what the manifest says.
        NothingToLearn: one class, or too few rows of one; the other banks can train without this
            one.
    """
    table = load_table(manifest, now=now, split_column=split.column)
    if table.label is None:
        raise InputError(
            f"{manifest.path}: has no outcomes; every bank of a horizontal federation needs "
            'role = "label" and a table [label]'
        )
    parts = _parts(table.label, table.split, split)
    # Their numbers stay out of the sentence, which can end up in another party's log.
    fit = table.label[parts != SplitPart.TEST]
    defaults = int(fit.sum())
    if min(defaults, len(fit) - defaults) < FEWEST_OF_A_CLASS:
        raise NothingToLearn(
            f"{manifest.source.path}: has fewer than {FEWEST_OF_A_CLASS} defaults or fewer than "
            f"{FEWEST_OF_A_CLASS} repaid loans outside the test rows; a bank needs as many of each "
            "to train with others"
        )
    columns = {column.spec.name: column for column in table.features}
    notes = (*table.notes, *_unknown_categories(columns, manifest))
    return BankRows(columns, table.label, parts, notes)


def _summaries(manifest: PartyManifest) -> list[FeatureSpec]:
    """The features that the manifest's summaries make of its groups."""
    by_name = {spec.name: spec for spec in manifest.features}
    return [
        summary_spec(group, summary, [by_name[column] for column in group.columns])
        for group in manifest.series
        for summary in group.summaries
    ]


def _require_categories(manifest: PartyManifest, specs: list[FeatureSpec]) -> None:
    lacking = [s.name for s in specs if s.kind is FeatureKind.CATEGORICAL and not s.categories]
    if lacking:
        raise InputError(
            f"{manifest.path}: [features] lacks the categories of {_named(lacking)}; banks that "
            "train one model agree on them beforehand, so write, for example: "
            f'{_key(lacking[0])} = {{ kind = "categorical", categories = ["1", "2"] }}'
        )


def _require_bounds(manifest: PartyManifest, specs: list[FeatureSpec]) -> None:
    lacking = [
        spec.name
        for spec in specs
        if spec.kind is FeatureKind.NUMERIC and None in (spec.minimum, spec.maximum)
    ]
    if lacking:
        raise InputError(
            f"{manifest.path}: [features] lacks 'minimum' or 'maximum' of {_named(lacking)}; "
            "a differentially private training scales numbers by bounds that are publicly known, "
            "since bounds found in the rows would give some of them away"
        )


def _named(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


def _key(name: str) -> str:
    bare = all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in name)
    return name if bare else f'"{name}"'


def _parts(
    labels: npt.NDArray[np.uint8], fixed: npt.NDArray[np.uint8] | None, split: SplitSettings
) -> npt.NDArray[np.uint8]:
    """A `SplitPart` a row."""
    generator = np.random.default_rng(split.seed)
    parts = np.full(len(labels), SplitPart.TRAIN, dtype=np.uint8)
    if fixed is not None:
        parts = fixed.copy()
    else:
        _cut(parts, labels, SplitPart.TEST, split.test_share, generator)
    if not (parts == SplitPart.VALIDATION).any():
        _cut(parts, labels, SplitPart.VALIDATION, split.validation_share, generator)
    return parts


def _cut(
    parts: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    part: SplitPart,
    share: float,
    generator: np.random.Generator,
) -> None:
    """Move a share of the training rows of each class to another part, in place."""
    for label in (0, 1):
        candidates = np.flatnonzero((labels == label) & (parts == SplitPart.TRAIN))
        parts[generator.permutation(candidates)[: round(share * len(candidates))]] = part


def _unknown_categories(
    columns: Mapping[str, FeatureColumn], manifest: PartyManifest
) -> tuple[str, ...]:
    """Note where values count as 'other', without a count: notes can leave the bank.

    Raises:
        InputError: no value of a column is a declared category, so the bank means another coding.
    """
    partly: list[str] = []
    for name, column in columns.items():
        found = {value for value in column.values.tolist() if value is not None}
        unknown = found - set(column.spec.categories)
        if not column.spec.categories or not unknown:
            continue
        if unknown == found:
            raise InputError(
                f"{manifest.source.path}, column '{name}': none of its values is under "
                f"'categories' in [features] of {manifest.path}; all banks must use one coding"
            )
        partly.append(name)
    if not partly:
        return ()
    return (
        f"{manifest.source.path}: some values of {_named(partly)} are not among the declared "
        "categories and count as 'other'",
    )
