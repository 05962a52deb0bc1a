"""deployment.json: where the contracts are, on which chain, made of which sources."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.gateway.errors import DeploymentError, ValueRefused
from contracts.gateway.solidity_values import checked_address
from contracts.units import Address, BlockNumber

CONTRACTS = {
    "registry": "ReceivableRegistry",
    "attestations": "ScoreAttestation",
    "pool": "FinancingPool",
    "orders": "OrderFinancing",
    "anchor": "AuditAnchor",
}
"""Our contracts by their names in the file; 'token' is the bank's, and no artifact's."""
NAMES = (*CONTRACTS, "token")
_MOST_BYTES = 64 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Deployment:
    """One deployment.

    Attributes:
        chain_id: the chain.
        block: the height of its first contract's block; an index begins there.
        contracts: addresses by NAMES.
        source_hash: of each of our contracts' sources, as its artifact states it.
    """

    chain_id: int
    block: BlockNumber
    contracts: Mapping[str, Address]
    source_hash: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            DeploymentError: the file can't be written.
        """
        content = {
            "chain_id": self.chain_id,
            "block": self.block,
            "contracts": dict(self.contracts),
            "source_hash": dict(self.source_hash),
        }
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise DeploymentError(f"{path}: {error.strerror}.") from error
        finally:
            beside.unlink(missing_ok=True)


def read_deployment(path: Path) -> Deployment:
    """Read and check a deployment file.

    Raises:
        DeploymentError: there is none, or a field is not what it must be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DeploymentError(
            f"{path}: {error.strerror}; name the deployment.json that `veilscore chain deploy` "
            "wrote."
        ) from error
    try:
        document = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DeploymentError(f"{path}: not a JSON object; name a deployment.json.")
    for key in ("chain_id", "block"):
        number = document.get(key)
        if type(number) is not int or number < 0:
            raise DeploymentError(f"{path}: '{key}' must be a whole number.")
    stated, hashes = document.get("contracts"), document.get("source_hash")
    if not isinstance(stated, dict) or not isinstance(hashes, dict):
        raise DeploymentError(f"{path}: 'contracts' and 'source_hash' must be objects.")
    addresses = {}
    for name in NAMES:
        try:
            addresses[name] = checked_address(stated.get(name), f"contracts.{name}")
        except ValueRefused as error:
            raise DeploymentError(f"{path}: {error}") from error
        if name in CONTRACTS and not _SHA256.fullmatch(str(hashes.get(name))):
            raise DeploymentError(f"{path}: 'source_hash.{name}' must be 64 hex digits.")
    return Deployment(
        document["chain_id"],
        BlockNumber(document["block"]),
        addresses,
        {name: str(hashes[name]) for name in CONTRACTS},
    )
