"""Frauds played on the real contracts, indexed, and found by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from eth_account import Account
from typer.testing import CliRunner

from contracts.fraud.cli import add_commands
from contracts.index.indexer import Indexer
from contracts.index.store import IndexStore
from contracts.index.web3_source import Web3Source
from tests.contracts.index_chains import LivingChain, indexer, sqlite
from tests.contracts.index_deployed import DAY, FAR, DeployedContracts, deployed_contracts

app = typer.Typer(pretty_exceptions_enable=False)


@app.callback()
def chain() -> None:
    """A group, as in the real command line."""


add_commands(app)
FIRMS = {name: Account.from_key(n.to_bytes(32)) for n, name in enumerate("abcdefgh", 100)}


class Trade:
    """Invoices among firms, by the debtors' real signatures."""

    def __init__(self, made: DeployedContracts) -> None:
        self.made = made
        self._serial = 1000
        for firm in FIRMS.values():
            made.send(made.admin, "registry", "admitDebtor", firm.address, True)

    def confirm(self, debtor: str, supplier: str, face: int = 100_000, **values: Any) -> int:
        """An invoice of `supplier`, an address or one of FIRMS, on one of FIRMS."""
        self._serial += 1
        made, key = self.made, FIRMS[debtor]
        message = {
            "supplier": FIRMS[supplier].address if supplier in FIRMS else supplier,
            "debtor": key.address,
            "token": made.contracts["token"].address,
            "face": face,
            "dueDate": made.now + 60 * DAY,
            "disputeWindow": 0,
            "shippedAt": made.now - DAY,
            "fingerprint": self._serial.to_bytes(32),
            "revision": 0,
            "documentHash": self._serial.to_bytes(32),
            "order": 0,
            "deadline": FAR,
            **values,
        }
        signature = made._sign(key, "registry", "ReceivableRegistry", "confirm", message)
        return int(made.send(made.payer, "registry", "confirm", tuple(message.values()), signature))


def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit status of the command, and its alerts."""
    result = CliRunner().invoke(app, ["alerts", "--json", *arguments])
    assert result.exit_code in (0, 3), result.output
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]], str]:
    """A folder with an index and groups; the claims of each fraud; the supplier's account."""
    made, _ = deployed_contracts()
    folder, trade = tmp_path_factory.mktemp("fraud"), Trade(made)
    supplier, second = made.supplier, made.second
    claims: dict[str, list[int]] = {}

    for month in range(12):  # honest trade of a year, two invoices a month on four customers
        for turn in range(2):
            trade.confirm("abcd"[(2 * month + turn) % 4], supplier, 100_000 + month)
        made.mine_at(made.now + 31 * DAY)

    claims["circular-trading"] = [
        trade.confirm("e", "f", 500_000),
        trade.confirm("f", "g", 510_000),
        trade.confirm("g", "e", 520_000),
    ][-1:]
    first = trade.confirm("a", second, 70_000, fingerprint=bytes([1]) * 32)
    made.send(second, "registry", "cancel", first)
    again = trade.confirm("b", second, 90_000, fingerprint=bytes([1]) * 32, revision=1)
    claims["fingerprint-elsewhere"] = [again]
    claims["self-dealing"] = [trade.confirm("h", second)]
    claims["shipment-date"] = [trade.confirm("a", second, shippedAt=made.now + 20 * DAY)]
    leaf = trade.confirm("b", second)
    made.send(second, "registry", "transferFrom", second, supplier, leaf)
    made.send(supplier, "registry", "transferFrom", supplier, second, leaf)
    claims["round-trip"] = [leaf]
    burst = [trade.confirm("a", supplier, 300_000) for _ in range(10)]
    claims["velocity"] = [burst[-1]]
    claims["sudden-concentration"] = burst
    document = bytes([3]) * 32
    trade.confirm("c", second, documentHash=document)
    claims["same-document"] = [trade.confirm("d", second, documentHash=document)]

    database = sqlite(folder / "index.db")
    source = Web3Source(made.web3, made.deployment.contracts.values())
    store = IndexStore(database, made.deployment)
    token = made.contracts["token"].address
    store.remember_token(token, *source.token(token))
    Indexer(source, store, made.deployment).run()
    database.close()
    (folder / "groups.csv").write_text(
        f"account,group\n{FIRMS['h'].address},holding\n{second},holding\n"
    )
    return folder, claims, supplier


