"""The compiled contracts: complete, fresh as far as Python can tell, and refused when damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from web3 import EthereumTesterProvider, Web3

from contracts.artifacts import ArtifactError, load, names, parse, source_hash
from contracts.build import CONTRACTS, PROJECT, BuildError, artifact_document

DIGEST = "ab" * 32


def document(**changed: object) -> dict[str, Any]:
    """A small artifact as the build writes it, with some fields changed."""
    sources = {"src/Small.sol": DIGEST}
    return {
        "abi": [{"type": "function", "name": "close", "inputs": [], "outputs": []}],
        "bytecode": "0x6001",
        "compiler": "0.8.37+commit.f401782d",
        "contractName": "Small",
        "deployedBytecode": "0x600000",
        "immutables": [[1, 2]],
        "openzeppelin": "5.7.0",
        "settings": {"evmVersion": "cancun"},
        "sourceHash": source_hash(sources),
        "sources": sources,
        **changed,
    }


def parsed(changed: dict[str, Any]) -> object:
    """What the loader makes of such a file."""
    return parse("Small", json.dumps(changed).encode())


def test_every_contract_has_an_artifact_and_none_is_left_over() -> None:
    """The committed files are those of the contracts that the build knows."""
    assert names() == tuple(sorted(CONTRACTS))


@pytest.mark.parametrize("name", CONTRACTS)
def test_artifact_is_of_the_committed_sources(name: str) -> None:
    """Each source file in this repository has the hash that the artifact states."""
    artifact = load(name)
    assert artifact.name == name
    ours = [path for path in artifact.sources if not path.startswith("node_modules/")]
    assert any(path.endswith(f"/{name}.sol") for path in ours)
    for path in ours:
        content = (PROJECT / path).read_bytes()
        assert artifact.sources[path] == hashlib.sha256(content).hexdigest(), (
            f"{path} changed: run `python -m contracts.build`"
        )
    libraries = PROJECT / "node_modules" / "@openzeppelin"
    for path in set(artifact.sources) - set(ours) if libraries.is_dir() else ():
        content = (PROJECT / path).read_bytes()
        assert artifact.sources[path] == hashlib.sha256(content).hexdigest()
    assert artifact.source_hash == source_hash(artifact.sources)


@pytest.mark.parametrize("name", CONTRACTS)
def test_code_fits_on_a_chain(name: str) -> None:
    """Code and creation code are within EIP-170's and EIP-3860's limits."""
    artifact = load(name)
    assert len(artifact.deployed_bytecode) <= 24_576
    assert len(artifact.bytecode) <= 49_152


def test_versions_are_the_pinned_ones() -> None:
    """Compiler and library are what package.json names, with the settings of foundry.toml."""
    pinned = json.loads((PROJECT / "package.json").read_text())["dependencies"]
    for name in CONTRACTS:
        artifact = load(name)
        assert artifact.compiler.startswith(pinned["solc"] + "+commit.")
        assert artifact.openzeppelin == pinned["@openzeppelin/contracts"]
        assert artifact.settings["evmVersion"] == "cancun"
        assert artifact.settings["optimizer"] == {"enabled": True, "runs": 200}
        assert artifact.settings["metadata"] == {"appendCBOR": False, "bytecodeHash": "none"}


def test_an_artifact_deploys_and_the_chain_holds_its_code() -> None:
    """The mock token, deployed from its artifact, has the artifact's code but for immutables."""
    artifact = load("MockDepositToken")
    chain = Web3(EthereumTesterProvider())
    contract = chain.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    values = {"string": "x", "uint8": 2, "uint256": 1, "address": chain.eth.accounts[0]}
    constructors = [entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"]
    arguments = [values[given["type"]] for inputs in constructors for given in inputs]
    transaction = contract.constructor(*arguments).transact({"from": chain.eth.accounts[0]})
    address = chain.eth.wait_for_transaction_receipt(transaction)["contractAddress"]
    assert address is not None
    code = bytearray(chain.eth.get_code(address))
    for first, size in artifact.immutables:
        code[first : first + size] = bytes(size)
    assert bytes(code) == artifact.deployed_bytecode


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    """A wrong name is answered with a sentence that lists what there is."""
    with pytest.raises(ArtifactError, match="no compiled contract 'Registry'; there are Audit"):
        load("Registry")


@pytest.mark.parametrize("name", ["", "../build", "__init__", "Pool.json", "A" * 65, "Ä", "a\n"])
def test_a_name_never_becomes_a_path(name: str) -> None:
    """What is not a contract's name opens no file."""
    with pytest.raises(ArtifactError, match="There is no compiled contract"):
        load(name)


def test_a_small_artifact_is_read() -> None:
    """Every field arrives with its type."""
    artifact = parse("Small", json.dumps(document()).encode())
    assert artifact.bytecode == b"\x60\x01"
    assert artifact.immutables == ((1, 2),)
    assert artifact.abi[0]["name"] == "close"
    assert artifact.source_hash == hashlib.sha256(f"{DIGEST}  src/Small.sol\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contractName", "Other"),
        ("abi", {}),
        ("abi", [{"type": "table"}]),
        ("abi", [{"type": []}]),
        ("abi", ["function"]),
        ("bytecode", "0x"),
        ("bytecode", "6001"),
        ("bytecode", "0x600"),
        ("bytecode", "0x60GG"),
        ("bytecode", "0x6001__$library$__"),
        ("deployedBytecode", None),
        ("compiler", ""),
        ("openzeppelin", 5),
        ("settings", []),
        ("sources", {}),
        ("sources", {"src/Small.sol": "00"}),
        ("sources", {"src/Small.sol": None}),
        ("sourceHash", DIGEST),
        ("immutables", [[1, 3]]),
        ("immutables", [[-1, 1]]),
        ("immutables", [[1, 0]]),
        ("immutables", [[1, 1], [1, 1]]),
        ("immutables", [[True, 1]]),
        ("immutables", [1]),
    ],
)
def test_a_damaged_field_is_named(key: str, value: object) -> None:
    """A wrong field is refused with its name, the file and what to do."""
    with pytest.raises(ArtifactError, match=rf"artifacts/Small\.json: '{key}' .*rebuild"):
        parsed(document(**{key: value}))


