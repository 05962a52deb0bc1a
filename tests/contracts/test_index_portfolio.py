"""Views of a portfolio: against sums worked out by hand, and against earlier indexes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.index.book import LoanStatus
from contracts.index.database import IndexDatabase
from contracts.index.errors import IndexingError
from contracts.index.listing import portfolio_json, print_portfolio
from contracts.index.portfolio import (
    AgeBucket,
    By,
    age_bucket,
    ageing,
    concentration,
    exposures,
    loans_by_status,
    of_token,
    outstanding,
    outstanding_by_token,
    rates,
)
from contracts.index.snapshot import take_snapshot
from contracts.units import Address, UnixSeconds
from simulations.memory_chain import (
    BLOCK_SECONDS,
    GENESIS_TIME,
    LogEncoder,
    MemoryChain,
    address_of,
)
from tests.clients.postgres_server import PostgresServer
from tests.contracts.index_chains import DEPLOYMENT, LivingChain, indexer, sqlite

DAY = 86_400
DEBTOR, OTHER_DEBTOR, SUPPLIER, SECOND, BANK = map(address_of, range(1, 6))
TOKEN = DEPLOYMENT.token or ""
POOL = DEPLOYMENT.contracts["pool"]


def a_chain_by_hand() -> MemoryChain:
    """Three invoices: one financed and half repaid, one overdue, one credited in part."""
    encoder = LogEncoder(DEPLOYMENT)
    chain = MemoryChain()

    def block(*logs: tuple[str, str, dict[str, Any]]) -> None:
        chain.add_block([encoder.encode(*log) for log in logs])

    def invoice(identifier: int, debtor: str, face: int, days: int) -> tuple[str, str, Any]:
        due = GENESIS_TIME + days * DAY
        values = {"id": identifier, "debtor": debtor, "supplier": SUPPLIER, "token": TOKEN}
        return "registry", "ReceivableConfirmed", {**values, "face": face, "dueDate": due}

    block(("registry", "PoolAdmitted", {"pool": POOL}))
    block(
        invoice(1, DEBTOR, 1000, 30), invoice(2, DEBTOR, 300, -40), invoice(3, OTHER_DEBTOR, 500, 9)
    )
    loan = {"id": 1, "bank": BANK, "supplier": SUPPLIER, "debtor": DEBTOR, "principal": 800}
    block(
        ("pool", "ReceivableFinanced", loan | {"discount": 8}),
        ("registry", "Transfer", {"from": SUPPLIER, "to": POOL, "tokenId": 1}),
        ("registry", "ReceivableCredited", {"id": 3, "amount": 100, "remaining": 400}),
        ("registry", "Transfer", {"from": SUPPLIER, "to": SECOND, "tokenId": 3}),
    )
    paid = {"id": 1, "payer": DEBTOR, "holder": POOL, "amount": 500, "remaining": 500}
    block(
        ("registry", "ReceivablePaid", paid),
        ("pool", "LoanRepaid", {"id": 1, "bank": BANK, "interest": 20, "principal": 480}),
    )
    return chain


@pytest.fixture
def by_hand(tmp_path: Path) -> IndexDatabase:
    """Its index."""
    database = sqlite(tmp_path / "index.db")
    indexer(a_chain_by_hand(), database).run()
    return database


def lower(amounts: dict[Any, int]) -> dict[Any, int]:
    """Accounts as the tests write them."""
    return {
        tuple(part.lower() for part in key) if isinstance(key, tuple) else key.lower(): amount
        for key, amount in amounts.items()
    }


def test_every_view_is_what_a_person_works_out(by_hand: IndexDatabase) -> None:
    """Outstanding, ageing, exposures, loans and rates of a small portfolio."""
    now = take_snapshot(by_hand)
    token = TOKEN.lower()
    assert outstanding_by_token(now) == {TOKEN: 1200}
    assert lower(outstanding(now, By.DEBTOR)) == {(DEBTOR, token): 800, (OTHER_DEBTOR, token): 400}
    assert lower(outstanding(now, By.SUPPLIER)) == {(SUPPLIER, token): 800, (SECOND, token): 400}
    assert lower(outstanding(now, By.BANK)) == {(BANK, token): 500}
    assert ageing(now)[TOKEN] == {
        AgeBucket.NOT_DUE: 900,
        AgeBucket.UP_TO_30: 0,
        AgeBucket.UP_TO_60: 300,
        AgeBucket.UP_TO_90: 0,
        AgeBucket.OVER_90: 0,
    }
    for by, account in ((By.BANK, BANK), (By.DEBTOR, DEBTOR), (By.SUPPLIER, SUPPLIER)):
        assert lower(exposures(now, by)) == {account: 320}
    spread = concentration(of_token(outstanding(now, By.DEBTOR), TOKEN))
    assert (spread.parties, spread.hhi) == (2, pytest.approx((800**2 + 400**2) / 1200**2))
    assert (spread.top[1], spread.top[5]) == (pytest.approx(2 / 3), 1.0)
    assert str(spread.largest).lower() == DEBTOR
    loans = loans_by_status(now)
    assert (loans[LoanStatus.OPEN].principal, loans[LoanStatus.OPEN].open_principal) == (800, 320)
    assert loans[LoanStatus.SETTLED].count == 0
    (rate,) = rates(now).values()
    assert (rate.confirmed, rate.diluted, rate.dilution_rate) == (1800, 100, pytest.approx(1 / 18))
    by_hand.close()


def test_an_earlier_moment_is_what_was_known_then(by_hand: IndexDatabase) -> None:
    """As of a block's time, later events do not count; as of later, days past due go on."""
    then = take_snapshot(by_hand, UnixSeconds(GENESIS_TIME + 2 * BLOCK_SECONDS))
    assert outstanding_by_token(then) == {TOKEN: 1800}
    assert (exposures(then, By.BANK), then.loans) == ({}, {})
    assert rates(then)[TOKEN].financed == 0
    financed = take_snapshot(by_hand, UnixSeconds(GENESIS_TIME + 3 * BLOCK_SECONDS))
    assert lower(exposures(financed, By.BANK)) == {BANK: 800}
    later = take_snapshot(by_hand, UnixSeconds(GENESIS_TIME + 100 * DAY))
    assert ageing(later)[TOKEN][AgeBucket.OVER_90] == 700
    assert ageing(later)[TOKEN][AgeBucket.UP_TO_90] == 500
    assert outstanding_by_token(take_snapshot(by_hand, UnixSeconds(0))) == {}
    by_hand.close()


