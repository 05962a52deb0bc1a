"""Local calendar months and days: where they begin and end in milliseconds of UTC.

A lease keeps one offset from UTC, so that every local day has 24 hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from iot.rent.errors import RentRefused
from iot.units import DAY, MINUTE, Millis

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, order=True)
class Month:
    """One calendar month."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read '2026-03'.

        Raises:
            RentRefused: it is no month.
        """
        if not re.fullmatch(r"(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])", text, re.ASCII):
            raise RentRefused(f"{text!r} is no month: write it as 2026-03.")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def at(cls, moment: Millis, utc_offset_minutes: int) -> Month:
        """The local month of a moment."""
        day = local_day(moment, utc_offset_minutes)
        return cls(day.year, day.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def next(self) -> Month:
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def days(self) -> Iterator[date]:
        """Its days, in order."""
        day, end = self.first_day, self.next.first_day
        while day < end:
            yield day
            day += timedelta(days=1)

    def start(self, utc_offset_minutes: int) -> Millis:
        """When its first local day begins."""
        return day_start(self.first_day, utc_offset_minutes)

    def end(self, utc_offset_minutes: int) -> Millis:
        """When the next month begins."""
        return self.next.start(utc_offset_minutes)


def local_day(moment: Millis, utc_offset_minutes: int) -> date:
    """The local day of a moment."""
    return _EPOCH + timedelta(days=(moment + utc_offset_minutes * MINUTE) // DAY)


def day_start(day: date, utc_offset_minutes: int) -> Millis:
    """When a local day begins."""
    return Millis((day - _EPOCH).days * DAY - utc_offset_minutes * MINUTE)
