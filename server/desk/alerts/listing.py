"""What `veilscore alerts` prints, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from server.desk.alerts.kept import KeptAlert, OpenFollowUp
from server.desk.registry.listing import moment


def alert_lines(found: Sequence[KeptAlert], as_json: bool) -> Iterator[str]:
    """One alert a line."""
    if not found and not as_json:
        yield "no alerts"
    for kept in found:
        alert = kept.alert
        if as_json:
            yield json.dumps(
                {
                    "source": alert.source,
                    "id": alert.id,
                    "borrower": alert.borrower,
                    "kind": str(alert.kind),
                    "severity": str(alert.severity),
                    "observed": moment(alert.observed_ms),
                    "received": moment(kept.received_ms),
                    "subject": alert.subject,
                    "detail": alert.detail,
                    "state": kept.state,
                    "follow_ups": [str(one) for one in kept.follow_ups],
                    "resolution": kept.resolution,
                    "resolved_by": kept.resolved_by,
                }
            )
            continue
        following = ", ".join(kept.follow_ups) or "-"
        yield (
            f"{moment(kept.received_ms)}  {alert.severity:<8} {alert.kind:<17} {kept.state:<8} "
            f"{alert.source} {alert.id}  {alert.borrower}  {following}"
        )
        for text in (alert.subject, alert.detail):
            if text:
                yield f"    {text}"
        if kept.resolution is not None:
            yield f"    resolved by {kept.resolved_by}: {kept.resolution}"


def closed_line(source: str, identifier: str, follow_up: str, as_json: bool) -> str:
    """A follow-up that was closed."""
    if as_json:
        return json.dumps({"source": source, "id": identifier, "closed": follow_up})
    return f"{follow_up} of {source} {identifier} is closed"


def review_lines(found: Sequence[OpenFollowUp], now_ms: int, as_json: bool) -> Iterator[str]:
    """One limit review a line."""
    if not found and not as_json:
        yield "no limit review is owed"
    for row in found:
        due_ms = row.due_ms or row.opened_ms
        overdue = due_ms < now_ms
        if as_json:
            yield json.dumps(
                {
                    "source": row.source,
                    "id": row.id,
                    "borrower": row.borrower_key,
                    "opened": moment(row.opened_ms),
                    "due": moment(due_ms),
                    "overdue": overdue,
                }
            )
        else:
            late = "  OVERDUE" if overdue else ""
            yield f"due {moment(due_ms)}  {row.borrower_key}  {row.source} {row.id}{late}"
