"""The [features] of a manifest: columns, groups of columns, summaries and sequences of groups."""

from __future__ import annotations

from clients.cell_values import MISSING_TEXTS, category_text
from clients.series import MonthlySequence, Series, Summary
from clients.settings_file import Section, suggest
from federation.schema import FeatureKind, FeatureSpec

_KEYS = (
    *("kind", "unit", "missing", "minimum", "maximum", "categories"),
    *("label", "labels", "columns", "summaries", "sequence"),
)


def read_features(section: Section) -> tuple[FeatureSpec, ...]:
    """Read all features in the order in which they are declared.

    Args:
        section: [features] of a manifest.

    Raises:
        InputError: a key is unknown or of another type, or a declaration contradicts itself.
    """
    specs: list[FeatureSpec] = []
    for name, value in section.values.items():
        if isinstance(value, str):
            # age = "numeric" is short for age = { kind = "numeric" }
            short = Section({"kind": value}, section.file, f"features.{name}")
            specs.extend(_feature(name, short))
        else:
            specs.extend(_feature(name, section.section(name)))
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise section.error(f"declares the column '{spec.name}' twice; declare it once")
        seen.add(spec.name)
    return tuple(specs)


def read_series(section: Section) -> tuple[Series, ...]:
    """Read the groups that ask for summaries, in the order in which they are declared.

    Raises:
        InputError: a summary is unknown, asked for twice, or asked of what is no numeric group.
    """
    found: list[Series] = []
    for name, value in section.values.items():
        if not isinstance(value, dict) or "summaries" not in value:
            continue
        group = section.section(name)
        columns = group.texts("columns", example='["may", "june"]') if "columns" in group else ()
        if group.choice("kind", FeatureKind) is not FeatureKind.NUMERIC or len(columns) < 2:
            raise group.error(
                "asks for 'summaries' of what is not a group of two or more numeric columns; "
                "list them under 'columns'"
            )
        asked = group.texts("summaries", example='["mean", "max"]')
        known = [str(summary) for summary in Summary]
        for summary in asked:
            if summary not in known:
                raise group.error(f"asks for the summary '{summary}'; {suggest(summary, known)}")
        if len(set(asked)) != len(asked):
            raise group.error("asks for one summary twice; list each once")
        found.append(
            Series(
                name,
                columns,
                tuple(map(Summary, asked)),
                group.text("unit", "1"),
                public="label" in group or "labels" in group,
            )
        )
    return tuple(found)


def read_sequences(section: Section) -> tuple[MonthlySequence, ...]:
    """Read the groups that are histories, in the order in which they are declared.

    Raises:
        InputError: such a group is not two or more numeric columns, or two differ in length.
    """
    found: list[MonthlySequence] = []
    for name, value in section.values.items():
        if not isinstance(value, dict):
            continue
        group = section.section(name)
        if not group.flag("sequence", False):
            continue
        columns = group.texts("columns", example='["may", "june"]') if "columns" in group else ()
        if group.choice("kind", FeatureKind) is not FeatureKind.NUMERIC or len(columns) < 2:
            raise group.error(
                "has 'sequence' for what is not a group of two or more numeric columns; list them "
                "under 'columns', the oldest first"
            )
        if found and len(columns) != len(found[0].columns):
            raise group.error(
                f"is a sequence of {len(columns)} columns, but [features.{found[0].name}] is one "
                f"of {len(found[0].columns)}; all sequences must cover the same months"
            )
        found.append(MonthlySequence(name, columns))
    return tuple(found)


def _feature(name: str, section: Section) -> list[FeatureSpec]:
    """Read one feature, or a group: a table with 'columns' declares all of them alike."""
    section.allow(*_KEYS)
    kind = section.choice("kind", FeatureKind)
    minimum, maximum = section.optional_number("minimum"), section.optional_number("maximum")
    if kind is FeatureKind.CATEGORICAL and (minimum is not None or maximum is not None):
        raise section.error("has a range for a categorical feature; only numeric ones have a range")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise section.error(f"has a minimum ({minimum:g}) above its maximum ({maximum:g})")
    columns = (
        section.texts("columns", example='["may", "june"]') if "columns" in section else (name,)
    )
    if not columns:
        raise section.error("has an empty list 'columns'; name at least one column")
    missing = section.scalars("missing", example="such as [-999]")
    if any(isinstance(code, bool) for code in missing):
        raise section.error("has true or false in 'missing'; codes are text or numbers")
    categories = _categories(section, kind, missing)
    labels = _labels(section, columns)
    return [
        FeatureSpec(
            name=column,
            kind=kind,
            unit=section.text("unit", "1"),
            missing_codes=missing,
            minimum=minimum,
            maximum=maximum,
            label=label,
            categories=categories,
        )
        for column, label in zip(columns, labels, strict=True)
    ]


def _categories(
    section: Section, kind: FeatureKind, missing: tuple[str | float, ...]
) -> tuple[str, ...]:
    """Return the public vocabulary of a categorical feature, as table cells are compared."""
    if "categories" not in section:
        return ()
    if kind is not FeatureKind.CATEGORICAL:
        raise section.error("has 'categories' for a numeric feature; only categorical ones have")
    listed = section.scalars("categories", example='such as ["1", "2"]')
    if not listed or any(isinstance(category, bool) for category in listed):
        raise section.error(
            "has 'categories' that are empty, or true or false; list texts or numbers, such as "
            '["1", "2"]'
        )
    found = tuple(category_text(str(category)) for category in listed)
    codes = {category_text(str(code)) for code in missing} | MISSING_TEXTS
    for category in found:
        if found.count(category) > 1:
            raise section.error(f"lists the category '{category}' twice; list each once")
        if category in codes:
            raise section.error(
                f"lists '{category}' under 'categories', which means 'missing'; it can be one only"
            )
    return found


def _labels(section: Section, columns: tuple[str, ...]) -> list[str | None]:
    """Return the public label of each column: 'label' (a pattern in a group) or 'labels'."""
    if "labels" in section:
        labels = section.texts("labels", example='["paid in May", "paid in June"]')
        if "label" in section:
            raise section.error("has both 'label' and 'labels'; keep one")
        if len(labels) != len(columns):
            raise section.error(
                f"has {len(labels)} labels for {len(columns)} columns; there must be one a column"
            )
        return list(labels)
    label = section.optional_text("label", example="amount paid")
    if label is None:
        return [None] * len(columns)
    if len(columns) > 1 and "{column}" not in label:
        raise section.error(
            "has one label for several columns; put {column} into it, or list 'labels'"
        )
    return [label.replace("{column}", column) for column in columns]
