"""The watch over real indexes: any order of looks, reorganisations, failures, other registries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from contracts.fraud import FraudAlert, FraudSettings
from contracts.fraud.detector import FraudDetector
from contracts.fraud.errors import IndexUnreadable
from contracts.fraud.reading import OtherRegistry
from contracts.fraud.watch import FraudWatch
from contracts.index.errors import DatabaseFailure
from contracts.index.schema import cursor
from simulations.memory_chain import EncodedLog, LogEncoder, MemoryChain, address_of
from tests.contracts.fraud_facts import Facts, account
from tests.contracts.index_chains import DEPLOYMENT, LivingChain, indexer, sqlite

# So low that a story of a few accounts meets them often.
EAGER = FraudSettings(
    circle_share=0.1,
    concentration_claims=3,
    concentration_rise=0.1,
    concentration_chance=0.5,
    velocity_claims=3,
    velocity_times=1.0,
    velocity_record=1.0,
    groups={address_of(0): "holding", address_of(10_000): "holding"},
)


def random_trade(seed: int) -> Facts:
    """A few firms that all do everything."""
    draw = random.Random(seed)
    firms, facts, held = "abcde", Facts(), {}
    day = 0.0
    for _ in range(draw.randrange(60)):
        day += draw.choice((0.0, 0.1, 2.0, 40.0))
        if held and draw.random() < 0.4:
            leaf = draw.choice(list(held))
            giver, held[leaf] = held[leaf], draw.choice(firms)
            facts.transfer(day, leaf, giver, held[leaf], debtor=draw.choice(firms))
        else:
            values: dict[str, Any] = {"shipped_at": draw.choice((0, 1, 2**35))}
            if draw.random() < 0.2:
                values["fingerprint"] = "0xf"
            firm = draw.choice(firms)
            held[facts.confirm(day, draw.choice(firms), firm, **values)] = firm
    return facts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=5), st.booleans())
def test_chunks_do_not_matter(seed: int, cuts: list[int], grouped: bool) -> None:
    """In any chunks, the alerts of one pass; none twice; and none of facts to come."""
    facts = random_trade(seed)
    chosen = FraudSettings(**{**vars(EAGER), "groups": {account("a"): account("b")}})
    chosen = chosen if grouped else EAGER
    whole = FraudDetector(chosen).observe(facts)
    assert len({alert.id for alert in whole}) == len(whole)
    detector, found = FraudDetector(chosen), []
    ends = sorted(min(cut, len(facts)) for cut in cuts)
    for begin, end in zip([0, *ends], [*ends, len(facts)], strict=True):
        found += detector.observe(facts[begin:end])
    assert found == whole


@pytest.mark.parametrize("seed", [71, 72])
def test_looks_at_a_growing_index(tmp_path: Path, seed: int) -> None:
    """Look by look, a watch says what one that comes late says at once."""
    chain, database = LivingChain(seed, acts=4), sqlite(tmp_path / "index.db")
    running, watch, found = indexer(chain, database), FraudWatch(database, EAGER), []
    for _ in range(12):
        chain.grow(20)
        running.run()
        found += watch.poll()
        assert watch.poll() == []
    late = FraudWatch(database, EAGER).poll()
    assert found == late
    assert len({alert.kind for alert in found}) >= 3
    assert all(alert.registry.startswith("eip155:31337:0x") for alert in found)
    lagging = FraudWatch(database, EAGER, confirmations=30)
    early = lagging.poll()
    assert 0 < len(early) < len(found)
    assert found[: len(early)] == early
    database.close()


@pytest.mark.parametrize("seed", [81, 82])
def test_after_a_reorganisation_it_is_as_if_new(tmp_path: Path, seed: int) -> None:
    """A fresh watch's alerts, without those said before."""
    chain, database = LivingChain(seed, acts=4), sqlite(tmp_path / "index.db")
    running, watch = indexer(chain, database), FraudWatch(database, EAGER)
    said: set[str] = set()
    chain.grow(60)
    told_anew = 0
    for depth in (3, 20, 1, 12, 7):
        running.run()
        found = watch.poll()
        every = FraudWatch(database, EAGER).poll()
        assert found == [alert for alert in every if alert.id not in said]
        told_anew += len([alert for alert in every if alert.id in said])
        said |= {alert.id for alert in found}
        chain.reorganise(depth, depth + 5)
    assert told_anew > 0
    database.close()


