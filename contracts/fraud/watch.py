"""Reads facts from an index as they come, and says each alert once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.fraud.alerts import FraudAlert
from contracts.fraud.detector import KINDS, FraudDetector
from contracts.fraud.reading import (
    Mark,
    OtherRegistry,
    facts_after,
    mark_at,
    read_registry,
    still_stands,
)
from contracts.fraud.settings import FraudSettings
from contracts.index.database import IndexDatabase
from contracts.index.snapshot import read_tip, read_tokens

OnProgress = Callable[[int, int], None]
"""Told the block that facts were read up to, and the last one of the index."""


class FraudWatch:
    """Follows one index.

    After a reorganisation that took facts back, all are read anew from the start, since checks
    can't unsee; alerts that still hold are not said again, and those of facts that are gone were
    said of what then stood there. `confirmations` spares that: a reorganisation of fewer blocks
    takes nothing back that was seen.

    Args:
        database: of the index.
        settings: thresholds and groups.
        elsewhere: other registries, whose fingerprints are compared.
        confirmations: blocks under the index's last one that are left for later.
        on_progress: told after every batch.
    """

    def __init__(
        self,
        database: IndexDatabase,
        settings: FraudSettings | None = None,
        elsewhere: Sequence[OtherRegistry] = (),
        confirmations: int = 0,
        on_progress: OnProgress = lambda block, last: None,
    ) -> None:
        self._database = database
        self._settings = settings or FraudSettings()
        self._others = tuple(elsewhere)
        self._elsewhere: dict[str, set[str]] = {other.name: set() for other in self._others}
        self._confirmations = confirmations
        self._on_progress = on_progress
        self._said: set[str] = set()
        self._unsaid: list[FraudAlert] = []
        self._mark = Mark()
        self._detector: FraudDetector | None = None

    def poll(self) -> list[FraudAlert]:
        """Alerts of what was indexed since the last call; at first, of everything.

        Where it raises, nothing is lost: what was found by then comes with the next call.

        Raises:
            IndexUnreadable: there is no index in a database.
            DatabaseFailure, DatabaseUnavailable: of `contracts.index.errors`.
        """
        for other in self._others:
            fresh = other.fresh()
            self._elsewhere[other.name] |= fresh
            if self._detector is not None:
                self._found(self._detector.learned(other.name, fresh))
        self._read()
        said, self._unsaid = self._unsaid, []
        return said

    def _read(self) -> None:
        with self._database.reading() as connection:
            registry = read_registry(connection)
            tip = read_tip(connection)
            if tip is None:
                return
            detector = self._detector
            if detector is None or not still_stands(connection, self._mark):
                detector = FraudDetector(self._settings, self._elsewhere, registry)
                self._detector, self._mark = detector, Mark()
            words = read_tokens(connection)
            up_to = tip.number - self._confirmations
            for facts in facts_after(connection, self._mark.place, KINDS, words, up_to):
                # The mark goes first: what it is past must never be shown again.
                self._mark = mark_at(connection, facts[-1].place)
                self._found(detector.observe(facts))
                self._on_progress(facts[-1].block_number, up_to)

    def _found(self, alerts: Sequence[FraudAlert]) -> None:
        for alert in alerts:
            if alert.id not in self._said:
                self._said.add(alert.id)
                self._unsaid.append(alert)
