"""Which contracts on which chain: the JSON file that a deployment writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eth_utils.address import is_address, to_checksum_address

from contracts.index.errors import DeploymentInvalid
from contracts.units import Address, BlockNumber

CONTRACTS: Final = {
    "registry": "ReceivableRegistry",
    "pool": "FinancingPool",
    "attestations": "ScoreAttestation",
    "orders": "OrderFinancing",
    "anchor": "AuditAnchor",
}
"""The contracts whose events are indexed, by the short names that the index calls them."""

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Deployment:
    """Contracts that belong together.

    Attributes:
        chain_id: of the chain that they are on.
        block: the first that can hold an event of theirs.
        contracts: short name to address, for every name of `CONTRACTS`.
        token: the deposit token, or None where the file names none.
    """

    chain_id: int
    block: BlockNumber
    contracts: dict[str, Address]
    token: Address | None = None


def read_deployment(path: Path) -> Deployment:
    """The deployment that a file describes.

    Raises:
        DeploymentInvalid: it is missing, too long, no JSON, or lacks a field.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DeploymentInvalid(
            f"{path}: cannot be read ({error.strerror}); name the JSON file that "
            "`veilscore chain deploy` writes"
        ) from None
    try:
        document = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DeploymentInvalid(
            f"{path}: is no JSON object of at most {_MOST_BYTES:,} bytes; name the file that "
            "`veilscore chain deploy` writes"
        )
    return parse_deployment(document, str(path))


def parse_deployment(document: dict[str, object], where: str) -> Deployment:
    """The deployment that a JSON object describes; `where` names its source in errors.

    Raises:
        DeploymentInvalid: a field is missing or of another kind.
    """
    given = document.get("contracts")
    if not isinstance(given, dict):
        raise DeploymentInvalid(
            f"{where}: 'contracts' must be an object of names and addresses, such as "
            '{"registry": "0x…"}'
        )
    contracts = {name: _address(given.get(name), name, where) for name in CONTRACTS}
    if len(set(contracts.values())) != len(contracts):
        raise DeploymentInvalid(f"{where}: two of 'contracts' have one address; each has its own")
    token = given.get("token")
    return Deployment(
        chain_id=_whole(document.get("chain_id"), "chain_id", 1, 2**63 - 1, where),
        block=BlockNumber(_whole(document.get("block"), "block", 0, 2**63 - 1, where)),
        contracts=contracts,
        token=None if token is None else _address(token, "token", where),
    )


def _whole(value: object, key: str, least: int, most: int, where: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise DeploymentInvalid(f"{where}: '{key}' must be a whole number from {least} to {most}")
    return value


def _address(value: object, name: str, where: str) -> Address:
    if not isinstance(value, str) or not is_address(value):
        raise DeploymentInvalid(
            f"{where}: 'contracts' must name the {name} contract as 0x and 40 hex digits"
        )
    return Address(to_checksum_address(value))