@pytest.mark.slow
def test_every_fraud_is_found_and_nothing_else(
    played: tuple[Path, dict[str, list[int]], str],
) -> None:
    """A kind an alert, on the claims that were played; a year of honest trade gives none."""
    folder, claims, supplier = played
    index = f"sqlite:///{folder / 'index.db'}"
    status, found = run("--database", index, "--groups", str(folder / "groups.csv"))
    assert status == 3
    assert {alert["kind"] for alert in found} == set(claims)
    for alert in found:
        assert alert["subject"] in [f"receivable {claim}" for claim in claims[alert["kind"]]]
    assert len(found) == len(claims)
    by_kind = {alert["kind"]: alert for alert in found}
    assert by_kind["velocity"]["account"] == supplier
    assert by_kind["velocity"]["severity"] == "warning"
    assert "5,000.00 dEUR to 5,200.00 dEUR" in by_kind["circular-trading"]["sentence"]
    assert (
        "amount (700.00 dEUR then, 900.00 dEUR now)"
        in (by_kind["fingerprint-elsewhere"]["sentence"])
    )
    # The same again, with the same ids; without the groups, no self-dealing.
    assert run("--database", index, "--groups", str(folder / "groups.csv")) == (3, found)
    status, without = run("--database", index)
    assert [one["id"] for one in without] == [
        one["id"] for one in found if one["kind"] != "self-dealing"
    ]


def test_the_table_and_its_exit_status(
    played: tuple[Path, dict[str, list[int]], str], tmp_path: Path
) -> None:
    """People get a table; thresholds of a file count; no alerts are status 0."""
    folder, _, _ = played
    arguments = ["alerts", "--database", f"sqlite:///{folder / 'index.db'}"]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 3
    assert "7 alerts; none is a proof" in shown.stdout
    assert "closes a circle of 3 firms" in shown.stdout
    settings = tmp_path / "fraud.toml"
    settings.write_text("velocity_claims = 11\ncircle_firms = 2\n")
    _, fewer = run("--database", arguments[2], "--settings", str(settings))
    assert not {"velocity", "circular-trading"} & {alert["kind"] for alert in fewer}
    nothing = CliRunner().invoke(app, [*arguments, "--confirmations", "100000"])
    assert (nothing.exit_code, nothing.stdout) == (0, "No alerts\n")


def test_an_index_elsewhere(played: tuple[Path, dict[str, list[int]], str]) -> None:
    """Every invoice of this index stands in its twin, but for the one cancelled there."""
    index = f"sqlite:///{played[0] / 'index.db'}"
    _, found = run("--database", index, "--elsewhere", f"twin={index}")
    twins = [one for one in found if one["rule"] == "in twin"]
    assert len(twins) == len({one["subject"] for one in twins}) > 40
    assert {one["severity"] for one in twins} == {"critical"}


def test_following_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts come as the index grows, each once; an interruption ends it with the usual status."""
    chain, database = LivingChain(91, acts=4), sqlite(tmp_path / "index.db")
    running, looks = indexer(chain, database), iter(range(4))
    running.run()

    def grow(seconds: float) -> None:
        assert seconds == 0.5
        if next(looks) == 3:
            raise KeyboardInterrupt
        chain.grow(25)
        running.run()

    monkeypatch.setattr("time.sleep", grow)
    index = f"sqlite:///{tmp_path / 'index.db'}"
    status, found = run("--database", index, "--follow", "--poll", "0.5")
    monkeypatch.undo()
    assert (status, found) == run("--database", index)
    assert len({alert["id"] for alert in found}) == len(found) > 1
    database.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database", "sqlite:///missing.db"], "--database"),
        (["--database", "HERE", "--elsewhere", "north"], "--elsewhere must be a name and a URL"),
        (["--database", "HERE", "--elsewhere", "north=sqlite:///no.db"], "--elsewhere"),
        (["--database", "HERE", "--elsewhere", "a=HERE", "--elsewhere", "a=HERE"], "one name"),
        (["--database", "HERE", "--settings", "no.toml"], "no.toml: cannot be read"),
    ],
)
def test_wrong_commands(
    played: tuple[Path, dict[str, list[int]], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    """One sentence, and no file is made."""
    monkeypatch.chdir(tmp_path)
    here = f"sqlite:///{played[0] / 'index.db'}"
    given = [argument.replace("HERE", here) for argument in arguments]
    result = CliRunner().invoke(app, ["alerts", *given])
    assert result.exit_code != 0
    assert said in str(result.exception)
    assert list(tmp_path.iterdir()) == []
