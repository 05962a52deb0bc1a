"""Alerts for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from contracts.fraud.alerts import FraudAlert, Severity
from contracts.index.phrases import utc

_STYLES = {Severity.INFO: "dim", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


def alert_json(alert: FraudAlert) -> str:
    """One line of JSON; `observed_at` is in seconds since 1970 UTC."""
    return json.dumps(
        {
            "id": alert.id,
            "kind": alert.kind.value,
            "rule": alert.rule,
            "severity": alert.severity.value,
            "observed_at": alert.observed_at,
            "account": alert.account,
            "subject": alert.subject,
            "sentence": alert.sentence,
            "related": list(alert.related),
            "registry": alert.registry,
        }
    )


def print_alerts(alerts: Sequence[FraudAlert]) -> None:
    """A table on stdout, and how many there are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not alerts:
        console.print("No alerts")
        return
    table = Table("Time", "Severity", "Rule", "Account", "What was seen")
    for alert in alerts:
        table.add_row(
            utc(alert.observed_at),
            Text(alert.severity.value, _STYLES[alert.severity]),
            alert.kind.value,
            alert.account,
            Text(alert.sentence),  # names in it may hold square brackets
        )
    console.print(table)
    console.print(f"{len(alerts)} alerts; none is a proof")
