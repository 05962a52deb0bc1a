"""What follows from an alert: data, read from [alerts] of desk.toml.

[alerts]
review_days = 14                  # until a limit review is due
alerts_per_second = 100           # of one source; what comes faster waits
alerts_per_day = 100_000          # of one source; more is refused until midnight UTC

[alerts.follow_ups.device-moved]  # replaces what follows from this kind of alert
warning = ["contact"]
critical = ["contact", "limit-review", "watch-list"]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from federation.errors import InputError

MOST_REVIEW_DAYS = 366
MOST_PER_SECOND = 10_000
MOST_PER_DAY = 10_000_000
MS_A_DAY = 86_400_000


class AlertKind(StrEnum):
    """What an alert is about; the names of the wire's, in small letters."""

    DEVICE_SILENT = "device-silent"
    DEVICE_MOVED = "device-moved"
    DEVICE_IDLE = "device-idle"
    DEVICE_TAMPERED = "device-tampered"
    RENT_OVERDUE = "rent-overdue"
    DOUBLE_FINANCING = "double-financing"
    FORGED_RECEIVABLE = "forged-receivable"
    ORDER_FRAUD = "order-fraud"
    OTHER = "other"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class FollowUp(StrEnum):
    """What somebody at the bank, or the lending policy, has to do about it."""

    CONTACT = "contact"  # call the borrower
    LIMIT_REVIEW = "limit-review"  # look at the limits by a due date
    WATCH_LIST = "watch-list"  # the lending policy knows until the alert is resolved


_CALL = (FollowUp.CONTACT,)
_LOOK = (FollowUp.CONTACT, FollowUp.LIMIT_REVIEW)
_WATCH = (FollowUp.CONTACT, FollowUp.WATCH_LIST)
_ALL = (FollowUp.CONTACT, FollowUp.LIMIT_REVIEW, FollowUp.WATCH_LIST)
_BY_SEVERITY = tuple[tuple[FollowUp, ...], tuple[FollowUp, ...], tuple[FollowUp, ...]]
_DEFAULTS: Mapping[AlertKind, _BY_SEVERITY] = {
    AlertKind.DEVICE_SILENT: ((), _CALL, _LOOK),
    AlertKind.DEVICE_MOVED: ((), _CALL, _ALL),
    AlertKind.DEVICE_IDLE: ((), _CALL, _LOOK),
    AlertKind.DEVICE_TAMPERED: (_CALL, _WATCH, _ALL),
    AlertKind.RENT_OVERDUE: ((), _CALL, _LOOK),
    AlertKind.DOUBLE_FINANCING: (_CALL, _ALL, _ALL),
    AlertKind.FORGED_RECEIVABLE: (_CALL, _ALL, _ALL),
    AlertKind.ORDER_FRAUD: (_CALL, _ALL, _ALL),
    AlertKind.OTHER: ((), _CALL, _LOOK),
}


def _default_follow_ups() -> Mapping[tuple[AlertKind, Severity], tuple[FollowUp, ...]]:
    return MappingProxyType(
        {
            (kind, severity): follow_ups
            for kind, row in _DEFAULTS.items()
            for severity, follow_ups in zip(Severity, row, strict=True)
        }
    )


@dataclass(frozen=True)
class AlertRules:
    """What follows, and how much one source may report.

    Attributes:
        follow_ups: for every kind and severity.
        review_days: until a limit review is due.
        alerts_per_second, alerts_per_day: of one source.
    """

    follow_ups: Mapping[tuple[AlertKind, Severity], tuple[FollowUp, ...]] = field(
        default_factory=_default_follow_ups
    )
    review_days: int = 14
    alerts_per_second: int = 100
    alerts_per_day: int = 100_000

    def due_ms(self, follow_up: FollowUp, received_ms: int) -> int | None:
        """When a follow-up is due; only limit reviews have a date."""
        if follow_up is not FollowUp.LIMIT_REVIEW:
            return None
        return received_ms + self.review_days * MS_A_DAY


def read_rules(values: Mapping[str, object], where: str) -> AlertRules:
    """Read the [alerts] table; what it does not say stays as it is by default.

    Raises:
        InputError: a key or a follow-up is unknown, or of another type.
    """
    limits = {
        "review_days": MOST_REVIEW_DAYS,
        "alerts_per_second": MOST_PER_SECOND,
        "alerts_per_day": MOST_PER_DAY,
    }
    defaults = AlertRules()
    numbers = {}
    for key, most in limits.items():
        value = values.get(key, getattr(defaults, key))
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise InputError(f"{where}: has '{key}' wrong; it must be a whole number, 1 to {most}")
        numbers[key] = value
    _only(values, (*limits, "follow_ups"), where)
    chosen = dict(defaults.follow_ups)
    for kind, row in _table(values.get("follow_ups", {}), f"{where} follow_ups").items():
        place = f"{where} follow_ups.{kind}"
        _only({kind: row}, tuple(AlertKind), f"{where} follow_ups")
        severities = _table(row, place)
        _only(severities, tuple(Severity), place)
        for severity in Severity:
            names = severities.get(severity, [])
            chosen[AlertKind(kind), severity] = _follow_ups(names, f"{place}, {severity}")
    return AlertRules(MappingProxyType(chosen), **numbers)


def _follow_ups(names: object, where: str) -> tuple[FollowUp, ...]:
    known = [str(one) for one in FollowUp]
    if not isinstance(names, list) or not all(name in known for name in names):
        raise InputError(f"{where}: must be a list of {', '.join(known)}")
    return tuple(one for one in FollowUp if one in names)


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: must be a table")
    return value


def _only(values: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in known:
            raise InputError(f"{where}: has an unknown key '{key}'; known are {', '.join(known)}")
