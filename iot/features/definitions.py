"""What each feature of a lessee means: name, unit and definition.

Terms used in all definitions:

- *The cut* is midnight UTC at the beginning of the date asked for. A sample counts where both its
  event time and its arrival are before it; an alert, an acknowledgement or a rent entry where it
  was written before it.
- *The window* is the 30 or 90 whole days before the cut; the name ends with '_30d' or '_90d'.
- *A machine-day* is one machine on one day (UTC) under a lease of the lessee; a day belongs to the
  lease that holds at its end. It is *heard* if a sample of it counts, and *known* if its work hours
  are: some step of the day has operating and idle hours at both ends.
- *Work hours* are operating hours less idle hours, never below 0 a step. A step that spans several
  days counts on its last one. Counters that fall or outrun the clock give no hours.
- *Shift hours* are the hours of a day in which the lease expects work.
- *Missing* (NaN) is what nothing is known of: a ratio whose base is empty, a sum without a summand.
  Counts of alerts are 0 only where machines were under lease and alerts were given at all.

Nothing here is a position: sites enter as entropy, regions as hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from iot.features.errors import FeatureError

WINDOWS: Final = (30, 90)
"""Days."""


@dataclass(frozen=True)
class FeatureDefinition:
    """One feature.

    Attributes:
        name: the column's name.
        unit: of its values; '1' is a share or ratio.
        definition: what it is.
        source: what it is computed from.
        minimum, maximum: the range of its values, None where there is no limit.
    """

    name: str
    unit: str
    definition: str
    source: str
    minimum: float | None = 0.0
    maximum: float | None = None


_DAYS = "machine-days"
_ALERTS = "alerts"

_OF_A_WINDOW: Final = (
    FeatureDefinition(
        "work_hours_per_machine_day",
        "h",
        "Work hours over the machine-days of machines that have a known day in the window.",
        _DAYS,
    ),
    FeatureDefinition(
        "utilisation",
        "1",
        "Work hours over the shift hours of the same machine-days.",
        _DAYS,
    ),
    FeatureDefinition(
        "idle_ratio",
        "1",
        "Idle hours over operating hours, of days on which both are known; missing without any "
        "operating hours.",
        _DAYS,
    ),
    FeatureDefinition(
        "active_day_share",
        "1",
        "Share of known machine-days with at least half an hour of work.",
        _DAYS,
        maximum=1.0,
    ),
    FeatureDefinition(
        "longest_gap_days",
        "days",
        "Most machine-days in a row, of one machine and lease, without half an hour of work, "
        "whether it was heard or not; of machines with a known day in the window.",
        _DAYS,
    ),
    FeatureDefinition(
        "utilisation_trend",
        "1",
        "`utilisation` of the window's later half less that of its earlier half; missing where "
        "either is.",
        _DAYS,
        minimum=None,
    ),
    FeatureDefinition(
        "weekly_cv",
        "1",
        "Standard deviation over mean of `work_hours_per_machine_day` of whole weeks, counted "
        "back from the cut; missing with fewer than two weeks or without work.",
        _DAYS,
    ),
    FeatureDefinition(
        "silent_share",
        "1",
        "Share of machine-days of which nothing was heard.",
        _DAYS,
        maximum=1.0,
    ),
    FeatureDefinition(
        "coverage",
        "1",
        "Share of the hours of all machine-days in which a sample lies.",
        _DAYS,
        maximum=1.0,
    ),
    FeatureDefinition(
        "fuel_ratio",
        "1",
        "Litres burnt over what the same operating hours take at the median of all machines of "
        "each model (litres per operating hour in the window); hours whose litres are known.",
        _DAYS,
    ),
    FeatureDefinition(
        "unexplained_litres",
        "L",
        "Litres beyond that median, of machines that burnt more than it; missing where no "
        "machine's litres are known.",
        _DAYS,
    ),
    FeatureDefinition(
        "fuel_alerts_per_100h",
        "alerts/100 h",
        "Fuel alerts that opened in the window, over operating hours.",
        f"{_ALERTS}, {_DAYS}",
    ),
    FeatureDefinition(
        "hours_outside_zone",
        "h",
        "Hours in the window during which a machine's alert 'out of region' was open.",
        _ALERTS,
    ),
    FeatureDefinition(
        "zone_exits",
        "alerts",
        "Alerts 'out of region' that opened in the window.",
        _ALERTS,
    ),
    FeatureDefinition(
        "off_hours_share",
        "1",
        "Share of work hours outside the lease's shift, by the hour in which they were told; "
        "missing without work.",
        _DAYS,
        maximum=1.0,
    ),
    FeatureDefinition(
        "site_entropy",
        "bits",
        "Entropy of the hours heard over cells of about a kilometre; 0 is one site.",
        _DAYS,
    ),
    FeatureDefinition(
        "idle_machine_share",
        "1",
        "Share of the machines under lease in the window with an alert 'idle for over a day' "
        "that was open in it.",
        _ALERTS,
        maximum=1.0,
    ),
    FeatureDefinition(
        "tampers",
        "openings",
        "How often a device's case or cable was opened; missing where no machine was heard.",
        _DAYS,
    ),
    FeatureDefinition(
        "fault_codes_per_100h",
        "codes/100 h",
        "Different fault codes of a machine-day, summed, over operating hours.",
        _DAYS,
    ),
    FeatureDefinition(
        "hours_to_acknowledge",
        "h",
        "Mean time from opening to acknowledgement of the alerts that opened in the window and "
        "were acknowledged.",
        _ALERTS,
    ),
    FeatureDefinition(
        "rent_per_hour_ratio",
        "1",
        "Rent over what the same hours cost at the rate card's base price; months that ended in "
        "the window.",
        "rent, rate cards",
    ),
    FeatureDefinition(
        "missing_share",
        "1",
        "Share of the five readings (operating hours, idle hours, fuel, fix, engine) that samples "
        "lacked.",
        _DAYS,
        maximum=1.0,
    ),
)

DEFINITIONS: Final = (
    *(
        FeatureDefinition(
            f"{each.name}_{days}d",
            each.unit,
            f"{each.definition} Window: {days} days.",
            each.source,
            each.minimum,
            each.maximum,
        )
        for days in WINDOWS
        for each in _OF_A_WINDOW
    ),
    FeatureDefinition(
        "machines", "machines", "Machines under lease right before the cut.", "leases"
    ),
    FeatureDefinition(
        "tenure_days",
        "days",
        "Days from the start of its first lease to the cut; missing where none had begun.",
        "leases",
    ),
)

NAMES: Final = tuple(definition.name for definition in DEFINITIONS)


def definition_of(name: str) -> FeatureDefinition:
    """Return a feature's definition.

    Raises:
        FeatureError: there is no such feature.
    """
    for definition in DEFINITIONS:
        if definition.name == name:
            return definition
    raise FeatureError(f"'{name}' is no feature of lessees; choose from {', '.join(NAMES)}.")


def markdown_table(definitions: Iterable[FeatureDefinition] = DEFINITIONS) -> str:
    """Return the definitions as a table in Markdown, one feature a row."""
    lines = ["| feature | unit | definition | from |", "| --- | --- | --- | --- |"]
    for each in definitions:
        lines.append(f"| `{each.name}` | {each.unit} | {each.definition} | {each.source} |")
    return "\n".join(lines) + "\n"
