"""The telemetry of one lessor, wired from its settings file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from iot.alerts.book import AlertBook
from iot.alerts.desk import Desk, DeskSettings
from iot.errors import TelemetryError
from iot.fleet.fleet import Fleet
from iot.fleet.reading import read_fleet
from iot.geofence.fences import Fences
from iot.ingest.intake import Intake, Sink
from iot.ingest.link import BrokerSettings
from iot.ingest.service import IngestService
from iot.monitor.monitor import Monitor
from iot.rules.book import default_rules
from iot.rules.rule import Rule
from iot.rules.settings import RuleSettings, read_rule_settings
from iot.store.database import Database
from iot.telemetry_file import TelemetrySettings, read_settings


@dataclass(frozen=True)
class Telemetry:
    """What every command works on."""

    settings: TelemetrySettings
    fleet: Fleet
    rules: tuple[Rule, ...]
    database: Database

    def intake(self, sink: Sink) -> Intake:
        """The intake, from what is stored."""
        monitor = Monitor(self.fleet, self.rules, Fences(self.fleet))
        return Intake(self.database, self.fleet, monitor, sink)

    def alerts(self) -> AlertBook:
        """The book of alerts; the bank is told where the settings name one."""
        bank = self.settings.bank
        return AlertBook(None if bank is None else bank.source)

    def desk(self) -> Desk | None:
        """The bank's desk; None where the settings name none.

        Raises:
            BankUnavailable: a file of the settings can't be used.
        """
        bank = self.settings.bank
        if bank is None:
            return None
        return Desk(DeskSettings(bank.address, bank.authority, bank.certificate, bank.key))

    def service(self) -> IngestService:
        """The ingest, with the broker of the settings and the book of alerts."""
        sink = self.alerts()
        broker = self.settings.broker
        where = BrokerSettings(
            host=broker.host,
            port=broker.port,
            ca_file=broker.authority,
            username=broker.user,
            password_file=broker.password_file,
            version=5 if broker.mqtt == 5 else 4,
        )
        return IngestService(where, lambda: self.intake(sink))


@contextmanager
def open_telemetry(path: Path) -> Iterator[Telemetry]:
    """Read the settings and all that they name.

    Raises:
        TelemetryError: a file can't be used, or the database can't be opened.
    """
    settings = read_settings(path)
    fleet = read_fleet(settings.fleet)
    thresholds = RuleSettings() if settings.rules is None else read_rule_settings(settings.rules)
    if not fleet.devices:
        raise TelemetryError(f"'{settings.fleet}' lists no device; nothing could be taken in.")
    database = Database(settings.database, place=f"database in '{path}'")
    try:
        yield Telemetry(settings, fleet, default_rules(thresholds), database)
    finally:
        database.close()
