"""One deployment through one node, by one account: the way in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contracts import artifacts
from contracts.gateway.audit_anchor import AuditAnchor
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.deployment_file import CONTRACTS, Deployment, read_deployment
from contracts.gateway.deposit_token import DepositToken
from contracts.gateway.errors import DeploymentError, KeystoreError
from contracts.gateway.fees import Policy
from contracts.gateway.financing_pool import FinancingPool
from contracts.gateway.keystore import Signer
from contracts.gateway.order_financing import OrderFinancing
from contracts.gateway.receipts import Receipt
from contracts.gateway.receivable_registry import ReceivableRegistry
from contracts.gateway.score_attestation import ScoreAttestation
from contracts.gateway.transactions import Sender
from contracts.units import Address


class Gateway:
    """The contracts of a deployment, and the account that sends.

    >>> gateway = Gateway.open(Path("deployment.json"), "http://127.0.0.1:8545", signer, journal)
    ... # doctest: +SKIP
    >>> gateway.submit(gateway.registry.pay(7, 12_000), "invoice-4711")  # doctest: +SKIP

    Attributes:
        chain, deployment: as opened.
        registry, pool, attestations, orders, anchor, token: the contracts.
        decimals, symbol: of the deposit token.
    """

    def __init__(self, chain: Chain, deployment: Deployment, sender: Sender | None = None) -> None:
        """Over an open chain; `open` is the usual way.

        Raises:
            NoContract, CodeMismatch: the contracts are not those of this release.
        """
        self.chain, self.deployment, self._sender = chain, deployment, sender
        at = deployment.contracts
        for name, of in CONTRACTS.items():
            chain.verify_code(at[name], artifacts.load(of))
        self.registry = ReceivableRegistry(chain, at["registry"])
        self.pool = FinancingPool(chain, at["pool"])
        self.attestations = ScoreAttestation(chain, at["attestations"])
        self.orders = OrderFinancing(chain, at["orders"])
        self.anchor = AuditAnchor(chain, at["anchor"])
        self.token = DepositToken(chain, at["token"])
        if self.pool.token() != self.token.address:
            raise DeploymentError(
                f"The pool lends the token {self.pool.token()}; the deployment file names "
                f"{self.token.address}."
            )
        self.decimals, self.symbol = self.token.decimals(), self.token.symbol()
        chain.decimals = self.decimals  # so that refusals show amounts as people write them

    @classmethod
    def open(
        cls,
        deployment: Path,
        node: str,
        signer: Signer | None = None,
        journal: Path | None = None,
        *,
        policy: Policy | None = None,
        timeout: float = 10.0,
        step: Callable[[str], None] = lambda _: None,
    ) -> Gateway:
        """Read a deployment file, connect, and check chain and code.

        Args:
            node: the node's URL.
            signer: the account that sends; None only reads.
            journal: the account's journal of submissions; needed with a signer.

        Raises:
            DeploymentError, WrongChain, NoContract, CodeMismatch, NodeDown, NodeSlow: see there.
        """
        plan = read_deployment(deployment)
        chain = Chain.open(node, plan.chain_id, timeout=timeout)
        if signer is None:
            return cls(chain, plan)
        if journal is None:
            raise KeystoreError("An account that sends needs the file of its journal.")
        return cls(chain, plan, Sender(chain, signer, journal, policy, step))

    @property
    def sender(self) -> Sender:
        """The account that sends.

        Raises:
            KeystoreError: the gateway was opened to read only.
        """
        if self._sender is None:
            raise KeystoreError("This gateway only reads; open it with a keystore to send.")
        return self._sender

    @property
    def account(self) -> Address:
        """The address of the account that sends."""
        return self.sender.address

    def submit(self, call: Call, reference: str) -> Receipt:
        """Try, sign, store, send and confirm a call, once for a reference (`Sender.submit`)."""
        return self.sender.submit(call, reference)