def test_a_reorganisation_above_is_no_cause_to_read_anew(tmp_path: Path) -> None:
    """Blocks that were left for later may go."""
    chain, database = LivingChain(83, acts=4), sqlite(tmp_path / "index.db")
    chain.grow(60)
    read: list[int] = []
    watch = FraudWatch(
        database, EAGER, confirmations=20, on_progress=lambda block, last: read.append(block)
    )
    running = indexer(chain, database)
    running.run()
    watch.poll()
    assert read.pop() <= 41
    chain.reorganise(8, 12)
    running.run()
    watch.poll()
    assert [41 < block <= 45 for block in read] == [True]
    database.close()


def test_a_failure_loses_no_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before a database went away comes with the next look."""
    chain, database = LivingChain(84, acts=4), sqlite(tmp_path / "index.db")
    chain.grow(120)
    indexer(chain, database).run()
    monkeypatch.setattr("contracts.fraud.reading._BATCH", 50)
    whole = FraudWatch(database, EAGER).poll()
    batches = iter(range(1000))

    def fail_once(block: int, last: int) -> None:
        if next(batches) == 3:
            raise OperationalError("", {}, Exception())

    watch = FraudWatch(database, EAGER, on_progress=fail_once)
    with pytest.raises(DatabaseFailure):
        watch.poll()
    assert watch.poll() == whole
    assert len(whole) > 10
    database.close()


def test_databases_without_an_index(tmp_path: Path) -> None:
    """Empty, or of another version; an index without a block is none that fails."""
    database = sqlite(tmp_path / "index.db")
    with pytest.raises(IndexUnreadable, match="`veilscore chain index`"):
        FraudWatch(database).poll()
    indexer(MemoryChain(), database)
    assert FraudWatch(database).poll() == []
    with database.writing() as connection:
        connection.execute(cursor.update().values(version=99))
    with pytest.raises(IndexUnreadable, match="version 99"):
        FraudWatch(database).poll()
    for name in ("", 65 * "a", "\x1b[2J"):
        with pytest.raises(IndexUnreadable, match="1 to 64 printable signs"):
            OtherRegistry(name, database)
    database.close()


class Registry:
    """A chain with one registry, and its index."""

    def __init__(self, path: Path) -> None:
        self.chain, self.database = MemoryChain(path.name), sqlite(path)
        self._encoder = LogEncoder(DEPLOYMENT)
        self._count = 0

    def confirm(self, fingerprint: int) -> int:
        """An invoice in a block of its own, indexed."""
        self._count += 1
        self._mine(
            self._encoder.encode(
                "registry",
                "ReceivableConfirmed",
                {"id": self._count, "debtor": address_of(1), "supplier": address_of(2),
                 "face": 100, "fingerprint": fingerprint.to_bytes(32)},
            )
        )  # fmt: skip
        return self._count

    def cancel(self, leaf: int) -> None:
        """Cancel it."""
        self._mine(self._encoder.encode("registry", "ReceivableCancelled", {"id": leaf}))

    def _mine(self, log: EncodedLog) -> None:
        self.chain.add_block([log])
        indexer(self.chain, self.database).run()


@pytest.fixture
def registries(tmp_path: Path) -> Iterator[tuple[Registry, Registry]]:
    """Two of them."""
    both = Registry(tmp_path / "here.db"), Registry(tmp_path / "there.db")
    yield both
    for one in both:
        one.database.close()


def test_an_invoice_in_two_registries(registries: tuple[Registry, Registry]) -> None:
    """Found whichever had it first, by a watch that stands and by one that comes late."""
    here, there = registries
    here.confirm(7)
    there.cancel(there.confirm(8))
    there.confirm(9)

    def watching() -> FraudWatch:
        return FraudWatch(here.database, elsewhere=[OtherRegistry("north", there.database)])

    watch = watching()
    assert watch.poll() == []
    here.confirm(9)
    here.confirm(8)
    found = watch.poll()
    there.confirm(7)
    found += watch.poll()
    assert [alert.subject for alert in found] == ["receivable 2", "receivable 1"]
    assert {alert.rule for alert in found} == {"in north"}

    def ids(alerts: list[FraudAlert]) -> set[str]:
        return {alert.id for alert in alerts}

    assert ids(watching().poll()) == ids(found)
    there.chain.drop(1)
    there.confirm(10)
    here.chain.drop(1)
    here.confirm(10)
    assert [alert.sentence for alert in watch.poll()] == [
        "Receivable 4 has the fingerprint of an invoice in north: the same invoice may be financed "
        "there too."
    ]