@pytest.mark.parametrize("key", sorted(document()))
def test_a_missing_field_is_named(key: str) -> None:
    """No field has a default."""
    damaged = document()
    del damaged[key]
    with pytest.raises(ArtifactError, match=rf"'{key}' must be"):
        parsed(damaged)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff{}", b"[" * 200_000, b'"text"', b"[]", b" " * (4 * 1024 * 1024 + 1)],
)
def test_a_file_that_is_no_artifact_is_refused(content: bytes) -> None:
    """Truncated, mis-encoded, too deep, too large or other JSON: one sentence."""
    with pytest.raises(ArtifactError, match=r"contracts/artifacts/Small\.json: "):
        parse("Small", content)


def compiled(**changed: object) -> dict[str, Any]:
    """What forge writes of a small contract, with some fields changed."""
    return {
        "abi": [],
        "bytecode": {"object": "0x6001", "linkReferences": {}},
        "deployedBytecode": {"object": "0x6001", "immutableReferences": {}},
        "metadata": {
            "compiler": {"version": "0.8.37+commit.f401782d"},
            "settings": {"compilationTarget": {}, "evmVersion": "cancun"},
            "sources": {},
        },
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"bytecode": {"object": "0x", "linkReferences": {}}}, "Small has no code"),
        (
            {"bytecode": {"object": "0x60", "linkReferences": {"src/Sums.sol": {}}}},
            "must be linked with src/Sums.sol",
        ),
        (
            {"deployedBytecode": {"object": "0x" + "60" * 24_577, "immutableReferences": {}}},
            "24,577 bytes of code; a chain takes 24,576",
        ),
        (
            {"bytecode": {"object": "0x" + "60" * 49_153, "linkReferences": {}}},
            "49,153 bytes of creation code; a chain takes 49,152",
        ),
    ],
)
def test_the_build_refuses_what_no_chain_takes(changed: dict[str, Any], sentence: str) -> None:
    """Abstract, unlinked and too large contracts get no artifact."""
    with pytest.raises(BuildError, match=sentence):
        artifact_document("Small", compiled(**changed), "5.7.0")


def test_the_build_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Node.js the build ends with one sentence and writes nothing."""
    from contracts import build

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"Node\.js with npm is missing: install Node\.js 20"):
        build.forge_path()
