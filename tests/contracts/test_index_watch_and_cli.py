"""Watching, and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from contracts.errors import ContractsError
from contracts.index.cli import add_commands
from contracts.index.decoding import Event
from contracts.index.phrases import describe, money
from contracts.index.snapshot import TokenWords
from contracts.index.watch import Watch, watch
from tests.contracts.index_anvil import anvil, anvil_path
from tests.contracts.index_chains import LivingChain, indexer, sqlite
from tests.contracts.index_deployed import deploy_all

EURO = TokenWords("dEUR", 2)
app = typer.Typer(pretty_exceptions_enable=False)
add_commands(app)


def test_amounts_are_written_exactly() -> None:
    """No floats: 2**63 - 1 cents keep every digit, and unknown decimals are said so."""
    assert money(2**63 - 1, EURO) == "92,233,720,368,547,758.07 dEUR"
    assert money(5, EURO) == "0.05 dEUR"
    assert money(-105, EURO) == "-1.05 dEUR"
    assert money(7, TokenWords("JPYd", 0)) == "7 JPYd"
    assert money(1234, None) == "1,234 minor units"


def test_an_event_is_one_line() -> None:
    """Time in UTC, short ids, amounts in the token's decimals, orders by their own number."""
    arguments = {
        "order": str(2**128 + 4),
        "supplier": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "buyer": "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "value": "123456",
        "deliverBy": "1764547200",
    }
    event = Event(1, 0, "0x", 1_750_000_000, "orders", "OrderAccepted", None, arguments)
    assert describe(event, EURO) == (
        "2025-06-15 15:06:40Z  order P4 accepted: 0x5aAe…eAed delivers 1,234.56 dEUR to "
        "0xfB69…d359 by 2025-12-01"
    )
    far = Event(1, 0, "0x", 2**40, "pool", "Unheard", None, {"flag": True})
    assert describe(far, None) == "9999-12-31 23:59:59Z  pool: Unheard (flag yes)"


def test_every_event_of_a_story_has_a_line_once(tmp_path: Path) -> None:
    """Looks give each event once, in the chain's order, and only what is new."""
    chain = LivingChain(seed=51, acts=6)
    chain.grow(60)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    watching = Watch(database)
    first = list(watching.look())
    assert list(watching.look()) == []
    chain.grow(60)
    running.run()
    rest = list(watching.look())
    assert first + rest == list(Watch(database).look())
    assert first + rest == sorted(first + rest, key=lambda line: line[:20])
    assert rest == list(Watch(database, after=61).look())
    words = " ".join(first + rest)
    for what in ("confirmed", "split into", "merged", "financed", "written off", "became"):
        assert what in words
    assert "{" not in words
    database.close()


def test_a_reorganisation_is_a_line_and_is_told_anew(tmp_path: Path) -> None:
    """What was taken back is said, and what is there instead follows."""
    chain = LivingChain(seed=52, acts=4)
    chain.grow(30)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    watching = Watch(database)
    list(watching.look())
    chain.reorganise(10, 11)
    running.run()
    said = list(watching.look())
    assert "the chain reorganised: what was said from block" in said[0]
    assert said[1:] == list(Watch(database, after=21).look())
    database.close()


def test_watching_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """The iterator looks, waits, looks again, and stops."""
    chain = LivingChain(seed=53)
    chain.grow(5)
    database = sqlite(tmp_path / "index.db")
    running = indexer(chain, database)
    running.run()
    rounds = iter([True, False])

    def wait() -> bool:
        chain.grow(5)
        running.run()
        return next(rounds)

    lines = list(watch(database, None, wait))
    assert lines == list(Watch(database).look())[: len(lines)]
    database.close()


def failed(*arguments: str) -> str:
    """The sentence with which a command fails."""
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, ContractsError), result.output
    return str(result.exception)


def test_bad_options_are_one_sentence(tmp_path: Path) -> None:
    """Missing files, wrong URLs, passwords and moments are named."""
    missing = f"sqlite:///{tmp_path / 'none.db'}"
    assert "there is no index" in failed("portfolio", "--database", missing)
    secret = failed("portfolio", "--database", "postgresql://ann:hush@localhost/x")
    assert "VEILSCORE_INDEX" in secret
    assert "hush" not in secret
    assert "no URL" in failed("portfolio", "--database", "mysql://x/y")
    assert "--as-of is no day" in failed("portfolio", "--as-of", "yesterday")
    assert "go together" in failed("watch", "--rpc", "http://127.0.0.1:1")
    nowhere = tmp_path / "deployment.json"
    arguments = ("index", "--rpc", "http://127.0.0.1:1", "--deployment", str(nowhere))
    assert "veilscore chain deploy" in failed(*arguments, "--database", missing)
    nowhere.write_text("[]")
    assert "no JSON object" in failed(*arguments, "--database", missing)


def test_portfolio_and_watch_read_an_index(tmp_path: Path) -> None:
    """Both commands need nothing but the database."""
    chain = LivingChain(seed=54, acts=4)
    chain.grow(40)
    database = sqlite(tmp_path / "index.db")
    indexer(chain, database).run()
    database.close()
    url = f"sqlite:///{tmp_path / 'index.db'}"
    shown = CliRunner().invoke(app, ["portfolio", "--database", url, "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.output)["block"] == 41
    earlier = CliRunner().invoke(
        app, ["portfolio", "--database", url, "--json", "--as-of", "2025-06-16"]
    )
    assert json.loads(earlier.output)["at"] == 1750118399
    assert "Outstanding" in CliRunner().invoke(app, ["portfolio", "--database", url]).output
    lines = CliRunner().invoke(app, ["watch", "--database", url, "--once"]).output.splitlines()
    assert len(lines) > 50


@pytest.mark.skipif(anvil_path() is None, reason="anvil is not installed")
def test_index_from_a_node(tmp_path: Path) -> None:
    """`index` reads a deployment from a node, with its token's decimals; again, it has no work."""
    from web3 import HTTPProvider, Web3

    with anvil() as url:
        made = deploy_all(Web3(HTTPProvider(url)), lambda moment: None)
        made.confirm(123_456)
        file = tmp_path / "deployment.json"
        contracts = {name: contract.address for name, contract in made.contracts.items()}
        content = {"chain_id": 31337, "block": made.first_block, "contracts": contracts}
        file.write_text(json.dumps(content))
        arguments = ["--rpc", url, "--deployment", str(file)]
        arguments += ["--database", f"sqlite:///{tmp_path / 'index.db'}"]
        first = CliRunner().invoke(app, ["index", *arguments, "--json"])
        assert json.loads(first.output)["events"] >= 20, first.output
        again = CliRunner().invoke(app, ["index", *arguments])
        assert "0 events in this run" in again.output
        watched = CliRunner().invoke(app, ["watch", *arguments, "--once"])
        assert "1,234.56 dEUR" in watched.output
