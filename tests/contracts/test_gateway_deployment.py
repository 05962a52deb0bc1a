"""A deployment is whole or goes on; its file is checked; the gateway opens what it describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.gateway import deployment as deploying
from contracts.gateway.abi_contract import creation
from contracts.gateway.connection import Chain
from contracts.gateway.deployment import Plan, deploy
from contracts.gateway.deployment_file import CONTRACTS, NAMES, read_deployment
from contracts.gateway.errors import (
    CodeMismatch,
    DeploymentError,
    KeystoreError,
    NoContract,
    OutcomeUnknown,
    WrongChain,
)
from contracts.gateway.gateway import Gateway
from contracts.gateway.roles import OPERATOR, PAUSER
from contracts.units import Address, TokenMinor
from tests.contracts.gateway_accounts import SOON, new_signer, sender_of
from tests.contracts.gateway_node import LOSE, NODES, Forward, Node, running_node, unless_missing


@pytest.fixture(scope="module", params=NODES)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A chain to deploy to."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield node


@pytest.fixture(scope="module")
def made(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment's file."""
    folder = tmp_path_factory.mktemp("made")
    sender = sender_of(node, new_signer(node, 1), folder)
    pauser = new_signer(node, 2).address
    deploy(sender, Plan(None, pauser=pauser), folder / "deployment.json")
    return folder / "deployment.json"


def test_a_deployment_is_wired(node: Node, made: Path) -> None:
    """Roles, pools, orders and token are set; the file says where everything is."""
    document = json.loads(made.read_text())
    assert set(document) == {"chain_id", "block", "contracts", "source_hash"}
    assert set(document["contracts"]) == set(NAMES)
    assert set(document["source_hash"]) == set(CONTRACTS)
    gateway = Gateway.open(made, node.url)
    operator, pauser = new_signer(node, 1).address, new_signer(node, 2).address
    for roles in (gateway.registry.roles, gateway.pool.roles):
        assert roles.operator() == operator
        assert roles.has(OPERATOR, operator)
        assert roles.has(PAUSER, pauser)
        assert not roles.has(PAUSER, operator)
        assert not roles.is_paused()
    registry = gateway.registry.contract
    assert registry.read("isPool", gateway.pool.address)
    assert registry.read("orders") == gateway.orders.address.lower()
    assert gateway.pool.contract.read("orders") == gateway.orders.address.lower()
    assert (gateway.decimals, gateway.symbol) == (2, "MOCK")
    assert document["block"] <= gateway.chain.head()
    with pytest.raises(KeystoreError, match="only reads"):
        _ = gateway.account


def test_a_deployment_that_is_there_is_found_again(node: Node, made: Path) -> None:
    """Run again it sends nothing; another plan does not overwrite the file."""
    signer = new_signer(node, 1)
    sender = sender_of(node, signer, made.parent)
    before, nonce = made.read_bytes(), sender.chain.nonce(signer.address)
    plan = Plan(None, pauser=new_signer(node, 2).address)
    deploy(sender, plan, made)
    assert (made.read_bytes(), sender.chain.nonce(signer.address)) == (before, nonce)
    with pytest.raises(DeploymentError, match="another deployment"):
        deploy(sender, replace(plan, admin_delay=7), made)
    assert made.read_bytes() == before


@pytest.mark.parametrize(
    "lost", [5, pytest.param(0, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.slow)]
)
def test_an_interrupted_deployment_goes_on(node: Node, tmp_path: Path, lost: int) -> None:
    """The node goes away at any step: no file; afterwards one deployment and no step twice."""
    signer = new_signer(node, 100 + lost)
    sends = 0

    def hook(method: str, _: list[Any], forward: Forward) -> Any:
        nonlocal sends
        answer = forward()
        if method == "eth_sendRawTransaction":
            sends += 1
            if sends > lost:
                return LOSE
        return answer

    path = tmp_path / "deployment.json"
    sender = sender_of(node, signer, tmp_path, over_http=True)
    with node.hooked(hook), pytest.raises(OutcomeUnknown):
        deploy(sender, Plan(None), path)
    assert not path.exists()
    deploy(sender_of(node, signer, tmp_path, over_http=True), Plan(None), path)
    assert sender.chain.nonce(signer.address) == deploying.STEPS
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        f"{signer.address}.journal",
        "deployment.json",
    ]


def test_play_money_is_for_development_chains(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere the token must be named, and be one."""
    sender = sender_of(node, new_signer(node, 3), tmp_path)
    monkeypatch.setattr(Chain, "is_local", lambda _: False)
    with pytest.raises(DeploymentError, match="no development chain"):
        deploy(sender, Plan(None), tmp_path / "deployment.json")
    nobody = Address("0x" + "33" * 20)
    with pytest.raises(DeploymentError, match="no token at"):
        deploy(sender, Plan(nobody), tmp_path / "deployment.json")
    token = sender.submit(creation("MockDepositToken", "Real", "REAL", 6), "token").contract
    assert token is not None
    found = deploy(sender, Plan(token), tmp_path / "deployment.json")
    assert found.contracts["token"] == token
    assert Gateway.open(tmp_path / "deployment.json", node.url).decimals == 6


def changed(path: Path, folder: Path, **changes: object) -> Path:
    """A deployment's file with other fields; a dict changes single entries of an object."""
    document = json.loads(path.read_text())
    for key, value in changes.items():
        document[key] = {**document[key], **value} if isinstance(value, dict) else value
    new = folder / "changed.json"
    new.write_text(json.dumps(document))
    return new


def test_a_file_of_another_chain_or_code_is_refused(node: Node, made: Path, tmp_path: Path) -> None:
    """Chain id, code and token are checked before anything is sent."""
    addresses = json.loads(made.read_text())["contracts"]
    with pytest.raises(WrongChain, match="chain 5 is expected"):
        Gateway.open(changed(made, tmp_path, chain_id=5), node.url)
    other = changed(made, tmp_path, contracts={"pool": "0x" + "44" * 20})
    with pytest.raises(NoContract):
        Gateway.open(other, node.url)
    with pytest.raises(CodeMismatch, match="is not the FinancingPool"):
        Gateway.open(changed(made, tmp_path, contracts={"pool": addresses["anchor"]}), node.url)
    with pytest.raises(DeploymentError, match="lends the token"):
        Gateway.open(changed(made, tmp_path, contracts={"token": addresses["anchor"]}), node.url)
    with pytest.raises(KeystoreError, match="journal"):
        Gateway.open(made, node.url, new_signer(node, 1))
    gateway = Gateway.open(made, node.url, new_signer(node, 1), tmp_path / "journal", policy=SOON)
    mint = gateway.token.mint(gateway.account, TokenMinor(5))
    assert gateway.submit(mint, "mint").succeeded


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": "1"},
        {"chain_id": True},
        {"block": -1},
        {"contracts": []},
        {"contracts": {"pool": "0x12"}},
        {"contracts": {"token": None}},
        {"source_hash": {"pool": "x"}},
    ],
    ids=str,
)
def test_a_file_that_is_none_is_refused_by_field(
    made: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """One sentence that names file and field."""
    with pytest.raises(DeploymentError, match=r"changed\.json: "):
        read_deployment(changed(made, tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 10_000, b" " * 70_000])
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    """Also where there is nothing."""
    path = tmp_path / "deployment.json"
    path.write_bytes(content)
    with pytest.raises(DeploymentError, match="not a JSON object"):
        read_deployment(path)
    with pytest.raises(DeploymentError, match="chain deploy"):
        read_deployment(tmp_path / "missing.json")
