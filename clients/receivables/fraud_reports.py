"""Fraud alerts on receivables, reported to the bank's desk under the borrower's id.

    accounts = read_accounts(Path("accounts.csv"))
    messages = desk_alerts(watch.poll(), accounts, source="receivables")
    refusals = report_to_desk(messages, "desk.bank.example:7443", "ca.pem", "me.pem", "me.key")

Reporting an alert again is the same as once, so a run that failed is simply run again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import grpc
from eth_utils.address import is_address

from clients.desk_refusals import DeskUnavailable, told
from contracts.fraud import FraudAlert, FraudKind, desk_kind
from federation.errors import InputError
from federation.proto.alerts_pb2 import Acknowledgement, Alert

_REPORT = "/veilscore.alerts.v1.AlertService/Report"
_LONGEST_DETAIL = 500


def read_accounts(path: Path) -> dict[str, str]:
    """Whose account is whose, from a CSV file: account (lower case) to borrower.

    Raises:
        InputError: the file can't be read, or a line lacks a borrower or account.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if rows.fieldnames is None or not {"borrower", "account"} <= set(rows.fieldnames):
                raise InputError(f"{path}: the first line must name the columns borrower,account")
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                borrower, account = (row[key] or "" for key in ("borrower", "account"))
                if not borrower.strip() or not is_address(account.strip()):
                    raise InputError(
                        f"{where}: needs a borrower and an account (0x, 40 hex digits)"
                    )
                if found.setdefault(account.strip().lower(), borrower) != borrower:
                    raise InputError(f"{where}: the account is another borrower's already")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a CSV file is right"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not readable CSV: {error}") from None
    return found


def desk_alerts(
    alerts: Iterable[FraudAlert], accounts: Mapping[str, str], source: str
) -> list[Alert]:
    """Alerts as the desk takes them: one for each borrower that an alert is about.

    That is the alert's account, and for a circle every firm in it. Alerts about firms that are not
    the bank's borrowers are left out.

    Args:
        alerts: of the fraud checks.
        accounts: of `read_accounts`.
        source: the reporting party's name in the desk's access file.
    """
    messages = []
    for alert in alerts:
        others = alert.related if alert.kind is FraudKind.CIRCULAR_TRADING else ()
        borrowers = dict.fromkeys(
            accounts[account.lower()]
            for account in (alert.account, *others)
            if account.lower() in accounts
        )
        messages += [
            Alert(
                id=f"{alert.id}-{number}",
                source=source,
                borrower=borrower,
                kind=desk_kind(alert.kind),
                severity=alert.severity.name,
                observed_ms=1000 * alert.observed_at,
                detail=alert.sentence[:_LONGEST_DETAIL],
                subject=alert.subject,
            )
            for number, borrower in enumerate(borrowers)
        ]
    return messages


def report_to_desk(
    messages: Sequence[Alert],
    address: str,
    ca: Path | str,
    certificate: Path | str,
    key: Path | str,
    *,
    seconds: float = 60.0,
) -> dict[str, str]:
    """Report alerts over mutual TLS; all that are not refused are stored when it returns.

    Args:
        messages: of `desk_alerts`.
        address: the desk's host:port.
        ca: file of the certificates that the desk's own must chain to (PEM).
        certificate, key: files of the caller's (PEM).
        seconds: for all of them.

    Returns:
        the desk's sentence for each alert that it refused, by id.

    Raises:
        InputError: a file can't be read, or the desk does not let this caller report.
        DeskUnavailable: no answer in time, or not to every alert.
    """
    credentials = grpc.ssl_channel_credentials(_read(ca), _read(key), _read(certificate))
    refusals: dict[str, str] = {}
    answered = 0
    with grpc.secure_channel(address, credentials) as channel:
        report = channel.stream_stream(
            _REPORT,
            request_serializer=Alert.SerializeToString,
            response_deserializer=Acknowledgement.FromString,
        )
        try:
            for answer in report(iter(messages), timeout=seconds, wait_for_ready=False):
                answered += 1
                if not answer.stored:
                    refusals[answer.id] = answer.refusal
        except grpc.RpcError as error:
            raise told(error) from None
    if answered != len(messages):
        raise DeskUnavailable(
            "INTERNAL", f"the desk answered to {answered} of {len(messages)} alerts; report again"
        )
    return refusals


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a PEM file is right"
        ) from None
