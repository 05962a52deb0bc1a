"""The index of the real contracts, on an EVM in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.index.book import LoanStatus
from contracts.index.database import IndexDatabase
from contracts.index.errors import DeploymentInvalid, ReconciliationRefused
from contracts.index.indexer import Indexer
from contracts.index.portfolio import By, exposures, loans_by_status, outstanding, rates
from contracts.index.reconcile import Web3Reader, reconcile
from contracts.index.snapshot import take_snapshot
from contracts.index.store import IndexStore
from contracts.index.watch import Watch
from contracts.index.web3_source import Web3Source
from contracts.units import Address, TokenMinor
from tests.contracts.index_chains import contents, sqlite
from tests.contracts.index_deployed import DAY, DEBTOR, DeployedContracts, deployed_contracts


def indexing(made: DeployedContracts, database: IndexDatabase) -> Indexer:
    """An indexer of deployed contracts."""
    deployment = made.deployment
    source = Web3Source(made.web3, deployment.contracts.values())
    store = IndexStore(database, deployment)
    store.remember_token(*_token(made, source))
    return Indexer(source, store, deployment, sleep=lambda seconds: None)


def _token(made: DeployedContracts, source: Web3Source) -> tuple[str, str, int]:
    address = made.contracts["token"].address
    return address, *source.token(address)


def test_from_confirmation_to_recovery(tmp_path: Path) -> None:
    """Confirmed, split, financed, paid in part, in default, lost and recovered: it adds up."""
    made, tester = deployed_contracts()
    database = sqlite(tmp_path / "index.db")
    running = indexing(made, database)
    root = made.confirm(100_000)
    first, second = made.send(
        made.supplier, "registry", "split", root, [60_000, 40_000], [made.supplier, made.second]
    )
    made.finance(first, made.supplier, 50_000)
    running.run()
    before = contents(database)

    snapshot = tester.take_snapshot()
    made.send(made.payer, "registry", "pay", first, 20_000)
    running.run()
    tester.revert_to_snapshot(snapshot)  # a reorganisation: these blocks never were
    assert running.run().rewinds == 1
    assert contents(database) == before

    made.send(made.payer, "registry", "pay", first, 30_000)
    made.send(made.payer, "registry", "pay", second, 40_000)
    running.run()
    now = take_snapshot(database)
    assert outstanding(now, By.SUPPLIER) == {
        (made.supplier, made.contracts["token"].address): 30_000
    }
    assert exposures(now, By.BANK) == {made.bank: 20_000}
    reader = Web3Reader(
        made.web3, made.deployment.contracts["registry"], made.deployment.contracts["pool"]
    )
    assert reconcile(database, reader) == []

    made.mine_at(made.now + 40 * DAY)
    made.send(made.bank, "pool", "declareDefault", first)
    running.run()
    assert reconcile(database, reader) == []
    made.send(made.bank, "pool", "writeOff", first)
    made.send(made.payer, "registry", "pay", first, 5_000)
    running.run()
    assert reconcile(database, reader) == []
    now = take_snapshot(database)
    assert now.loans[first].status == LoanStatus.WRITTEN_OFF
    assert exposures(now, By.BANK) == {}
    (rate,) = rates(now).values()
    assert (rate.financed, rate.defaulted) == (50_000, 20_000)
    assert 15_000 <= rate.lost < 20_000  # late interest and fee are recovered first
    assert rate.default_rate == 1.0

    made.send(made.supplier, "pool", "repurchase", first)
    running.run()
    now = take_snapshot(database)
    assert reconcile(database, reader) == []
    assert loans_by_status(now)[LoanStatus.SETTLED].count == 1
    (rate,) = rates(now).values()
    assert rate.lost == 0
    lines = list(Watch(database).look())
    assert any(f"receivable {first} financed" in line and "500.00 dEUR" in line for line in lines)
    assert any("written off" in line and "200.00 dEUR" in line for line in lines)
    database.close()


def test_reconciliation_finds_what_a_node_left_out(tmp_path: Path) -> None:
    """A node that leaves logs out is found by the contracts' own sums, and by nothing sooner."""
    made, _ = deployed_contracts()
    root = made.confirm(100_000)
    made.send(made.payer, "registry", "pay", root, 30_000)
    database = sqlite(tmp_path / "index.db")
    running = indexing(made, database)
    given = running.source.logs
    running.source.logs = lambda first, last: given(first, last)[:-1]  # type: ignore[method-assign]
    running.run()
    registry, pool = (made.deployment.contracts[name] for name in ("registry", "pool"))
    (difference,) = reconcile(database, Web3Reader(made.web3, registry, pool))
    assert (difference.what, difference.account) == ("outstanding", DEBTOR.address)
    assert (difference.indexed, difference.on_chain) == (100_000, 70_000)
    database.close()


def test_only_the_same_block_is_compared(tmp_path: Path) -> None:
    """Where the node's chain has another block, nothing is compared."""
    made, _ = deployed_contracts()
    database = sqlite(tmp_path / "index.db")
    indexing(made, database).run()

    class OtherChain:
        def block_hash(self, block: int) -> str:
            return "0x" + 64 * "0"

        def outstanding_of(self, debtor: Address, token: Address, block: int) -> TokenMinor:
            raise AssertionError

        def exposure_of(self, bank: Address, block: int) -> TokenMinor:
            raise AssertionError

    with pytest.raises(ReconciliationRefused, match="index first, then compare"):
        reconcile(database, OtherChain())
    database.close()


def test_a_deployment_of_another_chain_is_refused(tmp_path: Path) -> None:
    """Where an address holds no code, the deployment is of another chain."""
    made, _ = deployed_contracts()
    deployment = made.deployment
    deployment.contracts["anchor"] = Address("0x" + "00" * 19 + "77")
    source = Web3Source(made.web3, deployment.contracts.values())
    with pytest.raises(DeploymentInvalid, match="has its anchor"):
        source.check(deployment)