def test_as_of_equals_the_index_that_was(tmp_path: Path) -> None:
    """Every view as of a block's time equals the one of an index that ended there."""
    chain = LivingChain(seed=41, acts=5)
    whole, part = sqlite(tmp_path / "whole.db"), sqlite(tmp_path / "part.db")
    running = indexer(chain, part)
    seen = []
    for _ in range(6):
        chain.grow(20)
        running.run()
        seen.append(portfolio_json(take_snapshot(part)))
    indexer(chain, whole).run()
    for earlier in seen:
        again = portfolio_json(take_snapshot(whole, UnixSeconds(earlier["at"])))
        assert again | {"block": earlier["block"]} == earlier
    assert seen[-1]["loans"]["written_off"]["count"] > 0
    whole.close()
    part.close()


def test_postgresql_gives_the_same_views(postgres: PostgresServer, tmp_path: Path) -> None:
    """Both databases give every view alike, of now and of an earlier time."""
    postgres.execute("drop schema public cascade; create schema public")
    chain = LivingChain(seed=42, acts=5)
    chain.grow(60)
    views = []
    for database in (IndexDatabase(postgres.url), sqlite(tmp_path / "index.db")):
        indexer(chain, database).run()
        moments = (None, UnixSeconds(GENESIS_TIME + 30 * BLOCK_SECONDS))
        views.append([portfolio_json(take_snapshot(database, moment)) for moment in moments])
        database.close()
    assert views[0] == views[1]
    assert views[0][0] != views[0][1]


@given(seconds=st.integers(-(10**9), 10**9))
def test_age_buckets_have_no_gaps(seconds: int) -> None:
    """A bucket holds the days it says: one second late is day 1, thirty days are still 1-30."""
    bounds = {
        AgeBucket.NOT_DUE: (-(10**9), 0),
        AgeBucket.UP_TO_30: (1, 30 * DAY),
        AgeBucket.UP_TO_60: (30 * DAY + 1, 60 * DAY),
        AgeBucket.UP_TO_90: (60 * DAY + 1, 90 * DAY),
        AgeBucket.OVER_90: (90 * DAY + 1, 10**9),
    }
    least, most = bounds[age_bucket(seconds)]
    assert least <= seconds <= most


@given(amounts=st.lists(st.integers(0, 10**18), max_size=30))
def test_concentration_is_between_equal_and_one(amounts: list[int]) -> None:
    """HHI is at least one by the number of parties and at most 1; shares only grow."""
    spread = concentration({Address(str(place)): amount for place, amount in enumerate(amounts)})
    if not any(amounts):
        assert (spread.hhi, spread.largest) == (0, None)
        return
    assert 1 / spread.parties - 1e-9 <= spread.hhi <= 1 + 1e-9
    assert 0 < spread.top[1] <= spread.top[5] <= spread.top[10] <= 1
    assert spread.parties > 10 or spread.top[10] == 1


def test_tables_and_json_show_what_is_there(
    by_hand: IndexDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both forms hold the figures; JSON is plain numbers."""
    now = take_snapshot(by_hand)
    print_portfolio(now)
    shown = capsys.readouterr().out
    assert "1,200 minor units" in shown
    assert "31-60" in shown
    assert json.loads(json.dumps(portfolio_json(now)))["loans"]["open"]["open_principal"] == 320
    by_hand.close()


def test_a_database_without_an_index_says_so(tmp_path: Path) -> None:
    """An empty database is one sentence that names the command."""
    database = sqlite(tmp_path / "empty.db")
    with pytest.raises(IndexingError, match="veilscore chain index"):
        take_snapshot(database)
    database.close()
