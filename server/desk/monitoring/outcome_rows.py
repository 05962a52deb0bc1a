"""Observed outcomes as the bank brings them: a CSV file of scores and what became of them.

Columns: `defaulted` (0 or 1) and `date` (YYYY-MM-DD, on which that was observed), and one of three
ways to say which score is meant:

* `request_id`, as the score's reply had it;
* `borrower` and `scored_on`: the last score that the borrower got up to that day (UTC), such as the
  day of lending; a later score knows more, and would flatter the model;
* `score`, `scored_on` and `model`, as the bank kept them: for scores of batches, of which the audit
  record has one row a batch.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from federation.errors import InputError

ALWAYS = ("defaulted", "date")
WAYS = (
    ("request_id",),
    ("borrower", "scored_on"),
    ("score", "scored_on", "model"),
)
MOST_TEXT = 200
_TRUTHS = {"0": False, "1": True, "false": False, "true": True}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Outcome:
    """One line: which score is meant, in one of three ways, and whether the borrower defaulted.

    Attributes:
        defaulted: what was observed.
        observed_on: when.
        request_id, borrower, model: empty where the score is named in another way.
        scored_on, score: None where it is.
    """

    defaulted: bool
    observed_on: date
    request_id: str = ""
    borrower: str = ""
    model: str = ""
    scored_on: date | None = None
    score: int | None = None


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """A file's outcomes, one by one.

    Raises:
        InputError: names the file, the line and the column that is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _read(file, str(path))
    except OSError as error:
        raise InputError(
            f"{path}: the outcomes can't be read ({error.strerror}); it must be a CSV file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the outcomes are not UTF-8 text; save them as UTF-8") from None


def _read(file: IO[str], where: str) -> Iterator[Outcome]:
    reader = csv.reader(file, strict=True)
    seen: dict[tuple[str, ...], int] = {}
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        way = _way(header, where)
        for values in reader:
            line = f"{where}, line {reader.line_num}"
            if not values:
                continue
            if len(values) != len(header):
                raise InputError(
                    f"{line}: it has {len(values)} columns, the header has {len(header)}"
                )
            row = dict(zip(header, map(str.strip, values), strict=True))
            if "score" not in way:  # many borrowers have the same score
                first = seen.setdefault(tuple(row[name] for name in way), reader.line_num)
                if first != reader.line_num:
                    raise InputError(f"{line}: line {first} means the same score; give it once")
            yield _outcome(row, line)
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: not valid CSV ({error})") from None


def _way(header: list[str], where: str) -> tuple[str, ...]:
    """The columns that say which score is meant."""
    for way in WAYS:
        if sorted(header) == sorted((*ALWAYS, *way)):
            return way
    ways = "; or ".join(", ".join((*way, *ALWAYS)) for way in WAYS)
    raise InputError(f"{where}: the header must have these columns and no others: {ways}")


def _outcome(row: Mapping[str, str], line: str) -> Outcome:
    defaulted = _TRUTHS.get(row["defaulted"].lower())
    if defaulted is None:
        raise InputError(f"{line}: 'defaulted' must be 0 or 1")
    for name in ("request_id", "borrower", "model"):
        if name in row and not 0 < len(row[name]) <= MOST_TEXT:
            raise InputError(f"{line}: '{name}' must have 1 to {MOST_TEXT} signs")
    return Outcome(
        defaulted,
        _date(row, "date", line),
        request_id=row.get("request_id", ""),
        borrower=row.get("borrower", ""),
        model=row.get("model", ""),
        scored_on=_date(row, "scored_on", line) if "scored_on" in row else None,
        score=_score(row, line) if "score" in row else None,
    )


def _score(row: Mapping[str, str], line: str) -> int:
    text = row["score"]
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= 1000):
        raise InputError(f"{line}: 'score' must be a whole number from 0 to 1000")
    return int(text)


def _date(row: Mapping[str, str], name: str, line: str) -> date:
    try:
        if not _DATE.fullmatch(row[name]):
            raise ValueError(name)
        return date.fromisoformat(row[name])
    except ValueError:
        raise InputError(f"{line}: '{name}' must be a date, YYYY-MM-DD") from None
