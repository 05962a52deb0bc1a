"""The index follows a chain that changes its mind, and equals a fresh index of the same chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.index.book import LoanStatus
from contracts.index.errors import DeepReorganisation
from contracts.index.indexer import Retries
from contracts.index.snapshot import take_snapshot
from tests.clients.postgres_server import PostgresServer
from tests.contracts.index_chains import (
    LivingChain,
    contents,
    fresh,
    indexer,
    reorganisations,
    sqlite,
)


@pytest.mark.slow
def test_a_hundred_reorganisations_leave_no_trace(tmp_path: Path) -> None:
    """After each of 100 random reorganisations every table equals a fresh index's."""
    chain = LivingChain(seed=7)
    chain.grow(40)
    database = sqlite(tmp_path / "index.db")
    taken_back = reorganisations(chain, database, tmp_path / "fresh.db", 100, seed=8)
    found = contents(database)
    database.close()
    assert taken_back > 1000
    assert {len(found[table]) > 3 for table in ("invoices", "leaves", "loans", "orders")} == {True}


def test_the_story_s_own_books_agree(tmp_path: Path) -> None:
    """Live leaves and open loans are those of the story, which keeps its books by itself."""
    chain = LivingChain(seed=17, acts=4)
    chain.grow(150)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    chain.reorganise(20, 20)
    running.run()
    now = take_snapshot(database)
    database.close()
    state = chain.story.state
    assert {leaf.id: (leaf.holder.lower(), leaf.remaining) for leaf in now.leaves} == {
        identifier: (leaf.holder.lower(), leaf.remaining)
        for identifier, leaf in state.leaves.items()
    }
    assert {
        loan.id: (loan.status, loan.open_principal)
        for loan in now.loans.values()
        if loan.status != LoanStatus.SETTLED
    } == {
        identifier: (loan.state, 0 if loan.state == "written_off" else loan.principal)
        for identifier, loan in state.loans.items()
    }
    assert {order.id: order.owed_principal for order in now.orders if order.owed_principal} == {
        str(identifier): order.principal for identifier, order in state.orders.items()
    }
    assert {loan.status for loan in now.loans.values()} == set(LoanStatus)


def test_postgresql_follows_as_well(postgres: PostgresServer, tmp_path: Path) -> None:
    """An index in PostgreSQL holds the same rows as one in SQLite, after reorganisations too."""
    from contracts.index.database import IndexDatabase

    postgres.execute("drop schema public cascade; create schema public")
    chain = LivingChain(seed=9)
    chain.grow(40)
    database = IndexDatabase(postgres.url)
    reorganisations(chain, database, tmp_path / "fresh.db", 8, seed=10)
    database.close()


@pytest.mark.parametrize("confirmations", [1, 5])
def test_confirmations_stay_behind_the_head(tmp_path: Path, confirmations: int) -> None:
    """With confirmations set, the index ends that many blocks under the head."""
    chain = LivingChain(seed=11)
    chain.grow(30)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database, confirmations=confirmations)
    assert running.run().block == chain.head() - confirmations
    chain.reorganise(confirmations, confirmations + 4)
    assert running.run().rewinds == 0
    chain.reorganise(confirmations + 3, confirmations + 4)
    assert running.run().rewinds == 1
    expected = fresh(chain, tmp_path / "fresh.db", confirmations=confirmations)
    assert contents(database) == expected
    database.close()


def test_a_chain_that_grew_shorter_takes_blocks_back(tmp_path: Path) -> None:
    """A head below the last indexed block takes back what is above it."""
    chain = LivingChain(seed=12)
    chain.grow(30)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    chain.reorganise(10, 0)
    assert running.run().block == 21
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    database.close()


def test_a_reorganisation_below_the_start_begins_again(tmp_path: Path) -> None:
    """Where no stored block is left on the chain, everything is read anew."""
    chain = LivingChain(seed=13)
    chain.grow(15)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    chain.drop(chain.head())
    chain.story.state = chain.states[0]
    chain.add_block(chain.story.opening())
    chain.states = [chain.story.snapshot()] * 2
    chain.grow(9)
    running.run()
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    database.close()


@pytest.mark.parametrize("new", [0, 30])
def test_what_counts_as_final_is_not_given_up(tmp_path: Path, new: int) -> None:
    """A reorganisation deeper than finality, or a head that far back, is an error and no change."""
    chain = LivingChain(seed=14)
    chain.grow(40)
    database = sqlite(tmp_path / "index.db")
    indexer(chain, database, finality=8).run()
    before = contents(database)
    chain.reorganise(12, new)
    with pytest.raises(DeepReorganisation, match="delete the index and begin again"):
        indexer(chain, database, retries=Retries(attempts=1), finality=8).run()
    assert contents(database) == before
    database.close()


def test_a_reorganisation_as_deep_as_finality_is_followed(tmp_path: Path) -> None:
    """The deepest reorganisation that finality allows is followed, whatever the chunk."""
    for chunk in (1, 7, 50):
        chain = LivingChain(seed=15)
        chain.grow(60)
        database = sqlite(tmp_path / f"index{chunk}.db")
        running = indexer(chain, database, finality=8, chunk=chunk)
        running.run()
        chain.reorganise(8, 9)
        running.run()
        expected = fresh(chain, tmp_path / "fresh.db")
        found = contents(database)
        database.close()
        for table in expected.keys() - {"blocks"}:  # old ones are kept sparsely
            assert found[table] == expected[table]
