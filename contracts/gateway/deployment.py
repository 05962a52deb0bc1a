"""Deploys the contracts and wires them, step by step; interrupted, it goes on where it was.

Every step is a submission under a reference of its own, so that the journal of submissions knows
what was done; running it again repeats none. deployment.json is written at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts import artifacts
from contracts.gateway.abi_contract import creation
from contracts.gateway.calls import Call
from contracts.gateway.deployment_file import CONTRACTS, Deployment, read_deployment
from contracts.gateway.deposit_token import DepositToken
from contracts.gateway.errors import DeploymentError, NodeLied, ValueRefused
from contracts.gateway.financing_pool import FinancingPool
from contracts.gateway.receipts import Receipt
from contracts.gateway.receivable_registry import ReceivableRegistry
from contracts.gateway.roles import PAUSER
from contracts.gateway.solidity_values import checked_address
from contracts.gateway.transactions import Sender
from contracts.units import Address, BlockNumber, TokenMinor

STEPS = 12
"""Transactions of a deployment with a mock token; one fewer with a token that there is."""
MOCK_DECIMALS = 2
SMALLEST = TokenMinor(1)


@dataclass(frozen=True)
class Plan:
    """What to deploy. The account that deploys becomes the operator.

    Attributes:
        token: the deposit token's address; None deploys a mock, on development chains only.
        admin_delay: seconds that a change of the operator takes.
        pauser: who can pause; None for the operator.
        dust_floor: no receivable may be smaller, minor units.
    """

    token: Address | None
    admin_delay: int = 86_400
    pauser: Address | None = None
    dust_floor: TokenMinor = SMALLEST


def deploy(
    sender: Sender, plan: Plan, path: Path, step: Callable[[str], None] = lambda _: None
) -> Deployment:
    """Deploy, wire, check, and write deployment.json.

    Args:
        sender: the operator-to-be; its journal remembers the steps.
        path: the file to write; one that is there must be of an equal deployment.
        step: told what is being done.

    Raises:
        DeploymentError: a mock token outside of development, or the file is another's.
        SubmissionError, ChainError, ContractRefusal: run it again to go on.
    """
    chain = sender.chain
    if plan.token is None and not chain.is_local():
        raise DeploymentError(
            f"Chain {chain.chain_id} is no development chain: name the address of its deposit "
            "token; a mock token is money that anybody can make."
        )
    if plan.token is not None:
        token = DepositToken(chain, plan.token)
        if not chain.code(token.address):
            raise DeploymentError(f"There is no token at {token.address} on this chain.")
        token.decimals()
    if not 0 <= plan.admin_delay < 2**48:
        raise ValueRefused("The operator's delay must be 0 or more seconds.")
    run = _Run(sender, _tag(plan, sender.address), step)
    first, addresses = _create(run, plan)
    hashes = {name: artifacts.load(of).source_hash for name, of in CONTRACTS.items()}
    deployment = Deployment(chain.chain_id, first, addresses, hashes)
    if path.exists() and read_deployment(path) != deployment:
        raise DeploymentError(
            f"{path}: there is another deployment; name a new file, or move that one away."
        )
    _wire(run, plan, addresses)
    for name, of in CONTRACTS.items():
        chain.verify_code(addresses[name], artifacts.load(of))
    deployment.write(path)
    return deployment


@dataclass(frozen=True)
class _Run:
    """One deployment in progress."""

    sender: Sender
    tag: str
    step: Callable[[str], None]

    def submit(self, what: str, call: Call) -> Receipt:
        """One step."""
        self.step(what)
        return self.sender.submit(call, f"deploy/{self.tag}/{what.replace(' ', '-')}")

    def create(self, what: str, *arguments: object) -> Receipt:
        """One new contract; its receipt has the address."""
        receipt = self.submit(what, creation(what, *arguments))
        if receipt.contract is None:
            raise NodeLied(f"{self.sender.chain.node}: the receipt of {what} names no contract.")
        return receipt


def _create(run: _Run, plan: Plan) -> tuple[BlockNumber, dict[str, Address]]:
    """The contracts, and the first one's block."""
    operator, delay = run.sender.address, plan.admin_delay
    token = plan.token and checked_address(plan.token, "The token")
    if token is None:
        mock = run.create("MockDepositToken", "Mock deposit", "MOCK", MOCK_DECIMALS)
        token = mock.contract
    first = run.create("ReceivableRegistry", operator, delay)
    registry = first.contract
    attestations = run.create("ScoreAttestation").contract
    pool = run.create("FinancingPool", registry, attestations, token, operator, delay).contract
    orders = run.create("OrderFinancing", registry, pool, attestations).contract
    anchor = run.create("AuditAnchor").contract
    made = {
        "registry": registry,
        "attestations": attestations,
        "pool": pool,
        "orders": orders,
        "anchor": anchor,
        "token": token,
    }
    return first.block_number, {name: address for name, address in made.items() if address}


def _wire(run: _Run, plan: Plan, addresses: dict[str, Address]) -> None:
    """Roles, and who knows whom."""
    chain = run.sender.chain
    registry = ReceivableRegistry(chain, addresses["registry"])
    pool = FinancingPool(chain, addresses["pool"])
    pauser = plan.pauser or run.sender.address
    token, orders = addresses["token"], addresses["orders"]
    run.submit("admit token", registry.admit_token(token, True, plan.dust_floor))
    run.submit("admit pool", registry.admit_pool(pool.address))
    run.submit("orders of registry", registry.set_orders(orders))
    run.submit("orders of pool", pool.set_orders(orders))
    run.submit("pauser of registry", registry.roles.grant(PAUSER, pauser))
    run.submit("pauser of pool", pool.roles.grant(PAUSER, pauser))


def _tag(plan: Plan, operator: Address) -> str:
    """Equal for equal plans and sources: a new release or plan is a new deployment."""
    parts = [artifacts.load(of).source_hash for of in CONTRACTS.values()]
    parts += [str(plan.token).lower(), str(plan.admin_delay), str(plan.pauser).lower()]
    parts += [str(plan.dust_floor), operator.lower()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
