"""Honest trade raises few alerts, and many facts take little time."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from contracts.fraud import FraudAlert, FraudSettings, Severity
from contracts.fraud.detector import FraudDetector
from contracts.fraud.watch import FraudWatch
from simulations.supply_chain import SupplyChainPlan, draw_supply_chain
from simulations.supply_chain_index import write_index
from tests.contracts.fraud_facts import Facts
from tests.contracts.index_chains import sqlite


def counted(alerts: list[FraudAlert], claims: int) -> dict[str, float]:
    """Alerts per 10,000 claims by severity."""
    found = Counter(alert.severity.value for alert in alerts)
    return {severity.value: 10_000 * found[severity.value] / claims for severity in Severity}


def test_the_simulated_supply_chain(tmp_path: Path) -> None:
    """Two years, with splits, disputes, cancellations and decline: at most 4 per 10,000 claims."""
    chain = draw_supply_chain(SupplyChainPlan(suppliers=600, events=60_000, seed=3))
    written = write_index(chain, tmp_path / "index.db", with_events=False)
    database = sqlite(tmp_path / "index.db")
    rates = counted(FraudWatch(database).poll(), written.invoices)
    assert written.invoices > 10_000
    assert rates["critical"] == 0
    assert sum(rates.values()) <= 4
    database.close()


def mutual_trade(seed: int, firms: int = 300, days: int = 500) -> Facts:
    """Tiers of suppliers, of whom 3% of links go anywhere and 3% are mutual."""
    draw = random.Random(seed)
    tiers = [draw.choices((0, 1, 2, 3), (1, 4, 8, 8))[0] for _ in range(firms)]
    links = []
    for supplier, tier in enumerate(tiers):
        above = [firm for firm in range(firms) if tiers[firm] == tier - 1]
        for _ in range(draw.randint(1, 5)):
            is_usual = above and draw.random() > 0.03
            buyer = draw.choice(above) if is_usual else draw.randrange(firms)
            if buyer != supplier:
                links.append((buyer, supplier))
                if draw.random() < 0.03:
                    links.append((supplier, buyer))
    claims = []
    for buyer, supplier in links:
        size, every = draw.lognormvariate(14, 1.2), draw.choice((7, 14, 30, 30, 60))
        day = draw.random() * every
        while day < days:
            claims.append((day, buyer, supplier, int(size * draw.lognormvariate(0, 0.5)) + 1))
            day += every * draw.uniform(0.5, 1.5)
    facts = Facts()
    for day, buyer, supplier, amount in sorted(claims):
        facts.confirm(day, f"f{buyer}", f"f{supplier}", amount)
    return facts


def test_mutual_trade_is_mostly_a_note() -> None:
    """Firms that buy from each other are a note; longer rings by chance are rare."""
    facts = mutual_trade(seed=4)
    rates = counted(FraudDetector().observe(facts), len(facts))
    assert len(facts) > 15_000
    assert rates["info"] <= 30
    assert rates["warning"] <= 4
    assert rates["critical"] <= 6


def test_work_grows_with_the_facts_and_not_faster() -> None:
    """Four times the facts run less than eight times the lines, where each firm trades with all."""

    def lines(count: int) -> int:
        draw, facts = random.Random(5), Facts()
        for number in range(count):
            facts.confirm(number / 1440, f"c{number % 3}", "ann")
            buyer, seller = draw.sample(range(60), 2)
            facts.confirm(number / 1440, f"f{buyer}", f"f{seller}", draw.randint(1, 10**7))
            facts.transfer(number / 1440, 1, f"f{number}", f"f{number + 1}")
        detector, run = FraudDetector(FraudSettings()), 0

        def count_lines(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal run
            run += event == "line"
            return count_lines

        before = sys.gettrace()
        sys.settrace(count_lines)
        try:
            detector.observe(facts)
        finally:
            sys.settrace(before)
        return run

    assert lines(2_000) < 8 * lines(500)
